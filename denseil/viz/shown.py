"""From tracklets and records to ranked rows: the one way for every page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from denseil.data import Tracklet, VideoReIDDataset
from denseil.metrics import Embeddings, load_features, load_records, nearest
from denseil.viz.attention import Attention
from denseil.viz.ranks import RankedQuery, RankedRow


@dataclass(frozen=True)
class Shown:
    """One tracklet as a page shows it, query or found.

    Args:
        name: what it is called.
        pid: the person; None where nobody knows.
        details: short texts under the name.
        thumbnail: path of its picture; "" for none.
    """

    name: str
    pid: int | None = None
    details: Sequence[str] = ()
    thumbnail: str = ""

    def same_person(self, other: Shown) -> bool | None:
        """Whether both show one person; None where nobody knows."""
        return None if self.pid is None or other.pid is None else self.pid == other.pid

    @classmethod
    def of_tracklet(cls, tracklet: Tracklet) -> Shown:
        """A tracklet with its middle frame."""
        middle = tracklet.frames[len(tracklet.frames) // 2]
        return cls(tracklet.name or Path(middle).name, tracklet.pid, _labels(tracklet.pid, tracklet.camid), middle)


Judged: TypeAlias = tuple[Embeddings, Sequence[Shown]]
"""Embeddings, and what is shown of each."""


def shown_features(path: str | Path) -> Judged:
    """A features file, with the pictures that its records name.

    Raises:
        FileNotFoundError: no such file.
        TypeError, ValueError: a damaged file.
    """
    embeddings = load_features(path).embeddings
    known = load_records(path) or [{}] * len(embeddings)
    shown = [
        Shown(
            str(record.get("id", f"{Path(path).stem}:{row}")),
            pid,
            _labels(pid, camid),
            str(record.get("thumbnail") or ""),
        )
        for row, (record, pid, camid) in enumerate(
            zip(known, embeddings.pids.tolist(), embeddings.camids.tolist(), strict=True)
        )
    ]
    return embeddings, shown


def shown_dataset(dataset: VideoReIDDataset, vectors: Embeddings, *, with_queries: bool) -> list[Judged]:
    """The queries and the gallery of a dataset.

    Args:
        dataset: the dataset.
        vectors: what `denseil.embedding.embed_dataset` made of it.
        with_queries: whether the queries are in the gallery too, as under `mars-official`.
    """
    tracklets, queries = dataset.gallery_with_queries()
    shown = [Shown.of_tracklet(tracklet) for tracklet in tracklets]
    end = queries.stop if with_queries else queries.start
    return [(vectors[queries.start :], shown[queries.start :]), (vectors[:end], shown[:end])]


def _labels(pid: int, camid: int) -> tuple[str, str]:
    return f"person {pid}", f"camera {camid}"


def ranked(query: Shown, found: Iterable[tuple[Shown, float]], attention: Attention | None = None) -> RankedQuery:
    """A query and what was found with its distances, nearest first, marked right and wrong where persons are known."""
    rows = [
        RankedRow(item.name, distance, item.details, item.thumbnail, query.same_person(item))
        for item, distance in found
    ]
    return RankedQuery(query.name, rows, query.details, query.thumbnail, attention)


def rank_to_show(
    query: Judged,
    gallery: Judged,
    k: int = 10,
    *,
    metric: str = "cosine",
    attend: Callable[[int], Attention] | None = None,
) -> list[RankedQuery]:
    """The first `k` ranks of each query, as `denseil.metrics.nearest` finds them.

    Args:
        query: the queries' embeddings, and what is shown of each.
        gallery: the same of what is ranked.
        k: how many.
        metric: `cosine` or `euclidean`.
        attend: from a query's place to its dense attention; None shows none.
    """
    found = nearest(query[0], gallery[0], k, metric=metric)
    return [
        ranked(
            one,
            [(gallery[1][at], distance) for at, distance in zip(*(row.tolist() for row in items), strict=True)],
            None if attend is None else attend(place),
        )
        for place, (one, items) in enumerate(zip(query[1], found, strict=True))
    ]
