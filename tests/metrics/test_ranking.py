from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torchmetrics.retrieval import RetrievalMAP

from denseil.metrics import Embeddings, nearest, rank
from denseil.metrics.result import RankingResult
from tests.metrics.reference import Case, score


def both(case: Case) -> tuple[Embeddings, Embeddings]:
    return (
        Embeddings(case.q_vectors, case.q_pids, case.q_camids),
        Embeddings(case.g_vectors, case.g_pids, case.g_camids),
    )


@st.composite
def cases(draw: st.DrawFn, values: st.SearchStrategy[int]) -> Case:
    """Few values, persons and cameras, so that ties, junk, distractors and queries without a match are common."""
    dim = draw(st.integers(1, 7))
    cameras = st.integers(0, draw(st.integers(0, 2)))

    def labelled(most: int, pids: st.SearchStrategy[int]) -> tuple[list[list[int]], list[int], list[int]]:
        size = draw(st.integers(1, most))
        rows = draw(st.lists(st.lists(values, min_size=dim, max_size=dim), min_size=size, max_size=size))
        for copy in range(size // 4):  # duplicate features
            rows[copy] = rows[-1 - copy]
        return rows, *(draw(st.lists(ids, min_size=size, max_size=size)) for ids in (pids, cameras))

    return Case(*labelled(5, st.integers(-1, 4)), *labelled(24, st.integers(-1, 3)))


def assert_agrees(case: Case, protocol: str, metric: str, block: tuple[int, int]) -> None:
    query, gallery = both(case)
    try:
        mean_ap, cmc, mean_inp, num_valid = score(case, protocol, metric)
    except ZeroDivisionError:
        with pytest.raises(ValueError, match="has a match"):
            rank(query, gallery, protocol=protocol, metric=metric, block=block)
        return
    result = rank(query, gallery, protocol=protocol, metric=metric, block=block)
    assert result.mAP == pytest.approx(mean_ap, abs=1e-6)
    assert result.cmc.tolist() == pytest.approx(cmc, abs=1e-6)
    assert result.mINP == pytest.approx(mean_inp, abs=1e-6)
    assert result.num_valid == num_valid


blocks = st.sampled_from([(512, 65536), (1, 1), (2, 3), (3, 7)])
protocols = st.sampled_from(["standard", "mars-official"])
ONE_CAMERA = Case([[1]], [1], [0], [[1], [2]], [1, 1], [0, 0])


@settings(max_examples=200)
@given(case=cases(st.integers(-3, 3)), protocol=protocols, block=blocks)
@example(case=ONE_CAMERA, protocol="standard", block=(512, 65536))
def test_euclidean_equals_brute_force(case: Case, protocol: str, block: tuple[int, int]) -> None:
    assert_agrees(case, protocol, "euclidean", block)


# Of vectors of zeros and ones, equal cosines are equal in float32 too, so ties stay ties.
@settings(max_examples=200)
@given(case=cases(st.integers(0, 1)), protocol=protocols, block=blocks)
def test_cosine_equals_brute_force(case: Case, protocol: str, block: tuple[int, int]) -> None:
    assert_agrees(case, protocol, "cosine", block)


def random_pair() -> tuple[Embeddings, Embeddings]:
    generator = torch.Generator().manual_seed(0)

    def some(size: int, lowest: int) -> Embeddings:
        vectors = torch.randn(size, 16, generator=generator) + 0.3
        pids = torch.randint(lowest, 12, (size,), generator=generator)
        return Embeddings(vectors, pids, torch.randint(4, (size,), generator=generator))

    return some(40, 1), some(300, -1)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_map_equals_torchmetrics_after_filtering(metric: str) -> None:
    query, gallery = random_pair()
    if metric == "cosine":
        score = torch.nn.functional.cosine_similarity(query.vectors[:, None], gallery.vectors[None], dim=2)
    else:
        score = -torch.cdist(query.vectors, gallery.vectors, compute_mode="donot_use_mm_for_euclid_dist")
    match = query.pids[:, None] == gallery.pids
    kept = (gallery.pids != -1) & ~(match & (query.camids[:, None] == gallery.camids))
    # torchmetrics takes targets of a score <= 0 for misses, so scores are shifted above 0.
    oracle = RetrievalMAP(empty_target_action="skip")
    indexes = torch.arange(len(query))[:, None].expand_as(match)
    expected = oracle(score[kept] - score.min() + 1, match[kept], indexes=indexes[kept])
    assert rank(query, gallery, metric=metric).mAP == pytest.approx(float(expected), abs=1e-6)


def test_hand_worked() -> None:
    # Query: person 1, camera 0, at 0 on a line. In order of distance: its own tracklet (ignored), junk (ignored), a
    # distractor, a match, another person, the person's tracklet from the query's camera (ignored), a match.
    gallery = Embeddings([[0.0], [0.1], [1], [2], [3], [4], [5]], [1, -1, 0, 1, 2, 1, 1], [0, 1, 1, 1, 1, 0, 2])
    result = rank(Embeddings([[0.0]], [1], [0]), gallery, metric="euclidean")
    # Kept: miss, match, miss, match. AP is (1/2 + 2/4) / 2, INP 2/4.
    assert (result.mAP, result.mINP) == (0.5, 0.5)
    assert result.cmc.tolist() == [0.0] + [1.0] * 19
    counts = result.num_query, result.num_valid, result.num_gallery, result.num_junk, result.num_distractors
    assert counts == (1, 1, 7, 1, 1)
    # Trapezoids: (0/1 + 1/2) / 2 and (1/3 + 2/4) / 2, each over half of the recall.
    official = rank(gallery=gallery, query_index=[0], metric="euclidean", protocol="mars-official")
    assert official.mAP == pytest.approx((1 / 4 + 5 / 12) / 2)


def test_a_query_without_a_match_is_left_out_or_counts_as_zero() -> None:
    query = Embeddings([[1.0], [1.0]], [1, 9], [0, 0])
    gallery = Embeddings([[1.0]], [1], [1])
    standard, official = (rank(query, gallery, protocol=name) for name in ("standard", "mars-official"))
    assert (standard.mAP, standard.cmc[0], standard.mINP, standard.num_valid) == (1, 1, 1, 1)
    assert (official.mAP, official.cmc[0], official.mINP, official.num_valid) == (0.5, 0.5, 0.5, 1)
    assert standard.first_match is not None
    assert standard.first_match.tolist() == [1, 0]
    np.testing.assert_equal(standard.average_precision, [1, np.nan])
    np.testing.assert_equal(official.average_precision, [1, 0])


def test_equal_distances_keep_gallery_order() -> None:
    query = Embeddings([[1.0, 2.0]], [1], [0])
    for place in range(5):
        gallery = Embeddings([[3.0, 1.0]] * 5, [1 if i == place else 2 for i in range(5)], [1] * 5)
        for block in ((512, 65536), (1, 2)):
            assert rank(query, gallery, block=block).mAP == 1 / (place + 1)


def test_the_length_of_vectors_does_not_matter_to_cosine() -> None:
    query, gallery = random_pair()
    longer = Embeddings(gallery.vectors * torch.arange(1, 301)[:, None], gallery.pids, gallery.camids)
    assert rank(query, longer).mAP == pytest.approx(rank(query, gallery).mAP, abs=1e-6)
    assert rank(query, longer, metric="euclidean").mAP != pytest.approx(rank(query, gallery).mAP, abs=1e-3)


def same(a: RankingResult, b: RankingResult) -> bool:
    return a.to_dict() == b.to_dict()


@pytest.mark.parametrize("block", [(1, 9), (7, 300), (40, 299), (64, 64), (3, 5000)])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_blocks_change_nothing(metric: str, block: tuple[int, int]) -> None:
    # Dot products of integers are exact; of other numbers, blocks may change the last bit.
    query, gallery = (Embeddings((3 * some.vectors).round(), some.pids, some.camids) for some in random_pair())
    assert same(rank(query, gallery, metric=metric, block=block), rank(query, gallery, metric=metric))


def test_query_index_replaces_the_query() -> None:
    _, gallery = random_pair()
    index = torch.arange(50, 90)
    chosen = Embeddings(gallery.vectors[index], gallery.pids[index], gallery.camids[index])
    for protocol in ("standard", "mars-official"):
        assert same(
            rank(gallery=gallery, query_index=index, protocol=protocol), rank(chosen, gallery, protocol=protocol)
        )


def test_many_matches_in_a_gallery_of_several_blocks() -> None:
    # More distinct matches than are gathered at once.
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randint(-3, 4, (9000, 4), generator=generator)
    gallery = Embeddings(vectors, torch.randint(1, 3, (9000,), generator=generator), torch.arange(9000) % 2)
    query = gallery[torch.arange(10)]
    assert same(rank(query, gallery, block=(4, 2500)), rank(query, gallery))


ONE = Embeddings([[1.0, 0.0]], [1], [0])


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"query": ONE, "gallery": ONE, "protocol": "mars"}, ValueError, r"'mars'.*standard, mars-official"),
        ({"query": ONE, "gallery": ONE, "protocol": "mars-oficial"}, ValueError, "did you mean 'mars-official'"),
        ({"query": ONE, "gallery": ONE, "metric": "l1"}, ValueError, "'l1'.*cosine, euclidean"),
        ({"query": ONE, "gallery": ONE, "block": (0, 1)}, ValueError, "at least one"),
        ({"query": ONE}, TypeError, "needs a gallery"),
        ({"gallery": ONE}, TypeError, "either query or query_index"),
        ({"query": ONE, "gallery": ONE, "query_index": [0]}, TypeError, "either query or query_index"),
        ({"gallery": ONE, "query_index": [1]}, ValueError, "0 to 0"),
        ({"gallery": ONE, "query_index": [-1]}, ValueError, "0 to 0"),
        ({"gallery": ONE, "query_index": np.array([], int)}, ValueError, "0 to 0"),
        ({"gallery": ONE, "query_index": [0.0]}, TypeError, "query_index.*integers"),
        ({"query": Embeddings([[1.0]], [1], [0]), "gallery": ONE}, ValueError, "length 1.*2"),
        ({"query": ONE, "gallery": ONE}, ValueError, "none of 1 queries has a match"),
        ({"query": ONE, "gallery": Embeddings([[3e19, 0]], [1], [1])}, ValueError, "beyond float32"),
        ({"query": Embeddings([[3e19, 0]], [1], [1]), "gallery": ONE}, ValueError, "beyond float32"),
        ({"query": ONE, "gallery": Embeddings([[1e-19, 0]], [1], [1])}, ValueError, "below float32"),
    ],
)
def test_errors(arguments: dict[str, object], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        rank(**arguments)  # type: ignore[arg-type]


def brute_force(query: Embeddings, gallery: Embeddings, kind: list[int], metric: str) -> tuple[float, list[int]]:
    """MAP and ranks of the first matches by numpy in float64; rows of one kind are equal and so at equal distance."""
    q, g = (some.vectors.double().numpy() for some in (query, gallery))
    precisions, first = [], []
    for vector, pid, camid in zip(q, query.pids.tolist(), query.camids.tolist(), strict=True):
        if metric == "euclidean":
            distance = np.linalg.norm(g - vector, axis=1)
        else:
            distance = -(g @ vector) / np.linalg.norm(g, axis=1)
        distance = np.array([distance[kind.index(one)] for one in kind])
        order = np.argsort(distance, kind="stable")
        kept = [i for i in order if int(gallery.pids[i]) != pid or int(gallery.camids[i]) != camid]
        ranks = [rank for rank, i in enumerate(kept, 1) if int(gallery.pids[i]) == pid]
        first.append(ranks[0] if ranks else 0)
        if ranks:
            precisions.append(np.mean([found / rank for found, rank in enumerate(ranks, 1)]))
    return float(np.mean(precisions)), first


@settings(max_examples=60)
@given(data=st.data(), metric=st.sampled_from(["cosine", "euclidean"]))
def test_equal_vectors_tie_whatever_the_blocks(data: st.DataObject, metric: str) -> None:
    generator = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    dim, size = data.draw(st.sampled_from([3, 37, 301])), data.draw(st.integers(2, 90))
    pool = generator.normal(size=(data.draw(st.integers(1, 6)), dim)).astype(np.float32)
    kind = generator.integers(len(pool), size=size).tolist()
    pids, camids = generator.integers(1, 4, size=size), generator.integers(0, 2, size=size)
    gallery = Embeddings(pool[kind], pids, camids)
    near = generator.normal(size=(7, dim)).astype(np.float32)
    query = Embeddings(near, generator.integers(1, 4, size=7), np.full(7, 2))
    if not set(query.pids.tolist()) & set(pids.tolist()):
        return
    expected, first = brute_force(query, gallery, kind, metric)
    for block in ((512, 65536), (1, 1), (3, 7), (7, 64), (2, 33), (5, 17)):
        found = rank(query, gallery, metric=metric, block=block)
        assert found.mAP == pytest.approx(expected, abs=1e-9)
        assert found.first_match is not None
        assert found.first_match.tolist() == first
    nearer = nearest(query, gallery, k=size, metric=metric, block=3)
    for one, pid, rank_ in zip(nearer, query.pids.tolist(), first, strict=True):
        matches = np.flatnonzero(gallery.pids.numpy()[one.places] == pid)
        assert (matches[0] + 1 if len(matches) else 0) == rank_


def test_a_gallery_without_the_queries_is_told_under_mars_official(caplog: pytest.LogCaptureFixture):
    gallery = Embeddings(np.eye(6), [1, 1, 2, 2, 3, 3], [1, 2, 1, 2, 1, 2])
    rank(gallery=gallery, query_index=[0, 3], protocol="mars-official")
    rank(gallery[[0, 3]], gallery, protocol="mars-official")
    rank(gallery[[0, 3]], gallery[[1, 2, 4, 5]], protocol="standard")
    assert not caplog.records
    result = rank(gallery[[0, 3]], gallery[[1, 2, 3, 4, 5]], protocol="mars-official")
    assert "the gallery holds nothing of the person and camera of 1 of 2 queries, so it lacks these" in caplog.text
    assert result.num_query == 2
