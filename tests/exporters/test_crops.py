"""Networks for single crops: every runtime against `Embedder` on one frame, and tracklets as means of frames."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch.nn import functional as F

import denseil
from denseil.cli import main
from denseil.embedding import Embedder, ExportedModel
from denseil.models import DenseIL
from tests.exporters.test_export import OLD, TINY, build

for package in ("onnx", "onnxscript", "onnxruntime", "openvino"):
    pytest.importorskip(package)
pytestmark = pytest.mark.skipif(OLD, reason="the ONNX exporter of this torch is too old")
SIZE = (64, 32)
ODD = [(64, 32), (31, 90), (130, 21), (1, 1)]


@pytest.fixture(scope="module")
def model() -> DenseIL:
    model = build()
    model.preprocessing = denseil.Preprocessing(size=SIZE, mean=(0.5, 0.4, 0.3), std=(0.3, 0.25, 0.2))
    return model


def crops() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in ODD]


def run_onnx(path: Path, crops: np.ndarray) -> torch.Tensor:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path))
    return torch.from_numpy(session.run(None, {session.get_inputs()[0].name: crops})[0])


def run_openvino(path: Path, crops: np.ndarray) -> torch.Tensor:
    import openvino

    compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return torch.from_numpy(compiled([crops])[0])


RUN = {".onnx": run_onnx, ".xml": run_openvino}


@pytest.fixture(scope="module", params=["crop.onnx", "crop.xml"])
def resizing(request: pytest.FixtureRequest, model: DenseIL, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("crops") / request.param
    report = denseil.export(model, path, crops=True, normalize=True, resize=True)
    assert report.error < 1e-4
    assert "N x H x W of 1 x 64 x 32" in str(report)
    return path


def test_a_runtime_alone_gives_the_vectors_of_the_embedder(resizing: Path, model: DenseIL):
    expected = Embedder(model, device="cpu").embed([[crop] for crop in crops()])
    for crop, vector in zip(crops(), expected, strict=True):
        unit = np.moveaxis(crop, -1, 0)[None].astype(np.float32) / 255
        found = F.normalize(RUN[resizing.suffix](resizing, unit), dim=1)[0]
        assert float(found @ vector) > 0.999  # Pillow rounds to 8 bits after it has resized
        if crop.shape[:2] == SIZE:
            torch.testing.assert_close(found, vector, rtol=0, atol=1e-5)


def test_the_embedder_opens_it_and_averages_frames(resizing: Path, model: DenseIL):
    opened, torch_side = Embedder(resizing), Embedder(model, device="cpu")
    assert opened.preprocessing.mean == (0, 0, 0)
    with pytest.raises(ValueError, match="an exported file has its own precision; leave dtype"):
        Embedder(resizing, dtype=torch.bfloat16)
    single = opened.embed([[crop] for crop in crops()])
    torch.testing.assert_close(single, torch_side.embed([[crop] for crop in crops()]), rtol=0, atol=1e-5)
    network = denseil.single_frame(model, normalize=True, resize=True)
    from denseil.data.images import resize_image

    pixels = np.stack([resize_image(crop, SIZE) for crop in crops()])
    with torch.no_grad():
        each = network(torch.from_numpy(pixels).movedim(-1, 1) / 255)
    torch.testing.assert_close(opened(crops()), F.normalize(each.mean(0), dim=0), rtol=0, atol=1e-5)
    tracks = denseil.TrackletEmbedder(resizing)
    for crop in crops():
        tracks.update([7], [crop])
    torch.testing.assert_close(tracks.embedding(7), opened(crops()), rtol=0, atol=1e-5)
    assert opened.model.model_id != denseil.models.model_id(model)  # tracklets of several frames differ


@pytest.mark.slow
def test_without_normalising_or_resizing_and_in_half(model: DenseIL, tmp_path: Path):
    denseil.export(model, tmp_path / "plain.onnx", crops=True)
    expected = Embedder(model, device="cpu").embed([[crop] for crop in crops()])
    torch.testing.assert_close(
        Embedder(tmp_path / "plain.onnx").embed([[c] for c in crops()]), expected, rtol=0, atol=1e-5
    )
    shape = onnx.load(tmp_path / "plain.onnx").graph.input[0].type.tensor_type.shape.dim
    assert [size.dim_value for size in shape] == [0, 3, 64, 32]  # only N is dynamic
    for name in ("half.onnx", "half.xml"):
        report = denseil.export(model, tmp_path / name, crops=True, normalize=True, half=True)
        found = Embedder(tmp_path / name).embed([[crop] for crop in crops()])
        assert F.cosine_similarity(found, expected).min() > 0.999
        weights = sum(file.stat().st_size for file in report.files if file.suffix != ".xml")
        assert weights < 0.65 * (tmp_path / "plain.onnx").stat().st_size


@pytest.mark.slow
def test_channels_of_a_bgr_model_are_swapped_inside(tmp_path: Path):
    model = build()
    model.preprocessing = denseil.Preprocessing(
        size=SIZE, mean=(0.5, 0.4, 0.3), std=(0.3, 0.25, 0.2), color_order="BGR"
    )
    expected = Embedder(model, device="cpu").embed([[crop] for crop in crops()])
    for normalize in (True, False):
        denseil.export(model, tmp_path / "c.pt2", crops=True, normalize=normalize)
        found = Embedder(tmp_path / "c.pt2").embed([[crop] for crop in crops()])
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_metadata_says_what_goes_in(resizing: Path):
    if resizing.suffix != ".onnx":
        pytest.skip("the same text")
    data = json.loads({p.key: p.value for p in onnx.load(resizing).metadata_props}["denseil"])
    assert data["part"] == "crops"
    assert data["input"]["pixels"] == "RGB in 0..1"
    assert (data["input"]["size"], data["input"]["resizes"]) == (list(SIZE), True)
    assert data["pretrained_cfg"]["mean"] == [0.5, 0.4, 0.3]
    with pytest.raises(ValueError, match=r"a network for single crops: open it with denseil\.Embedder"):
        ExportedModel(resizing)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"normalize": True}, "give crops=True"),
        ({"resize": True}, "give crops=True"),
        ({"crops": True, "int8": []}, "int8 and crops do not go together"),
        ({"half": True, "int8": []}, "int8 and half do not go together"),
    ],
)
def test_what_does_not_go_together_is_refused(model: DenseIL, tmp_path: Path, arguments: dict, says: str):
    with pytest.raises(ValueError, match=says):
        denseil.export(model, tmp_path / "m.xml", **arguments)
    with pytest.raises(ValueError, match="crops is for a whole model"):
        denseil.export(model, tmp_path / "folder", parts=True, crops=True)


def test_a_network_of_others_embeds_tracklets(tmp_path: Path):
    """OpenVINO's own re-ID networks take BGR in 0..255, one crop at a time."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 7, 4), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1)).eval()
    torch.onnx.export(net, (torch.rand(1, 3, *SIZE) * 255,), tmp_path / "osnet.onnx", verbose=False)
    prepared = denseil.Preprocessing(size=SIZE, mean=(0, 0, 0), std=(1 / 255,) * 3, color_order="BGR")
    with pytest.raises(ValueError, match=r"no metadata of denseil.*pass preprocessing="):
        Embedder(tmp_path / "osnet.onnx")
    embedder = Embedder(tmp_path / "osnet.onnx", preprocessing=prepared)
    assert embedder.num_features == 8
    from denseil.data.images import resize_image

    pixels = np.stack([resize_image(crop, SIZE) for crop in crops()])[..., ::-1].copy()
    with torch.no_grad():
        expected = F.normalize(net(torch.from_numpy(pixels).movedim(-1, 1).float()).flatten(1).mean(0), dim=0)
    torch.testing.assert_close(embedder(crops()), expected, rtol=0, atol=1e-5)
    other = Embedder(
        tmp_path / "osnet.onnx", preprocessing=denseil.Preprocessing(size=SIZE, mean=(0, 0, 0), std=(1, 1, 1))
    )
    assert other.model.model_id != embedder.model.model_id
    denseil.export(denseil.create_model("denseil_mobilenetv2_mean", pretrained=True), tmp_path / "own.onnx", crops=True)
    own = Embedder(tmp_path / "own.onnx")
    dark = Embedder(tmp_path / "own.onnx", preprocessing=replace(own.preprocessing, mean=(0, 0, 0)))
    again = Embedder(tmp_path / "own.onnx", preprocessing=own.preprocessing)
    assert dark.model.model_id != own.model.model_id == again.model.model_id
    with pytest.raises(ValueError, match=r"osnet takes .* it must take \(N, \(3, 128, 64\)\)"):
        Embedder(tmp_path / "osnet.onnx", preprocessing=denseil.Preprocessing(size=(128, 64)))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ["export", "denseil", str(tmp_path / "c.pt2"), "--crops", "--normalize", "--resize", "--random-weights"]
    assert main([*words, "--size", "64x32", "--model_args", json.dumps(TINY)]) == 0
    assert "run by pt2 at N x H x W of 1 x 64 x 32" in capsys.readouterr().out
    assert Embedder(tmp_path / "c.pt2")(crops()).shape == (32,)
