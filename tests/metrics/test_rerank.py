"""Re-ranking against the published procedure, step by step on full matrices."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from denseil.cli import main
from denseil.metrics import Embeddings, KReciprocal, RankingResult, rank, save_features
from denseil.metrics.rerank import reranked


def published(query: np.ndarray, gallery: np.ndarray, k1: int, k2: int, weight: float) -> np.ndarray:
    """Distances (Q, G) as in Zhong et al.: the steps of the paper's Section 3 on all pairs, in float64."""
    x = np.concatenate([query, gallery])
    n, q = len(x), len(query)
    d = ((x[:, None] - x[None]) ** 2).sum(2)
    d = (d / d.max(0)).T
    order = np.argsort(d, axis=1, kind="stable")

    def reciprocal(i: int, k: int) -> np.ndarray:
        forward = order[i, : k + 1]
        return forward[[i in order[j, : k + 1] for j in forward]]

    v = np.zeros((n, n))
    for i in range(n):
        own = extended = reciprocal(i, k1)
        for candidate in own:
            other = reciprocal(candidate, int(np.around(k1 / 2)))
            if len(np.intersect1d(other, own)) > 2 / 3 * len(other):
                extended = np.append(extended, other)
        extended = np.unique(extended)
        w = np.exp(-d[i, extended])
        v[i, extended] = w / w.sum()
    if k2 != 1:
        v = np.stack([v[order[i, :k2]].mean(0) for i in range(n)])
    shared = np.minimum(v[:q, None], v[None]).sum(2)
    jaccard = 1 - shared / (2 - shared)
    return ((1 - weight) * jaccard + weight * d[:q])[:, q:]


def people(size: int, seed: int, dim: int = 6) -> Embeddings:
    generator = np.random.default_rng(seed)
    pids = generator.integers(0, 9, size)
    centres = np.random.default_rng(99).normal(size=(9, dim))
    vectors = centres[pids] + 0.6 * generator.normal(size=(size, dim))
    return Embeddings(vectors.astype(np.float32), pids, generator.integers(0, 3, size))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("parameters", [(20, 6, 0.3), (5, 1, 0.0), (7, 3, 0.8), (60, 80, 0.3)])
@pytest.mark.parametrize("size", [4, 70])
def test_distances_are_the_published_ones(metric: str, parameters: tuple[int, int, float], size: int):
    query, gallery = people(11, seed=0), people(size, seed=1)
    q, g = (some.vectors.double().numpy() for some in (query, gallery))
    if metric == "cosine":
        q, g = (some / np.linalg.norm(some, axis=1, keepdims=True) for some in (q, g))
    expected = published(q, g, *parameters)
    blocks = list(reranked(query.vectors, gallery.vectors, KReciprocal(*parameters), metric=metric, height=4))
    assert [part.start for part, _ in blocks] == [0, 4, 8]
    np.testing.assert_allclose(np.concatenate([lines for _, lines in blocks]), expected, atol=2e-5)


def test_scores_are_those_of_the_distances():
    query, gallery = people(11, seed=0), people(70, seed=1)
    found = rank(query, gallery, metric="euclidean", rerank=KReciprocal())
    lines = published(query.vectors.double().numpy(), gallery.vectors.double().numpy(), 20, 6, 0.3)
    precisions = []
    for line, pid, camid in zip(lines, query.pids, query.camids, strict=True):
        kept = ~((gallery.pids == pid) & (gallery.camids == camid)).numpy()
        right = (gallery.pids == pid).numpy()[kept][np.argsort(line[kept], kind="stable")]
        places = np.flatnonzero(right) + 1
        if len(places):
            precisions.append((np.arange(1, len(places) + 1) / places).mean())
    assert found.mAP == pytest.approx(np.mean(precisions), abs=1e-6)
    assert found.mAP > rank(query, gallery, metric="euclidean").mAP
    assert found.rerank == "k-reciprocal (k1=20, k2=6, lambda=0.3)"
    assert found.rerank in str(found)
    assert RankingResult.from_json(found.to_json()).rerank == found.rerank
    assert rank(query, gallery).rerank is None


def test_junk_takes_part_in_the_neighbours_and_in_no_rank():
    query, gallery = people(11, seed=0), people(70, seed=1)
    pids = gallery.pids.clone()
    pids[::7] = -1
    found = rank(query, Embeddings(gallery.vectors, pids, gallery.camids), rerank=KReciprocal())
    assert found.num_junk == 10
    assert found.mAP > 0


def test_the_verb(tmp_path, capsys):
    for name, seed in (("q", 0), ("g", 1)):
        save_features(tmp_path / name, people(30, seed=seed))
    words = ["evaluate", "--features", str(tmp_path / "q"), str(tmp_path / "g")]
    assert main(words) == 0
    assert "re-ranked" not in capsys.readouterr().out
    assert main([*words, "--rerank"]) == 0
    assert "re-ranked: k-reciprocal (k1=20, k2=6, lambda=0.3)" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [{"k1": 0}, {"k2": 0}, {"k1": 1.5}, {"lambda_": 1.1}, {"lambda_": float("nan")}])
def test_parameters_out_of_range_are_refused(wrong: dict[str, float]):
    with pytest.raises((TypeError, ValueError), match="must be"):
        KReciprocal(**wrong)  # type: ignore[arg-type]


def test_rerank_is_a_method():
    query = people(5, seed=0)
    with pytest.raises(TypeError, match=r"rerank is True; it must be None or denseil\.metrics\.KReciprocal"):
        rank(query, query, rerank=True)  # type: ignore[arg-type]
    assert torch.equal(query.vectors, people(5, seed=0).vectors)
