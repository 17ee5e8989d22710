"""A stranger's config.json: nothing in it reaches a loader of code, files or addresses; sizes are bounded."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

import denseil
from denseil.models import renew_digests

SMALL = {"backbone": "test_resnet", "depth": 0, "last_stride": None}
CREATE: list[Callable[..., Any]] = [denseil.create_model, timm.create_model]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return denseil.save_pretrained(denseil.create_model("denseil", **SMALL), tmp_path / "model")


def edit(folder: Path, *path: str, value: object) -> None:
    """A config as a stranger would write it, digests included."""
    config = json.loads((folder / "config.json").read_text())
    place = config
    for key in path[:-1]:
        place = place.setdefault(key, {})
    place[path[-1]] = value
    config["denseil"] = {key: entry for key, entry in config["denseil"].items() if key not in ("digests", "model_id")}
    (folder / "config.json").write_text(json.dumps(config))


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (self.path, "w")


@pytest.mark.parametrize("create_model", CREATE)
@pytest.mark.parametrize(
    "key",
    [
        *(
            "checkpoint_path",
            "pretrained_cfg",
            "pretrained_cfg_overlay",
            "pretrained",
            "pretrained_filter_fn",
            "cache_dir",
        ),
        *("file", "url", "hf_hub_id", "custom_load", "state_dict", "features_only", "feature_cls", "out_indices"),
        *("model_cfg", "scriptable", "weights", "no_such"),
    ],
)
def test_no_argument_of_a_backbone_reaches_a_loader(create_model, key: str, folder: Path, tmp_path: Path):
    (tmp_path / "bomb.pth").write_bytes(pickle.dumps({"state_dict": Bomb(tmp_path / "ran")}))
    bomb = str(tmp_path / "bomb.pth")
    edit(folder, "model_args", "backbone_args", value={key: {"file": bomb} if "cfg" in key else bomb})
    for pretrained in (False, True):
        with pytest.raises(ValueError, match=f"backbone_args may not hold '{key}'"):
            create_model(f"local-dir:{folder}", pretrained=pretrained)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("create_model", CREATE)
@pytest.mark.parametrize("backbone", ["hf-hub:timm/resnet18", "local-dir:{folder}", "hf_hub:x/y"])
def test_a_backbone_is_a_name(create_model, backbone: str, folder: Path):
    edit(folder, "model_args", "backbone", value=backbone.format(folder=folder))
    with pytest.raises(ValueError, match="give the name of an architecture of timm"):
        create_model(f"local-dir:{folder}")


def test_the_same_arguments_are_refused_from_the_caller_too():
    with pytest.raises(ValueError, match="backbone_args may not hold 'checkpoint_path'"):
        denseil.create_model("denseil", **SMALL, backbone_args={"checkpoint_path": "x.pth"})
    with pytest.raises(ValueError, match=r"did you mean 'drop_path_rate'\?"):
        denseil.create_model("denseil", **SMALL, backbone_args={"drop_path_rat": 0.1})
    denseil.create_model("denseil", **SMALL, backbone_args={"drop_path_rate": 0.1})


@pytest.mark.parametrize("create_model", CREATE)
def test_a_config_names_no_other_source_of_weights(create_model, folder: Path, tmp_path: Path):
    right = denseil.create_model(f"local-dir:{folder}", pretrained=True)
    other = denseil.save_pretrained(denseil.create_model("denseil", **SMALL), tmp_path / "other")
    sources = {
        "file": str(other / "model.safetensors"),
        "url": "http://127.0.0.1:9/weights.pth",
        "hf_hub_id": "some/one",
        "hf_hub_filename": "pytorch_model.bin",
        "custom_load": True,
        "source": "hf-hub",
        "state_dict": {},
    }
    for key, value in sources.items():
        edit(folder, "pretrained_cfg", key, value=value)
    loaded = create_model(f"local-dir:{folder}", pretrained=True)
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in right.state_dict().items())
    assert loaded.pretrained_cfg["file"] == str(folder)
    assert not loaded.pretrained_cfg.get("url")
    assert not loaded.pretrained_cfg.get("hf_hub_id")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("pretrained_cfg", "input_size"), [3, 100_000, 100_000]),
        (("pretrained_cfg", "input_size"), [1, 64, 32]),
        (("pretrained_cfg", "input_size"), [3, 0, 32]),
        (("pretrained_cfg", "input_size"), [3, "64", 32]),
        (("pretrained_cfg", "input_size"), 64),
        (("pretrained_cfg", "mean"), [0.5, 0.5]),
        (("pretrained_cfg", "mean"), [0.5, float("nan"), 0.5]),
        (("pretrained_cfg", "mean"), "abc"),
        (("pretrained_cfg", "std"), [0.5, 0.0, 0.5]),
        (("pretrained_cfg", "std"), [0.5, "x", 0.5]),
        (("pretrained_cfg", "std"), [0.5, True, [1]]),
        (("pretrained_cfg", "interpolation"), 3),
        (("pretrained_cfg",), []),
        (("model_args",), []),
        (("model_args", "depth"), 10_000_000),
        (("model_args", "depth"), True),
        (("model_args", "dim"), "64"),
        (("model_args", "dim"), 10**30),
        (("model_args", "dim"), float("inf")),
        (("model_args", "ffn_dim"), -1),
        (("model_args", "num_parts"), 1.5),
        (("model_args", "num_heads"), None),
        (("model_args", "levels"), "234"),
        (("model_args", "drop"), [0.1]),
        (("model_args", "attend_self"), "no"),
        (("model_args", "backbone"), 3),
        (("model_args", "backbone"), None),
        (("model_args", "backbone_args"), [1]),
        (("model_args", "backbone_args"), {"img_size": 100_000}),
        (("model_args", "from_the_future"), 1),
        (("num_classes",), -1),
        (("num_classes",), "5"),
        (("architecture",), ["denseil"]),
        (("denseil", "clip_len"), 0),
        (("denseil", "clip_len"), 10**9),
        (("denseil", "clip_len"), "8"),
        (("denseil", "frames"), "some"),
        (("denseil", "color_order"), 1),
        (("denseil", "thresholds"), [0.4]),
        (("denseil", "thresholds"), {"eer": {"threshold": float("nan")}}),
        (("denseil",), "x"),
    ],
)
def test_values_out_of_bounds_or_of_another_type_are_one_line(path: tuple[str, ...], value: object, folder: Path):
    if path == ("denseil",):
        config = json.loads((folder / "config.json").read_text()) | {"denseil": value}
        (folder / "config.json").write_text(json.dumps(config))
    else:
        edit(folder, *path, value=value)
    with pytest.raises((ValueError, TypeError)) as caught:
        denseil.create_model(f"local-dir:{folder}")
    assert "\n" not in str(caught.value)
    assert path[-1] in str(caught.value) or "config.json" in str(caught.value)


def test_sizes_within_bounds_that_make_an_absurd_model(folder: Path):
    for name, value in {"dim": 16384, "depth": 100, "ffn_dim": 65536, "num_heads": 8}.items():
        edit(folder, "model_args", name, value=value)
    with pytest.raises(ValueError, match=r"describes a model of .* parameters; the limit is"):
        denseil.create_model(f"local-dir:{folder}")


@pytest.mark.parametrize(
    "content", ["[" * 100_000, " " * 2_000_000, '{"architecture": "\x1b[2J"', "\ud800", '"x"', "null"]
)
def test_json_that_is_none(content: str, folder: Path):
    (folder / "config.json").write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(ValueError, match="is not the config of a saved model") as caught:
        denseil.create_model(f"local-dir:{folder}")
    assert "\x1b" not in str(caught.value)


def test_the_stranger_may_renew_digests_and_is_checked_all_the_same(folder: Path):
    edit(folder, "model_args", "backbone_args", value={"checkpoint_path": "x.pth"})
    renew_digests(folder)
    with pytest.raises(ValueError, match="may not hold"):
        denseil.create_model(f"local-dir:{folder}")
