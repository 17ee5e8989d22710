"""Editing the config.json of a saved folder, with its digests kept up to date."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from denseil.common.arguments import checked, shown
from denseil.common.text import did_you_mean
from denseil.models import variants
from denseil.models._config import (
    CONFIG_NAME,
    DENSEIL_BLOCK,
    WEIGHTS_NAME,
    parse_config,
    read_config,
    saved_config,
    write_config,
)
from denseil.models._digests import check_weights_digest
from denseil.models._reading import read_weights_and_digest
from denseil.models.identity import make_id, weights_digest
from denseil.models.interface import Preprocessing

_ENTRIES = (*DENSEIL_BLOCK, "thresholds")


@checked
def update_config(folder: str | Path, entries: Mapping[str, Any]) -> None:
    """Update entries of the `denseil` block in the config.json of a model folder, atomically.

    Args:
        folder: A folder that `save_pretrained` wrote.
        entries: JSON values of "clip_len", "frames", "color_order" or "thresholds"; other entries are kept. Thresholds
            that are kept beside another clip length or colour order are refused by `Embedder.same`.

    Raises:
        FileNotFoundError: If the folder has no config.
        ValueError: If an entry is unknown, or the file is not the config of a saved model, or is damaged.
    """
    if unknown := [name for name in entries if name not in _ENTRIES]:
        hint = did_you_mean(str(unknown[0]), _ENTRIES) or f"known: {', '.join(_ENTRIES)}"
        raise ValueError(f"no entry {shown(unknown[0])} in the config of a model; {hint}")
    before = read_config(folder).preprocessing
    config = _parse(Path(folder))
    config["denseil"] = {**config.get("denseil", {}), **entries}
    _write(Path(folder), config, before)


@checked
def renew_digests(folder: str | Path) -> None:
    """Recompute the digests of a model folder from its files, and write them into its config.json.

    Use it for a folder that was edited by hand, or saved by a version without digests, if you trust the files.

    Args:
        folder: A folder with config.json and model.safetensors.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file does not belong to a saved model.
    """
    config = _parse(Path(folder))
    content = Path(folder, WEIGHTS_NAME).read_bytes()
    config["denseil"] = {
        **config.get("denseil", {}),
        "digests": {"weights": hashlib.sha256(content).hexdigest(), "config": ""},
    }
    _write(Path(folder), config)
    read_config(folder)


def _parse(folder: Path) -> dict[str, Any]:
    """Parse the config of a folder; its thresholds name the model they were measured with, which may change."""
    config = parse_config(folder / CONFIG_NAME)
    block = config.get("denseil", {})
    if isinstance(block.get("thresholds"), dict) and "model_id" in block:
        block["thresholds"] = {"model_id": block["model_id"], **block["thresholds"]}
    return config


def _write(folder: Path, config: dict[str, Any], before: Preprocessing | None = None) -> None:
    """Write a checked config, with the identity of the model that it describes."""
    try:
        saved = saved_config(config)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / CONFIG_NAME} would not be the config of a model: {error}") from error
    block = config["denseil"]
    if "digests" in block and saved.architecture in variants.__all__:
        weights, digest = read_weights_and_digest(folder / WEIGHTS_NAME)
        check_weights_digest(folder / WEIGHTS_NAME, digest, block["digests"]["weights"])
        block["model_id"] = make_id(
            weights_digest(weights), kind="denseil", model_args=saved.model_args, preprocessing=saved.preprocessing
        )
    elif "model_id" in block and saved.preprocessing != before:  # a module that is not registered here
        del block["model_id"]
    write_config(folder, config)
