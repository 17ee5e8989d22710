"""The same person or not: how often a threshold on cosine similarity is wrong, in either way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from denseil.metrics.embeddings import DISTRACTOR_PID, JUNK_PID, Embeddings
from denseil.metrics.figures import new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 1 << 16  # of similarity, from -1 to 1: thresholds are known to 3e-5
RATES = (1e-2, 1e-3, 1e-4)
BLOCK = 1024  # rows of similarities at a time


@dataclass(frozen=True, eq=False)
class Verification:
    """The errors of every threshold. Printed, a table of those that matter.

    A pair is accepted as one person where its cosine similarity is at least the threshold.

    Args:
        eer: equal error rate: the mean of both error rates at `eer_threshold`.
        eer_threshold: where false accepts and false rejects are equally frequent.
        thresholds: false-accept rate -> the lowest threshold at which no larger share of `impostors` is accepted.
        false_rejects: false-accept rate -> the share of `genuine` that is rejected at its threshold.
        genuine: pairs of one person, seen by two cameras.
        impostors: pairs of two persons, seen by two cameras.
        far: (BINS + 1,) false-accept rate at each of `BINS + 1` thresholds, even from -1 to 1.
        frr: (BINS + 1,) false-reject rate there.
    """

    eer: float
    eer_threshold: float
    thresholds: dict[float, float]
    false_rejects: dict[float, float]
    genuine: int
    impostors: int
    far: NDArray[np.float64]
    frr: NDArray[np.float64]

    def __str__(self) -> str:
        lines = [
            f"{self.genuine:,} pairs of one person, {self.impostors:,} of two, each pair seen by two cameras",
            f"{'':12}{'threshold':>10}{'false accepts':>15}{'false rejects':>15}",
            f"{'equal error':12}{self.eer_threshold:10.4f}{self.eer:15.2%}{self.eer:15.2%}",
        ]
        lines += [
            f"{f'rate {rate:g}':12}{threshold:10.4f}{rate:15.4%}{self.false_rejects[rate]:15.2%}"
            for rate, threshold in self.thresholds.items()
        ]
        return "\n".join(lines)

    def plot(self, path: str | Path | None = None) -> Figure:
        """Draw both error rates over the threshold, and save it where a path is given, as its suffix says.

        Raises:
            ModuleNotFoundError: matplotlib is not installed.
        """
        figure = new_figure(6, 4)
        axes = figure.subplots()
        similarity = np.linspace(-1, 1, BINS + 1)
        for rates, label, color in ((self.far, "false accepts", "C3"), (self.frr, "false rejects", "C0")):
            seen = (rates > 0) & (rates < 1)
            axes.plot(similarity[seen], rates[seen], label=label, color=color, drawstyle="steps-post")
        axes.plot(self.eer_threshold, self.eer, "ko", label=f"equal error {self.eer:.1%}")
        for rate, threshold in self.thresholds.items():
            axes.axvline(threshold, color="0.5", linestyle=":", linewidth=1)
            text = f" {rate:g}"
            axes.text(threshold, 1, text, rotation=90, fontsize="small", va="top", transform=axes.get_xaxis_transform())
        axes.set(xlabel="threshold on cosine similarity", ylabel="share of pairs", yscale="log", ylim=(None, 1))
        axes.set_title(f"{self.genuine:,} pairs of one person, {self.impostors:,} of two", fontsize="medium")
        axes.legend(loc="lower left", fontsize="small")
        axes.grid(alpha=0.3)
        if path is not None:
            save_figure(figure, path)
        return figure


def verify(embeddings: Embeddings, *, rates: Sequence[float] | None = None) -> Verification:
    """Compare all pairs that two cameras saw, and find the thresholds of some false-accept rates.

    Junk (pid -1) takes no part; two distractors (pid 0) may be one person or two, and are no pair. Similarities are
    counted in bins as they are computed, block by block: no N x N matrix is kept.

    Args:
        embeddings: vectors with their persons and cameras.
        rates: false-accept rates in (0, 1); None for those of 0.01, 0.001 and 0.0001 that there are pairs enough for.

    Raises:
        ValueError: a rate that is out of its range, or too small for the number of pairs; no pair of one person, or
            of two, from two cameras.
    """
    if rates is not None and not all(0 < rate < 1 for rate in rates):
        raise ValueError(f"false-accept rates lie between 0 and 1, got {list(rates)}")
    genuine, impostors = _count(embeddings)
    accepted, rejected = int(genuine.sum()), int(impostors.sum())
    if not accepted or not rejected:
        which = "of one person" if not accepted else "of two persons"
        raise ValueError(
            f"no pair {which} was seen by two cameras: calibrate on tracklets whose pids and camids are known, "
            "with persons whom several cameras saw"
        )
    if rates is None:
        rates = [rate for rate in RATES if rate * rejected >= 1]
    if rates and min(rates) * rejected < 1:
        raise ValueError(
            f"a false-accept rate of {min(rates):g} needs {1 / min(rates):,.0f} pairs of two persons, "
            f"there are {rejected:,}: give larger rates"
        )
    # Threshold k / BINS * 2 - 1 accepts the bins from k on.
    far = np.append(impostors[::-1].cumsum()[::-1], 0) / rejected
    frr = np.append(0, genuine.cumsum()) / accepted
    places = {rate: int((far <= rate).argmax()) for rate in sorted(rates, reverse=True)}
    equal = int(np.abs(far - frr).argmin())
    return Verification(
        eer=float(far[equal] + frr[equal]) / 2,
        eer_threshold=_threshold(equal),
        thresholds={rate: _threshold(place) for rate, place in places.items()},
        false_rejects={rate: float(frr[place]) for rate, place in places.items()},
        genuine=accepted,
        impostors=rejected,
        far=far,
        frr=frr,
    )


def _threshold(place: int) -> float:
    return 2 * place / BINS - 1


def _count(embeddings: Embeddings) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of one person and of two, (BINS,) each, by similarity."""
    known = (embeddings.pids != JUNK_PID).nonzero().flatten()
    vectors = F.normalize(embeddings.vectors[known.to(embeddings.vectors.device)], dim=1)
    pids, camids = (ids[known].to(vectors.device) for ids in (embeddings.pids, embeddings.camids))
    genuine, impostors = (torch.zeros(BINS, dtype=torch.int64, device=vectors.device) for _ in range(2))
    for start in range(0, len(vectors), BLOCK):
        rows, others = slice(start, start + BLOCK), slice(start, None)  # a pair once: the later block holds the rest
        similarity = vectors[rows] @ vectors[others].T  # (rows, others)
        bins = ((similarity + 1) / 2 * BINS).long().clamp_(0, BINS - 1)
        usable = (camids[rows, None] != camids[None, others]).triu_(1)
        same = pids[rows, None] == pids[None, others]
        genuine += _histogram(bins[usable & same & (pids[rows, None] != DISTRACTOR_PID)])
        impostors += _histogram(bins[usable & ~same])
    return genuine.cpu().numpy(), impostors.cpu().numpy()


def _histogram(bins: Tensor) -> Tensor:
    return torch.bincount(bins, minlength=BINS)
