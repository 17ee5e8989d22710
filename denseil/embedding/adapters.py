"""Adapters of `TrackletEmbedder` for other trackers, whose packages are not imported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denseil.data import crop_box
from denseil.embedding.online import TrackletEmbedder


def update_supervision(embedder: TrackletEmbedder, detections: Any, frame: NDArray[np.uint8]) -> None:
    """Add a frame's tracked detections of roboflow's `supervision`.

    Args:
        embedder: The embedder, with the frame's colour order.
        detections: A `supervision.Detections`. Without a `tracker_id`, as before the first track, nothing is added.
        frame: The image (H, W, 3) uint8 of the detections.
    """
    if detections.tracker_id is None:  # no tracks yet
        return
    crops = [
        crop_box(frame, left, top, right - left, bottom - top)
        for left, top, right, bottom in np.asarray(detections.xyxy, dtype=np.float64).tolist()
    ]
    embedder.update(detections.tracker_id, crops)


def update_deep_sort(
    embedder: TrackletEmbedder, tracker: Any, detections: Sequence[Sequence[Any]], frame: NDArray[np.uint8]
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
    """
    found = [(detection, crop_box(frame, *map(float, detection[0]))) for detection in detections]
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
