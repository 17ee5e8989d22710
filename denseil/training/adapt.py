"""Adapt a model to unlabelled tracklets of one's own cameras, without making it worse."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from denseil.common.arguments import checked
from denseil.common.files import replacing
from denseil.common.processes import best_device
from denseil.data import Tracklet
from denseil.embedding.inputs import open_model
from denseil.models import model_id, save_pretrained, unwrap
from denseil.training.adapt_contrast import Pseudo, pseudo_identities, train_contrast
from denseil.training.adapt_criterion import Criterion, NoEvidenceError, Score, helped
from denseil.training.adapt_evidence import LEAST_TRACKLETS, hold_out
from denseil.training.adapt_norms import batch_norms, blend
from denseil.training.adapt_result import AdaptResult, Stage
from denseil.training.data_checks import fingerprint

logger = logging.getLogger(__name__)

SHARE = 0.5  # of the own data in the batch norms' statistics
# Least relative gain of the separation. Blended statistics lift it by 6 to 10 % on rendered people without gaining mAP.
LEAST_GAIN_NORMS, LEAST_GAIN = 0.12, 0.03
ROUNDS = 3
LEAST_JOINED = 0.2  # of the tracklets to learn from: with fewer in clusters, wrong ones weigh too much
NORMS, CONTRAST, CLUSTERS = "batch norm", "contrast", "clusters"
PLAN = "plan.txt"
FALSE_ACCEPTS = 0.01  # of the operating point


@checked
def adapt(
    model: nn.Module | str | os.PathLike[str],
    tracklets: Sequence[Tracklet],
    *,
    output: str | Path,
    seed: int = 0,
    minutes: float = 5,
    device: str = "auto",
    progress: bool = False,
) -> AdaptResult:
    """Adapt a model to the cameras that some unlabelled tracklets are from.

    Stages are tried one after the other: batch-norm statistics blended half-way with those of the tracklets; a
    contrastive loss on tracklets, with tracklets that were seen at once as negatives; up to three rounds of the same
    loss on tight clusters of tracklets. About a third of the tracklets is held out. After each stage the separation of
    pairs that are surely one person from pairs that are surely two is measured on them, and the stage is dropped unless
    it grew. If no stage is kept, the output is the model as it was.

    Identities (`pid`) are not used. Without times (`start`, `end`) only the first stage is tried. An interrupted run is
    continued by the same call, and ends in the same weights; its parts are in `OUTPUT.parts/` until it is done.

    Args:
        model: A model made by `create_model`, which is not changed; or a name with weights, or a saved folder.
        tracklets: At least 20, of any number of cameras.
        output: The folder to write: a saved model, and its report `adapt.json`.
        seed: Random seed.
        minutes: No stage is begun after this many minutes.
        device: auto for an accelerator where there is one, or a torch device such as cpu or cuda.
        progress: Show bars.

    Raises:
        ValueError: If there are too few tracklets, or an interrupted run at `output` was of other ones.
        FileExistsError: If the output folder is not empty.
        ModuleNotFoundError: If the extra `train` is not installed.
    """
    output = Path(output)
    if len(tracklets) < LEAST_TRACKLETS:
        raise ValueError(f"{len(tracklets)} tracklets: adapting needs at least {LEAST_TRACKLETS}")
    if not minutes > 0:
        raise ValueError(f"minutes={minutes}: it must be above 0")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise FileExistsError(f"{output} is there already: give another folder, or remove it")
    where = best_device() if device == "auto" else torch.device(device)
    first = deepcopy(unwrap(open_model(model, where)))
    run = _Run(list(tracklets), output, seed, device, time.monotonic() + 60 * minutes)
    run.open(model_id(first))
    with tqdm(total=2 + ROUNDS, unit="stage", desc="adapt", disable=not progress) as bar:
        result = _finish(run, first, *_try_stages(run, first, bar))
    shutil.rmtree(run.parts)
    return result


@dataclass
class _Run:
    """What stages need, and what they leave."""

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


def _try_stages(run: _Run, first: nn.Module, bar: Any) -> tuple[nn.Module, Criterion | None, Score | None, str]:
    """Return the best model, the criterion, its score, and why there is no adapted model ("" if there is)."""
    try:
        criterion = Criterion(run.own(run.held_out), first)
    except NoEvidenceError as error:
        return first, None, None, str(error)
    best, score = first, criterion.first
    for name, change in _stages(run, first, criterion):
        if time.monotonic() > run.until:
            run.stages.append(Stage(name, False, "the time was over", None))
            break
        candidate = deepcopy(best)
        try:
            pseudo = change(candidate)
        except NoEvidenceError as error:
            run.stages.append(Stage(name, False, str(error), None))
            break
        found = criterion.measure(candidate)
        least = LEAST_GAIN_NORMS if name == NORMS else LEAST_GAIN
        reason = helped(score, found, least_gain=least, seed=run.seed)
        run.stages.append(Stage(name, not reason, reason, found))
        logger.info("%s: separation %.3f, %s", name, found.separation, reason or "kept")
        bar.update()
        if not reason:
            best, score, run.pseudo = candidate, found, pseudo or run.pseudo
        elif name.startswith(CLUSTERS):
            break
    why = (
        ""
        if best is not first
        else "no stage made it better: " + "; ".join(f"{stage.name}: {stage.reason}" for stage in run.stages)
    )
    return best, criterion, score, why


Change = Callable[[nn.Module], "Pseudo | None"]


def _stages(run: _Run, first: nn.Module, criterion: Criterion) -> Iterator[tuple[str, Change]]:
    """The stages that the model and the tracklets allow, by name."""
    if batch_norms(first):
        yield NORMS, lambda model: blend(model, run.tracklets, SHARE, seed=run.seed)
    if criterion.timed:
        yield CONTRAST, lambda model: _contrast(run, model, CONTRAST, join=False)
        for number in range(1, ROUNDS + 1):
            name = f"{CLUSTERS}, round {number}"
            yield name, lambda model, name=name: _contrast(run, model, name, join=True)  # type: ignore[misc]


def _contrast(run: _Run, model: nn.Module, name: str, *, join: bool) -> Pseudo | None:
    pseudo = pseudo_identities(model, run.own(run.learn), join=join)
    joined = sum(len(cluster) for cluster in pseudo.clusters if len(cluster) > 1)
    if join and joined < LEAST_JOINED * len(run.learn):
        raise NoEvidenceError(f"only {joined} of {len(run.learn)} tracklets are surely like another one")
    folder = run.parts / name.replace(", ", "-").replace(" ", "-")
    train_contrast(model, pseudo, folder, seed=run.seed, device=run.device)
    return pseudo if join else None


def _finish(
    run: _Run, first: nn.Module, best: nn.Module, criterion: Criterion | None, score: Score | None, reason: str
) -> AdaptResult:
    """Set the operating point, save the model, and write the report."""
    threshold = _set_threshold(best, score) if score is not None and criterion is not None and criterion.timed else None
    card = None
    if best is not first:
        kept = ", ".join(stage.name for stage in run.stages if stage.kept)
        card = {
            "data": f"Adapted to {len(run.tracklets):,} unlabelled tracklets ({kept}) by `denseil adapt`, from the "
            f"model of identity `{model_id(first)}`. Weights carry the terms of their data."
        }
    save_pretrained(best, run.output, card=card)
    pairs: list[tuple[float, tuple[int, ...]]] = []
    if run.pseudo is not None:
        several = zip(run.pseudo.certainty.tolist(), run.pseudo.clusters, strict=True)
        pairs = sorted((sure, tuple(run.learn[at] for at in cluster)) for sure, cluster in several if len(cluster) > 1)
    result = AdaptResult(
        folder=run.output,
        adapted=best is not first,
        reason=reason,
        stages=tuple(run.stages),
        before=criterion.first if criterion else None,
        after=score,
        tracklets=len(run.tracklets),
        held_out=len(run.held_out),
        model_id=model_id(best),
        source_id=model_id(first),
        threshold=threshold,
        clusters=tuple(cluster for _, cluster in pairs),
        certainty=tuple(sure for sure, _ in pairs),
    )
    result.save()
    return result


def _set_threshold(model: nn.Module, score: Score) -> float:
    """Write the operating point into the model's config, as `denseil calibrate` does, and return the threshold.

    It is the similarity that 1 % of the surely-two pairs reach. How many pairs of one person are missed is measured on
    halves of tracklets, which one camera saw: between cameras it is more.
    """
    threshold = float(np.quantile(score.two, 1 - FALSE_ACCEPTS))
    block = {
        "similarity": "cosine",
        "source": "own tracklets, without labels",
        "genuine": len(score.one),
        "impostors": len(score.two) // 2,
        "eer": {"rate": FALSE_ACCEPTS, "threshold": threshold},
        "far": {f"{FALSE_ACCEPTS:g}": threshold},
    }
    inner: Any = unwrap(model)
    if hasattr(inner, "denseil_cfg"):
        inner.denseil_cfg = {**inner.denseil_cfg, "thresholds": block}
    return threshold
