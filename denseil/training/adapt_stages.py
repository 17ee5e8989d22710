"""The stages of `adapt`: each is tried, and kept only if the criterion says that it helped."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from denseil.common.files import replacing
from denseil.data import Tracklet
from denseil.training.adapt_contrast import Pseudo, pseudo_identities, train_contrast
from denseil.training.adapt_criterion import Criterion, NoEvidenceError, Score, helped
from denseil.training.adapt_evidence import hold_out
from denseil.training.adapt_norms import batch_norms, blend
from denseil.training.adapt_result import Stage
from denseil.training.data_checks import fingerprint

logger = logging.getLogger(__name__)

SHARE = 0.5  # of the own data in the batch norms' statistics
# Least relative gain of the separation. Blended statistics lift it by 6 to 10 % on rendered people without gaining mAP,
# and the contrastive stage minimises nearly the same quantity.
LEAST_GAIN_DIRECT, LEAST_GAIN = 0.12, 0.05
ROUNDS = 3
LEAST_JOINED = 0.2  # of the tracklets to learn from: with fewer in clusters, wrong ones weigh too much
NORMS, CONTRAST, CLUSTERS = "batch norm", "contrast", "clusters"
PLAN = "plan.txt"


@dataclass
class Run:
    """What stages need, and what they leave.

    Attributes:
        tracklets: All tracklets.
        output: The folder of the adapted model.
        seed: Random seed.
        device: Where to train, as in `TrainConfig`.
        until: No stage is begun after this time (`time.monotonic`).
        stages: Those tried so far.
        pseudo: Pseudo-identities of the last kept round of clusters.
    """

    tracklets: list[Tracklet]
    output: Path
    seed: int
    device: str
    until: float
    stages: list[Stage] = field(default_factory=list)
    pseudo: Pseudo | None = None

    def __post_init__(self) -> None:
        self.learn, self.held_out = hold_out(self.tracklets, self.seed)
        self.parts = self.output.with_name(self.output.name + ".parts")

    def own(self, places: Sequence[int]) -> list[Tracklet]:
        """Return the tracklets at some positions."""
        return [self.tracklets[place] for place in places]

    def open(self, source: str) -> None:
        """Make the folder of parts, or check that those in it are of this run."""
        content = repr((source, fingerprint(self.tracklets), [(t.start, t.end) for t in self.tracklets], self.seed))
        key = hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
        self.parts.mkdir(parents=True, exist_ok=True)
        plan = self.parts / PLAN
        if not plan.exists():
            with replacing(plan) as temporary:
                temporary.write_text(key, encoding="utf-8")
        elif plan.read_text(encoding="utf-8") != key:
            raise ValueError(
                f"{self.parts} holds the parts of another run (another model, tracklets or seed): remove it"
            )


def try_stages(run: Run, first: nn.Module, bar: Any) -> tuple[nn.Module, Score | None, Score | None, str]:
    """Return the best model, scores of the first and of the best one, and why the first is the best ("" if not)."""
    try:
        whole = Criterion(run.tracklets, first)
    except NoEvidenceError as error:
        return first, None, None, str(error)
    best = first
    if batch_norms(first):  # the data's statistics do not depend on the pairs, so nothing need be held out
        best = _try(run, best, NORMS, lambda model: blend(model, run.tracklets, SHARE, seed=run.seed), whole, bar)
    if whole.timed:
        best = _try_contrast(run, best, bar)
    after = whole.first if best is first else whole.measure(best)
    if best is not first and after.separation < whole.first.separation:
        run.pseudo = None
        return first, whole.first, whole.first, "all stages together made it worse"
    tried = "; ".join(f"{stage.name}: {stage.reason}" for stage in run.stages)
    return best, whole.first, after, "" if best is not first else f"no stage made it better: {tried}"


Change = Callable[[nn.Module], "Pseudo | None"]


def _try_contrast(run: Run, best: nn.Module, bar: Any) -> nn.Module:
    """Try the stages that learn from pairs, and return the best model; the held-out tracklets decide."""
    try:
        criterion = Criterion(run.own(run.held_out), best)
    except NoEvidenceError as error:
        run.stages.append(Stage(CONTRAST, False, str(error)))
        return best
    best = _try(run, best, CONTRAST, lambda model: _contrast(run, model, CONTRAST, join=False), criterion, bar)
    for number in range(1, ROUNDS + 1):
        name = f"{CLUSTERS}, round {number}"
        last, best = best, _try(run, best, name, partial(_contrast, run, name=name, join=True), criterion, bar)
        if best is last:
            break
    return best


def _try(run: Run, best: nn.Module, name: str, change: Change, criterion: Criterion, bar: Any) -> nn.Module:
    """Try a stage, and return its model if it is better than the best one so far, else the latter."""
    before = criterion.last
    bar.set_postfix_str(name)
    bar.update()
    if time.monotonic() > run.until:
        run.stages.append(Stage(name, False, "the time was over", before))
        return best
    candidate = deepcopy(best)
    try:
        pseudo = change(candidate)
    except NoEvidenceError as error:
        run.stages.append(Stage(name, False, str(error), before))
        return best
    score = criterion.measure(candidate)
    least = LEAST_GAIN_DIRECT if name in (NORMS, CONTRAST) else LEAST_GAIN
    reason = helped(before, score, least_gain=least, seed=run.seed)
    run.stages.append(Stage(name, not reason, reason, before, score))
    logger.info("%s: separation %.3f to %.3f, %s", name, before.separation, score.separation, reason or "kept")
    if reason:
        return best
    criterion.last, run.pseudo = score, pseudo or run.pseudo
    return candidate


def _contrast(run: Run, model: nn.Module, name: str, join: bool) -> Pseudo | None:
    pseudo = pseudo_identities(model, run.own(run.learn), join=join)
    joined = sum(len(cluster) for cluster in pseudo.clusters if len(cluster) > 1)
    if join and joined < LEAST_JOINED * len(run.learn):
        raise NoEvidenceError(f"only {joined} of {len(run.learn)} tracklets are surely like another one")
    folder = run.parts / name.replace(", ", "-").replace(" ", "-")
    train_contrast(model, pseudo, folder, seed=run.seed, device=run.device)
    return pseudo if join else None
