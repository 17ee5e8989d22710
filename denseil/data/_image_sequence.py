"""Sequences of image files as videos: their order, their numbers and their rate."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator
from configparser import ConfigParser, SectionProxy
from configparser import Error as ConfigError
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from denseil.data.frame import USUAL_RATE, Frame

logger = logging.getLogger(__name__)
_LAST_NUMBER = re.compile("([0-9]+)(?=[^0-9]*$)")
MOST_MISSING = 10**6  # images between two; a larger number in a name is no frame's


class ImageSequence:
    """Image files as the frames of a video, in the natural order of their names."""

    lost = 0
    error: type[Exception] = FileNotFoundError  # never raised while iterating

    def __init__(self, folder: Path, names: list[str], fps: float | None) -> None:
        if not names:
            raise FileNotFoundError(f"no frames in {folder}: give a folder of images, or a video file")
        self.paths = [folder / name for name in names]
        self.doubts: list[str] = []
        whole = folder.resolve()
        known = _seqinfo(whole)
        self.numbers = self._numbers(names, known)
        self.name = "/".join(part for part in (whole.parent.name, whole.name) if part)
        self.fps = fps or _rate(whole, known)

    def __iter__(self) -> Iterator[Frame]:
        for number, path in zip(self.numbers, self.paths, strict=True):
            yield Frame(number, (number - 1) / self.fps, False, path)

    def _numbers(self, names: list[str], known: list[SectionProxy]) -> list[int]:
        """Numbers of frames, from 1: by the last number in each name, else by their places.

        Beside a `seqinfo.ini` names count from its `imStart`, or 1. Elsewhere they count if some are neighbours, from
        the first, a doubt if it is above 1.
        """
        found = [_LAST_NUMBER.search(Path(name).stem) for name in names]
        values = [int(each[0]) for each in found if each is not None]
        steps = {after - before for before, after in pairwise(values)} or {1}
        if len(values) < len(names) or min(steps) < 1 or not (known or 1 in steps):
            if 1 in steps and len(steps) > 1:
                self._doubt(
                    "the numbers in the names of the images do not always rise, so that frames are counted by their "
                    "places; put the images of one camera, and no others, into a folder of their own"
                )
            return list(range(1, len(names) + 1))
        if max(steps) > MOST_MISSING:
            place = next(place for place, (a, b) in enumerate(pairwise(values), start=1) if b - a > MOST_MISSING)
            raise ValueError(
                f"{self.paths[place]} would be frame {values[place]:,}, after {names[place - 1]}: move it away if it "
                "is no frame, or rename the images"
            )
        first = values[0]
        if known:
            first = min(first, next((int(start) for start in _values(known, "imStart") if start >= 0), 1))
        elif first > 1:
            self._doubt(
                f"{names[0]} is taken for frame 1; if images before it are missing, add a seqinfo.ini with [Sequence] "
                "and imStart=1 beside the folder"
            )
        return [value - first + 1 for value in values]

    def _doubt(self, reason: str) -> None:
        self.doubts.append(reason)
        logger.warning("%s: %s", self.paths[0].parent, reason)


def _seqinfo(folder: Path) -> list[SectionProxy]:
    """Read the `seqinfo.ini` of MOT Challenge, in the folder and beside it; nothing where there is none."""
    found = []
    for path in (folder / "seqinfo.ini", folder.parent / "seqinfo.ini"):
        known = ConfigParser(interpolation=None)
        with suppress(ConfigError, ValueError, KeyError):
            known.read(path, encoding="utf-8")
            found.append(known["Sequence"])
    return found


def _values(known: list[SectionProxy], key: str) -> Iterator[float]:
    """Yield the finite numbers under a key."""
    for section in known:
        with suppress(ValueError):
            if math.isfinite(value := float(section.get(key, ""))):
                yield value


def _rate(folder: Path, known: list[SectionProxy]) -> float:
    """Frames per second by a `seqinfo.ini`, else the usual rate with a warning."""
    rate = next((rate for rate in _values(known, "frameRate") if rate > 0), None)
    if rate is None:
        logger.warning("%s: no seqinfo.ini with a frameRate; times are at %g frames per second", folder, USUAL_RATE)
    return rate or USUAL_RATE
