"""config.json of a saved model: timm's description, and the `denseil` block, which timm ignores.

A saved folder may be untrusted, so only known keys are read from its config, with checked types and bounds. Of timm's
cfg only the keys in `CFG_KEYS` are read; none of them names a file, a URL or a loader. The `digests` of the block cover
the weights and all entries that affect vectors.
"""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from denseil.common.arguments import checked
from denseil.common.files import replacing
from denseil.common.text import plain
from denseil.models._digests import check_config_digest, config_digest
from denseil.models.interface import RESIZE, Preprocessing

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"
DENSEIL_BLOCK = {"clip_len": 8, "frames": "all", "color_order": "RGB"}
CFG_KEYS = (
    *("input_size", "fixed_input_size", "interpolation", "crop_pct", "crop_mode", "mean", "std"),
    *("tag", "classifier", "license", "description", "paper_name", "paper_ids", "label_names"),
)
_MOST_BYTES = 1_000_000
_TIMM_ARGS = {"num_classes", "in_chans", "global_pool", "features_only", "pretrained_backbone"}  # set on opening


@dataclass(frozen=True)
class SavedConfig:
    """Contents of the config.json of a saved model.

    Attributes:
        architecture: The registered name.
        pretrained_cfg: timm's cfg: input size, mean, std, licence; without a source of weights.
        model_args: Arguments for the registered name.
        denseil: The `denseil` block: clip length, frames policy, colour order, thresholds.
        digests: "weights", the SHA-256 of the weights file, and "config"; empty for a folder of earlier versions.
        model_id: `denseil.models.model_id` of the saved model; empty for such a folder.
    """

    architecture: str
    pretrained_cfg: dict[str, Any]
    model_args: dict[str, Any]
    denseil: dict[str, Any]
    digests: dict[str, str] = field(default_factory=dict)
    model_id: str = ""

    @property
    def preprocessing(self) -> Preprocessing:
        """The preprocessing of frames."""
        return Preprocessing.from_cfg(self.pretrained_cfg, self.denseil)


@checked
def read_config(folder: str | Path) -> SavedConfig:
    """Read the config.json of a model folder, and check types, bounds and digest.

    Raises:
        FileNotFoundError: If the folder has none.
        ValueError: If it is not the config of a saved model, is damaged, or was edited by hand.
    """
    with _of_saved_model(Path(folder) / CONFIG_NAME) as config:
        saved = saved_config(config)
        check_config_digest(config)
        return saved


def read_architecture(folder: str | Path) -> str:
    """Read only the registered name from the config.json of a model folder, of any library."""
    with _of_saved_model(Path(folder) / CONFIG_NAME) as config:
        return _text("architecture", config["architecture"])


@contextmanager
def _of_saved_model(path: Path) -> Iterator[dict[str, Any]]:
    """Convert any error about a config's content to a ValueError of one line that names the file."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: give a folder that denseil.save_pretrained wrote")
    try:
        yield parse_config(path)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{path} is not the config of a saved model: {plain(reason)}") from error


def write_config(folder: str | Path, config: dict[str, Any]) -> None:
    """Write a config.json atomically, with its own digest; the digest of the weights is kept."""
    block = config["denseil"]
    if "digests" in block:
        block["digests"] = {**block["digests"], "config": config_digest(config)}
    with replacing(Path(folder) / CONFIG_NAME) as temporary:
        temporary.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def parse_config(path: Path) -> dict[str, Any]:
    """Parse a config.json of bounded size, without checking its entries."""
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"{path} has {path.stat().st_size:,} bytes; a config has at most {_MOST_BYTES:,}")
    config = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(config, dict) or not isinstance(config.get("denseil", {}), dict):
        raise TypeError("it is not a JSON object, or its 'denseil' block is not")
    return config


def saved_config(config: Mapping[str, Any]) -> SavedConfig:
    """Extract the known entries of a parsed config.json, and check their types and bounds."""
    cfg = {key: config["pretrained_cfg"][key] for key in CFG_KEYS if key in config["pretrained_cfg"]}
    cfg["num_classes"] = _whole("num_classes", config["num_classes"], 0)
    cfg |= {key: RESIZE[key] for key in ("crop_mode", "crop_pct")}  # files of earlier versions may say otherwise
    own = {**DENSEIL_BLOCK, **config.get("denseil", {})}
    digests, model_id = own.pop("digests", {}), own.pop("model_id", "")
    saved = SavedConfig(
        _text("architecture", config["architecture"]), cfg, {}, own, digests, _text("model_id", model_id)
    )
    _check_cfg(cfg)
    _check_numbers("denseil", own)
    _check_preprocessing(cfg, own)
    if not isinstance(own.get("thresholds", {}), dict):
        raise TypeError("its thresholds are not a JSON object")
    if model_id and own.get("thresholds"):
        own["thresholds"] = {"model_id": model_id, **own["thresholds"]}  # what they were measured with
    saved.model_args.update(_model_args(config.get("model_args", {})))
    return saved


def _check_cfg(cfg: Mapping[str, Any]) -> None:
    """Check timm's cfg: sizes, mean and std are three numbers, other entries are strings."""
    size = cfg["input_size"]
    if not isinstance(size, list) or len(size) != 3 or size[0] != 3:
        raise ValueError(f"input_size={size!r}; it must be [3, height, width]")
    for key in ("mean", "std"):
        if not isinstance(cfg[key], list):
            raise TypeError(f"{key}={cfg[key]!r}; it must be three numbers")
        _check_numbers(key, cfg[key])
    for key in ("tag", "interpolation", "classifier", "license", "description", "paper_name"):
        if cfg.get(key) is not None:
            _text(key, cfg[key])


def _check_preprocessing(cfg: Mapping[str, Any], block: Mapping[str, Any]) -> None:
    for name, value in zip(("height", "width", "clip_len"), (*cfg["input_size"][1:], block["clip_len"]), strict=True):
        _whole(name, value, 1, 4096)
    Preprocessing.from_cfg(cfg, block)


def _model_args(args: Any) -> dict[str, Any]:
    """Return the saved arguments, without those that are set on opening."""
    if not isinstance(args, dict):
        raise TypeError(f"model_args={args!r}; it must be a JSON object")
    _check_numbers("model_args", args)
    return {key: value for key, value in args.items() if key not in _TIMM_ARGS}


def _check_numbers(name: str, value: Any, depth: int = 0) -> None:
    """Check that data are plain and not deeply nested, with finite numbers below 1e9."""
    if depth > 6:
        raise ValueError(f"{name} is nested more than 6 deep")
    if isinstance(value, dict):
        for key, entry in value.items():
            _check_numbers(f"{name}.{key}", entry, depth + 1)
    elif isinstance(value, list):
        if len(value) > 1000:
            raise ValueError(f"{name} has {len(value)} entries, more than 1000")
        for entry in value:
            _check_numbers(name, entry, depth + 1)
    elif isinstance(value, (int, float)) and not (math.isfinite(value) and abs(value) <= 1e9):
        raise ValueError(f"{name}={value!r}; numbers must be finite and at most 1e9")


def _whole(name: str, value: Any, least: int, most: int = 10**9) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}={value!r}; it must be a whole number")
    if not least <= value <= most:
        raise ValueError(f"{name}={value}; it must be from {least} to {most:,}")
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name}={value!r}; it must be text")
    return value
