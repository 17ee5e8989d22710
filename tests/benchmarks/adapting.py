"""What `adapt` gains or loses on rendered people seen by other cameras; labels are used for scoring alone.

    python -m tests.benchmarks.shifts runs/shifts none night compressed high --seed 1 2 3
    python -m tests.benchmarks.adapting runs/shifts/* > runs/adapting.jsonl

Writes a line of JSON for each set: mAP before and after (all frames, protocol standard), stages, seconds. With
`--statistics` the first stage alone is run, and measured whether it would be kept or not.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np

import denseil
from denseil.data import Tracklet, VideoReIDDataset, read_dataset
from denseil.embedding import evaluate
from denseil.training import adapt
from denseil.training.adapt_criterion import Criterion, helped
from denseil.training.adapt_norms import blend
from denseil.training.adapt_result import Stage
from denseil.training.adapt_stages import LEAST_GAIN_DIRECT, SHARE

MODEL = "denseil_mobilenetv2.people_v1"


def measure(
    root: Path, *, seed: int, minutes: float, count: int | None, swapped: float, model: str
) -> dict[str, object]:
    """Adapt to the tracklets of a set, and evaluate before and after."""
    dataset = read_dataset("manifest", root)
    tracklets = _without_labels(dataset, count, swapped, seed)
    before = denseil.create_model(model, pretrained=True).eval()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        result = adapt(before, tracklets, output=Path(folder, "model"), seed=seed, minutes=minutes, device="cpu")
        seconds = time.perf_counter() - start
        after = denseil.create_model(f"local-dir:{result.folder}", pretrained=True).eval()
    maps = [evaluate(each, dataset).mAP for each in (before, after)]
    return {
        "set": root.name,
        "seed": seed,
        "tracklets": len(tracklets),
        "swapped": swapped,
        "mAP before": round(100 * maps[0], 2),
        "mAP after": round(100 * maps[1], 2),
        "gain": round(100 * (maps[1] - maps[0]), 2),
        "stages": [_told(stage) for stage in result.stages],
        "reason": result.reason,
        "seconds": round(seconds),
        "peak MiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def measure_statistics(root: Path, *, seed: int, model: str) -> dict[str, object]:
    """Blend batch-norm statistics half-way, and evaluate before and after, whatever the criterion says."""
    dataset = read_dataset("manifest", root)
    tracklets = _without_labels(dataset, None, 0.0, seed)
    before = denseil.create_model(model, pretrained=True).eval()
    criterion = Criterion(tracklets, before)
    after = deepcopy(before)
    blend(after, tracklets, SHARE, seed=seed)
    score = criterion.measure(after)
    maps = [evaluate(each, dataset).mAP for each in (before, after)]
    return {
        "set": root.name,
        "mAP before": round(100 * maps[0], 2),
        "mAP after": round(100 * maps[1], 2),
        "separation": [round(each.separation, 2) for each in (criterion.first, score)],
        "not kept": helped(criterion.first, score, least_gain=LEAST_GAIN_DIRECT, seed=seed),
    }


def _told(stage: Stage) -> str:
    told = f"{stage.name}: " + ("kept" if stage.kept else stage.reason)
    if stage.before is None or stage.score is None:
        return told
    return f"{told} ({stage.before.separation:.2f} to {stage.score.separation:.2f})"


def _without_labels(dataset: VideoReIDDataset, count: int | None, swapped: float, seed: int) -> Sequence[Tracklet]:
    """The tracklets of a set, in random order, some of them with the end of another one, as trackers swap persons."""
    rng = np.random.default_rng(seed)
    found = [replace(tracklet, pid=-1) for tracklet in dataset.gallery_with_queries()[0]]
    found = [found[place] for place in rng.permutation(len(found))[:count]]
    chosen = rng.permutation(len(found))[: round(swapped * len(found))]
    for place, other in zip(chosen, np.roll(chosen, 1), strict=True):
        half = len(found[place].frames) // 2
        found[place] = replace(found[place], frames=[*found[place].frames[:half], *found[other].frames[half:]])
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("roots", nargs="+", type=Path)
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--count", type=int)
    parser.add_argument("--swapped", type=float, default=0.0)
    parser.add_argument("--statistics", action="store_true")
    given = vars(parser.parse_args())
    statistics = given.pop("statistics")
    for root in given.pop("roots"):
        if statistics:
            line = measure_statistics(root, seed=given["seed"], model=given["model"])
        else:
            line = measure(root, **given)
        print(json.dumps(line), flush=True)
