"""The frames kept of a growing track."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

DEFAULT_FRAMES = 8  # kept of a track for models whose clips are single frames
T = TypeVar("T")


def frames_to_keep(max_frames: int | None, clip_len: int) -> int:
    """Return how many frames of a track are kept: `max_frames`, or by default the clip length.

    Raises:
        ValueError: If it is below 2, for the first and the newest frame.
    """
    if max_frames is None:
        return clip_len if clip_len > 1 else DEFAULT_FRAMES
    if max_frames < 2:
        raise ValueError(f"max_frames is at least 2, the first and the newest, got {max_frames}")
    return max_frames


@dataclass
class KeptFrames(Generic[T]):
    """The frames kept of one track.

    Attributes:
        seen: Number of its frames so far.
        ranks: Which of them are kept, from 0, ascending.
        tokens: Tokens (P, sum of widths) of each kept frame.
    """

    seen: int = 0
    ranks: list[int] = field(default_factory=list)
    tokens: list[T] = field(default_factory=list)

    def add(self, tokens: T, most: int) -> None:
        """Keep a frame; if there are too many, drop the one whose neighbours are nearest to each other.

        The first and the newest frame are always kept. After n frames no two neighbours of the k kept are further apart
        than max(1, 2 (n - 1) / (k - 1)): at most about twice the even spacing.
        """
        self.ranks.append(self.seen)
        self.tokens.append(tokens)
        self.seen += 1
        if len(self.ranks) > most:
            inner = range(1, len(self.ranks) - 1)
            out = min(inner, key=lambda place: self.ranks[place + 1] - self.ranks[place - 1])
            del self.ranks[out], self.tokens[out]
