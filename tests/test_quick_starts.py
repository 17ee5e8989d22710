"""The quick starts of the trackers in docs/works_with.md, as their README has them, with the lines of the page.

Only the detector is replaced: its weights are a download, so the boxes of a real video stand for it. The vectors are
those of the weights in the package. Each is skipped where the tool is not installed.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import denseil
from denseil.data import crop_box, read_tracks
from denseil.embedding import (
    CropFeatures,
    NorfairDistance,
    update_boxes,
    update_deep_sort,
    update_supervision,
    update_ultralytics,
)
from tests.data.videos import PETS_TRACKS, PETS_VIDEO, needs_pets
from tests.test_docs import ROOT

cv2 = pytest.importorskip("cv2")
pytestmark = [pytest.mark.slow, needs_pets]
MODEL = "denseil_mobilenetv2"
FRAMES = 40
FOUND = read_tracks(PETS_TRACKS)
PEOPLE = len(set(FOUND.ids[FOUND.frames <= FRAMES]))


def boxes(number: int) -> np.ndarray:
    """What a detector finds in a frame, counted from 1: (N, 4) left, top, right, bottom."""
    left, top, width, height = FOUND.boxes[FOUND.frames == number].T
    return np.column_stack([left, top, left + width, top + height])


def capture() -> Iterator[np.ndarray]:
    video = cv2.VideoCapture(str(PETS_VIDEO))
    for _ in range(FRAMES):
        yield video.read()[1]


@pytest.fixture
def embedder() -> denseil.TrackletEmbedder:
    return denseil.TrackletEmbedder(MODEL, color_order="BGR", device="cpu")


@pytest.fixture
def check() -> Callable[..., None]:
    """Asserts that vectors are those of `Embedder` for frames and boxes, and differ from person to person."""
    pictures = list(capture())
    whole = denseil.Embedder(MODEL, color_order="BGR", device="cpu")

    def compare(vectors: Iterable[torch.Tensor], tracklets: Iterable[list[Any]], people: int = PEOPLE) -> None:
        found = torch.stack(list(vectors))
        crops = [
            [crop_box(pictures[number - 1], a, b, c - a, d - b) for number, (a, b, c, d) in tracklet]
            for tracklet in tracklets
        ]
        torch.testing.assert_close(found, whole.embed(crops), rtol=0, atol=1e-5)
        torch.testing.assert_close(found.norm(dim=1), torch.ones(len(found)), rtol=0, atol=1e-5)
        assert len(found) == people
        assert (found @ found.T).fill_diagonal_(0).max() < 0.95

    return compare


def kept(embedder: denseil.TrackletEmbedder, seen: dict[Any, list[Any]]) -> list[list[Any]]:
    return [[seen[track_id][place] for place in embedder.kept(track_id)] for track_id in embedder]


def test_boxmot(embedder: denseil.TrackletEmbedder, check):
    boxmot = pytest.importorskip("boxmot")
    seen = defaultdict(list)
    tracker = boxmot.OccluBoost(reid_model=CropFeatures(embedder))  # its own fetches weights
    for number, frame in enumerate(capture(), 1):
        dets = np.array([[*box, 0.9, 0] for box in boxes(number)])
        tracks = tracker.update(dets, frame)
        update_boxes(embedder, tracks[:, 4], tracks[:, :4], frame)
        for row in tracks:
            seen[row[4]].append((number, row[:4]))
    check([embedder.embedding(track_id) for track_id in embedder], kept(embedder, seen))


@pytest.mark.parametrize("whole_video", [False, True])
def test_ultralytics(whole_video: bool, embedder: denseil.TrackletEmbedder, check):
    ultralytics = pytest.importorskip("ultralytics")
    model = ultralytics.YOLO("yolo11n.yaml", task="detect", verbose=False)
    seen, numbers = defaultdict(list), count(1)

    def detect(predictor: Any) -> None:
        for result in predictor.results:
            rows = [[*box, 0.9, 0] for box in boxes(next(numbers))]
            result.update(boxes=torch.tensor(rows, dtype=torch.float32))

    model.add_callback("on_predict_postprocess_end", detect)
    if whole_video:
        results = model.track(str(PETS_VIDEO), imgsz=64, stream=True, verbose=False, classes=[0])
        every = list(islice(results, FRAMES))
        update_ultralytics(embedder, iter(every))
    else:
        every = []
        for frame in capture():
            results = model.track(frame, persist=True, imgsz=64, verbose=False, classes=[0])
            update_ultralytics(embedder, results)
            every += results
    for number, result in enumerate(every, 1):
        for track_id, box in zip(result.boxes.id.tolist(), result.boxes.xyxy, strict=True):
            seen[track_id].append((number, box.tolist()))
    check([embedder.embedding(track_id) for track_id in embedder], kept(embedder, seen))
    with pytest.raises(TypeError, match="give what Ultralytics' track"):
        update_ultralytics(embedder, every[0].boxes.xyxy)


def test_trackers(embedder: denseil.TrackletEmbedder, check):
    sv, trackers = pytest.importorskip("supervision"), pytest.importorskip("trackers")
    seen = defaultdict(list)
    tracker = trackers.ByteTrackTracker()
    for number, frame in enumerate(capture(), 1):
        found = boxes(number)
        names = np.array(["person"] * len(found))
        detections = sv.Detections(
            xyxy=found,
            confidence=np.full(len(found), 0.9),
            class_id=np.zeros(len(found), int),
            data={"class_name": names},
        )
        detections = detections[detections["class_name"] == "person"]
        tracked = tracker.update(detections)
        update_supervision(embedder, tracked, frame)
        for track_id, box in zip(tracked.tracker_id.tolist(), tracked.xyxy, strict=True):
            seen[track_id].append((number, box))
    check([embedder.embedding(track_id) for track_id in embedder], kept(embedder, seen))


def test_deep_sort_realtime(embedder: denseil.TrackletEmbedder, check):
    deepsort_tracker = pytest.importorskip("deep_sort_realtime.deepsort_tracker")
    seen = defaultdict(list)
    tracker = deepsort_tracker.DeepSort(max_age=5, embedder=None)
    for number, frame in enumerate(capture(), 1):
        bbs = [([a, b, c - a, d - b], 0.9, 0) for a, b, c, d in boxes(number).tolist()]
        tracks = update_deep_sort(embedder, tracker, bbs, frame)
        for track in tracks:
            box = track.to_ltrb(orig=True, orig_strict=True)
            if box is not None:
                seen[track.track_id].append((number, box))
    check([embedder.embedding(track_id) for track_id in embedder], kept(embedder, seen))


def test_norfair(embedder: denseil.TrackletEmbedder, check):
    norfair = pytest.importorskip("norfair")
    distance = NorfairDistance(embedder)
    tracker = norfair.Tracker(distance_function="euclidean", distance_threshold=20)  # it tracks the boxes' centres
    objects = {}
    for number, frame in enumerate(capture(), 1):
        found = boxes(number)
        crops = [crop_box(frame, a, b, c - a, d - b) for a, b, c, d in found]
        detections = [
            norfair.Detection((box[:2] + box[2:]) / 2, embedding=tokens if number > 1 else None, data=(number, box))
            for box, tokens in zip(found, embedder.encode(crops), strict=True)
        ]
        detections.append(norfair.Detection(np.array([-50.0, -50.0])))  # out of the picture: without an embedding
        tracked_objects = tracker.update(detections=detections)
        objects |= {each.id: each for each in tracked_objects}
    outside = objects.pop(max(objects, key=lambda track_id: objects[track_id].last_detection.embedding is None))
    with pytest.raises(ValueError, match="has no embedding"):
        distance.embedding(outside)
    check(
        [distance.embedding(each) for each in objects.values()],
        [[one.data for one in each.past_detections if one.embedding is not None] for each in objects.values()],
    )


def test_reid(check):
    sv, reid = pytest.importorskip("supervision"), pytest.importorskip("reid")
    own = denseil.create_model(MODEL, pretrained=True).eval()
    plain = reid.ReIDPreprocessing(input_size=own.preprocessing.size, mean=(0, 0, 0), std=(1, 1, 1))
    model = reid.ReIDModel(denseil.single_frame(own, normalize=True), torch.device("cpu"), plain)
    frame = next(sv.get_video_frames_generator(str(PETS_VIDEO)))
    whole = boxes(1).round()  # supervision rounds corners, where `crop_box` takes every pixel that a box touches
    detections = sv.Detections(xyxy=whole)
    embeddings = model.extract_embeddings(detections, frame)
    check(torch.nn.functional.normalize(torch.from_numpy(embeddings)), [[(1, box)] for box in whole], people=len(whole))


def test_the_lines_are_those_of_the_page():
    page = (ROOT / "docs" / "works_with.md").read_text()
    source = Path(__file__).read_text()
    own = {line for line in re.findall(r"update_\w+\(embedder, .+\)$", source, re.M) if "every" not in line}
    assert len(own) == 4
    for line in own:
        assert line in page, line
