"""Contrastive training on well-separated clusters of tracklets (stage 2 of `adapt`), by the training loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from denseil.data import Tracklet, VideoReIDDataset
from denseil.embedding.tracklet_vectors import embed_tracklets
from denseil.linking import link
from denseil.losses.contrastive import SupervisedContrastive
from denseil.models import DenseIL, unwrap
from denseil.models.interface import preprocessing_of
from denseil.training.adapt_evidence import NoEvidenceError, co_visible, times_of
from denseil.training.adapt_norms import recipe_for
from denseil.training.resume import CONFIG
from denseil.training.train import train

RUNS = 2  # their weights are averaged, because a short training on few clusters depends on its order
TOWARDS = 0.5  # share of the way from the model to that average
STEPS = 40  # per run
BATCH_IDS, BATCH_TRACKLETS, CLIP_LEN = 16, 2, 2
LR = 1e-4
TEMPERATURE = 0.1  # of the training of the packaged weights
LINKED_ABOVE = 0.99  # quantile of the similarity of tracklets that were seen at once
LEAST_CLUSTERS, LEAST_SHARE = 8, 0.2  # of clusters, and of the tracklets in them: with fewer, a wrong one weighs much


@dataclass(frozen=True, eq=False)
class Clusters:
    """Groups of tracklets that surely show one person each.

    Attributes:
        places: Positions of the tracklets of each group.
        similarity: (N, N) cosine similarities of all tracklets.
    """

    places: list[list[int]]
    similarity: Tensor

    @property
    def learned(self) -> list[int]:
        """Positions of all tracklets in the groups."""
        return [place for places in self.places for place in places]


def sure_clusters(model: nn.Module, tracklets: Sequence[Tracklet]) -> Clusters:
    """Find well-separated groups of tracklets, each of which surely shows one person.

    Tracklets are linked (`denseil.linking.link`) at the similarity that 1 % of those seen at once reach. A
    cluster is kept if each of its tracklets is more similar to the others of it, on average, than to any tracklet
    outside: a cluster with two persons, or with half of the tracklets of one, has near neighbours outside.

    Args:
        model: The model whose vectors are compared.
        tracklets: Tracklets, of which some were seen at once.

    Raises:
        NoEvidenceError: If there are too few such groups.
    """
    vectors = torch.stack(list(embed_tracklets(model, tracklets, frames="even8", normalized=True)))
    similarity = vectors @ vectors.T  # (N, N)
    two = similarity[co_visible(tracklets)]
    if not len(two):
        raise NoEvidenceError("no two tracklets are known to be seen at once")
    threshold = float(np.quantile(two.numpy(), LINKED_ABOVE))
    person = link(vectors, **times_of(tracklets), threshold=min(1.0, threshold)).person
    groups = [np.flatnonzero(person == number).tolist() for number in range(1, int(person.max()) + 1)]
    kept = [group for group in groups if len(group) > 1 and well_separated(similarity, group)]
    joined = sum(map(len, kept))
    if len(kept) < LEAST_CLUSTERS or joined < LEAST_SHARE * len(tracklets):
        raise NoEvidenceError(
            f"only {len(kept)} clusters are well separated, with {joined} of the {len(tracklets)} tracklets; learning "
            f"needs {LEAST_CLUSTERS}, with {LEAST_SHARE:.0%} of them"
        )
    return Clusters(kept, similarity)


def well_separated(similarity: Tensor, group: Sequence[int]) -> bool:
    """Whether each tracklet of a group is more similar to the others of it, on average, than to any outside."""
    own = torch.zeros(len(similarity), dtype=torch.bool)
    own[list(group)] = True
    inside = similarity[own][:, own].fill_diagonal_(0).sum(1) / (len(group) - 1)
    return bool(own.all() or (inside > similarity[own][:, ~own].max(1).values).all())


class ClusterContrast:
    """The supervised contrastive loss on embeddings; logits, if any, may be those of other identities."""

    uses_logits = False

    def __init__(self, model: nn.Module) -> None:
        self.embed: Callable[[Tensor], Tensor] = lambda features: features
        if isinstance(model, DenseIL):
            self.embed = model.neck.bn
        self.loss = SupervisedContrastive(TEMPERATURE)

    def __call__(self, logits: Tensor | None, features: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss of a batch."""
        loss: Tensor = self.loss(self.embed(features), labels)
        return loss


def train_clusters(
    model: nn.Module, tracklets: Sequence[Tracklet], clusters: Clusters, folder: Path, *, seed: int, device: str
) -> None:
    """Train a model on clusters as identities, in place. An interrupted training is resumed.

    The model is trained twice for some 40 steps, in different order, and moved half-way to the mean of both weights.
    Batch norms keep their statistics.

    Args:
        model: Any `VideoEncoder`.
        tracklets: All tracklets.
        clusters: Clusters to learn from.
        folder: Folder of the runs.
        seed: Random seed.
        device: As in `TrainConfig`.
    """
    known = [replace(tracklets[place], pid=pid) for pid, places in enumerate(clusters.places) for place in places]
    runs: list[dict[str, Tensor]] = []
    for number in range(RUNS):
        trained = deepcopy(model)
        train_once(trained, known, folder / f"run-{number + 1}", seed=(RUNS * seed + number) % 2**63, device=device)
        runs.append(trained.state_dict())
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                value.lerp_(torch.stack([run[name].to(value.device) for run in runs]).mean(0), TOWARDS)
    model.eval()


def train_once(model: nn.Module, known: Sequence[Tracklet], folder: Path, *, seed: int, device: str) -> None:
    """Train a model for some 40 steps on tracklets with identities, in place; see `train_clusters`."""
    count = len({tracklet.pid for tracklet in known})
    num_ids = min(BATCH_IDS, count)
    epochs = max(2, round(STEPS / -(-count // num_ids)))
    config = replace(
        recipe_for(preprocessing_of(unwrap(model))),
        output=str(folder),
        clip_len=CLIP_LEN,
        num_ids=num_ids,
        num_tracklets=BATCH_TRACKLETS,
        lr=LR,
        weight_decay=0.0,
        epochs=epochs,
        warmup=1,
        freeze_bn="all",
        device=device,
        seed=seed,
        workers=0,
        validate_every=0,
        test_frames="none",
        save_every=max(1, epochs // 4),
        tracker="none",
    )
    train(
        config,
        model=model,
        dataset=VideoReIDDataset(list(known), [], [], name="own tracklets"),
        objective=ClusterContrast(model),
        resume=(folder / CONFIG).exists(),
    )
