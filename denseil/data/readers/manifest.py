"""People's own data: one table, one row a frame.

    tracklet,frame,pid,camid,split
    walk-1,crops/walk-1/000.jpg,7,1,train

`frame` is a path, from the manifest's own folder if it is relative. The rows of a tracklet are in time order; `split`
is train, query or gallery. CSV (UTF-8) or Parquet; further columns are ignored.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from denseil.data._extras import need
from denseil.data.readers._files import first_of
from denseil.data.tracklet import Frames, Tracklet, VideoReIDDataset

COLUMNS = ("tracklet", "frame", "pid", "camid", "split")
SPLITS = ("train", "query", "gallery")


def read_manifest(root: Path) -> VideoReIDDataset:
    """Read a manifest.

    Args:
        root: The file, or a folder that holds `manifest.csv` or `manifest.parquet`.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If columns are missing, there are no rows, or a pid or camid is not a whole number.
    """
    path = first_of(root, ("manifest.csv", "manifest.parquet"), what="manifest") if root.is_dir() else root
    if not path.is_file():
        raise FileNotFoundError(f"no manifest {path}")
    table = _parquet(path) if path.suffix == ".parquet" else _csv(path)
    problems: list[str] = []
    parts: dict[str, list[Tracklet]] = {split: [] for split in SPLITS}
    rows: dict[str, list[int]] = {}
    for row, tracklet in enumerate(table["tracklet"]):
        rows.setdefault(tracklet, []).append(row)
    for name, own in rows.items():
        labels = {tuple(str(table[column][row]).strip() for column in ("pid", "camid", "split")) for row in own}
        pid, camid, split = labels.pop()
        if labels:
            problems.append(
                f"{path.name}: tracklet {name!r} has two identities, cameras or splits: {(pid, camid, split)}, {labels}"
            )
        elif split not in SPLITS:
            problems.append(f"{path.name}: tracklet {name!r} has split {split!r}, expected one of {SPLITS}")
        else:
            frames = Frames("", [str(path.parent / table["frame"][row]) for row in own])
            parts[split].append(Tracklet(frames, _whole(pid, path, own[0]), _whole(camid, path, own[0]), name))
    return VideoReIDDataset(parts["train"], parts["query"], parts["gallery"], name=path.stem, problems=tuple(problems))


def write_manifest(dataset: VideoReIDDataset, path: Path | str) -> Path:
    """Write a dataset as a CSV manifest, with frames relative to the manifest's folder where they are under it.

    The file appears complete or not at all.
    """
    path = Path(path).absolute()
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for split in SPLITS:
            for number, tracklet in enumerate(getattr(dataset, split)):
                name = f"{split}/{number}/{tracklet.name}"
                for frame in map(os.path.abspath, tracklet.frames):
                    inside = Path(frame).is_relative_to(path.parent)
                    shown = os.path.relpath(frame, path.parent) if inside else frame
                    writer.writerow([name, shown, tracklet.pid, tracklet.camid, split])
    return partial.replace(path)


def _csv(path: Path) -> Mapping[str, Sequence[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            _require_columns(reader.fieldnames or (), path)
            rows = list(reader)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: {error}") from error
    short = next((i for i, row in enumerate(rows) if any(row[column] is None for column in COLUMNS)), None)
    if short is not None:
        raise ValueError(f"{path}, line {short + 2}: fewer fields than the header names")
    return _require_rows({column: [row[column] for row in rows] for column in COLUMNS}, path)


def _parquet(path: Path) -> Mapping[str, Sequence[str]]:
    parquet = need("pyarrow.parquet", to="read Parquet")
    try:
        _require_columns(parquet.read_schema(path).names, path)
        table = parquet.read_table(path, columns=list(COLUMNS)).to_pydict()
    except need("pyarrow", to="read Parquet").ArrowException as error:
        raise ValueError(f"{path} is not a readable Parquet file: {error}") from error
    return _require_rows({column: [str(value) for value in table[column]] for column in COLUMNS}, path)


def _require_columns(found: Sequence[str], path: Path) -> None:
    missing = [column for column in COLUMNS if column not in found]
    if missing:
        raise ValueError(f"{path} lacks the columns {missing}: a manifest has {', '.join(COLUMNS)}")


def _require_rows(table: dict[str, list[str]], path: Path) -> dict[str, list[str]]:
    if not table["tracklet"]:
        raise ValueError(f"{path} has no rows: it needs one for each frame")
    return table


def _whole(text: str, path: Path, row: int) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{path}, row {row + 1}: pid and camid are whole numbers, got {text!r}") from None
