"""Loading: strict but for the classifier, and never running code from a file."""

import json
import logging
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
import torchvision

import denseil
from denseil.models import (
    DenseIL,
    frame_encoder,
    load_backbone,
    load_weights,
    model_id,
    read_weights,
    renew_digests,
    update_config,
)
from denseil.models.average import average
from denseil.models.variants import SHIPPED
from denseil.training import TrainConfig
from denseil.training.model import prepare_model

TINY = {"backbone": "test_resnet", "dim": 32, "num_heads": 4, "ffn_dim": 32, "depth": 1}


@pytest.fixture
def model() -> DenseIL:
    return denseil.create_model("denseil", **TINY, num_classes=5).eval()


def same(a: DenseIL, b: DenseIL) -> bool:
    clips = torch.randn(1, 2, 3, 64, 32)
    return torch.equal(a.eval()(clips), b.eval()(clips))


def create(path: Path, **arguments: object) -> DenseIL:
    return denseil.create_model("denseil", checkpoint_path=path, **(TINY | arguments))


def test_checkpoint_forms(model: DenseIL, tmp_path: Path):
    state = model.state_dict()
    prefixed = {f"module.{key}": value for key, value in state.items()}
    forms = {
        "plain.pth": state,
        "nested.pth": {"state_dict": prefixed, "epoch": 3},
        "model.pth": {"model": prefixed, "optimizer": {}},
    }
    for name, content in forms.items():
        torch.save(content, tmp_path / name)
        assert same(create(tmp_path / name), model)
    for name, content in (("plain.safetensors", state), ("prefixed.safetensors", prefixed)):
        safetensors.torch.save_file(content, tmp_path / name)
        assert same(create(tmp_path / name), model)


def test_another_number_of_classes_keeps_a_fresh_classifier_and_says_so(model: DenseIL, tmp_path: Path, caplog):
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file(model.state_dict(), path)
    with caplog.at_level(logging.WARNING):
        other = create(path, num_classes=9)
    assert other.get_classifier().weight.shape[0] == 9
    assert same(other, model)
    assert "classifier is newly initialised" in caplog.text
    assert torch.equal(create(path, num_classes=5).get_classifier().weight, model.get_classifier().weight)


def test_anything_else_is_strict_and_named(model: DenseIL, tmp_path: Path):
    state = model.state_dict()
    del state["neck.bn.weight"]
    state["extra.weight"] = torch.zeros(1)
    state["decoder.query_proj.bias"] = torch.zeros(7)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(ValueError) as caught:
        load_weights(model, state, origin="somewhere")
    for part in (
        "somewhere does not fit",
        "1 missing there: neck.bn.weight",
        "1 not in the model: extra.weight",
        "decoder.query_proj.bias ((7,) there, (32,) here)",
    ):
        assert part in str(caught.value)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_strict_through_timm_too(model: DenseIL, tmp_path: Path):
    denseil.save_pretrained(model, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["model_args"]["dim"] = 64
    (tmp_path / "config.json").write_text(json.dumps(config))
    renew_digests(tmp_path)
    for create_model in (denseil.create_model, timm.create_model):
        with pytest.raises(ValueError, match="does not fit this model"):
            create_model(f"local-dir:{tmp_path}", pretrained=True)


class Bomb:
    """A pickle that writes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (self.path, "w")


@pytest.mark.parametrize("name", ["bomb.pth", "bomb.bin", "bomb.pt"])
def test_code_in_a_pickle_never_runs(name: str, tmp_path: Path):
    trace = tmp_path / "ran"
    (tmp_path / ("raw-" + name)).write_bytes(pickle.dumps({"state_dict": Bomb(trace)}))
    torch.save({"state_dict": {"weight": torch.zeros(1)}, "args": Bomb(trace)}, tmp_path / name)
    for path in (tmp_path / name, tmp_path / ("raw-" + name)):
        with pytest.raises(ValueError, match="refused"):
            create(path)
    assert not trace.exists()
    pickle.loads((tmp_path / ("raw-" + name)).read_bytes())
    assert trace.exists()  # the bomb was live


@pytest.mark.parametrize("name", ["model.safetensors", "model.pth"])
@pytest.mark.parametrize("damage", ["half", "empty", "text"])
def test_damaged_files_are_one_clear_error(name: str, damage: str, model: DenseIL, tmp_path: Path):
    path = tmp_path / name
    if name.endswith("pth"):
        torch.save(model.state_dict(), path)
    else:
        safetensors.torch.save_file(model.state_dict(), path)
    content = path.read_bytes()
    path.write_bytes({"half": content[: len(content) // 2], "empty": b"", "text": b"not a checkpoint at all"}[damage])
    with pytest.raises(ValueError, match=str(path)):
        read_weights(path)


def test_no_file_and_no_tensors(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"no weights at .*none\.pth"):
        read_weights(tmp_path / "none.pth")
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    with pytest.raises(ValueError, match="holds no tensors"):
        read_weights(tmp_path / "empty.pth")


def test_saved_folder_never_asks_for_backbone_weights(monkeypatch, tmp_path: Path):
    original = timm.create_model
    asked: list[bool] = []

    def watch(name: str, pretrained: bool = False, **arguments: object) -> object:
        asked.append(pretrained)
        return original(name, **arguments)

    monkeypatch.setattr(timm, "create_model", watch)
    monkeypatch.setattr(frame_encoder, "backbone_weights", lambda name: {})
    model = denseil.create_model("denseil", **TINY, pretrained_backbone=True)
    assert asked == [True]
    denseil.save_pretrained(model, tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["model_args"]["pretrained_backbone"] is False
    for create_model in (denseil.create_model, original):
        for pretrained in (True, False):
            create_model(f"local-dir:{tmp_path}", pretrained=pretrained)
    assert asked[0]
    assert len(asked) > 5
    assert not any(asked[1:])


def test_saved_again_over_itself_keeps_the_card(model: DenseIL, tmp_path: Path):
    denseil.save_pretrained(model, tmp_path, card={"data": "Rendered people."})
    assert "Rendered people." in (tmp_path / "README.md").read_text()
    denseil.save_pretrained(model, tmp_path)
    assert "Rendered people." in (tmp_path / "README.md").read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["README.md", "config.json", "model.safetensors"]


def test_who_may_read_the_config_may_read_the_weights(model: DenseIL, tmp_path: Path):
    denseil.save_pretrained(model, tmp_path)
    modes = {path.name: path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(set(modes.values())) == 1, modes


def test_channels_last_model_can_be_saved(model: DenseIL, tmp_path: Path):
    model = model.to(memory_format=torch.channels_last)
    denseil.save_pretrained(model, tmp_path)
    loaded = denseil.create_model(f"local-dir:{tmp_path}", pretrained=True, num_classes=5)
    assert all(torch.equal(value, loaded.state_dict()[key]) for key, value in model.state_dict().items())
    assert not model.encoder.net.layer1[0].conv2.weight.is_contiguous()  # the model itself is left as it was


def test_the_denseil_block_travels(model: DenseIL, tmp_path: Path):
    model.denseil_cfg["thresholds"] = {"equal_error_rate": 0.4}
    denseil.save_pretrained(model, tmp_path)
    for create_model in (denseil.create_model, timm.create_model):
        loaded = create_model(f"local-dir:{tmp_path}", pretrained=True)
        thresholds = model.denseil_cfg["thresholds"] | {"model_id": model_id(model)}
        assert loaded.denseil_cfg == model.denseil_cfg | {"thresholds": thresholds}


def test_a_model_built_by_hand_cannot_be_saved(tmp_path: Path):
    with pytest.raises(ValueError, match="create_model"):
        denseil.save_pretrained(DenseIL(**TINY), tmp_path)


def test_card_fields_are_checked(model: DenseIL):
    with pytest.raises(ValueError, match="no field 'datta'"):
        denseil.models.model_card(model, fields={"datta": ""})


@pytest.mark.parametrize(
    ("content", "message"), [("{", "is not the config"), ("{}", "is not the config"), ("[]", "is not the config")]
)
def test_bad_config(content: str, message: str, tmp_path: Path):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        denseil.create_model(f"local-dir:{tmp_path}")


def test_config_of_another_library(tmp_path: Path):
    config = {"architecture": "resnet18", "num_classes": 10, "pretrained_cfg": {}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(KeyError, match="not a denseil model"):
        denseil.create_model(f"local-dir:{tmp_path}")


def test_config_of_a_newer_timm_is_read(model: DenseIL, tmp_path: Path):
    denseil.save_pretrained(model, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["pretrained_cfg"]["from_the_future"] = 1
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert same(denseil.create_model(f"local-dir:{tmp_path}", pretrained=True), model)


def test_backbone_by_name_and_in_order(tmp_path: Path):
    """torchvision's MobileNetV2 in timm's: other names, the same tensors in the same order."""
    torch.manual_seed(0)
    theirs = torchvision.models.mobilenet_v2()
    torch.save(theirs.state_dict(), tmp_path / "mobilenet_v2.pth")
    model = denseil.create_model("denseil", **TINY | {"backbone": "mobilenetv2_100"})
    load_backbone(model, read_weights(tmp_path / "mobilenet_v2.pth"), origin="torchvision's file")
    frames = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        maps = model.eval().encoder(frames)
        torch.testing.assert_close(maps[-1], theirs.eval().features[:-1](frames), rtol=1e-3, atol=1e-5)
    net = timm.create_model("test_resnet")
    model = denseil.create_model("denseil", **TINY)
    load_backbone(model, net.state_dict(), origin="timm's weights")
    with torch.inference_mode():
        torch.testing.assert_close(model.eval().encoder(frames)[-1], net.eval().forward_features(frames))
    baseline = denseil.create_model("denseil", **TINY | {"depth": 0})
    load_backbone(baseline, dict(sorted(model.state_dict().items())), origin="another DenseIL's encoder")
    with torch.inference_mode():
        assert torch.equal(baseline.eval().encoder(frames)[-1], model.encoder(frames)[-1])


def test_a_backbone_of_another_kind_does_not_fit():
    model = denseil.create_model("denseil", **TINY)
    with pytest.raises(ValueError, match="does not fit the encoder 'test_resnet', neither by name"):
        load_backbone(model, timm.create_model("mobilenetv2_035").state_dict(), origin="x")
    weights = timm.create_model("test_resnet").state_dict()
    weights["conv1.0.weight"] = torch.zeros(1)
    with pytest.raises(ValueError, match="1 of another shape: conv1"):
        load_backbone(model, weights, origin="x")


def test_loading_builds_no_random_weights_and_keeps_no_map_of_the_file(model: DenseIL, tmp_path: Path):
    folder = denseil.save_pretrained(model, tmp_path / "saved")
    state = torch.get_rng_state()
    loaded = denseil.create_model(f"local-dir:{folder}", pretrained=True)
    assert torch.equal(torch.get_rng_state(), state)  # nothing was drawn
    expected = {name: value.clone() for name, value in loaded.state_dict().items()}
    file = folder / "model.safetensors"
    with file.open("r+b") as stream:  # written over in place, as a copy over it would do
        stream.write(b"\0" * file.stat().st_size)
    assert all(torch.equal(value, expected[name]) for name, value in loaded.state_dict().items())
    assert not any(value.is_meta for value in loaded.state_dict().values())
    frozen = [name for name, value in loaded.named_parameters() if not value.requires_grad]
    assert frozen == ["neck.bn.weight", "neck.bn.bias"]  # a model without a classifier has no loss after the neck


def test_half_precision_weights_load_into_a_float32_model(model: DenseIL, tmp_path: Path):
    path = tmp_path / "half.safetensors"
    halves = {name: value.half() if value.is_floating_point() else value for name, value in model.state_dict().items()}
    safetensors.torch.save_file(halves, path)
    loaded = denseil.create_model("denseil", checkpoint_path=path, **TINY)
    assert {value.dtype for value in loaded.parameters()} == {torch.float32}


def test_buffers_that_no_file_holds_are_there_after_loading(tmp_path: Path):
    arguments = {"dim": 32, "num_heads": 4, "ffn_dim": 32, "depth": 1, "last_stride": None}
    swin = {"backbone": "swin_s3_tiny_224", "backbone_args": {"img_size": (64, 64), "window_size": 2}}
    made = denseil.create_model("denseil", **swin, **arguments).eval()
    folder = denseil.save_pretrained(made, tmp_path / "swin")
    loaded = denseil.create_model(f"local-dir:{folder}", pretrained=True).eval()
    clips = torch.randn(1, 2, 3, 64, 64)
    torch.testing.assert_close(loaded(clips), made(clips))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("neck.bn.running_mean", lambda value: value.index_fill(0, torch.tensor([3]), float("nan")), "not finite"),
        ("decoder.query_proj.weight", lambda value: value.index_fill(0, torch.tensor([0]), float("inf")), "not finite"),
        ("encoder.net.conv1.0.weight", lambda value: value.double() * 1e300, "not finite"),  # as float32
        ("encoder.net.conv1.0.weight", lambda value: value.half() * 1e6, "not finite"),
        ("decoder.query_proj.bias", lambda value: value.to(torch.int8), "holds torch.int8"),
        ("decoder.query_proj.bias", lambda value: value > 0, "holds torch.bool"),
        ("decoder.query_proj.bias", lambda value: value.to(torch.complex64), "holds torch.complex64"),
        ("decoder.query_proj.bias", lambda value: value.long(), "holds torch.int64"),
        ("decoder.query_proj.bias", lambda value: value.to(torch.float8_e4m3fn), "holds torch.float8"),
        ("neck.bn.running_var", lambda value: -value, "negative"),
    ],
)
def test_weights_that_are_no_weights_are_refused_by_name(name: str, change, message: str, model, tmp_path: Path):
    state = model.state_dict()
    state[name] = change(state[name])
    safetensors.torch.save_file(state, tmp_path / "bad.safetensors")
    torch.save(state, tmp_path / "bad.pth")
    for path in (tmp_path / "bad.safetensors", tmp_path / "bad.pth")[: 1 + (name == "neck.bn.running_mean")]:
        with pytest.raises(ValueError, match=rf"{path}: {name} .*{message}"):
            create(path)
    with pytest.raises(ValueError, match=f"here: {name} .*{message}"):
        load_weights(model, state, origin="here")
    if name.startswith("encoder."):
        with pytest.raises(ValueError, match=f"here: {name.removeprefix('encoder.net.')} .*{message}"):
            load_backbone(model, state, origin="here")


def test_a_saved_folder_names_the_tensor_rather_than_the_digest(model: DenseIL, tmp_path: Path):
    folder = denseil.save_pretrained(model, tmp_path)
    state = model.state_dict()
    state["neck.bn.weight"] = state["neck.bn.weight"].index_fill(0, torch.tensor([3]), float("nan"))
    safetensors.torch.save_file(state, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"neck\.bn\.weight has values that are not finite"):
        denseil.create_model(folder, pretrained=True)


def test_double_and_bfloat16_weights_are_converted(model: DenseIL, tmp_path: Path):
    for dtype in (torch.float64, torch.bfloat16):
        state = {name: value.to(dtype) for name, value in model.state_dict().items()}  # counters too
        safetensors.torch.save_file(state, tmp_path / "weights.safetensors")
        loaded = create(tmp_path / "weights.safetensors")
        assert {value.dtype for value in loaded.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    "prefix",
    ["model.", "net.", "module.", "module.model.", "_orig_mod.", "model._orig_mod.", "network."],
)
def test_prefixes_of_training_frameworks(prefix: str, model: DenseIL, tmp_path: Path):
    state = {prefix + name: value for name, value in model.state_dict().items()}
    lightning = {"state_dict": state, "epoch": 3, "hyper_parameters": {}, "optimizer_states": []}
    torch.save(lightning, tmp_path / "last.ckpt")
    safetensors.torch.save_file(state, tmp_path / "flat.safetensors")
    for name in ("last.ckpt", "flat.safetensors"):
        assert same(create(tmp_path / name), model)
    backbone = timm.create_model("test_resnet")
    load_backbone(model, {prefix + name: value for name, value in backbone.state_dict().items()}, origin="x")
    assert torch.equal(model.encoder.net.conv1[0].weight, backbone.conv1[0].weight)


@pytest.mark.parametrize(
    "nest", [("model",), ("net",), ("state_dict", "model"), ("model_state_dict",), ("state_dict_ema",)]
)
def test_nested_state_dicts(nest: tuple[str, ...], model: DenseIL, tmp_path: Path):
    content: dict[str, object] = dict(model.state_dict())
    for name in reversed(nest):
        content = {name: content, "epoch": 3, "step": torch.tensor(7)}
    torch.save(content, tmp_path / "nested.pth")
    assert same(create(tmp_path / "nested.pth"), model)


def test_what_lies_beside_the_model_in_a_checkpoint_is_named(model: DenseIL, tmp_path: Path):
    state = {f"model.{name}": value for name, value in model.state_dict().items()} | {"loss.centers": torch.ones(3)}
    torch.save({"state_dict": state}, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match=r"1 not in the model: loss\.centers"):
        create(tmp_path / "last.ckpt")


def test_a_plain_path_of_a_folder(model: DenseIL, tmp_path: Path, monkeypatch):
    denseil.save_pretrained(model, tmp_path / "my model.v2")
    monkeypatch.chdir(tmp_path)
    for name in ("my model.v2", "./my model.v2", tmp_path / "my model.v2", str(tmp_path / "my model.v2")):
        assert same(denseil.create_model(name, pretrained=True), model)
    with pytest.raises(KeyError, match="no denseil model 'my model'"):
        denseil.create_model("my model")


def test_a_path_that_holds_no_model_says_what_it_holds(tmp_path):
    (tmp_path / "run/final").mkdir(parents=True)
    (tmp_path / "run/final/config.json").write_text("{}")
    (tmp_path / "weights.pth").touch()
    for name, said in (
        ("run", "is the folder of a run, with its model in"),
        ("", "has no config.json"),
        ("weights.pth", "is a file"),
    ):
        with pytest.raises(KeyError, match=said):
            denseil.create_model(str(tmp_path / name))


def test_thresholds_are_those_of_the_weights_that_were_loaded(tmp_path: Path):
    """Without the packaged weights nothing was measured: `same` must not answer with their threshold."""
    packaged = denseil.create_model("denseil_mobilenetv2", pretrained=True)
    assert packaged.denseil_cfg["thresholds"]
    folder = denseil.save_pretrained(packaged, tmp_path / "saved")
    others = [
        denseil.create_model("denseil_mobilenetv2"),
        denseil.create_model("denseil_mobilenetv2", checkpoint_path=folder / "model.safetensors"),
        denseil.create_model(folder),
    ]
    assert not any("thresholds" in model.denseil_cfg for model in others)
    prepare_model(packaged, TrainConfig(), torch.device("cpu"))
    assert "thresholds" not in packaged.denseil_cfg


NAME = "denseil_mobilenetv2_mean"


def other_weights(model: DenseIL) -> DenseIL:
    load_weights(model, denseil.create_model(f"{NAME}.people_v1", pretrained=True).state_dict(), origin="people_v1")
    return model


def other_size(model: DenseIL) -> DenseIL:
    model.preprocessing = replace(model.preprocessing, size=(64, 32))
    return model


def trained(model: DenseIL) -> DenseIL:
    with torch.no_grad():
        model.neck.bn.running_mean += 0.1
    return model


@pytest.mark.parametrize(
    "change",
    [
        other_weights,
        other_size,
        trained,
        lambda _: denseil.create_model(NAME, pretrained=True, last_stride=None),
        lambda _: timm.create_model(NAME, pretrained=True, pretrained_cfg_overlay={"input_size": (3, 64, 32)}),
        lambda model: average([model, denseil.create_model(f"{NAME}.people_v1", pretrained=True)]),
    ],
)
def test_thresholds_are_refused_once_the_vectors_are_others(change, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    model = change(denseil.create_model(NAME, pretrained=True))
    with pytest.raises(ValueError, match="measured with other weights, arguments or preprocessing than the model's"):
        denseil.Embedder(model, device="cpu").threshold()
    folder = denseil.save_pretrained(model, tmp_path / "model")
    assert "Thresholds measured with other weights" in caplog.text
    assert "thresholds" not in denseil.create_model(folder, pretrained=True).denseil_cfg


def test_thresholds_stay_with_their_vectors(tmp_path: Path):
    """A classifier, dropout, half precision or a copy does not change what a threshold was measured on."""
    model = denseil.create_model(NAME, pretrained=True, num_classes=3, drop=0.3)
    expected = denseil.Embedder(model, device="cpu").threshold()
    folder = denseil.save_pretrained(model, tmp_path / "model")
    half = denseil.create_model(folder, pretrained=True, dtype=torch.float16)
    for same in (folder, half, denseil.optimize(model, "float32", verbose=False)):
        assert denseil.Embedder(same, device="cpu").threshold() == expected


def test_thresholds_do_not_outlive_an_edit_of_their_folder(tmp_path: Path):
    folder = denseil.save_pretrained(denseil.create_model(NAME, pretrained=True), tmp_path / "model")
    update_config(folder, {"clip_len": 8})
    with pytest.raises(ValueError, match="measured with other"):
        denseil.Embedder(folder, device="cpu").threshold()
    update_config(folder, {"clip_len": 4})
    assert denseil.Embedder(folder, device="cpu").threshold()
    shutil.copy(SHIPPED / f"{NAME}.people_v1" / "model.safetensors", folder)
    renew_digests(folder)
    with pytest.raises(ValueError, match="measured with other"):
        denseil.Embedder(folder, device="cpu").threshold()
    update_config(folder, {"thresholds": {"eer": {"threshold": 0.3}}})
    assert denseil.Embedder(folder, device="cpu").threshold() == 0.3


def test_a_checkpoint_of_the_whole_model_needs_no_weights_of_the_backbone(
    model: DenseIL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    torch.save(model.state_dict(), tmp_path / "model.pth")
    monkeypatch.setattr(frame_encoder, "backbone_weights", lambda name: pytest.fail("it would be fetched"))
    assert same(create(tmp_path / "model.pth", pretrained_backbone=True), model)


@pytest.mark.parametrize("far", [None, 0.01])
@pytest.mark.parametrize("damaged", [{"eer": 3, "far": 3}, {"eer": {}}, {"eer": {"threshold": []}, "far": {"x": 1}}])
def test_damaged_thresholds_are_one_error(damaged: dict, far: float | None):
    model = denseil.create_model(NAME, pretrained=True)
    model.denseil_cfg["thresholds"] = damaged
    with pytest.raises(ValueError, match="the model's thresholds are damaged: calibrate it again"):
        denseil.Embedder(model, device="cpu").threshold(far=far)
