"""Choice of the frames to keep of a growing track."""

from __future__ import annotations

from collections.abc import Sequence


def to_give_up(ranks: Sequence[int]) -> int:
    """Return the index of the frame to drop: the one whose neighbours are nearest to each other.

    The first and the newest frame are always kept. After n frames no two neighbours of the k kept are further apart
    than max(1, 2 (n - 1) / (k - 1)): at most about twice the even spacing.

    Args:
        ranks: Numbers of the frames that are kept, ascending, at least three.
    """
    return min(range(1, len(ranks) - 1), key=lambda place: ranks[place + 1] - ranks[place - 1])
