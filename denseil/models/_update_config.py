"""Editing the config.json of a saved folder, with its digests kept up to date."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from denseil.common.arguments import checked
from denseil.models import variants
from denseil.models._config import CONFIG_NAME, WEIGHTS_NAME, parse_config, read_config, saved_config, write_config
from denseil.models._digests import check_weights_digest
from denseil.models._reading import read_weights_and_digest
from denseil.models.identity import make_id, weights_digest
from denseil.models.interface import Preprocessing


@checked
def update_config(folder: str | Path, entries: Mapping[str, Any]) -> None:
    """Update entries of the `denseil` block in the config.json of a model folder, atomically.

    Args:
        folder: A folder that `save_pretrained` wrote.
        entries: JSON values by name; other entries are kept.

    Raises:
        FileNotFoundError: If the folder has no config.
        ValueError: If it is not the config of a saved model, or is damaged.
    """
    before = read_config(folder).preprocessing
    config = parse_config(Path(folder) / CONFIG_NAME)
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
    config = parse_config(Path(folder) / CONFIG_NAME)
    content = Path(folder, WEIGHTS_NAME).read_bytes()
    config["denseil"] = {
        **config.get("denseil", {}),
        "digests": {"weights": hashlib.sha256(content).hexdigest(), "config": ""},
    }
    _write(Path(folder), config)
    read_config(folder)


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
