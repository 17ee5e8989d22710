"""Scores of a grouping of tracklets against the true persons: pairwise precision and recall, and B-cubed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from denseil.common.arguments import checked


class ClusterScores(NamedTuple):
    """Scores of a grouping, in [0, 1]; a precision or recall without pairs is 1.

    Attributes:
        pair_precision: Share of the pairs in one group that show one person.
        pair_recall: Share of the pairs of one person that are in one group.
        pair_f1: Harmonic mean of the two.
        bcubed_precision: Mean over items of the share of their group that shows their person.
        bcubed_recall: Mean over items of the share of their person that is in their group.
        bcubed_f1: Harmonic mean of the two.
        false_links: Share of the pairs of two persons that are in one group.
    """

    pair_precision: float
    pair_recall: float
    pair_f1: float
    bcubed_precision: float
    bcubed_recall: float
    bcubed_f1: float
    false_links: float


@checked
def score_clusters(groups: ArrayLike, pids: ArrayLike) -> ClusterScores:
    """Compare a grouping with the true persons.

    Pairs weigh a person by the square of the number of items, B-cubed by their number (Bagga and Baldwin, 1998).

    Args:
        groups: Group of each item (N,), such as `Links.person`; any numbers or texts.
        pids: Person of each (N,).

    Raises:
        ValueError: If there is no item, or the two differ in length.
    """
    one, other = np.asarray(groups), np.asarray(pids)
    if one.ndim != 1 or one.shape != other.shape or not len(one):
        raise ValueError(f"groups has shape {one.shape}, pids {other.shape}; give one of each for at least one item")
    group, person = (np.unique(labels, return_inverse=True)[1] for labels in (one, other))
    cells, of = np.unique(group * (int(person.max()) + 1) + person, return_inverse=True)
    both = np.bincount(of, minlength=len(cells))
    in_group, of_person = np.bincount(group), np.bincount(person)
    right, linked, same = _pairs(both), _pairs(in_group), _pairs(of_person)
    precision, recall = _share(right, linked), _share(right, same)
    b_precision = float((both[of] / in_group[group]).mean())
    b_recall = float((both[of] / of_person[person]).mean())
    different = len(one) * (len(one) - 1) // 2 - same
    return ClusterScores(
        precision,
        recall,
        _f1(precision, recall),
        b_precision,
        b_recall,
        _f1(b_precision, b_recall),
        (linked - right) / max(different, 1),
    )


def _pairs(sizes: NDArray[np.int64]) -> int:
    return int((sizes * (sizes - 1) // 2).sum())


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
