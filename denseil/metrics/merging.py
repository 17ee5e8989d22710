"""Merging features files, such as shards of several machines."""

from __future__ import annotations

import logging
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from denseil.common.arguments import checked, shown
from denseil.common.text import counted, plain
from denseil.common.vectors import unit_vectors
from denseil.metrics.embeddings import Embeddings
from denseil.metrics.features import Features, check_same_model, load_features, load_records, row_id, save_features

logger = logging.getLogger(__name__)
SHARD = "shard"  # the metadata "i/n" of a file that holds the i-th of n shares


@dataclass(frozen=True)
class MergeReport:
    """Result of `merge_features`; prints as one line.

    Attributes:
        path: The file.
        vectors: Number of vectors.
        repeated: Number of records that were in more than one file.
    """

    path: Path
    vectors: int
    repeated: int

    def __str__(self) -> str:
        twice = f" ({self.repeated:,} of them in more than one file)" if self.repeated else ""
        return f"{counted(self.vectors, 'vector')}: {plain(self.path)}{twice}"


@checked
def merge_features(paths: Sequence[str | Path], output: str | Path) -> MergeReport:
    """Join features files into one.

    The shards of one run (`embed_to_file(..., shard=(i, n))`) must be complete; the result is then the file that one
    machine would have written. A record in several files is written once if it is the same in all.

    Args:
        paths: The files, in any order if they are shards; otherwise in the order of the output.
        output: The file to write.

    Raises:
        FileExistsError: If `output` exists.
        FileNotFoundError: If a file does not exist.
        ValueError: If there is no file, one is damaged, a shard is missing or given twice, files differ in their
            metadata (model, weights, frames, ...), or one id names different records.
    """
    if not paths:
        raise ValueError("no features files to merge: give at least one")
    if Path(output).exists():
        raise FileExistsError(f"{output} is there already: give another name, or remove it")
    files = _in_order([(Path(path), load_features(path)) for path in paths])
    _check_metadata(files)
    records = [load_records(path) for path, _ in files]
    without = [path for (path, _), one in zip(files, records, strict=True) if one is None]
    if 0 < len(without) < len(files):
        raise ValueError(
            f"some of the files have records and some have none, first {without[0]}: merge those of one kind"
        )
    joined = _joined([file for _, file in files])
    metadata = {key: value for key, value in files[0][1].metadata.items() if key != SHARD}
    if records[0] is None:
        save_features(output, joined, metadata=metadata)
        return MergeReport(Path(output), len(joined), 0)
    for (path, _), one in zip(files, records, strict=True):
        for place, row in enumerate(one or []):
            row_id(path, place, row)  # an error if it is not one
    rows = [row for one in records for row in one or []]
    kept = _once(joined, rows)
    save_features(output, joined[kept], metadata=metadata, records=[rows[place] for place in kept])
    return MergeReport(Path(output), len(kept), len(rows) - len(kept))


@checked
def read_together(paths: Sequence[str | Path]) -> tuple[Embeddings, list[dict[str, Any]]]:
    """Read features files of one model as one list of tracklets.

    Returns:
        The embeddings, and a record each. A vector without an id is called by the name of its file and its row, or by
        the path if two files have the same name.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If there is no file, one is damaged, files differ in model or width, a vector is zero, two tracklets
            have one id, an id is neither text nor an integer, a record's `start` or `end` is not a number of seconds,
            or its end is before its start.
    """
    if not paths:
        raise ValueError("no features files to read: give at least one")
    files = [(Path(path), load_features(path)) for path in paths]
    names = Counter(path.stem for path, _ in files)
    records: list[dict[str, Any]] = []
    for place, (path, file) in enumerate(files):
        for earlier, other in files[:place]:  # each of them: some may record no model
            check_same_model((earlier, other.metadata), (path, file.metadata))
        _check_width(files[0], (path, file))
        unit_vectors(file.embeddings.vectors, what=str(path))  # an error that names the file
        name = path.stem if names[path.stem] == 1 else path
        known = load_records(path) or [{} for _ in range(len(file.embeddings))]
        named = [_given(record) | {"id": row_id(path, row, record, file=name)} for row, record in enumerate(known)]
        for record in named:
            _check_times(path, record)
        records += named
    counts = Counter(record["id"] for record in records)
    twice = sorted(name for name, count in counts.items() if count > 1)
    if twice:
        raise ValueError(
            f"{counted(len(twice), 'id')} given twice, first {shown(twice[0])}: is a file given twice? Else cut the "
            "videos with another --camid, --source or --start"
        )
    _tell_missing_shards(files)
    return _joined([file for _, file in files]), records


def _tell_missing_shards(files: Sequence[tuple[Path, Features]]) -> None:
    """Warn about shards of a run that are not given."""
    given = Counter(file.metadata[SHARD].partition("/")[2] for _, file in files if SHARD in file.metadata)
    for total, count in given.items():
        if total.isdecimal() and count < int(total):
            logger.warning("%d of %s shards of a run are given: the tracklets of the others are missing", count, total)


def _given(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if value is not None}


def _check_times(path: Path, record: dict[str, Any]) -> None:
    known = {name: record[name] for name in ("start", "end") if record.get(name) is not None}
    where = f"{path}, tracklet {shown(record['id'])}"
    for name, value in known.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > sys.float_info.max:
            raise ValueError(f"{where}: {name} is {shown(value)}; give finite seconds as a number, or leave it out")
    if len(known) == 2 and known["end"] < known["start"]:
        raise ValueError(
            f"{where} ends at {known['end']}, before it starts at {known['start']}; swap or correct its times"
        )


def _joined(files: Sequence[Features]) -> Embeddings:
    return Embeddings(
        *(torch.cat([getattr(one.embeddings, name) for one in files]) for name in ("vectors", "pids", "camids"))
    )


def _check_width(one: tuple[Path, Features], other: tuple[Path, Features]) -> None:
    widths = [file.embeddings.vectors.shape[1] for _, file in (one, other)]
    if widths[0] != widths[1]:
        raise ValueError(
            f"{one[0]} has vectors of {widths[0]} numbers, {other[0]} of {widths[1]}: they are of two models; embed "
            "all with one"
        )


def _in_order(files: list[tuple[Path, Features]]) -> list[tuple[Path, Features]]:
    """Shards by their number, all of them; others in the given order."""
    shards = {path: file.metadata.get(SHARD) for path, file in files}
    if not any(shards.values()):
        return files
    found: dict[int, tuple[Path, Features]] = {}
    total = None
    for path, file in files:
        match = re.fullmatch(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,8})", shards[path] or "")
        if not match:
            raise ValueError(f"{path} is not a shard, but other files are: merge the shards first")
        number, of = int(match[1]), int(match[2])
        if total not in (None, of):
            raise ValueError(
                f"{path} is shard {number} of {of}, other files are of {total}: they are of different runs"
            )
        if number in found:
            raise ValueError(f"{path} and {found[number][0]} are both shard {number}/{of}: give each once")
        total, found[number] = of, (path, file)
    missing = [str(number) for number in range(1, (total or 0) + 1) if number not in found]
    if missing:
        raise ValueError(f"{len(missing)} of {total} shards are missing: {', '.join(missing[:20])}")
    return [found[number] for number in sorted(found)]


def _check_metadata(files: list[tuple[Path, Features]]) -> None:
    """Raise a ValueError unless all files were made in the same way."""
    first, reference = files[0]
    for path, file in files[1:]:
        for key in sorted((reference.metadata.keys() | file.metadata.keys()) - {SHARD}):
            one, other = reference.metadata.get(key), file.metadata.get(key)
            if one != other:
                raise ValueError(
                    f"{first} has {key} {shown(one)}, {path} {shown(other)}: vectors made differently do not mix; "
                    "embed all in one way"
                )
        _check_width(files[0], (path, file))


def _once(joined: Embeddings, rows: list[dict[str, Any]]) -> list[int]:
    """Places of the records, each id once.

    Raises:
        ValueError: If an id names different records.
    """
    places: dict[str, int] = {}
    kept, clashes = [], []
    for place, row in enumerate(rows):
        name = None if row.get("id") is None else str(row["id"])
        if name is None or name not in places:
            kept.append(place)
            if name is not None:
                places[name] = place
            continue
        first = places[name]
        same = row == rows[first] and all(
            torch.equal(getattr(joined, kind)[place], getattr(joined, kind)[first])
            for kind in ("vectors", "pids", "camids")
        )
        if not same:
            clashes.append(name)
    if clashes:
        raise ValueError(
            f"{counted(len(clashes), 'id')} of {len(rows)} with different records, first {clashes[0]!r}: cut the "
            "videos with another --camid, --source or --start, so that each id names one tracklet"
        )
    return kept
