"""Named protocols: the average precision, and the queries of the means.

All protocols ignore, for a query, the gallery items of its own person and camera (including the query itself if the
gallery contains it) and junk (pid -1). Distractors (pid 0) stay: they are wrong answers for every query.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from denseil.common.arguments import shown
from denseil.common.text import did_you_mean

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def precision_at_match(found: IntArray, rank: IntArray) -> FloatArray:
    """Compute the precision at each match, `found / rank`.

    Args:
        found: (M,) number of matches up to this one, from 1.
        rank: (M,) rank of the match among the items that are not ignored, from 1.

    Returns:
        (M,) terms whose mean over a query's matches is its average precision.
    """
    return found / rank


def trapezoid_at_match(found: IntArray, rank: IntArray) -> FloatArray:
    """Average the precision at a match and one rank before it, which is 1 before the first rank.

    Recall steps only at matches, so this sums the area of MARS's official script (`compute_AP.m` of Zheng et al.,
    "MARS: A Video Benchmark for Large-Scale Person Re-identification", ECCV 2016) without its other ranks.

    Args:
        found: (M,) as in `precision_at_match`.
        rank: (M,) as in `precision_at_match`.

    Returns:
        (M,) terms whose mean over a query's matches is its average precision.
    """
    before = np.where(rank > 1, (found - 1) / np.maximum(rank - 1, 1), 1.0)
    return (before + found / rank) / 2


@dataclass(frozen=True)
class Protocol:
    """Definition of the scores.

    Args:
        name: Name in results.
        term: Function for the term of each match in average precision.
        mean_over_all: Whether queries without a match count as 0 in every mean; otherwise they are left out.
        queries_in_gallery: Whether a dataset's queries are in the gallery too.
    """

    name: str
    term: Callable[[IntArray, IntArray], FloatArray]
    mean_over_all: bool
    queries_in_gallery: bool

    def gallery(self, queries: range) -> slice:
        """Return the slice of a dataset's gallery followed by its queries that is the gallery of this protocol.

        Args:
            queries: The places of the queries, from `VideoReIDDataset.gallery_with_queries`.
        """
        return slice(queries.stop if self.queries_in_gallery else queries.start)


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("standard", precision_at_match, mean_over_all=False, queries_in_gallery=False),
        Protocol("mars-official", trapezoid_at_match, mean_over_all=True, queries_in_gallery=True),
    )
}


def get_protocol(name: str) -> Protocol:
    """Return the protocol of a name.

    Raises:
        ValueError: If the name is unknown.
    """
    if name not in PROTOCOLS:
        hint = did_you_mean(name, PROTOCOLS)
        raise ValueError(
            f"no protocol is named {shown(name)}: {f'{hint} ' * bool(hint)}known are {', '.join(PROTOCOLS)}"
        )
    return PROTOCOLS[name]
