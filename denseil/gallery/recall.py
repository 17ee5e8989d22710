"""What an index costs: asked of the gallery's own vectors, with the index and without."""

from __future__ import annotations

import itertools
import time
from typing import NamedTuple

import numpy as np

from denseil.gallery.protocol import Gallery


class Recall(NamedTuple):
    """What `check_recall` found.

    Attributes:
        recall: share of the true k nearest that the index returned, mean over the queries.
        worst: the same of the worst query.
        exact_seconds: time of exact search, for all queries.
        index_seconds: time with the index.
        queries: how many were asked.
        k: how many nearest were asked for.
    """

    recall: float
    worst: float
    exact_seconds: float
    index_seconds: float
    queries: int
    k: int

    def __str__(self) -> str:
        return (
            f"the index finds {self.recall:.1%} of the {self.k} nearest (worst of {self.queries} queries: "
            f"{self.worst:.0%}), in {self.index_seconds:.3f} s; exact search takes {self.exact_seconds:.3f} s"
        )


def check_recall(gallery: Gallery, *, queries: int = 100, k: int = 10, seed: int = 0) -> Recall:
    """Ask a gallery for neighbours of vectors near its own, with its index and exactly.

    The queries are stored vectors with some noise, as another tracklet of the same person would be.

    Args:
        gallery: what to ask.
        queries: how many.
        k: how many nearest of each.
        seed: of the noise.

    Raises:
        ValueError: an empty gallery.
    """
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
    # By distance, not by name: of records at equal distance either is right.
    shares = [
        sum(hit.distance <= exact[-1].distance + 1e-5 for hit in hits) / len(exact)
        for exact, hits in zip(truth, found, strict=True)
    ]
    return Recall(float(np.mean(shares)), min(shares), middle - began, ended - middle, len(asked), k)
