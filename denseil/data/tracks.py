"""A tracker's boxes, in the text format of the MOT Challenge."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FIELDS = ("frame", "track id", "left", "top", "width", "height")
_WHOLE = 2  # the first two are whole numbers


class Tracks(NamedTuple):
    """The boxes of a video, ordered by frame, then track id.

    Attributes:
        frames: (N,) int64, the frame of each box, counted from 1.
        ids: (N,) int64, the track of each box.
        boxes: (N, 4) float64, left, top, width, height in pixels. They may reach past the picture, or have no area.
    """

    frames: NDArray[np.int64]
    ids: NDArray[np.int64]
    boxes: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.frames)


def read_tracks(path: str | Path) -> Tracks:
    """Read a tracks file: a line a box, `frame,id,left,top,width,height` and whatever follows, in any order.

    Args:
        path: The file, UTF-8 text. Blank lines are passed over.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line has too few fields, a text where a number belongs, a frame below 1 or an id outside of
            64 bits; if a track has two boxes in a frame; if there is no box. The line is named.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no tracks file {path}")
    keys: list[tuple[int, int, int]] = []  # frame, id, line
    boxes: list[list[float]] = []
    for number, line in _lines(path):
        frame, track, box = _row(line, f"{path}, line {number}")
        keys.append((frame, track, number))
        boxes.append(box)
    if not keys:
        raise ValueError(f"{path} holds no boxes: it needs one a line, {','.join(FIELDS)}")
    table = np.array(keys, dtype=np.int64)
    order = np.lexsort((table[:, 1], table[:, 0]))
    table = table[order]
    twice = np.flatnonzero((np.diff(table[:, :2], axis=0) == 0).all(axis=1))
    if len(twice):
        (frame, track, first), second = table[twice[0]].tolist(), int(table[twice[0] + 1, 2])
        raise ValueError(
            f"{path}, lines {first} and {second}: track {track} has two boxes in frame {frame}; keep the right one"
        )
    return Tracks(table[:, 0].copy(), table[:, 1].copy(), np.array(boxes)[order])


def crop_box(image: NDArray[np.uint8], left: float, top: float, width: float, height: float) -> NDArray[np.uint8]:
    """The pixels of an image (H, W, 3) that a box touches, without a copy; none if it lies outside or has no area."""
    if width <= 0 or height <= 0:
        return image[:0, :0]
    return image[_span(top, height), _span(left, width)]


def _span(start: float, length: float) -> slice:
    """The pixels that an extent touches, from 0 on; slices end with the picture by themselves."""
    return slice(max(0, math.floor(start)), max(0, math.ceil(start + length)))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers from 1."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from ((number, line) for number, line in enumerate(file, start=1) if line.strip())
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file ({error}): give boxes in MOT Challenge format") from error


def _row(line: str, where: str) -> tuple[int, int, list[float]]:
    texts = line.split(",")[: len(FIELDS)]
    if len(texts) < len(FIELDS):
        raise ValueError(f"{where}: {len(texts)} fields, a box has at least {len(FIELDS)}: {','.join(FIELDS)}")
    frame, track = (_whole(text, name, where) for text, name in zip(texts[:_WHOLE], FIELDS, strict=False))
    if frame < 1:
        raise ValueError(f"{where}: frame {frame}; frames are counted from 1")
    return (
        frame,
        track,
        [_number(text, name, where) for text, name in zip(texts[_WHOLE:], FIELDS[_WHOLE:], strict=True)],
    )


def _whole(text: str, name: str, where: str) -> int:
    try:
        value = int(text)
    except ValueError:  # "7.0", as some trackers write
        number = _number(text, name, where)
        if not number.is_integer():
            raise ValueError(f"{where}: {name} is a whole number, got {text.strip()!r}") from None
        value = int(number)
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"{where}: {name} {value} does not fit into 64 bits; number them anew")
    return value


def _number(text: str, name: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{where}: {name} is a number, got {text.strip()!r}")
    return value
