"""The automatic threshold, as pairs seen at once come in one by one."""

from __future__ import annotations

import numpy as np

from denseil.linking.threshold import FAR, MEAN, SPREAD, Threshold, move


class RunningThreshold:
    """Threshold that is given, or moves with the pairs of tracks seen at once.

    Args:
        threshold: Cosine similarity, or "auto"; see `auto_threshold`.
        far: Wanted share of pairs of two persons that are linked, for "auto".

    Raises:
        ValueError: If the threshold is neither "auto" nor in [-1, 1], or the rate is not in (0, 0.5].
    """

    def __init__(self, threshold: float | str, far: float = FAR) -> None:
        if threshold != "auto" and (isinstance(threshold, str) or not -1 <= threshold <= 1):
            raise ValueError(f"threshold={threshold!r}: give a cosine similarity from -1 to 1, or 'auto'")
        if not 0 < far <= 0.5:
            raise ValueError(f"far={far!r}: give a rate above 0 and at most 0.5, such as 0.01")
        self.given = None if isinstance(threshold, str) else float(threshold)
        self.far = far
        self.count, self.total, self.squares = 0, 0.0, 0.0
        self.value = self.given if self.given is not None else move(0, 0.0, 0.0, MEAN, SPREAD, far)

    def see(self, similarity: float) -> None:
        """Take in a pair that surely shows two persons."""
        self.count += 1
        self.total += similarity
        self.squares += similarity**2
        if self.given is None:
            mean = self.total / self.count
            variance = max(self.squares / self.count - mean**2, 0.0)
            self.value = move(self.count, mean, variance, MEAN, SPREAD, self.far)

    @property
    def threshold(self) -> Threshold:
        """The threshold now, and what it rests on."""
        if self.given is not None:
            return Threshold(self.given)
        return Threshold(float(np.float64(self.value)), "auto", pairs=self.count, far=self.far)
