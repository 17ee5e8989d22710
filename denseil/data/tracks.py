"""A tracker's boxes, in the text formats of the MOT Challenge and its relatives."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from denseil.common.arguments import checked
from denseil.common.text import counted
from denseil.data._track_lines import FIELDS, Line, read_lines

NOTHING: Mapping[str, int] = MappingProxyType({})


class Tracks(NamedTuple):
    """The boxes of a video, ordered by frame, then track id.

    Attributes:
        frames: (N,) int64, the frame of each box, counted from 1.
        ids: (N,) int64, the track of each box.
        boxes: (N, 4) float64, left, top, width, height in pixels. They may reach past the picture, or have no area.
        left_out: Number of boxes of the file that were left out, by reason.
    """

    frames: NDArray[np.int64]
    ids: NDArray[np.int64]
    boxes: NDArray[np.float64]
    left_out: Mapping[str, int] = NOTHING

    def __len__(self) -> int:
        return len(self.frames)


@checked
def read_tracks(path: str | Path) -> Tracks:
    """Read a tracks file with one box per line, `frame,id,left,top,width,height` and further fields, in any order.

    Fields are separated by commas, semicolons, tabs or spaces. A first line that names the columns may give them in
    another order. Ground truth of the MOT Challenge (nine fields: a flag, a class and a visibility follow the box),
    annotations of VisDrone (ten: a score, a class, truncation and occlusion) and labels of KITTI's tracking benchmark
    are recognised: ignored boxes and classes other than persons are left out; a `labels.txt` beside ground truth, as
    CVAT writes one, names the classes. So are boxes with an id below 0, which
    trackers give to unconfirmed tracks.

    Args:
        path: The file, UTF-8 text. Blank lines are skipped.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If a line has too few fields, a field that is not a number, a frame below 1 or an id outside of 64
            bits; if a track has two boxes in a frame; if no box is left; if all boxes are fractions of the picture. The
            message names the line.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder: give one file with the boxes of all frames, {','.join(FIELDS)}")
    if not path.is_file():
        raise FileNotFoundError(f"no tracks file {path}")
    lines = list(read_lines(path))
    if not lines:
        raise ValueError(f"{path} holds no boxes: it needs one per line, {','.join(FIELDS)}")
    left_out = Counter(line.left_out for line in lines if line.left_out)
    kept = [line for line in lines if not line.left_out]
    _check(kept, left_out, path)
    table = np.array([(line.frame, line.track, line.number) for line in kept], dtype=np.int64)
    boxes = np.array([line.box for line in kept])
    order = np.lexsort((table[:, 1], table[:, 0]))
    table = table[order]
    twice = np.flatnonzero((np.diff(table[:, :2], axis=0) == 0).all(axis=1))
    if len(twice):
        (frame, track, first), second = table[twice[0]].tolist(), int(table[twice[0] + 1, 2])
        raise ValueError(
            f"{path}, lines {first} and {second}: track {track} has two boxes in frame {frame}; keep the right one"
        )
    return Tracks(table[:, 0].copy(), table[:, 1].copy(), boxes[order], dict(left_out))


def _check(kept: list[Line], left_out: Counter[str], path: Path) -> None:
    """Raise a ValueError for files with only detections, without persons, or with boxes as fractions of the picture."""
    if not kept:
        why = "; ".join(
            f"{counted(count, 'box', 'boxes')}{reason.removeprefix('boxes')}" for reason, count in left_out.items()
        )
        hint = "run a tracker on the detections first" if any("id below 0" in why for why in left_out) else "see above"
        raise ValueError(f"{path} holds no track of a person: {why}; {hint}")
    boxes = np.array([line.box for line in kept])
    if np.abs(boxes).max() < 2 and boxes[:, 2:].max() > 0:  # a tracker's may reach a little past 1
        raise ValueError(
            f"{path}: no box reaches as far as pixel 2, so they are fractions of the picture: multiply left and width "
            "by its width in pixels, top and height by its height"
        )


@checked
def crop_box(image: NDArray[np.uint8], left: float, top: float, width: float, height: float) -> NDArray[np.uint8]:
    """Crop the pixels of an image (H, W, 3) that a box touches, without a copy; empty if there are none.

    Raises:
        ValueError: If the image has another shape, or a box with an area is not finite.
    """
    if getattr(image, "ndim", 0) != 3:
        raise ValueError(f"image has shape {np.shape(image)}; it must be (H, W, 3)")
    if width <= 0 or height <= 0:
        return image[:0, :0]
    if not all(map(math.isfinite, (left, top, width, height))):
        raise ValueError(f"the box ({left}, {top}, {width}, {height}) is not finite: give pixels")
    return image[_span(top, height), _span(left, width)]


def _span(start: float, length: float) -> slice:
    """Return the slice of pixels that an interval touches, from 0; slices are clipped at the end of the picture."""
    return slice(max(0, math.floor(start)), max(0, math.ceil(start + length)))
