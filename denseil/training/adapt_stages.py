"""The stages of `adapt`: each is tried, and kept only if the criterion says that it helped."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from denseil.common.files import keep_plan
from denseil.data import Tracklet
from denseil.training.adapt_clusters import Clusters, sure_clusters, train_clusters
from denseil.training.adapt_criterion import Criterion, Score, helped
from denseil.training.adapt_evidence import NoEvidenceError
from denseil.training.adapt_norms import batch_norms, blend, share_of
from denseil.training.adapt_result import Stage
from denseil.training.data_checks import fingerprint

logger = logging.getLogger(__name__)

NORMS, CLUSTERS = "batch norm", "clusters"
ROUNDS = 3  # of clusters, at most
NORMS_DROP, CLUSTERS_DROP = 0.1, 0.05  # of the conflicts, relative; statistics can lower them by nearly 0.1 in vain


@dataclass
class Run:
    """State of an adaptation: its arguments, and the stages tried so far.

    Attributes:
        tracklets: The tracklets to adapt to.
        output: The folder of the adapted model.
        seed: Random seed.
        device: Device to train on, as in `TrainConfig`.
        until: Time by which the stages are to end (`time.monotonic`).
        stages: Stages tried so far.
        clusters: Clusters that the model learned from in the last round that was kept.
        learned: Positions of the tracklets in the clusters of all rounds that were kept.
        longest: Seconds of the longest stage so far.
    """

    tracklets: list[Tracklet]
    output: Path
    seed: int
    device: str
    until: float
    stages: list[Stage] = field(default_factory=list)
    clusters: Clusters | None = None
    learned: set[int] = field(default_factory=set)
    longest: float = 0.0

    def __post_init__(self) -> None:
        self.parts = parts_of(self.output)

    def open(self, source: str) -> None:
        """Create the folder of intermediate files, or check that its files are of this run."""
        content = repr((source, fingerprint(self.tracklets), [(t.start, t.end) for t in self.tracklets], self.seed))
        key = hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
        otherwise = "the intermediate files of another run (another model, tracklets or seed): remove it"
        keep_plan(self.parts, key, otherwise=otherwise)


def parts_of(output: Path) -> Path:
    """Return the folder of intermediate files of an output folder."""
    output = output.absolute()
    return output.with_name(output.name + ".parts")


def try_stages(run: Run, first: nn.Module, bar: Any) -> tuple[nn.Module, Score | None, Score | None, str]:
    """Return the best model, scores of the first and of the best one, and why the first is the best ("" if not)."""
    try:
        criterion = Criterion(run.tracklets, first)
    except NoEvidenceError as error:
        return first, None, None, str(error)
    best = first
    if batch_norms(first):
        best = _try(run, best, Attempt(NORMS, _blend, NORMS_DROP), criterion, bar)
    for number in range(1, ROUNDS + 1):
        name = CLUSTERS if number == 1 else f"{CLUSTERS}, round {number}"
        better = _try(run, best, Attempt(name, partial(_learn, number=number), CLUSTERS_DROP), criterion, bar)
        if better is best:
            break
        best = better
    tried = "; ".join(f"{stage.name}: {stage.reason}" for stage in run.stages)
    return best, criterion.first, criterion.last, "" if best is not first else f"no stage improved it: {tried}"


class Attempt(NamedTuple):
    """A stage to try: its name, the change of the model in place, and by how much the conflicts must fall."""

    name: str
    change: Callable[[Run, nn.Module], Clusters | None]
    drop: float


def _try(run: Run, best: nn.Module, attempt: Attempt, criterion: Criterion, bar: Any) -> nn.Module:
    """Try a stage, and return its model if it is better than the best one so far, else the latter."""
    before, name = criterion.last, attempt.name
    bar.set_postfix_str(name)
    bar.update()
    begun = time.monotonic()
    if begun + run.longest > run.until:
        run.stages.append(Stage(name, False, "too little time was left for it", before))
        return best
    candidate = deepcopy(best)
    try:
        clusters = attempt.change(run, candidate)
    except NoEvidenceError as error:
        run.stages.append(Stage(name, False, str(error), before))
        return best
    score = criterion.measure(candidate)
    run.longest = max(run.longest, time.monotonic() - begun)
    learned = clusters.learned if clusters else ()
    reason = helped(before, score, drop=attempt.drop, learned=learned, seed=run.seed)
    run.stages.append(Stage(name, not reason, reason, before, score))
    logger.info("%s: conflicts %.3f to %.3f, %s", name, before.conflicts, score.conflicts, reason or "kept")
    if reason:
        return best
    criterion.last, run.clusters = score, clusters or run.clusters
    run.learned.update(learned)
    return candidate


def _blend(run: Run, model: nn.Module) -> None:
    blend(model, run.tracklets, share_of(len(run.tracklets)), seed=run.seed)


def _learn(run: Run, model: nn.Module, *, number: int) -> Clusters:
    clusters = sure_clusters(model, run.tracklets)
    folder = run.parts / f"round-{number}"
    train_clusters(model, run.tracklets, clusters, folder, seed=run.seed, device=run.device)
    return clusters
