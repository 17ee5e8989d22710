"""mAP of models with 1, 4 and all frames of a tracklet: `python -m tests.benchmarks.frame_counts MODEL --on ROOT`.

A MODEL is a packaged name or a saved folder. `--mean MODEL ...` evaluates the mean of the weights of several, and
`--half-way OLD NEW ...` what lies half-way from one model to the mean of others. A ROOT holds a dataset in the layout
of MARS, or `manifest.csv`.

    python -m tests.benchmarks.shifts runs/shifts none night compressed high --seed 1
    python -m tests.benchmarks.frame_counts denseil_mobilenetv2 runs/groups/final --on runs/shifts/*-1
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import nn

from denseil import create_model, evaluate
from denseil.data import Tracklet, VideoReIDDataset, read_dataset
from denseil.models.average import average

FRAMES = (1, 4, None)


def opened(model: str) -> nn.Module:
    """A packaged model, or one of a folder."""
    return create_model(f"local-dir:{model}" if Path(model).is_dir() else model, pretrained=True).eval()


def read(root: Path) -> VideoReIDDataset:
    """The people of a folder."""
    manifest = root / "manifest.csv"
    return read_dataset("manifest", manifest) if manifest.exists() else read_dataset("mars", root)


def cut(tracklet: Tracklet, count: int | None) -> Tracklet:
    """The tracklet with its middle frame, or with `count` frames from its first to its last."""
    return replace(tracklet, frames=[tracklet.frames[i] for i in kept_frames(len(tracklet.frames), count)])


def kept_frames(held: int, count: int | None) -> list[int]:
    """The middle of `held` frames, or `count` from the first to the last; None for all."""
    if count == 1:
        return [held // 2]
    return [int(place) for place in np.linspace(0, held - 1, min(count or held, held)).round()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="packaged names or saved folders")
    parser.add_argument("--mean", nargs="+", action="append", default=[], metavar="MODEL")
    parser.add_argument("--half-way", nargs="+", action="append", default=[], metavar="MODEL", help="OLD NEW ...")
    parser.add_argument("--flip", action="store_true", help="with the mirrored frames as well")
    parser.add_argument("--on", nargs="+", type=Path, required=True, metavar="ROOT")
    options = parser.parse_args()
    models = {name: ([name], [1.0]) for name in options.models}
    models |= {f"mean of {', '.join(names)}": (names, [1 / len(names)] * len(names)) for names in options.mean}
    for old, *new in options.half_way:
        models[f"half-way from {old} to {', '.join(new)}"] = [old, *new], [0.5, *[0.5 / len(new)] * len(new)]
    for title, (names, shares) in models.items():
        model = average([opened(name) for name in names], shares)
        for root in options.on:
            people = read(root)
            found = [
                evaluate(
                    model,
                    replace(
                        people,
                        query=[cut(each, count) for each in people.query],
                        gallery=[cut(each, count) for each in people.gallery],
                    ),
                    flip=options.flip,
                ).mAP
                for count in FRAMES
            ]
            row = "  ".join(f"{count or 'all'}: {100 * mAP:5.1f}" for count, mAP in zip(FRAMES, found, strict=True))
            print(f"{title}  {root.name}  {row}", flush=True)


if __name__ == "__main__":
    main()
