"""The verb that finds thresholds."""

from __future__ import annotations

from pathlib import Path

from denseil.embedding import calibrate as calibrate_model


def calibrate(features: Path, model: Path, *, far: list[float] | None = None, plot: Path | None = None) -> int:
    """Measure thresholds on labelled vectors and write them into a model's folder.

    Args:
        features: Vectors of a labelled set, made by denseil embed with this model.
        model: The model's folder; its config.json gets the thresholds.
        far: False-accept rates, such as '[0.01, 0.001]'; by default those of 0.01, 0.001, 0.0001 with pairs enough.
        plot: Where to draw both error rates over the threshold; the suffix names the format.
    """
    found = calibrate_model(features, model, rates=far)
    print(found)
    if plot is not None:
        found.plot(plot)
    print(f"thresholds written to {model / 'config.json'}")
    return 0
