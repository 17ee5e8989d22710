"""The pairs of tracklets whose answer changes most: weak links, and near misses."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from denseil.common.arguments import checked
from denseil.common.vectors import ArrayLike
from denseil.linking.centring import centred
from denseil.linking.checks import Tracks, check_pairs, check_vectors
from denseil.linking.result import Links
from denseil.linking.rules import Rules, Travel

BLOCK = 512


class Doubt(NamedTuple):
    """A pair that a person should look at.

    Attributes:
        one: Row of the tracklet in doubt.
        other: Row of the tracklet to compare it with.
        similarity: Their cosine similarity.
        linked: Whether they are linked now.
    """

    one: int
    other: int
    similarity: float
    linked: bool


@checked
def doubts(
    links: Links,
    vectors: ArrayLike,
    *,
    most: int = 30,
    known: Collection[tuple[int, int]] = (),
    travel: Travel | None = None,
) -> list[Doubt]:
    """Find the least confident tracklets, each with the tracklet to compare it with, the least confident first.

    A linked tracklet is compared with the least similar one of its person, a single one with the most similar one of
    another person that was not seen at once with it, that travel times do not bar, and about which nothing is known.
    Similarities are those of the linking, so of centred vectors where `links.centred`.

    Args:
        links: Result of `link`.
        vectors: The vectors that were linked.
        most: Number of pairs.
        known: Pairs of rows that have been answered; they are left out.
        travel: Times between cameras that were given to `link`.

    Raises:
        ValueError: If there is not one vector for each tracklet, or a pair is not two different rows.
    """
    unit = check_vectors(vectors)
    if len(unit) != len(links):
        raise ValueError(f"{len(unit)} vectors for {len(links)} linked tracklets; give those that were linked")
    if links.centred:
        unit = centred(Tracks(unit, links.camids, links.start, links.end))[0].vectors
    rules = Rules(links.camids, links.start, links.end, travel=travel)
    skip = {(min(pair), max(pair)) for pair in check_pairs("known", list(known), len(links))}
    answered: dict[int, list[int]] = {}
    for one, other in [*skip, *((b, a) for a, b in skip)]:
        answered.setdefault(one, []).append(other)
    found: dict[tuple[int, int], Doubt] = {}
    for row in np.argsort(links.confidence, kind="stable").tolist():
        if len(found) >= most or links.confidence[row] > 0.75:
            break
        own = np.flatnonzero((links.person == links.person[row]) & (np.arange(len(links)) != row))
        others = own if len(own) else _possible(links, rules, row, answered.get(row, []))
        if not len(others):
            continue
        similar = unit[others] @ unit[row]
        place = int(similar.argmin() if len(own) else similar.argmax())
        other = int(others[place])
        pair = (min(row, other), max(row, other))
        if pair not in skip and pair not in found:
            found[pair] = Doubt(row, other, float(similar[place]), bool(len(own)))
    return list(found.values())


def _possible(links: Links, rules: Rules, row: int, answered: list[int]) -> NDArray[np.int64]:
    """Rows of other persons that may show the person of a row: no rule bars them, nor were they answered."""
    possible = ~rules.barred(np.array([row]), np.arange(len(links)))[0]
    possible &= links.person != links.person[row]
    possible[answered] = False
    return np.flatnonzero(possible)
