"""Lines of a tracks file, in the dialects that trackers and datasets write."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import NamedTuple

FIELDS = ("frame", "track id", "left", "top", "width", "height")
# The plainest names come last: beside a `track_id`, `id` is that of a row; beside `bb_left`, `x` is in the world.
NAMES = (
    ("frame", "frame_id", "frame id", "frameid", "frame_number", "framenumber"),
    ("track id", "track_id", "trackid", "tracker_id", "target_id", "targetid", "id"),
    ("left", "bb_left", "bbox_left", "bbox_x", "xmin", "x1", "x"),
    ("top", "bb_top", "bbox_top", "bbox_y", "ymin", "y1", "y"),
    ("width", "bb_width", "bbox_width", "bbox_w", "w"),
    ("height", "bb_height", "bbox_height", "bbox_h", "h"),
)
KITTI_FIELDS, KITTI_PERSONS = 17, ("pedestrian", "person", "person_sitting")
GROUND_TRUTH_FIELDS, VISDRONE_FIELDS = 9, 10
_SEPARATORS = {",": re.compile("\\s*,\\s*"), ";": re.compile("\\s*;\\s*"), "\t": re.compile("\\s*\\t\\s*")}
_SPACE = re.compile("\\s+")


class Dialect(Enum):
    """Format of a tracks file."""

    TRACKER = "a tracker's boxes"
    GROUND_TRUTH = "ground truth of the MOT Challenge"
    VISDRONE = "annotations of VisDrone"
    KITTI = "labels of KITTI"


# Classes of persons: walking ones in MOT16, MOT17 and MOT20; walking ones and others in VisDrone.
PERSONS: dict[Dialect, tuple[int, ...]] = {Dialect.GROUND_TRUTH: (1,), Dialect.VISDRONE: (1, 2)}
LABELS, PERSON_LABELS = "labels.txt", ("pedestrian", "person", "people")


class Line(NamedTuple):
    """A line of a tracks file: a box, or the reason to leave it out.

    Attributes:
        number: Number of the line, from 1.
        frame: Number of the frame, from 1.
        track: Track id.
        box: Left, top, width, height in pixels.
        left_out: Reason to leave the box out; "" for a box of a person.
    """

    number: int
    frame: int
    track: int
    box: tuple[float, float, float, float]
    left_out: str = ""


def read_lines(path: Path) -> Iterator[Line]:
    """Read the boxes of a tracks file.

    Raises:
        ValueError: If it is not text, or a line has too few fields or a field that is not a number, with its line.
    """
    rows = [(number, _split(text)) for number, text in _lines(path)]
    order: Sequence[int] = range(len(FIELDS))
    if rows and not _is_number(rows[0][1][0]):
        order = _columns(rows.pop(0)[1], path)
    dialect = _dialect([fields for _, fields in rows])
    persons = _persons(dialect, path)
    for number, fields in rows:
        yield _line(number, fields, order, dialect, persons, f"{path}, line {number}")


def _persons(dialect: Dialect, path: Path) -> tuple[int, ...]:
    """Return the classes of persons; those of ground truth by the `labels.txt` beside it, as CVAT writes one."""
    labels = path.with_name(LABELS)
    if dialect is not Dialect.GROUND_TRUTH or labels == path or not labels.is_file():
        return PERSONS.get(dialect, ())
    names = [name.lower() for _, name in _lines(labels)]
    found = tuple(number for number, name in enumerate(names, start=1) if name in PERSON_LABELS)
    if not found and len(names) > 1:
        raise ValueError(f"{labels} names no class {' or '.join(PERSON_LABELS)}: call that of persons so")
    return found or (1,)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are neither blank nor comments, with their numbers from 1."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip() and not line.startswith("#"):
                    yield number, line.strip()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file ({error}): give boxes in MOT Challenge format") from error


def _split(text: str) -> list[str]:
    for mark, pattern in _SEPARATORS.items():
        if mark in text:
            return pattern.split(text.removesuffix(mark))
    return _SPACE.split(text)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _columns(header: Sequence[str], path: Path) -> list[int]:
    """Return the columns of the fields, by the names in a header."""
    found = [name.strip().strip('"').lower() for name in header]
    places = [next((found.index(name) for name in names if name in found), None) for names in NAMES]
    missing = [field for field, place in zip(FIELDS, places, strict=True) if place is None]
    if missing:
        raise ValueError(
            f"{path}: its first line names no column for {', '.join(missing)}; the columns are {','.join(FIELDS)}"
        )
    return [place for place in places if place is not None]


def _dialect(rows: Sequence[Sequence[str]]) -> Dialect:
    """Detect the format by the fields after the box; KITTI names the class in words."""
    if rows and all(len(fields) >= KITTI_FIELDS and not _is_number(fields[2]) for fields in rows):
        return Dialect.KITTI
    if rows and all(len(fields) == GROUND_TRUTH_FIELDS and _is_ground_truth(fields) for fields in rows):
        return Dialect.GROUND_TRUTH
    visdrone = rows and all(len(fields) == VISDRONE_FIELDS and _is_visdrone(fields) for fields in rows)
    if visdrone and any(float(fields[7]) for fields in rows):  # zeros may be a tracker's for x, y, z
        return Dialect.VISDRONE
    return Dialect.TRACKER


def _is_ground_truth(fields: Sequence[str]) -> bool:
    """Whether a flag and a class from 1 follow the box, as in the MOT Challenge; some writers give both a point."""
    if not (_is_one_of(fields[6], range(2)) and _is_number(fields[7])):
        return False
    return float(fields[7]).is_integer() and float(fields[7]) >= 1


def _is_visdrone(fields: Sequence[str]) -> bool:
    """Whether a score, a class, and degrees of truncation and occlusion follow the box; -1 for those of a tracker."""
    return (
        _is_number(fields[6])
        and _is_one_of(fields[7], range(12))
        and _is_one_of(fields[8], range(-1, 2))
        and _is_one_of(fields[9], range(-1, 3))
    )


def _is_one_of(text: str, numbers: range) -> bool:
    return _is_number(text) and float(text) in numbers


def _line(
    number: int, fields: Sequence[str], order: Sequence[int], dialect: Dialect, persons: Sequence[int], where: str
) -> Line:
    if dialect is Dialect.KITTI:
        return _kitti(number, fields, where)
    if len(fields) <= max(order):
        raise ValueError(f"{where}: {len(fields)} fields, a box has at least {len(FIELDS)}: {','.join(FIELDS)}")
    texts = [fields[place] for place in order]
    frame, track = (_whole(text, name, where) for text, name in zip(texts[:2], FIELDS, strict=False))
    left, top, width, height = (_number(text, name, where) for text, name in zip(texts[2:], FIELDS[2:], strict=True))
    if frame < 1:
        raise ValueError(f"{where}: frame {frame}; frames are counted from 1: add 1 to all if yours start at 0")
    left_out = ""
    if track < 0:
        left_out = "boxes without a track (id below 0)"
    elif persons and float(fields[6]) == 0:
        left_out = "boxes that the ground truth flags as ignored"
    elif persons and float(fields[7]) not in persons:
        left_out = "boxes of other classes than pedestrians"
    return Line(number, frame, track, (left, top, width, height), left_out)


def _kitti(number: int, fields: Sequence[str], where: str) -> Line:
    """Read frame from 0, id, type, truncated, occluded, alpha, left, top, right, bottom, and seven of the 3D box."""
    frame, track = _whole(fields[0], "frame", where), _whole(fields[1], "track id", where)
    names = ("left", "top", "right", "bottom")
    left, top, right, bottom = (_number(text, name, where) for text, name in zip(fields[6:10], names, strict=True))
    if frame < 0:
        raise ValueError(f"{where}: frame {frame}; KITTI counts frames from 0")
    person = fields[2].lower() in KITTI_PERSONS
    left_out = "" if person and track >= 0 else "boxes of other classes than pedestrians"
    return Line(number, frame + 1, track, (left, top, right - left, bottom - top), left_out)


def _whole(text: str, name: str, where: str) -> int:
    if re.fullmatch("[+-]?[0-9]+", text):
        value = int(text)
    else:  # "7.0", as some trackers write
        number = _number(text, name, where)
        if not number.is_integer():
            raise ValueError(f"{where}: {name} must be a whole number, got {text!r}")
        value = int(number)
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"{where}: {name} {value} does not fit into 64 bits; renumber them")
    return value


def _number(text: str, name: str, where: str) -> float:
    try:
        value = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{where}: {name} must be a number, got {text!r}")
    return value
