"""The automatic threshold, as pairs seen at once come in one by one."""

from __future__ import annotations

from collections import deque

import numpy as np

from denseil.common.arguments import shown
from denseil.linking.threshold import FAR, MEAN, ROUNDING, SPREAD, Threshold, check_given, not_twice, value_of

NEWEST = 1000  # pairs that the threshold rests on


class RunningThreshold:
    """Threshold that is given, or moves with the newest 1,000 pairs of tracks seen at once.

    Args:
        threshold: Cosine similarity, or "auto"; see `auto_threshold`.
        far: Wanted share of pairs of two persons that are linked, for "auto".

    Raises:
        ValueError: If the threshold is neither "auto" nor in [-1, 1], the rate is not in (0, 0.5], or is given
            beside a number.
    """

    def __init__(self, threshold: float | str, far: float = FAR) -> None:
        check_given(threshold, far)
        if not 0 < far <= 0.5:
            raise ValueError(f"far={shown(far)}: give a rate above 0 and at most 0.5, such as 0.01")
        self.far = far
        self._pairs: deque[float] = deque(maxlen=NEWEST)
        self._given = not isinstance(threshold, str)
        self._threshold: Threshold | None = None if isinstance(threshold, str) else Threshold(float(threshold))

    def see(self, similarity: float) -> None:
        """Take in a pair that surely shows two persons."""
        if not self._given:
            self._pairs.append(similarity)
            self._threshold = None

    @property
    def value(self) -> float:
        """The similarity that two of one person have at least, now."""
        return self.threshold.value - ROUNDING

    @property
    def threshold(self) -> Threshold:
        """The threshold now, and what it rests on."""
        if self._threshold is None:
            similar = np.sort(np.array(self._pairs, np.float32))
            kept = not_twice(similar)
            value = value_of(similar[kept], MEAN, SPREAD, self.far)
            self._threshold = Threshold(value, "running", int(kept.sum()), far=self.far, left_out=int((~kept).sum()))
        return self._threshold
