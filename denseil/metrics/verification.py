"""Verification: false-accept and false-reject rates of thresholds on cosine similarity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from denseil.common.arguments import checked
from denseil.common.text import counted
from denseil.metrics.bootstrap import Point, threshold_intervals
from denseil.metrics.counting import lengths
from denseil.metrics.embeddings import DISTRACTOR_PID, JUNK_PID, Embeddings
from denseil.metrics.figures import new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 1 << 16  # of similarity, from -1 to 1: thresholds are known to 3e-5
RATES = (1e-2, 1e-3, 1e-4)
BLOCK = 1024  # rows of similarities at a time


@dataclass(frozen=True, eq=False)
class Verification:
    """Error rates at every threshold. Prints as a table of the thresholds.

    A pair is accepted as one person if its cosine similarity is at least the threshold. Intervals are
    those of a bootstrap over identities, 95 %: how far a threshold moves with other people. They are computed from at
    most 100,000 pairs of each kind, sampled with a fixed seed.

    Args:
        eer: Equal error rate: the mean of both error rates at `eer_threshold`.
        eer_threshold: Threshold at which false accepts and false rejects are equally frequent: the middle of the
            thresholds with the same errors, the highest of them if there are none.
        thresholds: False-accept rate -> the lowest threshold at which no larger share of `impostors` is accepted.
        false_rejects: False-accept rate -> the share of `genuine` that is rejected at its threshold.
        genuine: Pairs of one person, seen by two cameras.
        impostors: Pairs of two persons, seen by two cameras.
        far: (BINS + 1,) false-accept rate at each of `BINS + 1` thresholds, evenly spaced from -1 to 1.
        frr: (BINS + 1,) false-reject rate there.
        identities: Number of persons; distractors count as one.
        eer_interval: Interval of `eer_threshold`.
        intervals: False-accept rate -> interval of its threshold.
    """

    eer: float
    eer_threshold: float
    thresholds: dict[float, float]
    false_rejects: dict[float, float]
    genuine: int
    impostors: int
    far: NDArray[np.float64]
    frr: NDArray[np.float64]
    identities: int = 0
    eer_interval: tuple[float, float] = (-1.0, 1.0)
    intervals: dict[float, tuple[float, float]] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [
            f"{counted(self.genuine, 'pair')} of one person, {self.impostors:,} of two, each pair seen by two cameras",
            f"{'':12}{'threshold':>10}{'false accepts':>15}{'false rejects':>15}{'95 % interval':>19}",
            f"{'equal error':12}{self.eer_threshold:10.4f}{self.eer:15.2%}{self.eer:15.2%}{_shown(self.eer_interval)}",
        ]
        lines += [
            f"{f'rate {rate:g}':12}{threshold:10.4f}{rate:15.4%}{self.false_rejects[rate]:15.2%}"
            f"{_shown(self.intervals.get(rate))}"
            for rate, threshold in self.thresholds.items()
        ]
        lines.append(
            f"intervals of the thresholds: bootstrap over {counted(self.identities, 'identity', 'identities')}"
        )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON: all fields except the curves `far` and `frr`; rates become text."""
        values = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in ("far", "frr")}
        by_rate = ("thresholds", "false_rejects", "intervals")
        return values | {name: {repr(float(rate)): value for rate, value in values[name].items()} for name in by_rate}

    def plot(self, path: str | Path | None = None) -> Figure:
        """Plot both error rates over the threshold, and save the figure if a path is given; its suffix is the format.

        Raises:
            ModuleNotFoundError: If matplotlib is not installed.
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
        axes.set_title(f"{counted(self.genuine, 'pair')} of one person, {self.impostors:,} of two", fontsize="medium")
        axes.legend(loc="lower left", fontsize="small")
        axes.grid(alpha=0.3)
        if path is not None:
            save_figure(figure, path)
        return figure


@checked
def verify(embeddings: Embeddings, *, rates: Sequence[float] | None = None) -> Verification:
    """Compute error rates over all pairs from two cameras, and the thresholds of given false-accept rates.

    Junk (pid -1) is left out; two distractors (pid 0) may be one person or two, and form no pair. Similarities are
    counted in bins as they are computed, block by block: memory grows with N, not with the number of pairs.

    Args:
        embeddings: Vectors with their persons and cameras.
        rates: False-accept rates in (0, 1); None for 0.01, 0.001 and 0.0001, as far as there are enough pairs.

    Raises:
        ValueError: If a rate is out of its range or too small for the number of pairs, there is no pair of one person
            or of two from two cameras, or a vector's length is beyond float32 (as in `rank`).
    """
    if rates is not None and not all(0 < rate < 1 for rate in rates):
        raise ValueError(f"false-accept rates lie between 0 and 1, got {list(rates)}")
    units, pids, camids = _known(embeddings)
    genuine, impostors = _count(units, pids, camids)
    accepted, rejected = int(genuine.sum()), int(impostors.sum())
    if not accepted or not rejected:
        which = "of one person" if not accepted else "of two persons"
        raise ValueError(
            f"no pair {which} was seen by two cameras: calibrate on tracklets whose pids and camids are known, "
            "with persons whom several cameras saw"
        )
    if rates is None:
        rates = [rate for rate in RATES if rate >= 1 / rejected]
    if rates and min(rates) < 1 / rejected:
        raise ValueError(
            f"a false-accept rate of {min(rates):g} needs {1 / min(rates):,.0f} pairs of two persons, "
            f"there are {rejected:,}: give larger rates"
        )
    # Threshold k / BINS * 2 - 1 accepts the bins from k on.
    far = np.append(impostors[::-1].cumsum()[::-1], 0) / rejected
    frr = np.append(0, genuine.cumsum()) / accepted
    places = {rate: _rate(far, frr, rate=rate) for rate in sorted(rates, reverse=True)}
    equal = _equal_error(far, frr)
    points: list[Point] = [_equal_error, *(partial(_rate, rate=rate) for rate in places)]
    intervals = threshold_intervals(units, pids, camids, points, bins=BINS)
    return Verification(
        eer=float(far[equal] + frr[equal]) / 2,
        eer_threshold=_threshold(equal),
        thresholds={rate: _threshold(place) for rate, place in places.items()},
        false_rejects={rate: float(frr[place]) for rate, place in places.items()},
        genuine=accepted,
        impostors=rejected,
        far=far,
        frr=frr,
        identities=len(pids.unique()),
        eer_interval=intervals[0],
        intervals=dict(zip(places, intervals[1:], strict=True)),
    )


def _shown(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"{interval[0]:9.4f}..{interval[1]:.4f}".rjust(19)


def _equal_error(far: NDArray[np.float64], frr: NDArray[np.float64]) -> int:
    """Return the index of the equal error rate, among the indices with the same errors.

    Between pairs of two persons and of one there may be a gap: its upper side if nothing in it is wrong, because new
    people are accepted more often than those that were measured; else its middle.
    """
    first = int(np.abs(far - frr).argmin())
    last = int(np.flatnonzero((far == far[first]) & (frr == frr[first]))[-1])
    return last if far[first] == frr[first] == 0 else (first + last) // 2


def _rate(far: NDArray[np.float64], frr: NDArray[np.float64], *, rate: float) -> int:
    """Return the index of the lowest threshold at which no larger share of the pairs of two persons is accepted."""
    return int((far <= rate).argmax())


def _threshold(place: int) -> float:
    return 2 * place / BINS - 1


def _known(embeddings: Embeddings) -> tuple[Tensor, Tensor, Tensor]:
    """Return vectors (N, D) of length 1, pids (N,) and camids (N,) of all but junk; a zero vector is not changed."""
    length = lengths(embeddings.vectors)  # of junk, too, as in `rank`
    known = (embeddings.pids != JUNK_PID).nonzero().flatten()
    place = known.to(embeddings.vectors.device)
    length = length[place, None]
    units = embeddings.vectors[place] / torch.where(length > 0, length, 1)
    return units, embeddings.pids[known].to(units.device), embeddings.camids[known].to(units.device)


def _count(vectors: Tensor, pids: Tensor, camids: Tensor) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the pairs of one person and of two by similarity, (BINS,) each."""
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
