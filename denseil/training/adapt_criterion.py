"""A measure of a model on unlabelled tracklets, and the decision whether a change of the model helped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from denseil.common.modes import evaluating
from denseil.data import ClipDataset, ClipTransform, Tracklet
from denseil.linking import link
from denseil.models import unwrap
from denseil.models.interface import preprocessing_of
from denseil.training.adapt_evidence import NoEvidenceError, co_visible, comparable, thirds

TEMPERATURE = 0.1  # of the softmax over the tracklets of a camera, as in the training of the packaged weights
MOST_RISE = 0.05  # of the conflicts of tracklets that were not learned from, relative
NEIGHBOURS = 3
RESAMPLES = 1000
CONFIDENCE = 0.8
LEAST_AGREEMENT = 0.75  # of the agreement before
LEAST_PAIRS = 10
LEAST_GROUPS = 5  # of linked tracklets, if times do not show which are two persons
FRAMES = 4  # per third
BATCH = 16  # clips


@dataclass(frozen=True, eq=False)
class Score:
    """A model's score.

    Attributes:
        conflict: (N, N) conflicts of pairs of tracklets; NaN where a pair may show one person.
        agreement: Share of nearest neighbours that both thirds of a tracklet have in common, in [0, 1].
        one: (P,) cosine similarities of thirds of one tracklet.
        two: (M,) cosine similarities of tracklets of two persons: seen at once or, if hardly any are known, dissimilar.
        timed: Whether the tracklets of `two` were seen at once.
    """

    conflict: NDArray[np.float32]
    agreement: float
    one: NDArray[np.float64]
    two: NDArray[np.float64]
    timed: bool = True

    @property
    def conflicts(self) -> float:
        """Mean conflict; 1 by chance, 0 at best."""
        return float(np.nanmean(self.conflict, dtype=np.float64))

    def to_dict(self) -> dict[str, float]:
        """Return the figures as plain data."""
        return {"conflicts": self.conflicts, "agreement": self.agreement}


class Criterion:
    """Score models on tracklets, always on the same pairs.

    Two tracklets that one camera saw at once surely show two persons. Two of one camera that are less similar, by the
    first model, than the median pair nearly always do. Such a pair should not match the same tracklet of another
    camera. A tracklet matches those of another camera with the softmax of the cosines, at the temperature of the
    training. The **conflict** of a pair is the probability that both match the same one, times the number of those: 1
    for a model at chance. It measures confusions between cameras, which similarities within a camera do not show. With
    only one camera, a tracklet matches those that were not seen at once with it.

    Tracklets whose thirds are less similar, by the first model, than a pair of two persons may show two persons, and
    are left out.

    Args:
        tracklets: The tracklets.
        model: The first model.

    Attributes:
        counted: (N,) bool, tracklets that are not left out.
        first: Score of the first model.
        last: Score of the best model so far, set by the caller.
        timed: Whether enough tracklets were seen at once.

    Raises:
        NoEvidenceError: If the tracklets show too few pairs, or too few persons.
    """

    def __init__(self, tracklets: Sequence[Tracklet], model: nn.Module) -> None:
        self.thirds = [third for tracklet in tracklets for third in thirds(tracklet)]
        self.may_match = comparable(tracklets)  # (N, N)
        self.camids = torch.tensor([tracklet.camid for tracklet in tracklets])
        vectors = self._embed(model)
        one, across = _similarities(vectors)
        two = co_visible(tracklets)
        self.timed = int(two.sum()) // 2 >= LEAST_PAIRS
        unlike = _unlike(across) & (self.camids[:, None] == self.camids[None])
        if not self.timed:
            _check_persons(tracklets, vectors)
            two = unlike
        self.counted = one > across.masked_fill(~two, -2).max(1).values
        both = self.counted[:, None] & self.counted[None]
        self.two, self.pairs = two & both, (two | unlike) & both
        if int(self.two.sum()) // 2 < LEAST_PAIRS:
            raise NoEvidenceError(
                "the original model does not separate thirds of one tracklet from tracklets of two persons well enough "
                "to measure a change"
            )
        self.first = self.last = self._score(vectors)
        if np.isnan(self.first.conflict).all():
            raise NoEvidenceError("there is only one camera, and nearly all tracklets seem to be seen at once")

    def measure(self, model: nn.Module) -> Score:
        """Score a model."""
        return self._score(self._embed(model))

    def _score(self, vectors: Tensor) -> Score:
        one, across = _similarities(vectors)
        return Score(
            conflict=self._conflicts(F.normalize(vectors.sum(1), dim=1)).numpy(),
            agreement=float(self._shared(vectors)[self.counted].mean()),
            one=one[self.counted].double().numpy(),
            two=across[self.two].double().numpy(),
            timed=self.timed,
        )

    def _conflicts(self, whole: Tensor) -> Tensor:
        """Compute the conflicts (N, N) of the pairs, mean over cameras in which both can match; NaN for other pairs."""
        logits = (whole @ whole.T / TEMPERATURE).masked_fill(~self.may_match, -math.inf)
        total, cameras = torch.zeros_like(logits), torch.zeros_like(logits)
        for camid in self.camids.unique():
            columns = (self.camids == camid).nonzero().flatten()
            can = self.may_match[:, columns].any(1)
            choice = logits[:, columns].softmax(1).nan_to_num(0)  # (N, of this camera)
            total += choice @ choice.T * len(columns)
            cameras += can[:, None] & can[None]
        return (total / cameras).masked_fill(~self.pairs, math.nan)  # 0 / 0 is NaN

    def _embed(self, model: nn.Module) -> Tensor:
        """Compute unit vectors (N, 2, D) of the thirds of each tracklet."""
        frames = preprocessing_of(unwrap(model))
        device = next(model.parameters()).device
        transform = ClipTransform(frames.size)
        clips = ClipDataset(self.thirds, clip_len=min(frames.clip_len, FRAMES), sampling="even", transform=transform)
        vectors: list[Tensor] = []
        with torch.inference_mode(), evaluating(model):
            for part in torch.arange(len(self.thirds)).split(BATCH):
                pixels = clips.__getitems__(part.tolist()).clips
                pixels[1::2] = pixels[1::2].flip(-1)
                vectors.append(model(frames.normalize(pixels.to(device))).float().cpu())
        unit: Tensor = F.normalize(torch.cat(vectors), dim=1).unflatten(0, (-1, 2))
        return unit

    def _shared(self, vectors: Tensor) -> Tensor:
        """Compute the share (N,) of nearest comparable tracklets that both thirds of a tracklet have in common."""
        whole = F.normalize(vectors.sum(1), dim=1)  # (N, D)
        count = max(1, min(NEIGHBOURS, int(self.may_match.sum(1).min())))
        near = [(vectors[:, end] @ whole.T).masked_fill(~self.may_match, -2).topk(count).indices for end in (0, 1)]
        both: Tensor = (near[0][:, :, None] == near[1][:, None]).any(2)
        return both.double().mean(1)


def _similarities(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Compute similarities (N,) of both thirds of each tracklet, and (N, N) between thirds of different tracklets."""
    first, second = vectors[:, 0], vectors[:, 1]
    return (first * second).sum(1), (first @ second.T + second @ first.T) / 2


def _unlike(across: Tensor) -> Tensor:
    """Find pairs (N, N) of different tracklets that are less similar than the median pair."""
    others = ~torch.eye(len(across), dtype=torch.bool)
    return (across < across[others].median()) & others


def _check_persons(tracklets: Sequence[Tracklet], vectors: Tensor) -> None:
    """Raise NoEvidenceError if tracklets without times are of one camera, or seem to show very few persons."""
    if len({tracklet.camid for tracklet in tracklets}) == 1:
        raise NoEvidenceError("hardly any two tracklets are known to be seen at once, and there is only one camera")
    one, _ = _similarities(vectors)
    camids = [tracklet.camid for tracklet in tracklets]
    groups = link(vectors.sum(1), camids=camids, threshold=max(-1.0, min(1.0, float(one.quantile(0.1)))))
    if groups.num_persons < max(LEAST_GROUPS, len(tracklets) // 10):
        raise NoEvidenceError("the tracklets seem to show very few persons, and hardly any two were seen at once")


def helped(before: Score, after: Score, *, drop: float, learned: Sequence[int] = (), seed: int = 0) -> str:
    """Return why a model is not better than the one before; "" if it is better.

    The conflicts must fall by `drop`, and in 80 % of the resamples of the tracklets (paired bootstrap). Those of pairs
    with a tracklet that was not learned from must not rise by 5 %. The agreement must not fall by a quarter: it says
    little about small changes, but falls if vectors collapse.

    Args:
        before: Score of the model before.
        after: Score of the model after, of the same criterion.
        drop: Least relative fall of the conflicts.
        learned: Positions of the tracklets whose pairs were learned from.
        seed: Random seed of the resamples.
    """
    if not after.conflicts <= (1 - drop) * before.conflicts:
        return f"conflicts of {before.conflicts:.3f} must fall by {drop:.0%}, and became {after.conflicts:.3f}"
    new = np.ones(len(before.conflict), bool)
    new[list(learned)] = False
    known = ~np.isnan(before.conflict) & (new[:, None] | new)
    old_mean, new_mean = (
        float(each.conflict[known].sum(dtype=np.float64) / max(1, known.sum())) for each in (before, after)
    )
    if new_mean > (1 + MOST_RISE) * old_mean:
        return f"conflicts of tracklets not learned from rose from {old_mean:.3f} to {new_mean:.3f}"
    rng = np.random.default_rng(seed)
    fallen: NDArray[np.float64] = np.nan_to_num(before.conflict - after.conflict).astype(np.float64).sum(1)
    drawn = rng.integers(len(fallen), size=(RESAMPLES, len(fallen)))
    wins = float((fallen[drawn].sum(1) > 0).mean())
    if wins < CONFIDENCE:
        return f"conflicts fell in only {wins:.0%} of the resamples of the tracklets"
    if after.agreement < LEAST_AGREEMENT * before.agreement:
        return f"the agreement of neighbours fell from {before.agreement:.2f} to {after.agreement:.2f}"
    return ""
