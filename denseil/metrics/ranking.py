"""`rank`: CMC, mAP and mINP of a ranked gallery under a named protocol."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from denseil.common.arguments import checked, shown
from denseil.common.vectors import ArrayLike
from denseil.metrics.counting import BlockedGallery, Ranks, check_comparable, get_metric
from denseil.metrics.embeddings import DISTRACTOR_PID, JUNK_PID, Embeddings, as_ids
from denseil.metrics.protocols import FloatArray, Protocol, get_protocol
from denseil.metrics.rerank import KReciprocal, reranked
from denseil.metrics.result import MAX_RANK, RankingResult

logger = logging.getLogger(__name__)


@checked
def rank(
    query: Embeddings | None = None,
    gallery: Embeddings | None = None,
    *,
    protocol: str = "standard",
    metric: str = "cosine",
    query_index: ArrayLike | None = None,
    frames: str | None = None,
    rerank: KReciprocal | None = None,
    block: tuple[int, int] = (512, 65536),
) -> RankingResult:
    """Rank the gallery for each query and score the ranks under a named protocol.

    Gallery items of the query's own person and camera are ignored, and so is junk (pid -1); distractors (pid 0) stay.
    `standard` leaves out queries without a match; `mars-official` averages over all queries, with trapezoid average
    precision, and requires all test tracklets in the gallery, including the queries (a warning tells if some are
    missing). Of items at equal distance the one
    with the smaller gallery index comes first. Distances are float32 (torch's matmul precision setting applies);
    working memory is about one block of them, whatever the size of the gallery.

    Args:
        query: Queries, unless `query_index` is given.
        gallery: Gallery to rank.
        protocol: A name in `denseil.metrics.PROTOCOLS`.
        metric: `cosine` or `euclidean`.
        query_index: Indices (Q,) of the queries in the gallery, instead of `query`.
        frames: Frames of a tracklet that its vector was computed from, such as "all"; only recorded.
        rerank: Re-ranking, such as `KReciprocal()`; its name is recorded. Published results are mostly without.
        block: Numbers of queries and of gallery items compared at a time.

    Raises:
        TypeError: If there is no gallery, or not exactly one of `query` and `query_index`.
        ValueError: If the protocol or metric is unknown, vectors differ in length or are beyond float32, an index is
            outside the gallery, a block is empty, or no query is left under a protocol that skips those without a
            match.
    """
    rules = get_protocol(protocol)
    get_metric(metric)
    if min(block) < 1:
        raise ValueError(f"block is {block}; it must hold at least one query and one gallery item")
    if gallery is None:
        raise TypeError("rank needs a gallery: rank(query, gallery)")
    if query_index is not None and query is None:
        query = _at(gallery, query_index)
    elif query_index is not None or query is None:
        raise TypeError("rank needs either query or query_index: rank(query, gallery)")
    elif rules.queries_in_gallery:
        _warn_if_left_out(query, gallery, rules)
    check_comparable(query, gallery)
    if rerank is not None and not isinstance(rerank, KReciprocal):
        raise TypeError(f"rerank is {shown(rerank)}; it must be None or denseil.metrics.KReciprocal()")
    height = min(block[0], len(query))
    blocks = BlockedGallery(gallery, metric=metric, block=(height, block[1]))
    vectors, pids, camids = query.vectors.to(gallery.vectors.device), query.pids.numpy(), query.camids.numpy()
    scores = []
    if rerank is not None:
        for part, lines in reranked(vectors, gallery.vectors, rerank, metric=metric, height=height):
            scores.append(_score(blocks.rank_lines(lines, pids[part], camids[part]), len(lines), rules))
    else:
        for top in range(0, len(query), height):
            part = slice(top, top + height)
            ranks = blocks.rank_matches(vectors[part], pids[part], camids[part])
            scores.append(_score(ranks, len(pids[part]), rules))
    result = _summarise(np.concatenate(scores, axis=1), gallery, rules, metric=metric, frames=frames)
    return replace(result, rerank=None if rerank is None else str(rerank))


def _warn_if_left_out(query: Embeddings, gallery: Embeddings, rules: Protocol) -> None:
    """Warn about queries that are not in the gallery, which holds nothing of their person and camera."""
    held = set(zip(gallery.pids.tolist(), gallery.camids.tolist(), strict=True))
    missing = sum(labels not in held for labels in zip(query.pids.tolist(), query.camids.tolist(), strict=True))
    if missing:
        logger.warning(
            "%s: the gallery holds nothing of the person and camera of %d of %d queries, so it lacks these queries, "
            "which the protocol requires in it: the scores are not comparable with others",
            rules.name,
            missing,
            len(query),
        )


def _at(gallery: Embeddings, index: ArrayLike) -> Embeddings:
    """Return the items of the gallery that are queries.

    Raises:
        TypeError: If an index is not an integer.
        ValueError: If there is no index, or one is outside the gallery.
    """
    places = as_ids("query_index", index)
    if not len(places) or places.min() < 0 or places.max() >= len(gallery):
        raise ValueError(
            f"query_index must hold places in the gallery, 0 to {len(gallery) - 1}; got {places.tolist()[:10]}"
        )
    return gallery[places]


def _score(ranks: Ranks, size: int, rules: Protocol) -> FloatArray:
    """Compute average precision, INP and first match of each query: (3, size), 0 without a match."""
    count = np.bincount(ranks.query, minlength=size)
    end = count.cumsum()[count > 0]
    scores = np.zeros((3, size))
    scores[0] = np.bincount(ranks.query, rules.term(ranks.found, ranks.rank), size) / np.maximum(count, 1)
    scores[1, count > 0] = count[count > 0] / ranks.rank[end - 1]
    scores[2, count > 0] = ranks.rank[end - count[count > 0]]
    return scores


def _summarise(
    scores: FloatArray, gallery: Embeddings, rules: Protocol, *, metric: str, frames: str | None
) -> RankingResult:
    """Compute the means of the protocol, and record what they were computed under.

    Raises:
        ValueError: If there is no query to average over.
    """
    precision, inverse_penalty, first = scores
    valid = first > 0
    counted = len(valid) if rules.mean_over_all else int(valid.sum())
    if not counted:
        raise ValueError(
            f"none of {len(valid)} queries has a match, so {rules.name!r} has nothing to average; a match has the "
            "query's pid and another camid: check both (cameras unknown? give each tracklet a camid of its own)"
        )
    hits = valid & (first <= np.arange(1, MAX_RANK + 1)[:, None])  # (20, Q)
    return RankingResult(
        mAP=float(precision.sum() / counted),
        cmc=hits.sum(1) / counted,
        mINP=float(inverse_penalty.sum() / counted),
        num_query=len(valid),
        num_valid=int(valid.sum()),
        num_gallery=len(gallery),
        num_junk=int((gallery.pids == JUNK_PID).sum()),
        num_distractors=int((gallery.pids == DISTRACTOR_PID).sum()),
        protocol=rules.name,
        metric=metric,
        frames=frames,
        average_precision=np.where(valid | rules.mean_over_all, precision, np.nan),
        first_match=first.astype(np.int64),
    )
