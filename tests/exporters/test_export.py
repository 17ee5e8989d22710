"""Every format run by its own runtime, against torch, and through the Embedder; what is damaged says so."""

import importlib
import io
import json
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import denseil
from denseil.cli import main
from denseil.data import read_dataset
from denseil.embedding import Embedder, ExportedModel
from denseil.exporters import ExportReport, int8
from denseil.models import DenseIL, model_id
from tests.exporters.children import export_on_a_full_disk, signal_after_two_models
from tests.forked import finish, start

TINY = {"backbone": "test_resnet", "dim": 32, "num_heads": 4, "ffn_dim": 32, "depth": 1}
MARS = Path(__file__).parents[1] / "data" / "mars_tiny"
WAYS = {
    "onnx": ("m.onnx", False),
    "openvino": ("m.xml", False),
    "pt2": ("m.pt2", False),
    "onnx-parts": ("m", True),
    "openvino-parts": ("m", True),
}
OLD = tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 9)  # its ONNX exporter fails on the model
for package in ("onnx", "onnxscript", "onnxruntime", "openvino"):
    pytest.importorskip(package)


def build(**arguments: Any) -> DenseIL:
    torch.manual_seed(0)
    model = denseil.create_model("denseil", **(TINY | arguments)).eval()
    nn.init.normal_(model.neck.bn.running_mean)
    return model


@pytest.fixture(scope="module")
def model() -> DenseIL:
    return build()


WAY_PARAMS = [pytest.param(way, marks=pytest.mark.slow if way == "openvino-parts" else ()) for way in WAYS]


@pytest.fixture(scope="module", params=WAY_PARAMS)
def written(request: pytest.FixtureRequest, model: DenseIL, tmp_path_factory: pytest.TempPathFactory) -> ExportReport:
    name, parts = WAYS[request.param]
    if OLD and request.param != "pt2":
        pytest.skip(f"the ONNX exporter of torch {torch.__version__} is too old")
    path = tmp_path_factory.mktemp(request.param) / name
    return denseil.export(model, path, request.param.partition("-")[0], parts=parts, size=(128, 64))


def padded(batch: int, frames: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(batch + frames)
    mask = torch.rand(batch, frames) > 0.5
    mask[:, 0] = True
    clips = torch.randn(batch, frames, 3, 128, 64)
    clips[~mask] = torch.nan
    return clips, mask


def test_agrees_with_torch_at_shapes_that_the_export_did_not_try(written: ExportReport, model: DenseIL):
    exported = ExportedModel(written.path)
    assert written.error < 1e-4
    for shape in ((1, 2), (5, 1), (2, 70)):
        clips, mask = padded(*shape)
        torch.testing.assert_close(exported(clips, mask), model(clips, mask), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(exported(clips.nan_to_num()), model(clips.nan_to_num()), atol=1e-5, rtol=1e-4)


def test_the_embedder_gives_the_same_answers(written: ExportReport):
    pixels = torch.randint(0, 256, (11, 128, 64, 3), dtype=torch.uint8).numpy()
    found = Embedder.from_exported(written.path).embed([list(pixels), list(pixels[:1])])
    other = build()  # takes 256 x 128 by itself; an export has one size
    other.pretrained_cfg["input_size"] = (3, 128, 64)
    torch.testing.assert_close(found, Embedder(other).embed([list(pixels), list(pixels[:1])]), atol=1e-5, rtol=1e-4)


def test_metadata_travels(written: ExportReport, model: DenseIL):
    exported = ExportedModel(written.path)
    assert exported.name == "denseil"
    assert exported.num_features == 32
    assert exported.pretrained_cfg["input_size"] == [3, 128, 64]
    assert tuple(exported.pretrained_cfg["mean"]) == tuple(model.pretrained_cfg["mean"])
    assert exported.denseil_cfg == model.denseil_cfg
    assert exported.model_id == model_id(model, replace(model.preprocessing, size=(128, 64))) != model_id(model)


def test_wrong_shapes_give_one_clear_error(written: ExportReport):
    exported = ExportedModel(written.path)
    with pytest.raises(ValueError, match=r"frames have shape \(2, 3, 64, 32\); this export takes \(N, 3, 128, 64\)"):
        exported(torch.randn(1, 2, 3, 64, 32))
    with pytest.raises(ValueError, match="rows \\[0\\] are all False"):
        exported(torch.randn(1, 2, 3, 128, 64), torch.zeros(1, 2, dtype=torch.bool))


def test_threads_share_one_model(written: ExportReport):
    exported = ExportedModel(written.path)
    clips = [torch.randn(1 + number % 3, 2, 3, 128, 64) for number in range(12)]
    expected = [exported(clip) for clip in clips]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: exported(clips[number % 12]), range(60)))
    for number, one in enumerate(found):
        torch.testing.assert_close(one, expected[number % 12], atol=1e-5, rtol=1e-4)


def test_a_frame_without_people(written: ExportReport):
    exported = ExportedModel(written.path)
    clips = torch.randn(2, 3, 3, 128, 64)
    before, tokens = exported(clips), exported.encode_frames(clips[0])
    assert exported.encode_frames(clips[0][:0]).shape == (0, *tokens.shape[1:])
    assert exported(clips[:0]).shape == (0, 32)
    torch.testing.assert_close(exported(clips), before)
    assert not torch.equal(exported(torch.randn(2, 3, 3, 128, 64)), before)  # not the last answer again


def test_wrong_types_give_one_clear_error(written: ExportReport):
    exported = ExportedModel(written.path)
    with pytest.raises(TypeError, match=r"dtype torch.uint8; convert them to float and normalise"):
        exported(torch.zeros(1, 2, 3, 128, 64, dtype=torch.uint8))
    with pytest.raises(ValueError, match="T=0 frames have no embedding"):
        exported(torch.zeros(1, 0, 3, 128, 64))
    clips = torch.randn(1, 2, 3, 128, 64)
    torch.testing.assert_close(exported(clips.double()), exported(clips))
    with pytest.raises(ValueError, match="precision='bf16': choose one of float32, bfloat16"):
        ExportedModel(written.path, precision="bf16")


def test_a_damaged_file_gives_one_clear_error(written: ExportReport, tmp_path: Path):
    file = next(file for file in written.files if file.suffix != ".bin")
    broken = tmp_path / file.name
    if file.suffix == ".xml":
        shutil.copy(file.with_suffix(".bin"), tmp_path)
    broken.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"cannot open .*it is damaged, or not what denseil.export wrote"):
        ExportedModel(broken)
    broken.write_bytes(b"")
    with pytest.raises(ValueError, match=r"cannot open .*it is damaged"):
        Embedder.from_exported(broken)


def test_missing_weights_are_named(written: ExportReport, tmp_path: Path):
    if written.path.suffix != ".xml":
        pytest.skip("the weights are in the file itself, or this is a folder")
    shutil.copy(written.path, tmp_path / "m.xml")
    with pytest.raises(FileNotFoundError, match=r"m.bin belongs beside it"):
        ExportedModel(tmp_path / "m.xml")


@pytest.mark.slow
def test_parts_belong_together(model: DenseIL, tmp_path: Path):
    for name in ("one", "two"):
        denseil.export(model, tmp_path / name, "pt2", parts=True, size=(128, 64))
    whole = denseil.export(model, tmp_path / "m.pt2", "pt2", size=(128, 64))
    weigh = {file.name: file.stat().st_size for file in [*(tmp_path / "one").iterdir(), *whole.files]}
    assert weigh["encoder.pt2"] + weigh["decoder.pt2"] < 1.5 * weigh["m.pt2"]  # each has its own weights alone
    shutil.copy(tmp_path / "one" / "encoder.pt2", tmp_path / "two")
    with pytest.raises(ValueError, match="an encoder of one export and a decoder of another"):
        ExportedModel(tmp_path / "two")
    with pytest.raises(ValueError, match=r"one holds encoder.pt2, parts in another format"):
        denseil.export(model, tmp_path / "one", "openvino", parts=True, size=(128, 64))
    for part in ("encoder", "decoder"):
        (tmp_path / "one" / f"{part}.onnx").touch()
    with pytest.raises(ValueError, match=r"holds encoder.onnx, encoder.pt2: which is meant"):
        ExportedModel(tmp_path / "one")


def test_a_full_disk_ends_in_an_error_not_in_the_process(tmp_path: Path):
    log = tmp_path / "log"
    finish(start(export_on_a_full_disk, str(tmp_path / "m.pt2"), TINY, log=log), log)
    assert list(tmp_path.iterdir()) == [log]


def test_signals_still_arrive_after_models_are_gone(written: ExportReport, tmp_path: Path):
    if written.path.suffix != ".xml":
        pytest.skip("OpenVINO's cores exchange the stack for signals")
    log = tmp_path / "log"
    finish(start(signal_after_two_models, str(written.path), log=log), log)


def test_a_missing_runtime_says_what_to_install(written: ExportReport, monkeypatch: pytest.MonkeyPatch):
    if written.format == "pt2":
        pytest.skip("torch is always there")
    monkeypatch.setitem(sys.modules, {"onnx": "onnxruntime", "openvino": "openvino"}[written.format], None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'denseil\[export\]'"):
        ExportedModel(written.path)


def test_nothing_is_written_when_the_result_differs(model: DenseIL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    module = importlib.import_module("denseil.exporters.checks")
    monkeypatch.setattr(module, "TOLERANCE", -1.0)  # nothing is that near
    with pytest.raises(ValueError, match=r"differs from torch by .* nothing was written"):
        denseil.export(model, tmp_path / "m.pt2", "pt2", size=(128, 64))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("path", "arguments", "says"),
    [
        ("m.xml", {"format": "onnx"}, "does not end in .onnx"),
        ("m.onnx", {"parts": True}, "is a file's name: give a folder"),
        ("m.onnx", {"format": "tflite"}, "choose one of onnx, openvino, pt2"),
        ("m.onnx", {"int8": []}, "int8 is for format='openvino'"),
        ("m.xml", {"format": "openvino", "int8": []}, "at least 3"),
        ("m.onnx", {"size": (0, 64)}, r"size=\(0, 64\): give the height and the width"),
        ("m.onnx", {"size": "64x32"}, "size='64x32'"),
    ],
)
def test_what_does_not_fit_is_refused(model: DenseIL, tmp_path: Path, path: str, arguments: dict, says: str):
    with pytest.raises(ValueError, match=says):
        denseil.export(model, tmp_path / path, **arguments)


def test_paths_that_are_not_there(model: DenseIL, tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="no exported model at"):
        Embedder.from_exported(tmp_path / "m.onnx")
    with pytest.raises(FileNotFoundError, match="holds no encoder and decoder"):
        Embedder.from_exported(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        denseil.export(model, tmp_path / "none" / "m.onnx")
    with pytest.raises(ValueError, match="an optimised model runs in torch only"):
        denseil.export(denseil.optimize(model, "float32", verbose=False), tmp_path / "m.onnx")
    with pytest.raises(ValueError, match=r"the model is in torch.bfloat16: give it in float32"):
        denseil.export(build().bfloat16(), tmp_path / "m.onnx")
    with pytest.raises(TypeError, match=r"was not made by denseil.create_model"):
        denseil.export(DenseIL("test_resnet", dim=32, num_heads=4), tmp_path / "m.onnx")
    (tmp_path / "d.pt2").mkdir()
    with pytest.raises(FileExistsError, match="is a folder already"):
        denseil.export(model, tmp_path / "d.pt2", "pt2")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ["export", "denseil", str(tmp_path / "m.pt2"), "--format", "pt2", "--random-weights", "--size", "[128, 64]"]
    assert main([*words, "--model_args", json.dumps(TINY)]) == 0
    out = capsys.readouterr().out
    assert "run by pt2 at B x T of 1 x 1, 2 x 3, 3 x 8, 1 x 20" in out
    assert Embedder.from_exported(tmp_path / "m.pt2").model.num_features == 32


@pytest.mark.slow
@pytest.mark.parametrize("format", ["openvino", "pt2"])
@pytest.mark.parametrize(
    "arguments", [{"depth": 0}, {"fusion": "none"}, {"fusion": "concat"}, {"backbone": "test_vit"}]
)
def test_siblings_in_parts(format: str, arguments: dict, tmp_path: Path):
    if arguments.get("backbone") == "test_vit":
        arguments = {**arguments, "last_stride": None, "backbone_args": {"img_size": (128, 64)}}
    assert denseil.export(build(**arguments), tmp_path / "m", format, parts=True, size=(128, 64)).error < 1e-4


def test_int8_is_calibrated_in_the_models_own_colours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    pytest.importorskip("nncf")
    seen: list[Tensor] = []
    monkeypatch.setattr(int8, "_quantize_file", lambda part, file, examples: seen.append(examples[0][0]))
    model = build()
    rgb = replace(model.preprocessing, size=(128, 64), mean=(0.4, 0.5, 0.6))
    for prepared in (rgb, replace(rgb, color_order="BGR", mean=rgb.mean[::-1])):
        tracklets = read_dataset("mars", MARS).gallery[:3]
        denseil.export(model, tmp_path / "m.xml", preprocessing=prepared, int8=tracklets)
    assert torch.equal(seen[0], seen[1].flip(2))


class Colours(nn.Module):
    """A module of one's own without a mask; `answer` says what it returns."""

    num_features = 3
    preprocessing = denseil.Preprocessing(size=(16, 8), clip_len=2)

    def __init__(self, answer: str = "vectors") -> None:
        super().__init__()
        self.scale, self.answer = nn.Parameter(torch.ones(3)), answer

    def forward(self, clips: Tensor) -> Any:
        vectors = clips.mean((1, 3, 4)) * self.scale
        wrong = {"both": (vectors, vectors), "wide": torch.cat([vectors] * 2, 1), "flat": vectors.flatten()}
        return wrong.get(self.answer, vectors)


@pytest.mark.parametrize("answer", ["both", "wide", "flat"])
@pytest.mark.parametrize("crops", [False, True])
def test_a_module_that_breaks_the_contract_is_refused(answer: str, crops: bool, tmp_path: Path):
    """It was written, with a width that its vectors do not have, and failed at its first use."""
    with pytest.raises(TypeError, match=r"Colours returned .* in eval mode for 1 clips; it must return the embeddings"):
        denseil.export(Colours(answer), tmp_path / "m.pt2", crops=crops)
    assert not list(tmp_path.iterdir())


def test_a_models_own_error_is_not_the_exporters(tmp_path: Path):
    fixed = build(backbone="vit_tiny_patch16_224", backbone_args={"img_size": (64, 32)})
    with pytest.raises(ValueError, match=r"is built for frames of \(64, 32\), not \(32, 32\)"):
        denseil.export(fixed, tmp_path / "m.onnx", size=(32, 32))
    denseil.export(Colours(), tmp_path / "m.pt2")
    with pytest.raises(ValueError, match=r"Colours is an export already: give the model that it was made from"):
        denseil.export(ExportedModel(tmp_path / "m.pt2"), tmp_path / "again.pt2")


def test_int8_of_a_model_without_a_mask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    pytest.importorskip("nncf")
    seen: list[tuple[Tensor, ...]] = []
    monkeypatch.setattr(int8, "_quantize_file", lambda part, file, examples: seen.extend(examples))
    denseil.export(Colours(), tmp_path / "m.xml", int8=read_dataset("mars", MARS).gallery[:3])
    assert [tuple(map(len, example[0])) for example in seen] == [(8,), (4,), (2,)]
    assert {len(example) for example in seen} == {1}


def test_openvinos_weights_replace_no_other_file(tmp_path: Path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"somebody's weights")
    with pytest.raises(FileExistsError, match=r"pytorch_model\.bin exists without pytorch_model\.xml"):
        denseil.export(Colours(), tmp_path / "pytorch_model.xml")
    assert (tmp_path / "pytorch_model.bin").read_bytes() == b"somebody's weights"
    for _ in range(2):  # an earlier export is replaced
        denseil.export(Colours(), tmp_path / "m.xml")


@pytest.mark.parametrize(
    "change",
    [
        {"pretrained_cfg": None},
        {"num_features": None},
        {"num_features": "3"},
        {"denseil_cfg": []},
        {"denseil_cfg": {"clip_len": 10**9, "frames": "all", "color_order": "RGB"}},
        {"pretrained_cfg": {"input_size": [3, 16, 8], "mean": ["a", "b", "c"], "std": [1, 1, 1]}},
        {"model_id": 5},
        {"takes_mask": "no"},
        {"part": "crops"},
    ],
)
def test_foreign_metadata_are_one_error_on_opening(change: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Files of other tools may have metadata under our name, or some of them only."""
    from denseil import runtime
    from denseil.embedding import export_files

    denseil.export(Colours(), tmp_path / "m.pt2")
    find = export_files.find_opener

    def changed(path: Path, precision: Any) -> Any:
        opened = find(path, precision)()
        data = {**json.loads(opened.metadata or ""), **change}
        text = json.dumps({name: value for name, value in data.items() if value is not None})
        return lambda: replace(opened, metadata=text)

    monkeypatch.setattr(export_files, "find_opener", changed)
    for door in (Embedder, runtime.Embedder):
        with pytest.raises(ValueError, match=r"cannot open .*m\.pt2: it is damaged, or not what denseil\.export wrote"):
            door(tmp_path / "m.pt2")


def test_dataset_without_int8_is_refused(capsys: pytest.CaptureFixture[str]):
    assert main(["export", "denseil_mobilenetv2", "m.pt2", "--dataset", "mars"]) == 2
    assert "--dataset would change nothing" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("parts", [False, True])
def test_int8_tells_its_price(parts: bool, tmp_path: Path):
    pytest.importorskip("nncf")
    dataset = read_dataset("mars", MARS)
    tracklets = dataset.query + dataset.gallery
    path = tmp_path / ("m" if parts else "m.xml")
    with redirect_stdout(io.StringIO()) as printed:
        report = denseil.export(build(), path, "openvino", parts=parts, size=(128, 64), int8=tracklets)
    assert not printed.getvalue()  # the command prints JSON there
    assert report.price is not None
    assert 0.5 < report.price.agreement.mean_cosine < 1  # it is another model now
    assert 0.5 < report.price.single.mean_cosine < 1
    strangers = [replace(tracklet, pid=0) for tracklet in tracklets]
    again = denseil.export(build(), path, "openvino", parts=parts, size=(128, 64), int8=strangers)
    assert again.price is not None
    assert again.price.mAP is None  # distractors are nobody's match
    assert "mAP" in str(report)
    assert ExportedModel(path).num_features == 32


def test_identity_of_an_export_with_another_preprocessing(tmp_path: Path):
    denseil.export(Colours(), tmp_path / "m.pt2")
    own = Embedder(tmp_path / "m.pt2")
    dark = Embedder(tmp_path / "m.pt2", preprocessing=replace(own.preprocessing, mean=(0, 0, 0)))
    assert model_id(dark.model, dark.preprocessing) != model_id(own.model, own.preprocessing) == model_id(Colours())
