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
from denseil.data import ClipDataset, ClipTransform, Tracklet, normalize
from denseil.linking import link
from denseil.models import unwrap
from denseil.models.interface import preprocessing_of
from denseil.training.adapt_evidence import co_visible, comparable, halves

NEIGHBOURS = 3
RESAMPLES = 1000
CONFIDENCE = 0.8
LEAST_AGREEMENT = 0.75  # of the agreement before
LEAST_PAIRS = 10
LEAST_GROUPS = 5  # of tracklets that the model tells apart, where times do not say which are two persons
FRAMES = 4  # of a half
BATCH = 32  # clips


@dataclass(frozen=True, eq=False)
class Score:
    """A model's score on held-out tracklets.

    Attributes:
        separation: Difference between the mean similarity of surely-one and surely-two pairs, in units of their pooled
            standard deviation (d' of signal detection).
        agreement: Share of nearest neighbours that both halves of a tracklet have in common, in [0, 1].
        one: (N,) cosine similarities of halves of one tracklet.
        two: (M,) cosine similarities of tracklets that are surely two persons.
        two_of: (M,) the tracklet of `one` that each belongs to, for resampling.
        shared: (N,) each tracklet's share of common neighbours.
        timed: Whether `two` are tracklets that were seen at once.
    """

    separation: float
    agreement: float
    one: NDArray[np.float64]
    two: NDArray[np.float64]
    two_of: NDArray[np.int64]
    shared: NDArray[np.float64]
    timed: bool = True

    def to_dict(self) -> dict[str, float]:
        """Return the figures as plain data."""
        return {"separation": self.separation, "agreement": self.agreement}


class NoEvidenceError(ValueError):
    """Tracklets that do not allow to tell a better model from a worse one."""


class Criterion:
    """Score models on held-out tracklets, always on the same pairs.

    Surely one person are the first and the last third of a tracklet, the latter mirrored. Surely two are tracklets that
    one camera saw at once; where there are too few of them, pairs of different tracklets that the first model finds
    less alike than the median pair. Tracklets whose thirds the first model finds less alike than a surely-two pair may
    have changed person on the way, and are left out.

    Args:
        tracklets: The held-out tracklets.
        model: The first model.

    Attributes:
        counted: (N,) bool, tracklets that are not left out.
        first: Score of the first model.
        last: Score of the best model so far, kept by whoever compares.
        timed: Whether enough tracklets were seen at once.

    Raises:
        NoEvidenceError: If the tracklets show too few pairs, or too few persons.
    """

    def __init__(self, tracklets: Sequence[Tracklet], model: nn.Module) -> None:
        self.halves = [half for tracklet in tracklets for half in halves(tracklet)]
        self.may_match = comparable(tracklets)  # (N, N)
        vectors = self._embed(model)
        one, across = _similarities(vectors)
        two = co_visible(tracklets)
        self.timed = int(two.sum()) // 2 >= LEAST_PAIRS
        if not self.timed:
            two = _unlike(tracklets, vectors)
        self.counted = one > across.masked_fill(~two, -2).max(1).values
        self.two = two & self.counted[:, None]
        if int(self.two.sum()) // 2 < LEAST_PAIRS:
            raise NoEvidenceError(
                "the model as it was does not tell halves of one tracklet from tracklets of two persons well enough to "
                "measure a change"
            )
        self.first = self.last = self._score(vectors)

    def measure(self, model: nn.Module) -> Score:
        """Score a model."""
        return self._score(self._embed(model))

    def _score(self, vectors: Tensor) -> Score:
        one, across = _similarities(vectors)
        counted = self.counted.nonzero().flatten()
        pairs = self.two.nonzero()  # (M, 2)
        places = torch.full((len(one),), -1).index_put((counted,), torch.arange(len(counted)))
        kept, two = one[counted].double().numpy(), across[pairs[:, 0], pairs[:, 1]].double().numpy()
        shared = self._shared(vectors)[counted].double()
        return Score(
            separation=_separation(kept, two),
            agreement=float(shared.mean()),
            one=kept,
            two=two,
            two_of=places[pairs[:, 0]].numpy(),
            shared=shared.numpy(),
            timed=self.timed,
        )

    def _embed(self, model: nn.Module) -> Tensor:
        """Unit vectors (N, 2, D) of the thirds of each tracklet."""
        frames = preprocessing_of(unwrap(model))
        device = next(model.parameters()).device
        transform = ClipTransform(frames.size)
        clips = ClipDataset(self.halves, clip_len=min(frames.clip_len, FRAMES), sampling="even", transform=transform)
        vectors: list[Tensor] = []
        with torch.inference_mode(), evaluating(model):
            for part in torch.arange(len(self.halves)).split(BATCH):
                pixels = clips.__getitems__(part.tolist()).clips
                pixels[1::2] = pixels[1::2].flip(-1)
                if frames.color_order == "BGR":
                    pixels = pixels.flip(2)
                vectors.append(model(normalize(pixels.to(device), frames.mean, frames.std)).float().cpu())
        unit: Tensor = F.normalize(torch.cat(vectors), dim=1).unflatten(0, (-1, 2))
        return unit

    def _shared(self, vectors: Tensor) -> Tensor:
        """Share (N,) of their nearest comparable tracklets that both thirds have in common."""
        whole = F.normalize(vectors.sum(1), dim=1)  # (N, D)
        count = max(1, min(NEIGHBOURS, int(self.may_match.sum(1).min())))
        near = [(vectors[:, end] @ whole.T).masked_fill(~self.may_match, -2).topk(count).indices for end in (0, 1)]
        both: Tensor = (near[0][:, :, None] == near[1][:, None]).any(2)
        return both.double().mean(1)


def _similarities(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Similarities (N,) of the two thirds of each tracklet, and (N, N) between thirds of different tracklets."""
    first, second = vectors[:, 0], vectors[:, 1]
    return (first * second).sum(1), (first @ second.T + second @ first.T) / 2


def _unlike(tracklets: Sequence[Tracklet], vectors: Tensor) -> Tensor:
    """Pairs (N, N) of tracklets that a model finds less alike than the median pair.

    Raises:
        NoEvidenceError: If the tracklets are of one camera, or may show only one or two persons.
    """
    if len({tracklet.camid for tracklet in tracklets}) == 1:
        raise NoEvidenceError("hardly any two tracklets are known to be seen at once, and there is only one camera")
    one, across = _similarities(vectors)
    camids = [tracklet.camid for tracklet in tracklets]
    groups = link(vectors.sum(1), camids=camids, threshold=max(-1.0, min(1.0, float(one.quantile(0.1)))))
    if groups.num_persons < max(LEAST_GROUPS, len(tracklets) // 10):
        raise NoEvidenceError("the tracklets seem to show very few persons, and hardly any two were seen at once")
    others = ~torch.eye(len(tracklets), dtype=torch.bool)
    return (across < across[others].median()) & others


def helped(before: Score, after: Score, *, least_gain: float, seed: int = 0) -> str:
    """Decide whether a model is better than the one before, and say why not; "" if it is.

    The separation must be larger by `least_gain`, and larger in 80 % of the resamples of the tracklets (paired
    bootstrap). The agreement must not fall by a quarter: it says little about small changes, but falls if vectors
    collapse.

    Args:
        before: Score of the model before.
        after: Score of the model after, of the same criterion.
        least_gain: Least gain of the separation, relative.
        seed: Random seed of the resamples.
    """
    if after.separation < (1 + least_gain) * before.separation:
        return f"separation went from {before.separation:.2f} to {after.separation:.2f}, not up by {least_gain:.0%}"
    rng = np.random.default_rng(seed)
    count = len(before.one)
    wins = 0
    for _ in range(RESAMPLES):
        weight = np.bincount(rng.integers(count, size=count), minlength=count).astype(np.float64)
        gain = _separation(after.one, after.two, weight, weight[after.two_of]) - _separation(
            before.one, before.two, weight, weight[before.two_of]
        )
        wins += gain > 0
    if wins < CONFIDENCE * RESAMPLES:
        return f"separation grew in only {wins / RESAMPLES:.0%} of the resamples of the held-out tracklets"
    if after.agreement < LEAST_AGREEMENT * before.agreement:
        return f"the agreement of neighbours fell from {before.agreement:.2f} to {after.agreement:.2f}"
    return ""


def _separation(
    one: NDArray[np.float64],
    two: NDArray[np.float64],
    weight_one: NDArray[np.float64] | None = None,
    weight_two: NDArray[np.float64] | None = None,
) -> float:
    """Return d' of two weighted samples; 0 where one is empty."""
    moments = []
    for values, weights in ((one, weight_one), (two, weight_two)):
        weights = np.ones(len(values)) if weights is None else weights
        total = weights.sum()
        if total <= 0:
            return 0.0
        mean = float(weights @ values / total)
        moments.append((mean, float(weights @ (values - mean) ** 2 / total)))
    (mean_one, var_one), (mean_two, var_two) = moments
    return (mean_one - mean_two) / max(1e-6, math.sqrt((var_one + var_two) / 2))
