"""Manifests: a user's data as one table with one row per frame.

    tracklet,frame,pid,camid,split,time
    walk-1,crops/walk-1/000.jpg,7,1,train,12.48

`frame` is a path, absolute or from the manifest's folder. The rows of a tracklet are in time order. `split` is train,
query or gallery. `time`, in seconds, may be empty or missing. CSV (UTF-8; commas, semicolons, tabs) or Parquet; further
columns are ignored.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from denseil.common.arguments import checked, shown
from denseil.common.extras import need
from denseil.common.files import is_utf8, replacing
from denseil.data.readers.files import LEAST_PID, MOST, VIDEO_SUFFIXES, first_of, whole_number
from denseil.data.tracklet import Frames, Tracklet, VideoReIDDataset

COLUMNS = ("tracklet", "frame", "pid", "camid", "split")
TIME = "time"
SPLITS = ("train", "query", "gallery")


def read_manifest(root: Path) -> VideoReIDDataset:
    """Read a manifest.

    Args:
        root: The file, or a folder that holds `manifest.csv` or `manifest.parquet`.

    Tracklets whose times decrease, as when two videos have one name, are listed as problems of the dataset.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If columns are missing or occur twice, there are no rows, a row names no tracklet or no frame, a
            frame occurs twice in a tracklet, a pid is not a whole number from -1 or a camid one from 0, or a time is
            not a number.
    """
    path = first_of(root, ("manifest.csv", "manifest.parquet"), what="manifest") if root.is_dir() else root
    if not path.is_file():
        raise FileNotFoundError(f"no manifest {path}")
    if path.suffix.lower() in VIDEO_SUFFIXES:
        raise ValueError(f"{path} is a video: cut tracklets out of it first, with `denseil tracklets`")
    rows, folder, source = _rows(path), str(path.parent), path.parent.resolve().name
    labels: dict[str, dict[tuple[str, str, str], None]] = {}
    frames: dict[str, list[str]] = {}
    times: dict[str, tuple[float, float]] = {}
    backwards: set[str] = set()
    for number, (name, frame, pid, camid, split, time) in enumerate(rows, start=1):
        if not name.strip() or not frame.strip():
            raise ValueError(f"{path}, row {number}: tracklet {name!r}, frame {frame!r}; give each row both names")
        labels.setdefault(name, {})[pid, camid, split] = None
        frames.setdefault(name, []).append(os.path.join(folder, frame))  # noqa: PTH118 (strings: a million times)
        if time:
            seconds = _seconds(time, path, name)
            start, end = times.get(name, (seconds, seconds))
            backwards.update([name] if seconds < end else [])
            times[name] = min(start, seconds), max(end, seconds)
    if not labels:
        raise ValueError(f"{path} has no rows: it needs one for each frame")
    problems: list[str] = []
    parts: dict[str, list[Tracklet]] = {split: [] for split in SPLITS}
    for name, texts in labels.items():
        own = sorted({_labels(path, name, *each) for each in texts})
        pid_, camid_, split = own[0]
        if len(set(frames[name])) < len(frames[name]):
            raise ValueError(f"{path}, {_twice(path, name)}: a frame occurs twice in tracklet {name!r}; remove one row")
        if len(own) > 1:
            problems.append(f"{path.name}: tracklet {name!r} has two identities, cameras or splits: {own}")
        elif split not in SPLITS:
            problems.append(f"{path.name}: tracklet {name!r} has split {split!r}, expected one of {SPLITS}")
        else:
            span: tuple[float | None, float | None] = times.get(name, (None, None))
            own_frames = Frames("", frames[name])
            parts[split].append(Tracklet(own_frames, pid_, camid_, name, span[0], span[1], source))
    if backwards:
        problems.append(
            f"{path.name}: the times of {len(backwards)} of {len(labels)} tracklets go back, first of "
            f"{min(backwards)!r}: its rows are not in time order, or two videos name a tracklet alike"
        )
    return VideoReIDDataset(parts["train"], parts["query"], parts["gallery"], name=path.stem, problems=tuple(problems))


def _labels(path: Path, tracklet: str, pid: str, camid: str, split: str) -> tuple[int, int, str]:
    """Normalise the labels of a row: 007 becomes 7."""
    where = f"{path}, tracklet {tracklet!r}"
    person = whole_number(pid, f"{where}: pid", least=LEAST_PID)
    return person, whole_number(camid, f"{where}: camid"), split.strip()


def _twice(path: Path, tracklet: str) -> str:
    """Name the rows, counted from 1 without the header, of a tracklet's first frame that occurs twice."""
    seen: dict[str, int] = {}
    for number, (name, frame, *_) in enumerate(_rows(path), start=1):
        if name == tracklet and frame in seen:
            return f"rows {seen[frame]} and {number}"
        if name == tracklet:
            seen[frame] = number
    return "two rows"


def _rows(path: Path) -> Iterator[Sequence[str]]:
    return _parquet(path) if path.suffix == ".parquet" else _csv(path)


@checked
def write_manifest(dataset: VideoReIDDataset, path: Path | str) -> Path:
    """Write a dataset as a CSV manifest, with frames relative to the manifest's folder where they are under it.

    Tracklets are named by their ids (see `Tracklet.key`), or by split, number and name if two have the same. The times
    of a tracklet are in the rows of its first and last frame. The file is written atomically.

    Raises:
        ValueError: If a tracklet has what a manifest cannot hold: a pid or camid of 2^31 or more, one time without the
            other, one frame and two times, a frame twice, or a name that is not UTF-8.
    """
    path = Path(path).absolute()
    inside = os.path.join(path.parent, "")  # noqa: PTH118 (with its separator)
    keys = [tracklet.key for split in SPLITS for tracklet in getattr(dataset, split)]
    once = len(set(keys)) == len(keys)
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS, TIME])
        for split in SPLITS:
            for number, tracklet in enumerate(getattr(dataset, split)):
                _check_held(tracklet)
                name = str(tracklet.key) if once else f"{split}/{number}/{tracklet.name}"
                times = {len(tracklet.frames) - 1: tracklet.end, 0: tracklet.start}
                for place, frame in enumerate(map(os.path.abspath, tracklet.frames)):
                    row = [name, frame.removeprefix(inside), tracklet.pid, tracklet.camid, split]
                    writer.writerow([*row, times.get(place)])
    return path


def _check_held(tracklet: Tracklet) -> None:
    """Refuse a tracklet that would be read back as another one."""
    if max(tracklet.pid, tracklet.camid) > MOST:
        raise ValueError(
            f"tracklet {shown(tracklet.name)} has pid {tracklet.pid} and camid {tracklet.camid}: a manifest holds "
            f"numbers up to {MOST}; number persons and cameras from 1"
        )
    if len(set(tracklet.frames)) < len(tracklet.frames):
        raise ValueError(f"tracklet {shown(tracklet.name)} has a frame twice, which a manifest holds once: leave one")
    if odd := [name for name in (tracklet.name, *tracklet.frames) if not is_utf8(name)]:
        raise ValueError(f"tracklet {shown(tracklet.name)}: {shown(odd[0])} is not UTF-8, as a manifest is: rename it")
    start, end = tracklet.start, tracklet.end
    if (start is None) != (end is None) or (len(tracklet.frames) == 1 and start != end):
        raise ValueError(
            f"tracklet {shown(tracklet.name)} of {len(tracklet.frames)} frames is from {start} to {end}: a manifest "
            "has one time for a frame; give both times, equal for a single frame, or neither"
        )


def _csv(path: Path) -> Iterator[Sequence[str]]:
    """Rows of `COLUMNS` and the time, "" where there is none."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, **_dialect(file.readline()))
            file.seek(0)
            header = next(reader, [])
            places = _places(header, path)
            timed = header.index(TIME) if TIME in header else None
            for row in reader:
                if row and len(row) <= max(*places, timed or 0):
                    raise ValueError(f"{path}, line {reader.line_num}: fewer fields than the header names")
                if row:
                    yield [*[row[place] for place in places], "" if timed is None else row[timed]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"{path} is not a UTF-8 text table ({error}): give a manifest with the columns {', '.join(COLUMNS)}"
        ) from error


def _dialect(header: str) -> dict[str, Any]:
    """Detect how the first line separates columns: by comma, semicolon (spreadsheets) or tab, with a space or not."""
    delimiter = max(",;\t", key=header.count)
    return {"delimiter": delimiter, "skipinitialspace": f"{delimiter} " in header}


def _parquet(path: Path) -> Iterator[Sequence[str]]:
    """Rows of `COLUMNS` and the time, "" where there is none."""
    parquet = need("pyarrow.parquet", to="read Parquet")
    try:
        with parquet.ParquetFile(path) as file:
            _places(file.schema_arrow.names, path)
            columns = [*COLUMNS, TIME] if TIME in file.schema_arrow.names else list(COLUMNS)
            for batch in file.iter_batches(columns=columns):
                table = {TIME: [None] * len(batch), **batch.to_pydict()}
                texts = [["" if value is None else str(value) for value in table[key]] for key in (*COLUMNS, TIME)]
                yield from zip(*texts, strict=True)
    except need("pyarrow", to="read Parquet").ArrowException as error:
        raise ValueError(f"{path} is not a readable Parquet file: {error}") from error


def _places(header: Sequence[str], path: Path) -> list[int]:
    """Return the place of each of `COLUMNS`."""
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        raise ValueError(f"{path} lacks the columns {missing}: a manifest has {', '.join(COLUMNS)}")
    twice = [column for column in (*COLUMNS, TIME) if header.count(column) > 1]
    if twice:
        raise ValueError(f"{path} has the columns {twice} more than once: leave one of each")
    return [header.index(column) for column in COLUMNS]


def _seconds(text: str, path: Path, tracklet: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise ValueError(f"{path}, tracklet {tracklet!r}: a time must be a number of seconds, got {text!r}")
    return seconds
