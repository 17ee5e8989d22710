"""The features file: embeddings of any code base, in one safetensors file, to be judged again by anyone.

Tensors `vectors` (N, D) of any float type, `pids` (N,) and `camids` (N,) of any integer type, and the text metadata
that safetensors allows, in which `frames` says which frames of each tracklet made its vector. What else is known of
each tracklet (its name, its time) is one more tensor, `records`: the bytes of a JSON list of N objects.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from denseil.common.files import replacing
from denseil.metrics.embeddings import Embeddings
from denseil.metrics.ranking import rank
from denseil.metrics.result import RankingResult

TENSORS = ("vectors", "pids", "camids")
RECORDS = "records"


class Features(NamedTuple):
    """What a features file holds."""

    embeddings: Embeddings
    metadata: dict[str, str]


def save_features(
    path: str | Path,
    embeddings: Embeddings,
    *,
    metadata: Mapping[str, str] | None = None,
    records: Sequence[Mapping[str, Any]] | None = None,
) -> None:
    """Write embeddings to a features file, whole or not at all.

    Args:
        path: the file; by custom it ends in `.safetensors`.
        embeddings: what to write.
        metadata: texts to keep beside them, such as `frames`, the model's name, the data set's.
        records: what else is known of each vector, as JSON knows it. `denseil.gallery` reads `id`, `start` and `end`
            (seconds), `track` and `thumbnail` (a path), all optional.

    Raises:
        FileNotFoundError: the folder does not exist.
        TypeError: metadata that are not texts; records that JSON does not know.
        ValueError: records that are not one a vector, or hold NaN or infinity.
    """
    tensors = {name: getattr(embeddings, name).cpu().contiguous() for name in TENSORS}
    if records is not None:
        if len(records) != len(embeddings):
            raise ValueError(f"{len(records)} records for {len(embeddings)} vectors; give one a vector")
        text = json.dumps([dict(record) for record in records], allow_nan=False)
        tensors[RECORDS] = torch.from_numpy(np.frombuffer(text.encode(), np.uint8).copy())
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata=dict(metadata or {}))
        _sort_metadata(temporary)


def _sort_metadata(path: Path) -> None:
    """Put the metadata of a safetensors file, written in a random order, into that of their names.

    So files of the same content have the same bytes.
    """
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        header["__metadata__"] = dict(sorted(header.get("__metadata__", {}).items()))
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        if len(text) <= size:
            file.seek(8)
            file.write(text.ljust(size))


def load_features(path: str | Path) -> Features:
    """Read a features file, and check it as `Embeddings` does.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a damaged file, or one that lacks a tensor or holds wrong ones.
        TypeError: tensors of a wrong type.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no features file {path}")
    try:
        with safe_open(path, framework="pt") as file:
            missing = sorted(set(TENSORS) - set(file.keys()))
            if missing:
                raise ValueError(f"{path} lacks {', '.join(missing)}; a features file holds {', '.join(TENSORS)}")
            tensors = {name: file.get_tensor(name) for name in TENSORS}
            metadata = dict(file.metadata() or {})
    except SafetensorError as error:
        raise ValueError(f"{path} is not a whole safetensors file ({error}); write or copy it again") from error
    try:
        return Features(Embeddings(**tensors), metadata)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{path}: {error}") from error


def load_records(path: str | Path) -> list[dict[str, Any]] | None:
    """Read what a features file says of each vector beside pid and camid; None where it says nothing.

    Raises:
        ValueError: a damaged file, or records that are not one JSON object a vector.
    """
    try:
        with safe_open(path, framework="pt") as file:
            if RECORDS not in file.keys():  # noqa: SIM118 (not a mapping)
                return None
            count = file.get_slice("vectors").get_shape()[0]
            text = file.get_tensor(RECORDS).numpy().tobytes()
    except SafetensorError as error:
        raise ValueError(f"{path} is not a whole features file ({error}); write or copy it again") from error
    try:
        records = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{path}: its records are not JSON ({error}); write it again with save_features") from error
    if not isinstance(records, list) or len(records) != count or not all(isinstance(item, dict) for item in records):
        raise ValueError(f"{path}: its records must be a list of {count} objects, one a vector")
    return records


def rank_features(
    query: str | Path, gallery: str | Path, *, protocol: str = "standard", metric: str = "cosine"
) -> RankingResult:
    """Judge two features files; see `rank`.

    Args:
        query: features of the queries.
        gallery: features of the gallery; for `mars-official`, of all test tracklets, the queries among them.
        protocol: see `rank`.
        metric: see `rank`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a damaged file, files whose recorded `frames` differ, and what `rank` refuses.
    """
    queries, items = load_features(query), load_features(gallery)
    frames = queries.metadata.get("frames")
    if frames != items.metadata.get("frames"):
        raise ValueError(
            f"{query} records frames {frames!r}, {gallery} {items.metadata.get('frames')!r}; "
            "embed both from the same frames policy"
        )
    return rank(queries.embeddings, items.embeddings, protocol=protocol, metric=metric, frames=frames)
