"""The trackers and libraries of docs/works_with.md, in their real packages; each is skipped where it is not installed.

All runs are on a real video with given boxes. They show that the parts fit, and that vectors are the same.
"""

import importlib
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

import denseil
from denseil import DenseIL, Embedder, Preprocessing, TrackletEmbedder
from denseil.data import crop_box, read_tracks
from denseil.embedding import CropFeatures, NorfairDistance, update_boxes, update_ultralytics
from tests.data.videos import PETS_TRACKS, PETS_VIDEO, needs_pets
from tests.test_docs import ROOT

pytestmark = [pytest.mark.slow, needs_pets]
FRAMES = 12
SIZE = (64, 32)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # BoxMOT normalises by these, whatever the model


@pytest.fixture(scope="module")
def model() -> DenseIL:
    torch.manual_seed(0)
    model = denseil.create_model("denseil", backbone="test_resnet", dim=32, depth=1, num_heads=4, ffn_dim=32)
    model.preprocessing = Preprocessing(size=SIZE, mean=MEAN, std=STD)
    nn.init.normal_(model.neck.bn.running_mean)
    return model.eval()


@pytest.fixture(scope="module")
def folder(model: DenseIL, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model, and the first frames of the video with their boxes."""
    folder = tmp_path_factory.mktemp("works_with")
    denseil.save_pretrained(model, folder / "model")
    lines = [line for line in PETS_TRACKS.read_text().splitlines() if int(line.split(",")[0]) <= FRAMES]
    (folder / "boxes.txt").write_text("\n".join(lines))
    with av.open(str(PETS_VIDEO)) as source, av.open(str(folder / "clip.avi"), "w") as target:
        stream = target.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 768, 576, "yuv420p"
        for frame in itertools.islice(source.decode(video=0), FRAMES):
            target.mux(stream.encode(frame.reformat(format="yuv420p")))
        target.mux(stream.encode(None))
    return folder


@pytest.fixture
def example(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Loads a script of the page, with our files as its arguments."""
    monkeypatch.syspath_prepend(str(ROOT / "examples" / "works_with"))
    monkeypatch.chdir(folder)
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if name == "clip" or name.startswith("with_"):
            del sys.modules[name]


@pytest.fixture(scope="module")
def video() -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Picture (H, W, 3) BGR, ids (N,) and boxes (N, 4) left, top, right, bottom in whole pixels, of each frame."""
    tracks = read_tracks(PETS_TRACKS)
    found = []
    with av.open(str(PETS_VIDEO)) as container:
        for number, frame in enumerate(itertools.islice(container.decode(video=0), FRAMES), start=1):
            now = tracks.frames == number
            left, top, width, height = tracks.boxes[now].round().T
            corners = np.column_stack([left, top, left + width, top + height]).clip(0)
            found.append((frame.to_ndarray(format="bgr24"), tracks.ids[now], corners))
    return found


def crops_of(picture: np.ndarray, corners: np.ndarray) -> list[np.ndarray]:
    return [crop_box(picture, a, b, c - a, d - b) for a, b, c, d in corners.tolist()]


def embedded(model: nn.Module, crops: list[np.ndarray]) -> np.ndarray:
    """The oracle: `Embedder` on one frame each."""
    return Embedder(model, device="cpu", color_order="BGR").embed([[crop] for crop in crops]).numpy()


def rows(corners: np.ndarray) -> np.ndarray:
    """Detections with confidence and class."""
    return np.column_stack([corners, np.full(len(corners), 0.9), np.zeros(len(corners))])


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def people() -> int:
    tracks = read_tracks(PETS_TRACKS)
    return len(set(tracks.ids[tracks.frames <= FRAMES]))


# BoxMOT


def test_boxmot_calls_get_features(model: DenseIL, video, example):
    boxmot = pytest.importorskip("boxmot")
    for order in ("BGR", "RGB"):  # BoxMOT's pictures are BGR either way
        features = CropFeatures(TrackletEmbedder(model, device="cpu", color_order=order))
        picture, _, corners = video[0]
        found = features.get_features(corners, picture)
        np.testing.assert_allclose(found, embedded(model, crops_of(picture, corners)), atol=1e-5)
        outside = features.get_features(np.array([[-9.0, -9.0, -1.0, -1.0]]), picture)
        assert (outside.shape, features.embedder.skipped) == ((1, 32), 1)
    calls = []
    features.get_features = lambda boxes, image: (
        calls.append(len(boxes)) or CropFeatures.get_features(features, boxes, image)
    )
    tracker = boxmot.BotSort(reid_model=features)
    for picture, _, corners in video:
        tracker.update(rows(corners), picture)
    assert calls == [len(corners) for _, _, corners in video]


def test_example_boxmot(folder: Path, example):
    pytest.importorskip("boxmot")
    assert len(example("with_boxmot").main("clip.avi", "boxes.txt", "model")) == people()


def test_example_boxmot_onnx_and_its_loaders(model: DenseIL, video, folder: Path, tmp_path: Path, example):
    """Its own ONNX and OpenVINO loaders: the vector of the crop as it resizes it."""
    pytest.importorskip("boxmot")
    cv2 = pytest.importorskip("cv2")
    runtime = importlib.import_module("boxmot.reid.core.runtime")
    network = tmp_path / "crop.onnx"
    assert len(example("with_boxmot_onnx").main("clip.avi", "boxes.txt", "model", str(network))) == people()
    denseil.save_pretrained(
        foreign := denseil.create_model("denseil", backbone="test_resnet", dim=32), tmp_path / "half"
    )
    assert foreign.preprocessing.mean == (0.5, 0.5, 0.5)
    with pytest.raises(ValueError, match="BoxMOT normalises RGB by ImageNet's mean"):
        example("with_boxmot_onnx").main("clip.avi", "boxes.txt", str(tmp_path / "half"), str(network))
    picture, _, corners = video[0]
    crops = crops_of(picture, corners)
    resized = [cv2.resize(crop, SIZE[::-1], interpolation=cv2.INTER_LINEAR) for crop in crops]
    found = runtime.ReID(weights=network, device="cpu").model.get_features(corners, picture)
    np.testing.assert_allclose(found, embedded(model, resized), atol=1e-4)
    # Its OpenVINO loader takes the size from a table of its own, 256 x 128 here: the network must resize.
    denseil.export(model, tmp_path / "crop.xml", crops=True, resize=True)
    doubled = [cv2.resize(crop, (128, 256), interpolation=cv2.INTER_LINEAR) for crop in crops]
    found = runtime.ReID(weights=tmp_path / "crop.xml", device="cpu").model.get_features(corners, picture)
    assert (found * embedded(model, doubled)).sum(1).min() > 0.999  # Pillow rounds to 8 bits after it has resized


# Ultralytics


@pytest.fixture(scope="module")
def detector(folder: Path) -> str:
    """A detector of Ultralytics with random weights, which finds "persons" everywhere: real weights are a download."""
    ultralytics = pytest.importorskip("ultralytics")
    torch.manual_seed(0)
    yolo = ultralytics.YOLO("yolo11n.yaml", verbose=False)
    with torch.no_grad():
        for branch in yolo.model.model[-1].cv3:
            branch[-1].bias[0] = 2.0
    yolo.save(folder / "yolo11n.pt")
    return str(folder / "yolo11n.pt")


OPTIONS = {"imgsz": 160, "max_det": 8, "conf": 0.3, "verbose": False, "device": "cpu"}


def test_ultralytics_results(model: DenseIL, video):
    engine = pytest.importorskip("ultralytics.engine.results")
    vectors = {}
    for order in ("BGR", "RGB"):  # its pictures are BGR either way
        tracks = TrackletEmbedder(model, device="cpu", color_order=order)
        for picture, ids, corners in video:
            untracked = torch.from_numpy(rows(corners))
            update_ultralytics(tracks, engine.Results(picture, path="", names={0: "person"}, boxes=untracked))
            assert (len(tracks) == 0) == (picture is video[0][0])  # boxes.id is None
            own = torch.from_numpy(np.column_stack([corners, ids, np.full(len(ids), 0.9), np.zeros(len(ids))]))
            update_ultralytics(tracks, engine.Results(picture, path="", names={0: "person"}, boxes=own))
        vectors[order] = tracks.embedding(9)
    crops = [c for picture, ids, corners in video for c in crops_of(picture, corners[ids == 9])]
    expected = Embedder(model, device="cpu", color_order="BGR")([crops[place] for place in tracks.kept(9)])
    torch.testing.assert_close(vectors["BGR"], expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(vectors["RGB"], expected, rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="hold no boxes"):
        update_ultralytics(tracks, engine.Results(picture, path="", names={0: "person"}))


def test_example_ultralytics(folder: Path, detector: str, example):
    tracks = example("with_ultralytics").main("clip.avi", detector, "model", **OPTIONS)
    assert len(tracks) > 0


def test_example_ultralytics_onnx_and_its_loader(model: DenseIL, video, folder: Path, detector: str, example):
    """Its own re-ID loader, and its BoT-SORT on the video's boxes."""
    pytest.importorskip("ultralytics")
    cv2 = pytest.importorskip("cv2")
    from ultralytics.engine.results import Boxes
    from ultralytics.trackers.bot_sort import BOTSORT
    from ultralytics.utils import YAML, IterableSimpleNamespace

    assert example("with_ultralytics_onnx").main("clip.avi", detector, "model", str(folder), **OPTIONS)
    tracker = BOTSORT(IterableSimpleNamespace(**YAML.load(folder / "botsort_denseil.yaml")))
    crops = [cv2.resize(crop, SIZE[::-1]) for crop in crops_of(*video[0][::2])]
    whole = np.array([[SIZE[1] / 2, SIZE[0] / 2, *SIZE[::-1]]])  # a box that is the picture: nothing is resized
    found = np.concatenate([np.stack(tracker.encoder(crop, whole)) for crop in crops])
    np.testing.assert_allclose(unit(found), embedded(model, crops), atol=1e-4)
    picture, _, corners = video[0]
    xywh = np.column_stack([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]])
    larger = tracker.encoder._crop_detections(picture, xywh)  # it cuts boxes out with a margin of 10 pixels
    assert all(own.shape[0] > crop.shape[0] for own, crop in zip(larger, crops_of(picture, corners), strict=True))
    ids = set()
    for picture, _, corners in video:
        boxes = Boxes(rows(corners), picture.shape[:2])
        ids |= {int(row[4]) for row in tracker.update(boxes, picture)}
    assert len(ids) == people()
    assert all(track.smooth_feat.shape == (32,) for track in tracker.tracked_stracks)


# roboflow


def test_example_supervision_and_trackers(folder: Path, example):
    pytest.importorskip("supervision")
    pytest.importorskip("trackers")
    tracks = example("with_supervision").main("clip.avi", "boxes.txt", "model")
    assert len(tracks) == people()
    assert all(track_id >= 0 for track_id in tracks._tracks)  # -1 is no person


def test_example_roboflow_reid(example):
    """Its evaluation and ours, on the same single crops."""
    pytest.importorskip("reid")
    theirs, ours = example("with_roboflow_reid").main(str(ROOT / "tests" / "data" / "mars_tiny"), "local-dir:model")
    expected = {"map": ours.mAP, "rank1": ours.cmc[0], "rank5": ours.cmc[4], "rank10": ours.cmc[9], "minp": ours.mINP}
    assert theirs == pytest.approx({name: 100 * value for name, value in expected.items()}, abs=1e-3)
    assert 0 < theirs["map"] < 100


def test_roboflow_reid_gives_the_vectors_of_the_embedder(model: DenseIL, video, example):
    pytest.importorskip("reid")
    import supervision as sv

    picture, _, corners = video[0]
    found = example("with_roboflow_reid").as_reid(model).extract_embeddings(sv.Detections(xyxy=corners), picture)
    np.testing.assert_allclose(unit(found), embedded(model, crops_of(picture, corners)), atol=1e-5)


# deep-sort-realtime, norfair


def test_deep_sort_realtime_calls_predict(model: DenseIL, video):
    pytest.importorskip("deep_sort_realtime")
    from deep_sort_realtime.deepsort_tracker import DeepSort

    tracker = DeepSort(embedder=None)
    tracker.embedder = CropFeatures(TrackletEmbedder(model, device="cpu", color_order="BGR"))
    picture, _, corners = video[0]
    boxes = [([a, b, c - a, d - b], 0.9, 0) for a, b, c, d in corners.tolist()]
    found = np.stack(tracker.generate_embeds(picture, boxes))
    np.testing.assert_allclose(found, embedded(model, crops_of(picture, corners)), atol=1e-5)
    for picture, _, corners in video:
        boxes = [([a, b, c - a, d - b], 0.9, 0) for a, b, c, d in corners.tolist()]
        tracks = tracker.update_tracks(boxes, frame=picture)
    assert len(tracks) == people()


def test_example_deep_sort_realtime(folder: Path, example):
    pytest.importorskip("deep_sort_realtime")
    assert len(example("with_deep_sort_realtime").main("clip.avi", "boxes.txt", "model")) >= people()


def test_norfair_finds_a_person_again(model: DenseIL, video):
    """A gap in which nobody is seen: only appearance can join the tracks."""
    norfair = pytest.importorskip("norfair")
    embedder = TrackletEmbedder(model, device="cpu", color_order="BGR")
    objects = []
    for picture, _, corners in video[:2]:
        tokens = embedder.encode(crops_of(picture, corners))
        places = zip(corners, tokens, strict=True)
        objects.append([norfair.Detection(box.reshape(2, 2), embedding=own) for box, own in places])
    distance = NorfairDistance(embedder)
    first, second = objects
    vectors = [embedded(model, crops_of(picture, corners)) for picture, _, corners in video[:2]]
    found = np.array([[distance(a, b) for b in second] for a in first])
    np.testing.assert_allclose(found, 1 - vectors[0] @ vectors[1].T, atol=1e-5)
    with pytest.raises(ValueError, match="has no embedding"):
        distance(norfair.Detection(corners[0].reshape(2, 2)), first[0])
    for reid in (None, distance):
        tracker = norfair.Tracker(
            distance_function="iou",
            distance_threshold=0.7,
            initialization_delay=1,
            hit_counter_max=3,
            reid_distance_function=reid,
            reid_distance_threshold=2.0,
            reid_hit_counter_max=100,
        )
        ids = []
        for moved in (0, 300):
            for _ in range(6):
                found = tracker.update([norfair.Detection(first[0].points + moved, embedding=first[0].embedding)])
            ids.append([each.id for each in found])
            for _ in range(6):
                tracker.update([])
        assert len(ids[0]) == len(ids[1]) == 1
        assert (ids[0] == ids[1]) == (reid is not None)


def test_example_norfair(folder: Path, example):
    pytest.importorskip("norfair")
    vectors = example("with_norfair").main("clip.avi", "boxes.txt", "model")
    assert len(vectors) == people()
    assert all(vector.norm() == pytest.approx(1) for vector in vectors.values())


# The other way round: image networks of others


def osnet() -> nn.Module:
    """OSNet x0.25 of torchreid, as BoxMOT and roboflow's reid carry it, with random weights."""
    registry = pytest.importorskip("reid.architectures")
    torch.manual_seed(0)
    network = registry.build_architecture("osnet_x0_25", pretrained=False).eval()
    for module in network.modules():  # at random weights the vectors of all pictures are nearly the same
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            nn.init.normal_(module.running_mean, std=0.1)
    return network


IMAGENET = Preprocessing(size=(256, 128))
ZOO = Preprocessing(size=(256, 128), mean=(0, 0, 0), std=(1 / 255,) * 3, color_order="BGR")  # BGR in 0..255, as OMZ's


@pytest.mark.parametrize(("name", "preprocessing"), [("osnet.onnx", IMAGENET), ("osnet.xml", ZOO)])
def test_osnet_behind_the_embedder(name: str, preprocessing: Preprocessing, video, tmp_path: Path):
    network, crops = osnet(), torch.rand(2, 3, 256, 128)
    if name.endswith(".onnx"):
        torch.onnx.export(network, (crops,), tmp_path / name, dynamic_shapes=({0: torch.export.Dim("n", min=1)},))
    else:
        openvino = pytest.importorskip("openvino")
        converted = openvino.convert_model(network, example_input=crops)
        openvino.save_model(converted, tmp_path / name, compress_to_fp16=False)
    embedder = Embedder(tmp_path / name, preprocessing=preprocessing, color_order="BGR")
    picture, _, corners = video[0]
    tracklet = crops_of(picture, corners)
    with torch.no_grad():
        expected = network(torch.stack([by_hand(crop, preprocessing) for crop in tracklet]))
    unit_mean = F.normalize(expected.mean(0), dim=0)
    assert (F.normalize(expected[0], dim=0) - unit_mean).abs().max() > 1e-3  # the mean counts
    torch.testing.assert_close(embedder(tracklet), unit_mean, rtol=0, atol=1e-4)


def by_hand(crop: np.ndarray, preprocessing: Preprocessing) -> torch.Tensor:
    """A BGR crop as (3, H, W), resized by Pillow and normalised."""
    if preprocessing.color_order == "RGB":
        crop = crop[..., ::-1]
    image = Image.fromarray(np.ascontiguousarray(crop)).resize(preprocessing.size[::-1], Image.Resampling.BILINEAR)
    mean, std = torch.tensor(preprocessing.mean)[:, None, None], torch.tensor(preprocessing.std)[:, None, None]
    return (torch.from_numpy(np.array(image)).movedim(-1, 0) / 255 - mean) / std


def test_update_boxes_is_update(model: DenseIL, video):
    one, other = (TrackletEmbedder(model, device="cpu", color_order="BGR") for _ in range(2))
    for picture, ids, corners in video[:3]:
        update_boxes(one, ids, torch.from_numpy(corners), picture)
        other.update(ids, crops_of(picture, corners))
    torch.testing.assert_close(one.embedding(9), other.embedding(9), rtol=0, atol=0)
    with pytest.raises(ValueError, match="must be \\(N, 4\\)"):
        update_boxes(one, ids, corners[:, :3], picture)


def test_the_page_has_a_line_for_each_example():
    page = (ROOT / "docs" / "works_with.md").read_text()
    for path in (ROOT / "examples" / "works_with").glob("with_*.py"):
        assert f"examples/works_with/{path.name}" in page
