"""config.json: timm's description of a saved model, and the `denseil` block that timm ignores."""

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from timm.models import PretrainedCfg

CONFIG_NAME = "config.json"
DENSEIL_BLOCK = {"clip_len": 8, "frames": "all", "color_order": "RGB"}


@dataclasses.dataclass(frozen=True)
class SavedConfig:
    """What config.json says of a saved model.

    Attributes:
        architecture: The registered name that builds it.
        pretrained_cfg: timm's cfg: input size, mean, std, licence.
        model_args: Arguments for the registered name.
        denseil: Our block: clip length, frames policy, colour order, thresholds.
    """

    architecture: str
    pretrained_cfg: dict[str, Any]
    model_args: dict[str, Any]
    denseil: dict[str, Any]


def read_config(folder: str | Path) -> SavedConfig:
    """Read the config.json of a model folder.

    Raises:
        FileNotFoundError: If the folder has none.
        ValueError: If it is not the config of a saved model.
    """
    path = Path(folder) / CONFIG_NAME
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: give a folder that denseil.save_pretrained wrote")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        known = {field.name for field in dataclasses.fields(PretrainedCfg)}
        cfg = {key: value for key, value in config["pretrained_cfg"].items() if key in known}
        cfg["num_classes"] = config["num_classes"]
        return SavedConfig(config["architecture"], cfg, config.get("model_args", {}), config.get("denseil", {}))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not the config of a saved model ({type(error).__name__}: {error})") from error


def update_config(folder: str | Path, entries: Mapping[str, Any]) -> None:
    """Set entries of the `denseil` block in the config.json of a model folder, whole or not at all.

    Args:
        folder: A folder that `save_pretrained` wrote.
        entries: Name -> value, as JSON knows it; other entries stay.

    Raises:
        FileNotFoundError: If the folder has no config.
        ValueError: If it is not the config of a saved model.
    """
    block = {**read_config(folder).denseil, **entries}
    path = Path(folder) / CONFIG_NAME
    config = json.loads(path.read_text(encoding="utf-8")) | {"denseil": block}
    temporary = path.with_name(f".{CONFIG_NAME}.{os.getpid()}")
    try:
        temporary.write_text(json.dumps(config, indent=2), encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
