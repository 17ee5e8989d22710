"""The features file: embeddings of any code base in one safetensors file, which anyone can evaluate.

It has tensors `vectors` (N, D) of any float type, `pids` (N,) and `camids` (N,) of any integer type, and string
metadata; its key `frames` names the frames of a tracklet that its vector was computed from. Further data of tracklets
(names, times) are in an optional tensor `records`: the bytes of a JSON list of N objects.
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

from denseil.common.arguments import checked, shown
from denseil.common.files import readable, replacing
from denseil.common.tensor_files import disk_errors
from denseil.common.text import plain
from denseil.metrics.embeddings import Embeddings
from denseil.metrics.ranking import rank
from denseil.metrics.rerank import KReciprocal
from denseil.metrics.result import RankingResult

TENSORS = ("vectors", "pids", "camids")
RECORDS = "records"


class Features(NamedTuple):
    """Content of a features file."""

    embeddings: Embeddings
    metadata: dict[str, str]


@checked
def save_features(
    path: str | Path,
    embeddings: Embeddings,
    *,
    metadata: Mapping[str, str] | None = None,
    records: Sequence[Mapping[str, Any]] | None = None,
) -> None:
    """Write embeddings to a features file, atomically.

    Args:
        path: The file, usually with the suffix `.safetensors`.
        embeddings: The embeddings.
        metadata: Strings to store with them, such as `frames` and the names of model and dataset.
        records: A dict of JSON values for each vector. `denseil.gallery` reads `id` (text or an integer), `start` and
            `end` (seconds), `track` and `thumbnail` (a path), all optional.

    Raises:
        FileNotFoundError: If the folder does not exist.
        TypeError: If metadata are not strings, or records are not JSON values.
        ValueError: If the numbers of records and vectors differ, or records hold NaN or infinity.
    """
    tensors = {name: getattr(embeddings, name).cpu().contiguous() for name in TENSORS}
    if records is not None:
        if len(records) != len(embeddings):
            raise ValueError(f"{len(records)} records for {len(embeddings)} vectors; give one a vector")
        text = json.dumps([dict(record) for record in records], allow_nan=False)
        tensors[RECORDS] = torch.from_numpy(np.frombuffer(text.encode(), np.uint8).copy())
    with replacing(path) as temporary, disk_errors(path):
        save_file(tensors, temporary, metadata=dict(metadata or {}))
        _sort_metadata(temporary)


def _sort_metadata(path: Path) -> None:
    """Sort the metadata of a safetensors file, which is written in random order.

    Files of the same content then have the same bytes.
    """
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        header["__metadata__"] = dict(sorted(header.get("__metadata__", {}).items()))
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        if len(text) <= size:
            file.seek(8)
            file.write(text.ljust(size))


def _check_present(path: str | Path) -> None:
    """Raise FileNotFoundError if there is no file."""
    hint = "check the path; `denseil embed` and denseil.metrics.save_features make one"
    if Path(path).is_dir():
        hint = f"that is a folder; `denseil embed {path}` makes a file of its crops"
    if not Path(path).is_file():
        raise FileNotFoundError(f"no features file {path}: {hint}")


@checked
def load_features(path: str | Path) -> Features:
    """Read a features file, and check it as `Embeddings` does.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is damaged, or a tensor is missing or wrong.
        TypeError: If a tensor has the wrong type.
    """
    _check_present(path)
    try:
        with readable(path) as named, safe_open(named, framework="pt") as file:
            missing = sorted(set(TENSORS) - set(file.keys()))
            if missing:
                raise ValueError(f"{path} lacks {', '.join(missing)}; a features file holds {', '.join(TENSORS)}")
            tensors = {name: file.get_tensor(name) for name in TENSORS}
            metadata = dict(file.metadata() or {})
    except SafetensorError as error:
        raise ValueError(
            f"{path} is not a features file, or is damaged ({error}): give a safetensors file, as `denseil embed` and "
            "save_features write it, or write it again"
        ) from error
    try:
        return Features(Embeddings(**tensors), metadata)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{path}: {error}") from error


@checked
def load_records(path: str | Path) -> list[dict[str, Any]] | None:
    """Read the per-vector records of a features file, or None if it has none.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, or the records are not one JSON object per vector.
    """
    _check_present(path)
    try:
        with readable(path) as named, safe_open(named, framework="pt") as file:
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


def row_id(path: str | Path, row: int, record: Mapping[str, Any], *, file: str | Path = "") -> str:
    """Return the id of a row of a features file: that of its record, or else the name of the file and the row.

    Args:
        path: The features file.
        row: Index of the row.
        record: The row's record, whose `id` may be missing or null.
        file: Name of the file in the id; by default that of `path` without its suffix.

    Raises:
        ValueError: If the id is neither text nor an integer, or is empty.
    """
    name = record.get("id")
    if name is None:
        return f"{file or Path(path).stem}:{row}"
    if isinstance(name, bool) or not isinstance(name, (str, int)) or name == "":
        raise ValueError(
            f"{path}, row {row}: id is {shown(name)}; give each tracklet a text of its own, or leave ids out"
        )
    return str(name)


@checked
def rank_features(
    query: str | Path,
    gallery: str | Path,
    *,
    protocol: str = "standard",
    metric: str = "cosine",
    rerank: KReciprocal | None = None,
) -> RankingResult:
    """Evaluate two features files with `rank`.

    Args:
        query: Features of the queries.
        gallery: Features of the gallery; for `mars-official`, of all test tracklets, including the queries.
        protocol: See `rank`.
        metric: See `rank`.
        rerank: See `rank`.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If a file is damaged, the files record different models or `frames`, or `rank` refuses them.
    """
    queries, items = load_features(query), load_features(gallery)
    check_same_model((query, queries.metadata), (gallery, items.metadata))
    frames = queries.metadata.get("frames")
    if frames != items.metadata.get("frames"):
        raise ValueError(
            f"{query} records frames {frames!r}, {gallery} {items.metadata.get('frames')!r}; "
            "embed both from the same frames policy"
        )
    return rank(queries.embeddings, items.embeddings, protocol=protocol, metric=metric, frames=frames, rerank=rerank)


def check_same_model(one: tuple[str | Path, Mapping[str, str]], other: tuple[str | Path, Mapping[str, str]]) -> None:
    """Check that two features files were made by one model, as far as both record it.

    Args:
        one: Path and metadata of a file.
        other: Path and metadata of the other.

    Raises:
        ValueError: If they record different identities; without these, different weights; without these, models of
            different names.
    """
    (path, first), (path_2, second) = one, other
    for name in ("model_id", "weights", "model"):
        if name in first and name in second:
            if first[name] != second[name]:
                models = [
                    file[name] if name == "model" else f"{file.get('model', 'a model')} {file[name][:12]}"
                    for file in (first, second)
                ]
                raise ValueError(
                    plain(f"{path} was made by {models[0]}, {path_2} by {models[1]}: vectors of two models cannot be ")
                    + "compared; embed both with one"
                )
            return
