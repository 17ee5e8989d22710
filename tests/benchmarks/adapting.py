"""What `adapt` gains or loses on rendered people seen by other cameras; labels are used for scoring alone.

    python -m tests.benchmarks.shifts runs/shifts none night compressed high --seed 1 2 3
    python -m tests.benchmarks.adapting runs/shifts/* --bound > runs/adapting.jsonl
    python -m tests.benchmarks.adapting runs/shifts/* --table runs/adapting.jsonl

Writes a line of JSON for each set: mAP before and after, stages, how many pairs of the clusters are right, seconds.
Every tracklet is a query, against those of other cameras (protocol standard, all frames).
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import nn

import denseil
from denseil.data import Tracklet, read_dataset
from denseil.embedding import embed_tracklets
from denseil.metrics import Embeddings, rank
from denseil.models import model_id
from denseil.training import adapt, adapt_stages
from denseil.training.adapt_clusters import Clusters, train_once
from denseil.training.adapt_criterion import Criterion, Score
from denseil.training.adapt_norms import blend, share_of
from denseil.training.adapt_result import Stage

MODEL = "denseil_mobilenetv2"


def measure(
    root: Path, *, seed: int, minutes: float, model: str, change: dict[str, Any], bound: bool
) -> dict[str, Any]:
    """Adapt to the tracklets of a set, and evaluate before and after."""
    labelled = changed(read_tracklets(root, seed), seed=seed, **change)
    pids = [tracklet.pid for tracklet in labelled]
    scored = read_tracklets(root, seed)  # all of the set, without swaps
    before = denseil.create_model(model, pretrained=True).eval()
    tried: list[nn.Module] = []
    groups: list[list[int]] = []
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, collecting(tried, groups):
        unlabelled = [replace(tracklet, pid=-1) for tracklet in labelled]
        result = adapt(before, unlabelled, output=Path(folder, "out"), seed=seed, minutes=minutes, device="cpu")
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        after = denseil.create_model(f"local-dir:{result.folder}", pretrained=True).eval()
    maps = [mean_ap(each, scored) for each in (before, after)]
    line = {
        "set": root.name,
        "seed": seed,
        **change,
        "model": model_id(before)[:12],
        "tracklets": len(labelled),
        "before": round(maps[0], 2),
        "after": round(maps[1], 2),
        "gain": round(maps[1] - maps[0], 2),
        "stages": [told(stage) for stage in result.stages],
        "tried": [round(mean_ap(each, scored) - maps[0], 2) for each in tried],
        "pairs": right_pairs(groups, pids),
        "reason": result.reason,
        "seconds": round(seconds),
        "peak MiB": round(peak),
    }
    if bound:
        line["bound"] = round(mean_ap(with_labels(before, labelled, seed), scored) - maps[0], 2)
    return line


@contextmanager
def collecting(tried: list[nn.Module], groups: list[list[int]]) -> Iterator[None]:
    """Collect the models that stages made and the clusters that they learned from, whether they are kept or not."""
    measure, find = Criterion.measure, adapt_stages.sure_clusters

    def collect(self: Criterion, model: nn.Module) -> Score:
        tried.append(model)
        return measure(self, model)

    def collect_clusters(model: nn.Module, tracklets: Sequence[Tracklet]) -> Clusters:
        found = find(model, tracklets)
        groups.extend(found.places)
        return found

    with (
        mock.patch.object(Criterion, "measure", collect),
        mock.patch.object(adapt_stages, "sure_clusters", collect_clusters),
    ):
        yield


def with_labels(model: nn.Module, tracklets: Sequence[Tracklet], seed: int) -> nn.Module:
    """Both stages with the true identities in the place of clusters: one training of as many steps, not averaged."""
    with tempfile.TemporaryDirectory() as folder:
        blend(model, tracklets, share_of(len(tracklets)), seed=seed)
        train_once(model, tracklets, Path(folder, "run"), seed=seed, device="cpu")
    return model.eval()


def read_tracklets(root: Path, seed: int) -> list[Tracklet]:
    """The tracklets of a set, in random order."""
    found = read_dataset("manifest", root).gallery_with_queries()[0]
    return [found[place] for place in np.random.default_rng(seed).permutation(len(found))]


def changed(
    tracklets: list[Tracklet], *, seed: int, count: int | None, swapped: float, cameras: int | None, persons: int | None
) -> list[Tracklet]:
    """Some of the tracklets only; some of them with the end of another one, as trackers swap persons."""
    pids = sorted({tracklet.pid for tracklet in tracklets})[:persons]
    camids = sorted({tracklet.camid for tracklet in tracklets})[:cameras]
    found = [each for each in tracklets if each.pid in pids and each.camid in camids][:count]
    chosen = np.random.default_rng(seed).permutation(len(found))[: round(swapped * len(found))]
    ends = {place: found[other].frames for place, other in zip(chosen, np.roll(chosen, 1), strict=True)}
    for place, frames in ends.items():
        half = len(found[place].frames) // 2
        found[place] = replace(found[place], frames=[*found[place].frames[:half], *frames[half:]])
    return found


def mean_ap(model: nn.Module, tracklets: Sequence[Tracklet]) -> float:
    """Percent, each tracklet against those of other cameras."""
    vectors = torch.stack(list(embed_tracklets(model, tracklets))).numpy()
    pids, camids = ([getattr(each, name) for each in tracklets] for name in ("pid", "camid"))
    embeddings = Embeddings(vectors, np.array(pids), np.array(camids))
    return 100 * rank(embeddings, embeddings).mAP


def right_pairs(groups: Sequence[Sequence[int]], pids: Sequence[int]) -> str:
    """How many pairs within clusters are of one person, of how many."""
    pairs = [pair for group in groups for pair in combinations(group, 2)]
    return f"{sum(pids[a] == pids[b] for a, b in pairs)} of {len(pairs)}"


def told(stage: Stage) -> str:
    """A stage in words."""
    told = f"{stage.name}: " + ("kept" if stage.kept else stage.reason)
    if stage.before is None or stage.score is None:
        return told
    return f"{told} ({stage.before.conflicts:.3f} to {stage.score.conflicts:.3f})"


def table(lines: Sequence[dict[str, Any]]) -> str:
    """A row for each kind of set: gains of its seeds, their mean and least, and the bound."""
    rows = ["| set | before | gain | mean | least | with labels |", "|---|---|---|---|---|---|"]
    kinds = list(dict.fromkeys(line["set"].rpartition("-")[0] for line in lines))
    for kind in [*kinds, "all but none"]:
        own = [
            line
            for line in lines
            if line["set"].rpartition("-")[0] == kind or (kind not in kinds and "none" not in line["set"])
        ]
        gains, bounds = [line["gain"] for line in own], [line["bound"] for line in own if "bound" in line]
        cells = [
            kind,
            ", ".join(f"{line['before']:.1f}" for line in own) if kind in kinds else "",
            ", ".join(f"{gain:+.2f}" for gain in gains) if kind in kinds else "",
            f"{statistics.mean(gains):+.2f}",
            f"{min(gains):+.2f}",
            f"{statistics.mean(bounds):+.2f}" if bounds else "",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("roots", nargs="+", type=Path)
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--count", type=int, help="so many random tracklets")
    parser.add_argument("--cameras", type=int, help="only those of the first cameras")
    parser.add_argument("--persons", type=int, help="only those of the first persons")
    parser.add_argument("--swapped", type=float, default=0.0, help="share whose second half is of another tracklet")
    parser.add_argument("--bound", action="store_true", help="train with the true identities, too")
    parser.add_argument("--table", type=Path, help="lines written before, of which to print a table")
    given = vars(parser.parse_args())
    if given["table"]:
        print(table([json.loads(line) for line in given["table"].read_text().splitlines()]))
    else:
        change = {name: given[name] for name in ("count", "swapped", "cameras", "persons")}
        fixed = {name: given[name] for name in ("seed", "minutes", "model", "bound")}
        for root in given["roots"]:
            print(json.dumps(measure(root, change=change, **fixed)), flush=True)
