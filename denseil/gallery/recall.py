"""Recall of an index, measured on the gallery's own vectors."""

from __future__ import annotations

import itertools
import time
from typing import NamedTuple

import numpy as np

from denseil.common.arguments import checked
from denseil.common.text import counted, plain
from denseil.gallery.fields import check_integer
from denseil.gallery.protocol import Gallery


class Recall(NamedTuple):
    """Result of `check_recall`.

    Attributes:
        recall: Share of the true k nearest records that the index returned, mean over queries.
        worst: Smallest share of a query.
        exact_seconds: Time of exact search for all queries.
        index_seconds: Time with the index.
        queries: Number of queries.
        k: Number of neighbours.
    """

    recall: float
    worst: float
    exact_seconds: float
    index_seconds: float
    queries: int
    k: int

    def __str__(self) -> str:
        queries = counted(self.queries, "query", "queries")
        return (
            f"the index finds {self.recall:.1%} of the {self.k} nearest (worst of {queries}: "
            f"{self.worst:.0%}), in {self.index_seconds:.3f} s; exact search takes {self.exact_seconds:.3f} s"
        )


@checked
def check_recall(gallery: Gallery, *, queries: int = 100, k: int = 10, seed: int = 0) -> Recall:
    """Measure the recall of a gallery's index against exact search.

    The queries are stored vectors with added noise, like other tracklets of the same persons.

    Args:
        gallery: The gallery.
        queries: Number of queries.
        k: Number of neighbours.
        seed: Seed of the noise.

    Raises:
        TypeError, ValueError: If a number is not an integer, or below 1 (a seed: below 0).
        ValueError: If the gallery is empty.
    """
    queries, k = (check_integer(name, value, least=1) for name, value in (("queries", queries), ("k", k)))
    seed = check_integer("seed", seed, least=0)
    if not gallery.count():
        raise ValueError(f"the gallery {plain(gallery.uri)} is empty: there is nothing to search for")
    blocks = itertools.chain.from_iterable(gallery.scan())
    vectors = np.stack([item.vector for item in itertools.islice(blocks, 0, None, max(gallery.count() // queries, 1))])
    vectors = vectors[:queries]
    noise = np.random.default_rng(seed).normal(size=vectors.shape) / np.sqrt(gallery.dim)
    asked = vectors + 0.3 * noise.astype(np.float32)
    began = time.perf_counter()
    truth = gallery.search(asked, k)
    middle = time.perf_counter()
    found = gallery.search(asked, k, exact=False)
    ended = time.perf_counter()
    # Compared by distance, because records at equal distance are interchangeable.
    shares = [
        sum(hit.distance <= exact[-1].distance + 1e-5 for hit in hits) / len(exact)
        for exact, hits in zip(truth, found, strict=True)
    ]
    return Recall(float(np.mean(shares)), min(shares), middle - began, ended - middle, len(asked), k)
