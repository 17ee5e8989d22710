"""Adaptation of a model to unlabelled tracklets of new cameras."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from denseil.common.arguments import check_seed, checked
from denseil.common.processes import choose_device
from denseil.common.progress import progress_bar
from denseil.common.text import counted
from denseil.data import Tracklet
from denseil.embedding.inputs import open_model
from denseil.embedding.tracklet_vectors import embed_tracklets
from denseil.linking import link
from denseil.models import DenseIL, model_id, save_pretrained, unwrap
from denseil.models.denseil import check_made_float32
from denseil.training.adapt_criterion import Score
from denseil.training.adapt_evidence import LEAST_TRACKLETS, times_of
from denseil.training.adapt_result import AdaptResult, Cluster
from denseil.training.adapt_stages import ROUNDS, Run, parts_of, try_stages
from denseil.training.run_folder import only_run

MOST_TRACKLETS = 2000  # all pairs are compared
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
    """Adapt a model to the cameras of unlabelled tracklets.

    Stages are tried one after the other: batch-norm statistics blended with those of the tracklets, and up to three
    rounds of a contrastive loss on well-separated clusters of tracklets, which are found again in each. After each, the
    conflicts are measured: how often tracklets of two persons match the same tracklet of another camera. A stage is
    discarded unless they decrease, and so is every later round. If no stage is kept, the output is the original model.

    Identities (`pid`) are not used. Without times (`start`, `end`) only the first stage is tried. An interrupted run is
    continued by the same call, and ends in the same weights; until then its intermediate files are in `OUTPUT.parts/`.

    Args:
        model: A model made by `create_model`, which is not changed; or a name with weights, or a saved folder.
        tracklets: At least 20, from any number of cameras. If there are more than 2,000, a random 2,000 are used.
        output: The folder to write: a saved model, and its report `adapt.json`.
        seed: Random seed.
        minutes: Time budget; a stage is not started if it would exceed this by taking as long as the longest so far.
        device: auto for an accelerator if there is one, or a torch device such as cpu or cuda.
        progress: Show bars.

    Raises:
        ValueError: If there are too few tracklets, or an interrupted run at `output` had other ones.
        FileExistsError: If the output folder is not empty, or another run is writing to it.
        ModuleNotFoundError: If the extra `train` is not installed.
    """
    output = Path(output)
    if len(tracklets) < LEAST_TRACKLETS:
        raise ValueError(f"{counted(len(tracklets), 'tracklet')}: adapting needs at least {LEAST_TRACKLETS}")
    check_seed(seed)
    if not minutes > 0:
        raise ValueError(f"minutes={minutes}: it must be above 0")
    if output.exists() and not _may_write(output):
        raise FileExistsError(f"{output} is there already: give another folder, or remove it")
    own = deepcopy(unwrap(model)) if isinstance(model, nn.Module) else model
    first = unwrap(open_model(own, choose_device(device)))
    chosen = torch.randperm(len(tracklets), generator=torch.Generator().manual_seed(seed))[:MOST_TRACKLETS]
    places = chosen.sort().values.tolist()
    if isinstance(first, DenseIL):
        check_made_float32(first)
    run = Run([tracklets[place] for place in places], output, seed, device, time.monotonic() + 60 * minutes)
    with only_run(run.parts, create=True):
        run.open(model_id(first))
        with progress_bar(1 + ROUNDS, unit="stage", show=progress, desc="adapt") as bar:
            result = _finish(run, places, first, *try_stages(run, first, bar))
    shutil.rmtree(run.parts)
    return result


def _may_write(output: Path) -> bool:
    """Whether a folder is empty, or holds what a run was writing when it ended."""
    return output.is_dir() and (parts_of(output).is_dir() or not any(output.iterdir()))


def _finish(
    run: Run,
    places: list[int],
    first: nn.Module,
    best: nn.Module,
    before: Score | None,
    after: Score | None,
    reason: str,
) -> AdaptResult:
    """Set the operating point, save the model, and write the report."""
    threshold = _set_threshold(best, run.tracklets) if after is not None else None
    card = None
    if best is not first:
        kept = ", ".join(stage.name for stage in run.stages if stage.kept)
        card = {
            "data": f"Adapted to {len(run.tracklets):,} unlabelled tracklets ({kept}) by `denseil adapt`, from the "
            f"model of identity `{model_id(first)}`. Weights carry the terms of their data."
        }
    save_pretrained(best, run.output, card=card)
    result = AdaptResult(
        folder=run.output,
        adapted=best is not first,
        reason=reason,
        stages=tuple(run.stages),
        before=before,
        after=after,
        tracklets=len(run.tracklets),
        learned=len(run.learned),
        model_id=model_id(best),
        source_id=model_id(first),
        threshold=threshold,
        clusters=_clusters(run, places),
    )
    result.save()
    return result


def _clusters(run: Run, places: list[int]) -> tuple[Cluster, ...]:
    """Return the clusters that were learned, least certain first; `places` are positions of the run's tracklets."""
    if run.clusters is None:
        return ()
    similarity = run.clusters.similarity
    found = [
        Cluster(
            float(similarity[own][:, own].min()),
            tuple(places[place] for place in own),
            tuple(similarity[own[0], own].tolist()),
        )
        for own in run.clusters.places
    ]
    return tuple(sorted(found, key=lambda cluster: cluster.certainty))


def _set_threshold(model: nn.Module, tracklets: Sequence[Tracklet]) -> float:
    """Write the operating point into the model's config, as `denseil calibrate` does, and return it.

    It is the threshold that `denseil.linking.link` chooses for these tracklets, by 8 frames of each and without
    centring, since `Embedder.same` compares vectors as they are. It holds for vectors of all frames too, up to the
    little that more frames than 8 change, so no frames policy is recorded with it.
    """
    vectors = torch.stack(list(embed_tracklets(model, tracklets, frames="even8", normalized=True)))
    found = link(vectors, **times_of(tracklets), far=FALSE_ACCEPTS, centre=False).threshold
    block = {
        "similarity": "cosine",
        "source": str(found),
        "impostors": found.pairs,
        "eer": {"rate": FALSE_ACCEPTS, "threshold": found.value},
        "far": {f"{FALSE_ACCEPTS:g}": found.value},
    }
    inner: Any = unwrap(model)
    if hasattr(inner, "denseil_cfg"):
        inner.denseil_cfg = {**inner.denseil_cfg, "thresholds": block}
    return found.value
