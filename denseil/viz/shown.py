"""Conversion of tracklets and records to ranked rows of a page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from denseil.common.arguments import checked, checked_class
from denseil.common.arguments import shown as printed
from denseil.data import Tracklet, VideoReIDDataset
from denseil.metrics import Embeddings, load_features, load_records, nearest
from denseil.metrics.features import row_id
from denseil.viz.attention import Attention
from denseil.viz.ranks import RankedQuery, RankedRow


@checked_class
@dataclass(frozen=True)
class Shown:
    """Name, person, texts and picture of a tracklet on a page.

    Args:
        name: Name to show.
        pid: Identity; None if unknown.
        details: Short texts under the name.
        thumbnail: Path of its picture; "" for none.
    """

    name: str
    pid: int | None = None
    details: Sequence[str] = ()
    thumbnail: str = ""

    def same_person(self, other: Shown) -> bool | None:
        """Whether both show the same person; None if unknown."""
        return None if self.pid is None or other.pid is None else self.pid == other.pid

    @classmethod
    def of_tracklet(cls, tracklet: Tracklet) -> Shown:
        """Make one from a tracklet, with its middle frame as the picture."""
        name = tracklet.name or Path(tracklet.middle).name
        return cls(name, tracklet.pid, _labels(tracklet.pid, tracklet.camid), tracklet.middle)


ShownEmbeddings: TypeAlias = tuple[Embeddings, Sequence[Shown]]
"""Embeddings, and a `Shown` for each."""


@checked
def shown_features(path: str | Path) -> ShownEmbeddings:
    """Load a features file, with the pictures that its records name.

    Raises:
        FileNotFoundError: If the file does not exist.
        TypeError, ValueError: If the file is damaged.
    """
    embeddings = load_features(path).embeddings
    known = load_records(path) or [{}] * len(embeddings)
    shown = [
        Shown(
            row_id(path, row, record),
            pid,
            _labels(pid, camid),
            str(record.get("thumbnail") or ""),
        )
        for row, (record, pid, camid) in enumerate(
            zip(known, embeddings.pids.tolist(), embeddings.camids.tolist(), strict=True)
        )
    ]
    return embeddings, shown


@checked
def shown_dataset(dataset: VideoReIDDataset, vectors: Embeddings, *, with_queries: bool) -> list[ShownEmbeddings]:
    """Prepare the queries and the gallery of a dataset.

    Args:
        dataset: The dataset.
        vectors: Its embeddings, from `denseil.embedding.embed_dataset`.
        with_queries: Whether the gallery includes the queries, as `mars-official` requires.
    """
    tracklets, queries = dataset.gallery_with_queries()
    shown = [Shown.of_tracklet(tracklet) for tracklet in tracklets]
    end = queries.stop if with_queries else queries.start
    return [(vectors[queries.start :], shown[queries.start :]), (vectors[:end], shown[:end])]


def _labels(pid: int, camid: int) -> tuple[str, str]:
    return f"person {pid}", f"camera {camid}"


@checked
def ranked(query: Shown, found: Iterable[tuple[Shown, float]], attention: Attention | None = None) -> RankedQuery:
    """Combine a query and its results, nearest first; they are marked right or wrong where persons are known."""
    pairs = list(found)
    wrong = next((pair for pair in pairs if not (isinstance(pair, tuple) and isinstance(pair[0], Shown))), None)
    if wrong is not None or not isinstance(query, Shown):
        raise TypeError(f"{printed(query if wrong is None else wrong)}: give a Shown, and found as (Shown, distance)")
    rows = [
        RankedRow(item.name, distance, item.details, item.thumbnail, query.same_person(item))
        for item, distance in pairs
    ]
    return RankedQuery(query.name, rows, query.details, query.thumbnail, attention)


@checked
def rank_to_show(
    query: ShownEmbeddings,
    gallery: ShownEmbeddings,
    k: int = 10,
    *,
    metric: str = "cosine",
    attend: Callable[[int], Attention] | None = None,
) -> list[RankedQuery]:
    """Search the first `k` ranks of each query with `denseil.metrics.nearest`.

    Args:
        query: Embeddings of the queries, and a `Shown` for each.
        gallery: The same for the gallery.
        k: Number of ranks.
        metric: `cosine` or `euclidean`.
        attend: Function from a query's index to its dense attention; None for none.
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
