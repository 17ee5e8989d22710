"""Digests of a saved folder, which are checked when it is opened: SHA-256 of its weights file and of its config."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_VECTORS = ("input_size", "interpolation", "crop_pct", "crop_mode", "mean", "std")  # keys of timm's cfg in the digest
# Keys written by earlier versions, which had no digests; any other key means that the file is damaged.
_EARLIER_KEYS = {
    *("architecture", "num_classes", "num_features", "global_pool", "pretrained_cfg", "model_args", "denseil"),
}
_EARLIER_BLOCK = {"clip_len", "frames", "color_order", "thresholds"}


def file_sha256(path: Path) -> str:
    """Compute the SHA-256 of a file, in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_weights_digest(path: Path, found: str, expected: str | None) -> None:
    """Raise ValueError if the digest of a weights file differs from the one in its config.json, if there is one."""
    if expected is not None and found != expected:
        raise ValueError(
            f"{path} is damaged, or is not the file that its config.json describes: its SHA-256 is {found}, not "
            f"{expected}. Copy the folder again, or, if you trust it, call denseil.models.renew_digests(folder)"
        )


def check_config_digest(config: Mapping[str, Any]) -> None:
    """Raise ValueError if the digest in a config.json differs from that of its entries, or is missing or damaged."""
    block = config.get("denseil", {})
    if "digests" not in block:
        if unknown := [*(set(config) - _EARLIER_KEYS), *(set(block) - _EARLIER_BLOCK)]:
            raise ValueError(f"it has no digests, and an unknown key {sorted(unknown)[0]!r}; it is damaged")
        return
    digests = block["digests"]
    if not isinstance(digests, dict) or set(digests) != {"weights", "config"}:
        raise ValueError("its digests are damaged")
    if digests["config"] != config_digest(config):
        raise ValueError(
            "its digest differs: it is damaged or was edited by hand; edit it by denseil.models.update_config, or, if "
            "you trust it as it is, call denseil.models.renew_digests(folder)"
        )


def config_digest(config: Mapping[str, Any]) -> str:
    """Compute the SHA-256 of the entries of a config.json that affect vectors and thresholds."""
    cfg = config["pretrained_cfg"]
    block = {key: value for key, value in config.get("denseil", {}).items() if key != "digests"}
    content = {
        "architecture": config["architecture"],
        "num_classes": config["num_classes"],
        "model_args": config.get("model_args", {}),
        "pretrained_cfg": {key: cfg.get(key) for key in _VECTORS},
        "denseil": block,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
