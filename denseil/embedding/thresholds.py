"""The thresholds that `denseil calibrate` puts into a model, read without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def threshold_at(
    thresholds: Mapping[str, Any], far: float | None, *, made: Mapping[str, Any], own: Mapping[str, Any] | None = None
) -> float:
    """Return the cosine similarity from which on two vectors are of one person.

    Args:
        thresholds: Those of the model.
        far: A calibrated false-accept rate; None for the threshold at which both errors are equally frequent.
        made: How the vectors to compare are made: `frames`, `flip` and, where it can be chosen, the preprocessing.
        own: The model's own preprocessing, which thresholds are measured with; None if it is not known.

    Raises:
        ValueError: If there are no thresholds, none for this rate, or they were measured on vectors made otherwise.
    """
    if far is not None and not 0 < far <= 1:
        raise ValueError(f"far={far}: a false-accept rate is above 0 and at most 1, such as 0.01 for 1 %")
    if not thresholds:
        raise ValueError(
            "the model has no thresholds: run `denseil calibrate` on its folder, then open it, or export it, again"
        )
    recorded = {"frames": thresholds.get("frames"), "flip": thresholds.get("flip", False)}  # no frames: not known
    measured = {**(own or {}), **recorded}
    for name, value in made.items():
        if measured.get(name) not in (None, value):
            raise ValueError(
                f"{name}={value!r}: the model's thresholds were measured with {name}={measured[name]!r}; embed so, or "
                "calibrate again"
            )
    try:
        if far is None:
            return float(thresholds["eer"]["threshold"])
        by_rate = {float(rate): float(value) for rate, value in thresholds["far"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError("the model's thresholds are damaged: calibrate it again") from error
    if far not in by_rate:
        raise ValueError(
            f"no threshold for a false-accept rate of {far}; calibrated are {sorted(by_rate)}: give one of these, or "
            f"run `denseil calibrate` with --far {far}"
        )
    return by_rate[far]
