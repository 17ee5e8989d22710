"""The identity of a tracklet: one printed id for files, galleries and searches.

    c1/clip.mp4/12@30.5     camera 1, source clip.mp4, track 12, starting at 30.5 seconds

Two tracklets have the same id only if camera, source, track and start are all equal.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote

from denseil.common.text import counted

_PRINTED = re.compile(r"c(-?[0-9]{1,19})/(?:(.*)/)?([^/@]+)(?:@([^/@]+))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TrackKey:
    """Camera, source, track and start of a tracklet.

    `str(key)` is its id. `TrackKey.parse` reads an id.

    Attributes:
        camid: The camera.
        source: Where the tracklet is from: the file name of a video, the name of a folder or of a dataset; may be
            empty.
        track: The name of the track in the source, not empty.
        start: Time of the first frame in seconds; None if it is not known.

    Raises:
        ValueError: If the track is empty, a text cannot be encoded, or the start is not finite.
    """

    camid: int
    source: str
    track: str
    start: float | None = None

    def __post_init__(self) -> None:
        if not self.track:
            raise ValueError("the track of a TrackKey is empty; give each tracklet of a source a name of its own")
        if self.start is not None and not math.isfinite(self.start):
            raise ValueError(f"start={self.start} of a TrackKey is not finite; give seconds, or None if not known")
        try:
            (self.source + self.track).encode(errors="surrogateescape")
        except UnicodeEncodeError as error:
            raise ValueError(f"a name of a TrackKey is not valid Unicode: {self.track!r} of {self.source!r}") from error

    def __str__(self) -> str:
        source = f"{_escaped(self.source, '%')}/" if self.source else ""
        start = "" if self.start is None else f"@{_number(self.start)}"
        return f"c{self.camid}/{source}{_escaped(self.track, '%/@')}{start}"

    @classmethod
    def parse(cls, text: str) -> TrackKey:
        """Read a printed id.

        Raises:
            ValueError: If it is not the id of a `TrackKey`.
        """
        found = _PRINTED.fullmatch(text)
        if found is not None:
            camid, source, track, start = found.groups()
            try:
                key = cls(int(camid), _read(source or ""), _read(track), None if start is None else float(start))
            except ValueError:
                key = None
            if key is not None and str(key) == text:
                return key
        raise ValueError(f"{text!r} is not the id of a tracklet; ids look like c1/clip.mp4/12@30.5")


def check_unique(keys: Iterable[TrackKey]) -> list[str]:
    """Return the ids of keys, after checking that all differ.

    Returns:
        The ids, in order.

    Raises:
        ValueError: If two are equal; the message counts them.
    """
    ids = [str(key) for key in keys]
    times = Counter(ids)
    if len(times) < len(ids):
        twice = [name for name, count in times.items() if count > 1]
        raise ValueError(
            f"{sum(times[name] for name in twice)} of {len(ids)} tracklets share {counted(len(twice), 'id')}, first "
            f"{twice[0]!r} ({times[twice[0]]} times): give them other cameras, sources, names or start times (--camid, "
            "--source, --start of denseil tracklets)"
        )
    return ids


def _escaped(text: str, marks: str) -> str:
    """Percent-encode marks and characters that cannot be printed."""
    return "".join(
        quote(letter, safe="", errors="surrogateescape") if letter in marks or not letter.isprintable() else letter
        for letter in text
    )


def _read(text: str) -> str:
    return unquote(text, errors="surrogateescape")


def _number(seconds: float) -> str:
    """Format seconds in the fewest digits that parse to the same number."""
    return repr(float(seconds) + 0.0).removesuffix(".0")
