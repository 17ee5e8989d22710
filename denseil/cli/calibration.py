"""The verb that calibrates thresholds."""

from __future__ import annotations

from pathlib import Path

from denseil.cli import options, values
from denseil.cli.output import note, show
from denseil.cli.parser import Verbs


def declare(verbs: Verbs) -> None:
    """Declare `calibrate`."""
    verb = verbs.add(
        "calibrate",
        calibrate,
        "Measure thresholds on labelled vectors and write them into a model's folder.",
        examples=(
            "denseil calibrate labelled.safetensors runs/mars/final",
            "denseil calibrate labelled.safetensors runs/mars/final --far 0.05 0.01 --plot thresholds.png",
        ),
    )
    what = verb.subject("input")
    what.add("features", type=values.path, help="vectors of a labelled set, from denseil embed with this model")
    what.add("model", type=values.path, help="folder of the model; the thresholds are written into its config.json")
    rates = verb.subject("thresholds")
    rates.gather(
        "--far",
        type=values.listed(values.number(0, 1, above=True)),
        metavar="RATE",
        help="false-accept rates (default: those of 0.01, 0.001 and 0.0001 for which there are enough pairs)",
    )
    rates.add("--plot", type=values.new_picture, metavar="FILE", help="plot both error rates over the threshold")
    options.general(verb, json=True)


def calibrate(features: Path, model: Path, far: list[float] | None, plot: Path | None, json: bool) -> int:
    """Measure thresholds on labelled vectors and write them into a model's folder."""
    from denseil.embedding import calibrate as measure

    found = measure(features, model, rates=far)
    show(found, as_json=json)
    if plot is not None:
        found.plot(plot)
    note(f"thresholds written to {model / 'config.json'}")
    return 0
