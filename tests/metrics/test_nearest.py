"""The first ranks, against plain loops and against the ranks that `rank` counts."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from denseil.metrics import Embeddings, nearest, rank


def some(size: int, seed: int) -> Embeddings:
    """Small integers, so that many distances are equal; junk, distractors and a vector of zeros among them."""
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randint(-2, 3, (size, 3), generator=generator).float()
    vectors[0] = 0
    return Embeddings(vectors, torch.arange(size) % 7 - 1, torch.arange(size) % 3)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("k", [1, 4, 500])
def test_is_that_of_plain_loops(metric: str, k: int):
    query, gallery = some(20, 0), some(90, 1)
    for place, found in enumerate(nearest(query, gallery, k, metric=metric, block=7)):
        pid, camid = query.pids[place], query.camids[place]
        distances = {}
        for at in range(90):
            if gallery.pids[at] == -1 or (gallery.pids[at] == pid and gallery.camids[at] == camid):
                continue
            a, b = query.vectors[place].double(), gallery.vectors[at].double()
            distance = 1 - F.cosine_similarity(a[None], b[None])[0] if metric == "cosine" else (a - b).norm()
            distances[at] = round(float(distance), 5)
        expected = sorted(distances, key=lambda at: (distances[at], at))[:k]
        assert [distances[at] for at in found.places.tolist()] == [distances[at] for at in expected]
        assert found.distances.tolist() == pytest.approx([distances[at] for at in expected], abs=1e-5)
        if metric == "euclidean":  # of small integers it is exact, so ties are ties
            assert found.places.tolist() == expected


@pytest.mark.parametrize("scale", [1e-9, 1e-17, 1e17])
def test_the_length_of_vectors_does_not_change_the_distance(scale: float):
    vectors = torch.tensor([[1.0, 0], [0, 1], [1, 1], [0, 0]])
    one, long = (Embeddings(each, [1, 2, 3, 4], [1, 1, 1, 1]) for each in (vectors, vectors * scale))
    gallery = Embeddings(vectors * scale, [5, 6, 7, 8], [2, 2, 2, 2])
    expected = [found.distances.tolist() for found in nearest(one, gallery)]
    assert expected[0] == pytest.approx([0, 1 - 0.5**0.5, 1, 1])
    for found, distances in zip(nearest(long, gallery), expected, strict=True):
        assert found.distances.tolist() == pytest.approx(distances, abs=1e-6)
    with pytest.raises(ValueError, match="too short"):
        nearest(Embeddings(vectors * 1e-20, [1, 2, 3, 4], [1, 1, 1, 1]), gallery)


def test_first_match_is_where_rank_says():
    generator = torch.Generator().manual_seed(2)
    query, gallery = some(40, 3), some(200, 4)
    query = Embeddings(torch.randn(40, 5, generator=generator), query.pids, query.camids)
    gallery = Embeddings(torch.randn(200, 5, generator=generator), gallery.pids, gallery.camids)
    result = rank(query, gallery)
    assert result.first_match is not None
    for place, found in enumerate(nearest(query, gallery, 200)):
        right = (gallery.pids[found.places] == query.pids[place]).nonzero()
        first = int(right[0]) + 1 if len(right) else 0
        assert first == result.first_match[place]


def test_bad_input_is_one_clear_error():
    one = some(3, 0)
    with pytest.raises(ValueError, match="no metric is named 'l2'"):
        nearest(one, one, metric="l2")
    with pytest.raises(ValueError, match="k is 0"):
        nearest(one, one, 0)
    with pytest.raises(ValueError, match="both must come from one model"):
        nearest(one, Embeddings(torch.ones(2, 9), [1, 2], [1, 1]))
