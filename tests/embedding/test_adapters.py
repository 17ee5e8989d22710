"""Beside the real trackers' packages, on the real video."""

import itertools
import types

import av
import numpy as np
import pytest
import torch
from PIL import Image

from denseil import DenseIL, Embedder, TrackletEmbedder
from denseil.data import crop_box, read_tracks
from denseil.embedding import CropFeatures, update_boxes, update_deep_sort, update_supervision
from tests.data.videos import PETS_TRACKS, PETS_VIDEO, needs_pets

FRAMES = 40


@pytest.fixture(scope="module")
def video() -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Picture (H, W, 3) BGR, track ids (N,) and boxes (N, 4) left, top, width, height, of each frame."""
    tracks = read_tracks(PETS_TRACKS)
    with av.open(str(PETS_VIDEO)) as container:
        pictures = [f.to_ndarray(format="bgr24") for f in itertools.islice(container.decode(video=0), FRAMES)]
    own = [tracks.frames == number for number in range(1, FRAMES + 1)]
    return [(p, tracks.ids[rows], tracks.boxes[rows]) for p, rows in zip(pictures, own, strict=True)]


@needs_pets
def test_supervision(model: DenseIL, video):
    sv = pytest.importorskip("supervision")
    tracks = TrackletEmbedder(model, device="cpu", color_order="BGR")
    for picture, ids, boxes in video:
        corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
        update_supervision(tracks, sv.Detections(xyxy=corners, tracker_id=ids), picture)
    update_supervision(tracks, sv.Detections.empty(), video[0][0])
    assert sorted(id for id in range(30) if id in tracks) == sorted(set(np.concatenate([ids for _, ids, _ in video])))
    crops = [crop_box(p, *box) for p, ids, boxes in video for id, box in zip(ids, boxes, strict=True) if id == 9]
    assert len(crops) == FRAMES
    expected = Embedder(model, device="cpu", color_order="BGR")([crops[place] for place in tracks.kept(9)])
    torch.testing.assert_close(tracks.embedding(9), expected, rtol=0, atol=1e-5)
    seen = len(tracks)
    update_supervision(tracks, sv.Detections(xyxy=corners), picture)  # found, but not tracked yet
    assert len(tracks) == seen


@needs_pets
def test_deep_sort_realtime(model: DenseIL, video):
    deepsort_tracker = pytest.importorskip("deep_sort_realtime.deepsort_tracker")
    tracker = deepsort_tracker.DeepSort(embedder=None)
    tracks = TrackletEmbedder(model, device="cpu", color_order="BGR")
    crops: dict[str, list[np.ndarray]] = {}
    for picture, ids, boxes in video:
        detections = [(box.tolist(), 1.0, int(id)) for id, box in zip(ids, boxes, strict=True)]
        # What DeepSORT drops by itself must not shift the vectors of the others.
        detections.insert(0, ([5.0, 5.0, 0.0, 9.0], 1.0, -1))
        for track in update_deep_sort(tracks, tracker, detections, picture):
            if track.time_since_update == 0:
                crop = crop_box(picture, *track.to_ltwh(orig=True))
                crops.setdefault(track.track_id, []).append(crop)
    update_deep_sort(tracks, tracker, [], video[0][0])
    assert tracks.skipped == FRAMES
    confirmed = {track.track_id for track in tracker.tracker.tracks if track.is_confirmed()}
    assert len(confirmed) >= 5
    embedder = Embedder(model, device="cpu", color_order="BGR")
    for track_id in confirmed:
        expected = embedder([crops[track_id][place] for place in tracks.kept(track_id)])
        torch.testing.assert_close(tracks.embedding(track_id), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("boxes", "error", "text"),
    [
        ([[float("nan"), 0, 9, 9]], ValueError, "box 0 holds NaN"),
        ([["a"] * 4], TypeError, "give numbers"),
        ([[0.1, 0.1, 0.5, 0.5]], ValueError, "shares of the picture"),
        ([[-0.02, 0.1, 0.5, 0.98]], ValueError, "shares of the picture"),
        ([[]], ValueError, r"shape \(1, 0\)"),
        ([0, 0, 9, 9], ValueError, r"shape \(4,\)"),
        (None, ValueError, r"shape \(\)"),
    ],
)
def test_boxes_that_are_none(model: DenseIL, boxes, error, text):
    with pytest.raises(error, match=text):
        update_boxes(TrackletEmbedder(model), [1], boxes, np.zeros((20, 20, 3), np.uint8))


def test_boxes_of_any_array_and_outside_of_the_picture(model: DenseIL):
    corners = np.array([[2.0, 3.0, 12.0, 19.0]])
    for boxes in (corners, corners.astype(">f4"), corners[:, ::-1][:, ::-1], torch.tensor(corners, requires_grad=True)):
        embedder = TrackletEmbedder(model)
        update_boxes(embedder, [1], boxes, np.zeros((20, 20, 3), np.uint8))
        assert len(embedder) == 1
    update_boxes(embedder, [2, 3], [[-9, -9, -1, -1], [float("inf"), 0, 9, 9]], np.zeros((20, 20, 3), np.uint8))
    assert (len(embedder), embedder.skipped) == (1, 2)


@pytest.mark.parametrize(
    ("box", "error", "text"),
    [
        ([0.1, 0.1, 0.3, 0.5], ValueError, "shares of the picture: give left, top, width, height"),
        ([1, 1, 9], ValueError, r"shape \(1, 3\)"),
        ([float("nan"), 1, 9, 9], ValueError, "box 0 holds NaN"),
        ("abcd", TypeError, "give numbers"),
    ],
)
def test_boxes_for_deep_sort_that_are_none(model: DenseIL, box, error, text):
    tracker = types.SimpleNamespace(update_tracks=None)
    with pytest.raises(error, match=text):
        update_deep_sort(TrackletEmbedder(model), tracker, [(box, 1.0, 0)], np.zeros((20, 20, 3), np.uint8))


def test_vectors_of_any_crops_are_float32(model: DenseIL):
    features = CropFeatures(TrackletEmbedder(model, device="cpu"))
    picture = np.arange(1200, dtype=np.uint8).reshape(20, 20, 3)
    for boxes in ([], np.empty((0, 4)), torch.empty(0, 4)):
        found = features.get_features(boxes, picture)
        assert (found.shape, found.dtype) == ((0, 32), np.float32)
    empty = torch.empty(3, 0, 5, dtype=torch.uint8)
    same = features.predict([picture, Image.fromarray(picture), torch.from_numpy(picture).movedim(-1, 0), empty])
    np.testing.assert_allclose(np.stack(same[1:3]), np.stack([same[0]] * 2), atol=1e-5)
    assert features.embedder.skipped == 1
