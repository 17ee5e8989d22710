"""The thresholds that `denseil calibrate` puts into a model, read without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def threshold_at(thresholds: Mapping[str, Any], far: float | None) -> float:
    """Return the cosine similarity from which on two vectors are of one person.

    Args:
        thresholds: Those of the model.
        far: A calibrated false-accept rate; None for the threshold at which both errors are equally frequent.

    Raises:
        ValueError: If there are no thresholds, or none for this rate.
    """
    if not thresholds:
        raise ValueError(
            "the model has no thresholds: run `denseil calibrate` on its folder, then open it, or export it, again"
        )
    if far is None:
        return float(thresholds["eer"]["threshold"])
    by_rate = {float(rate): value for rate, value in thresholds["far"].items()}
    if far not in by_rate:
        raise ValueError(
            f"no threshold for a false-accept rate of {far}; calibrated are {sorted(by_rate)}: give one of these, or "
            f"run `denseil calibrate` with --far {far}"
        )
    return float(by_rate[far])
