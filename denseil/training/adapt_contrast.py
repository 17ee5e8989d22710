"""Contrastive training on pseudo-identities (stages 2 and 3 of `adapt`), run by the training engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from denseil.data import Tracklet, VideoReIDDataset
from denseil.embedding.tracklet_vectors import embed_tracklets
from denseil.linking import link
from denseil.losses.contrastive import SupervisedContrastive
from denseil.models import DenseIL, unwrap
from denseil.models.interface import preprocessing_of
from denseil.training.adapt_evidence import co_visible, times_of
from denseil.training.config import TrainConfig
from denseil.training.run_state import CONFIG
from denseil.training.train import train

STEPS = 40
BATCH_IDS, BATCH_TRACKLETS = 16, 2
TEMPERATURE = 0.1
APPEARANCE = {"crop": 0.12, "low_res": 0.3, "blur": 0.2, "jitter": 0.35, "gray": 0.1}  # of the recipe `people`
UNLIKE = 0.5  # quantile of the similarity of two persons below which any two tracklets count as two persons


@dataclass(frozen=True, eq=False)
class Pseudo:
    """Tracklets with pseudo-identities.

    Attributes:
        tracklets: N of them.
        labels: (N,) pseudo-identities, from 0.
        apart: (C, C) bool, pseudo-identities that are surely two persons.
        similarity: (N, N) cosine similarities that they were joined by.
    """

    tracklets: Sequence[Tracklet]
    labels: NDArray[np.int64]
    apart: Tensor
    similarity: Tensor

    @property
    def clusters(self) -> list[list[int]]:
        """Positions of the tracklets of each pseudo-identity."""
        return [np.flatnonzero(self.labels == label).tolist() for label in range(len(self.apart))]


def pseudo_identities(model: nn.Module, tracklets: Sequence[Tracklet], *, join: bool) -> Pseudo:
    """Give tracklets pseudo-identities.

    Args:
        model: The model whose vectors are compared.
        tracklets: At least some of which one camera saw at once.
        join: Link tracklets (`denseil.linking.link`) at the largest similarity of any two that were seen at once;
            otherwise each is an identity of its own.
    """
    vectors = torch.stack(list(embed_tracklets(model, tracklets, normalized=True)))
    similarity = vectors @ vectors.T  # (N, N)
    at_once = co_visible(tracklets)
    two = similarity[at_once]
    labels = np.arange(len(tracklets), dtype=np.int64)
    if join and len(two):
        labels = link(vectors, **times_of(tracklets), threshold=min(1.0, float(two.max()))).person - 1
    member = torch.nn.functional.one_hot(torch.from_numpy(labels)).bool()  # (N, C)
    count = member.shape[1]
    unlike = similarity < (two.quantile(UNLIKE) if len(two) else similarity.median())
    apart = torch.empty(count, count, dtype=torch.bool)
    for c in range(count):
        own = member[:, c]
        for d in range(count):
            pairs = own[:, None] & member[:, d][None]
            apart[c, d] = c != d and bool(at_once[pairs].any() or unlike[pairs].all())
    return Pseudo(tracklets, labels, apart, similarity)


class PairContrast:
    """The supervised contrastive loss on embeddings, without pairs that may or may not be of one person."""

    def __init__(self, model: nn.Module, apart: Tensor) -> None:
        self.apart = apart
        self.embed: Callable[[Tensor], Tensor] = lambda features: features
        if isinstance(model, DenseIL):
            self.embed = model.neck.bn
        self.loss = SupervisedContrastive(TEMPERATURE)

    def __call__(self, logits: Tensor | None, features: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss of a batch; logits are not used."""
        apart = self.apart.to(labels.device)
        loss: Tensor = self.loss(self.embed(features), labels, apart[labels[:, None], labels[None]])
        return loss


def train_contrast(model: nn.Module, pseudo: Pseudo, folder: Path, *, seed: int, device: str, lr: float = 1e-4) -> None:
    """Train a model for some 40 steps on pseudo-identities, in place. A run that was interrupted is resumed.

    Batch norms keep their statistics.

    Args:
        model: Any `VideoEncoder`.
        pseudo: Tracklets with pseudo-identities.
        folder: Of the run.
        seed: Random seed.
        device: As in `TrainConfig`.
        lr: Highest learning rate.
    """
    frames = preprocessing_of(unwrap(model))
    num_ids = min(BATCH_IDS, len(pseudo.apart))
    steps_per_epoch = -(-len(pseudo.apart) // num_ids)
    epochs = max(1, round(STEPS / steps_per_epoch))
    config = TrainConfig(
        output=str(folder),
        height=frames.size[0],
        width=frames.size[1],
        clip_len=frames.clip_len,
        num_ids=num_ids,
        num_tracklets=BATCH_TRACKLETS,
        pad=frames.size[0] // 32,
        erase=0.5,
        appearance=APPEARANCE,
        optimizer="adamw",
        lr=lr,
        weight_decay=0.0,
        clip_grad=5.0,
        epochs=epochs,
        schedule="cosine",
        warmup=min(1, epochs - 1),
        freeze_bn="all",
        device=device,
        seed=seed,
        workers=0,
        validate_every=0,
        test_frames="none",
        save_every=max(1, epochs // 4),
        tracker="none",
    )
    known = [replace(tracklet, pid=int(label)) for tracklet, label in zip(pseudo.tracklets, pseudo.labels, strict=True)]
    train(
        config,
        model=model,
        dataset=VideoReIDDataset(known, [], [], name="own tracklets"),
        objective=PairContrast(model, pseudo.apart),
        resume=(folder / CONFIG).exists(),
    )
    model.eval()
