"""Sequences of image files as videos: their order, their numbers and their rate."""

from __future__ import annotations

import configparser
import logging
import math
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from denseil.data.frame import USUAL_RATE, Frame

logger = logging.getLogger(__name__)
_LAST_NUMBER = re.compile("([0-9]+)(?=[^0-9]*$)")


class ImageSequence:
    """Image files as the frames of a video, in the natural order of their names."""

    lost = 0
    error: type[Exception] = FileNotFoundError  # never raised while iterating

    def __init__(self, folder: Path, names: list[str], fps: float | None) -> None:
        if not names:
            raise FileNotFoundError(f"no frames in {folder}: give a folder of images, or a video file")
        self.paths = [folder / name for name in names]
        self.numbers = _numbers(names)
        whole = folder.resolve()
        self.name = "/".join(part for part in (whole.parent.name, whole.name) if part)
        self.fps = fps or _rate(whole)

    def __iter__(self) -> Iterator[Frame]:
        for number, path in zip(self.numbers, self.paths, strict=True):
            yield Frame(number, (number - 1) / self.fps, False, path)


def _numbers(names: list[str]) -> list[int]:
    """Numbers of frames, from 1: by the last number in each name if some are neighbours, else their places."""
    found = [_LAST_NUMBER.search(Path(name).stem) for name in names]
    values = [int(each[0]) for each in found if each is not None]
    steps = {after - before for before, after in pairwise(values)}
    if len(values) < len(names) or min(steps, default=1) != 1:
        return list(range(1, len(names) + 1))
    return [value - values[0] + 1 for value in values]


def _rate(folder: Path) -> float:
    """Frames per second by the `seqinfo.ini` of MOT Challenge, in the folder or beside it."""
    for path in (folder / "seqinfo.ini", folder.parent / "seqinfo.ini"):
        try:
            known = configparser.ConfigParser()
            known.read(path, encoding="utf-8")
            rate = known.getfloat("Sequence", "frameRate")
        except (configparser.Error, ValueError):
            continue
        if math.isfinite(rate) and rate > 0:
            return rate
    logger.warning("%s: no seqinfo.ini with a frameRate; times are at %g frames per second", folder, USUAL_RATE)
    return USUAL_RATE
