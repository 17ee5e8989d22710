"""Adapters of `TrackletEmbedder` for other trackers, whose packages are not imported."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from denseil.common.arguments import checked, checked_class, shown
from denseil.data import crop_box
from denseil.embedding.inputs import Pixels
from denseil.embedding.online import TrackletEmbedder
from denseil.embedding.pixels import has_pixels

Image: TypeAlias = NDArray[np.uint8]


@checked
def update_boxes(embedder: TrackletEmbedder, track_ids: Any, boxes: Any, frame: Image) -> None:
    """Add a frame's tracks, given as ids and boxes, of any tracker.

    Args:
        embedder: The embedder, with the frame's colour order.
        track_ids: The id of each box, as for `TrackletEmbedder.update`; None adds nothing.
        boxes: Array or tensor (N, 4): left, top, right, bottom in pixels. Boxes without a pixel in the picture are
            skipped, and counted in `embedder.skipped`.
        frame: The image (H, W, 3) uint8.

    Raises:
        TypeError: If the boxes are not numbers.
        ValueError: If the boxes have another shape, hold NaN, are shares of the picture rather than pixels, are not as
            many as the ids, or an id occurs twice.
    """
    if track_ids is not None:  # None: no tracks yet
        embedder.update(track_ids, _crops(frame, boxes))


@checked
def update_supervision(embedder: TrackletEmbedder, detections: Any, frame: Image) -> None:
    """Add a frame's tracked detections of roboflow's `supervision`, from any tracker that sets `tracker_id`.

    Args:
        embedder: The embedder, with the frame's colour order.
        detections: A `supervision.Detections`. Without a `tracker_id`, as before the first track, nothing is added;
            those with -1, which roboflow's `trackers` has not confirmed, are counted in `embedder.unconfirmed`.
        frame: The image (H, W, 3) uint8 of the detections.
    """
    if not (hasattr(detections, "tracker_id") and hasattr(detections, "xyxy")):
        raise TypeError(f"detections={shown(detections)}: give a supervision.Detections")
    update_boxes(embedder, detections.tracker_id, detections.xyxy, frame)


@checked
def update_ultralytics(embedder: TrackletEmbedder, results: Any) -> None:
    """Add the tracks of Ultralytics, as from `YOLO(...).track(...)`.

    Args:
        embedder: The embedder, with either colour order: Ultralytics' pictures are BGR.
        results: What `track()` returns: the list of `Results`, one for each frame, or with `stream=True` their
            iterator; or the `Results` of one frame. Before the first track, when `boxes.id` is None, nothing is added.

    Raises:
        TypeError: If these are not `Results`.
        ValueError: If the results hold no boxes, as those of classification.
    """
    for frame in results if isinstance(results, (list, Iterator)) else [results]:
        if not (hasattr(frame, "boxes") and hasattr(frame, "orig_img")):
            raise TypeError(f"results={shown(frame)}: give what Ultralytics' track() returns")
        boxes = frame.boxes if frame.boxes is not None else frame.obb
        if boxes is None:
            raise ValueError("these results hold no boxes: give those of a detection model, from track()")
        update_boxes(embedder, boxes.id, boxes.xyxy, _from_bgr(embedder, frame.orig_img))


@checked
def update_deep_sort(
    embedder: TrackletEmbedder, tracker: Any, detections: Sequence[Sequence[Any]], frame: Image
) -> list[Any]:
    """Associate a frame's detections with `deep-sort-realtime` by vectors of denseil, and add them to their tracks.

    Each crop is encoded once. DeepSORT compares the vector of the single crop; then the frame is added to its track.

    Args:
        embedder: The embedder, with the frame's colour order.
        tracker: A `DeepSort(embedder=None)`.
        detections: As for its `update_tracks`: `([left, top, width, height], confidence, class)` each. Those without
            a pixel in the picture are left out, and counted in `embedder.skipped`.
        frame: The image (H, W, 3) uint8 of the detections.

    Returns:
        The tracks, as from `update_tracks`. Their `track_id` is the id of the track in `embedder`.

    Raises:
        TypeError, ValueError: As `update_boxes`.
    """
    if not hasattr(tracker, "update_tracks"):
        raise TypeError(f"tracker={shown(tracker)}: give a DeepSort of deep-sort-realtime")
    boxes = _numbers([detection[0] for detection in detections], "left, top, width, height")
    crops = [crop_box(frame, *box) for box in boxes]
    found = list(zip(detections, crops, strict=True))
    usable = [(detection, crop) for detection, crop in found if crop.size]
    embedder.count_skipped(len(found) - len(usable))
    tokens = embedder.encode([crop for _, crop in usable])
    vectors = embedder.decode([own[None] for own in tokens])
    places = list(range(len(usable)))
    # DeepSORT passes `others` of a detection to the track that it updates, and None to other tracks.
    tracks: list[Any] = tracker.update_tracks(
        [detection for detection, _ in usable], embeds=list(vectors.numpy()), others=places
    )
    matched = [(track.track_id, track.get_det_supplementary()) for track in tracks]
    matched = [(track_id, place) for track_id, place in matched if place is not None]
    if matched:
        embedder.add([track_id for track_id, _ in matched], tokens[[place for _, place in matched]])
    return tracks


@checked_class
class CropFeatures:
    """A `TrackletEmbedder` as the appearance model inside a tracker: one vector for each detection, no tracks.

    For BoxMOT, `BotSort(reid_model=CropFeatures(embedder))`, or any of its trackers with `reid_model`; for
    `deep-sort-realtime`, `tracker.embedder = CropFeatures(embedder)`. These trackers need a vector for every box, so
    one without a pixel in the picture gets that of a black crop, and is counted in `embedder.skipped`.

    Args:
        embedder: The embedder. Its colour order is that of the crops for `predict`.

    Attributes:
        num_features: Width of the vectors.
    """

    def __init__(self, embedder: TrackletEmbedder) -> None:
        self.embedder = embedder
        self.num_features = embedder.encoder.num_features

    def get_features(self, xyxys: Any, image: Image) -> NDArray[np.float32]:
        """Return the vectors (N, D) of boxes (N, 4) left, top, right, bottom in a picture: BGR, as from BoxMOT."""
        vectors = self.predict(_crops(_from_bgr(self.embedder, image), xyxys))
        return np.array(vectors, np.float32).reshape(-1, self.num_features)

    def predict(self, crops: Sequence[Pixels]) -> list[NDArray[np.float32]]:
        """Return the vector (D,) of each crop, as the embedders of `deep-sort-realtime` return them."""
        filled = [crop if has_pixels(crop) else np.zeros((1, 1, 3), dtype=np.uint8) for crop in crops]
        self.embedder.count_skipped(sum(not has_pixels(crop) for crop in crops))
        return list(self.embedder.vectors(filled).numpy())


@checked_class
class NorfairDistance:
    """Distance of two objects of `norfair`, for `Tracker(reid_distance_function=...)`: 1 - cosine similarity.

    Each object is embedded as a tracklet of its `past_detections`, so frames interact; for more of them, raise
    `past_detections_length`. Each detection carries the tokens of its crop: `Detection(points, embedding=tokens)`, with
    `tokens` from `embedder.encode(crops)`. Those without an embedding, such as boxes outside of the picture, are left
    out.

    Args:
        embedder: The embedder that encoded the crops.
    """

    def __init__(self, embedder: TrackletEmbedder) -> None:
        self.embedder = embedder

    def __call__(self, new: Any, old: Any) -> float:
        """Compute the distance of two objects or detections, from 0 to 2.

        Raises:
            ValueError: If no detection of one of them has an embedding.
        """
        first, second = self.embedder.decode([_norfair_tokens(new), _norfair_tokens(old)])
        return 1 - float(first @ second)

    def embedding(self, item: Any) -> Tensor:
        """Compute the vector (D,) of an object or a detection, of length 1; errors as for a comparison."""
        return self.embedder.decode([_norfair_tokens(item)])[0]


def _norfair_tokens(item: Any) -> Tensor:
    """The tokens (frames, P, sum of widths) of a `TrackedObject` or a `Detection`."""
    detections = getattr(item, "past_detections", None) or [getattr(item, "last_detection", item)]
    tokens = [detection.embedding for detection in detections if detection.embedding is not None]
    if not tokens:
        raise ValueError("a norfair Detection has no embedding: pass embedding=tokens, from embedder.encode(crops)")
    return torch.stack(tokens)


def _from_bgr(embedder: TrackletEmbedder, image: Image) -> Image:
    """A BGR picture in the embedder's colour order."""
    return image if embedder.color_order == "BGR" else image[..., ::-1]


def _crops(frame: Image, boxes: Any) -> list[Image]:
    """The pixels of boxes (N, 4) left, top, right, bottom, of tensors on any device or arrays."""
    corners = _numbers(boxes, "left, top, right, bottom")
    return [crop_box(frame, left, top, right - left, bottom - top) for left, top, right, bottom in corners]


def _numbers(boxes: Any, order: str) -> list[list[float]]:
    """The numbers of boxes (N, 4), which are in this order."""
    if isinstance(boxes, Tensor):
        boxes = boxes.detach().double().cpu()
    try:
        numbers = np.asarray(boxes, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"boxes={shown(boxes)}: give numbers (N, 4): {order} in pixels") from error
    if numbers.shape[:1] == (0,):
        return []
    if numbers.ndim != 2 or numbers.shape[1] != 4:
        raise ValueError(f"boxes have shape {numbers.shape}; they must be (N, 4): {order}")
    if np.isnan(numbers).any():
        raise ValueError(f"box {int(np.isnan(numbers).any(1).argmax())} holds NaN: leave it out, with its id")
    if np.abs(numbers).max() <= 1 and numbers.max() > 0 and (numbers % 1).any():
        raise ValueError(f"boxes={shown(numbers.tolist())} are shares of the picture: give {order} in pixels")
    found: list[list[float]] = numbers.tolist()
    return found
