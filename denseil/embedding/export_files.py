"""Opening exported files, with their digests and metadata. Does not import torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from denseil.common.text import plain
from denseil.embedding.runtimes import OPENERS, Opened, Precision, find_opener
from denseil.embedding.seal import check_seal
from denseil.models.interface import Preprocessing

WHOLE_FRAMES = 16  # about as many in one call of a whole model: more leave a CPU's cache


def _check_metadata(data: Mapping[str, Any]) -> None:
    """Raise ValueError or TypeError unless our metadata have all entries that are read, of the right types."""
    try:
        if data["part"] == "crops":
            Preprocessing.from_dict(data["input"])
        else:
            Preprocessing.from_cfg(data["pretrained_cfg"], data["denseil_cfg"])
            if isinstance(data["num_features"], bool) or not isinstance(data["num_features"], int):
                raise TypeError(f"num_features={data['num_features']!r} in its metadata")
    except KeyError as error:
        raise ValueError(f"its metadata has no {error}") from error
    for name, value, kind in (
        ("name", data.get("name", ""), str),
        ("model_id", data.get("model_id", ""), str),
        ("takes_mask", data.get("takes_mask", True), bool),
        ("denseil_cfg", data.get("denseil_cfg", {}), dict),
        ("thresholds", data.get("denseil_cfg", {}).get("thresholds", {}), dict),
    ):
        if not isinstance(value, kind):
            raise TypeError(f"{name}={value!r} in its metadata")


def check_parts(path: str | Path, opened: Mapping[str, tuple[Opened, dict[str, Any]]]) -> dict[str, Any]:
    """Return the metadata of an export whose files belong together.

    Raises:
        ValueError: If they are of single crops, in each other's place, or of two exports.
    """
    for part, (_, data) in opened.items():
        if data["part"] == "crops":
            raise ValueError(f"{path} is a network for single crops: open it with denseil.Embedder")
        if data["part"] != part:
            raise ValueError(f"{path} holds a {data['part']} where a {part} belongs: export the model again")
    if len({data.get("export") for _, data in opened.values()}) > 1:
        raise ValueError(f"{path} holds an encoder of one export and a decoder of another: export the model again")
    return opened["whole" if "whole" in opened else "decoder"][1]


def find_parts(path: str | Path) -> dict[str, Path]:
    """Find the files of an export: {"whole": file}, or {"encoder": ..., "decoder": ...} of a folder."""
    path = Path(path)
    if path.is_dir():
        formats = [{part: path / f"{part}{suffix}" for part in ("encoder", "decoder")} for suffix in OPENERS]
        found = [parts for parts in formats if all(file.is_file() for file in parts.values())]
        if len(found) > 1:
            names = ", ".join(parts["encoder"].name for parts in found)
            raise ValueError(f"{path} holds {names}: which is meant? Keep each format in a folder of its own")
        if found:
            return found[0]
        raise FileNotFoundError(f"{path} holds no encoder and decoder; give what denseil.export wrote")
    if not path.is_file():
        raise FileNotFoundError(f"no exported model at {path}; give the file or the folder that denseil.export wrote")
    return {"whole": path}


def open_exported(path: Path, precision: Precision, *, foreign: bool = False) -> tuple[Opened, dict[str, Any]]:
    """Open a file and read its metadata, after comparing it with its digest.

    Args:
        path: The file.
        precision: See `ExportedModel`.
        foreign: Whether a file without our metadata may be another library's image network.
    """
    opener = find_opener(path, precision)
    try:
        sealed = check_seal(path)
        opened = opener()
        if opened.metadata is None:
            if foreign and not sealed:
                return opened, {"part": "crops"}
            raise ValueError(
                "it has no metadata of denseil. For an image network of your own, (N, 3, H, W) to (N, D), pass "
                "preprocessing=denseil.Preprocessing(...)"
            )
        data = json.loads(opened.metadata)
        if data.get("sealed") and not sealed:
            raise ValueError("its digest is unreadable")
        _check_metadata(data)
        return opened, data
    except Exception as error:  # each runtime has errors of its own, some of them bare
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        lines = [line for line in lines if not line.startswith("Exception from ")] or [type(error).__name__]
        raise ValueError(
            f"cannot open {path}: it is damaged, or not what denseil.export wrote; export the model again "
            f"({plain(lines[0])})"
        ) from error
