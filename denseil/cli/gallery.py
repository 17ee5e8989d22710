"""Verbs of the gallery: fill it, ask it, make it forget."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np

from denseil import gallery as galleries
from denseil.cli.pages import Asked, Query, search_page, show_time
from denseil.common.text import plain
from denseil.gallery import Gallery, Where, check_recall, features_model, name_model, read_features
from denseil.gallery.record import FloatArray, check_opened
from denseil.viz import attend

SHOWN = 10  # queries in the terminal; the page shows all


def add(gallery: str, features: Path) -> int:
    """Add the vectors and records of a features file; what is held already stays.

    Args:
        gallery: A folder, s3://..., http://HOST:PORT of Milvus; made where there is none.
        features: What denseil embed wrote.
    """
    records, vectors = read_features(features)
    with galleries.open(gallery, vectors.shape[1], features_model(features)) as held:
        new = held.add(records, vectors)
        print(f"{new:,} of {len(records):,} records were new; {gallery} holds {held.count():,}")
    return 0


def search(
    query: str,
    *,
    gallery: str,
    model: str | None = None,
    k: int = 10,
    camids: list[int] | None = None,
    not_camids: list[int] | None = None,
    pids: list[int] | None = None,
    after: str | None = None,
    before: str | None = None,
    other_cameras: bool = False,
    exact: bool = True,
    page: Path | None = None,
    attention: bool = False,
) -> int:
    """Find the nearest records, as a table and, with --page, as a page.

    Args:
        query: A record's id, a features file, or with --model a folder of one tracklet's crops or of such folders.
        gallery: Where to look.
        model: What embeds a folder; it must be the model that filled the gallery.
        k: How many to show.
        camids: Only these cameras, such as [1,2].
        not_camids: All cameras but these.
        pids: Only these persons.
        after: Only what ends at this time or later, such as 2026-05-01T08:30:00+02:00 or seconds.
        before: Only what starts before this time.
        other_cameras: Leave the query's own camera out, where it is known.
        exact: Compare with every record; --no-exact uses the gallery's index.
        page: An HTML file to write.
        attention: Show on the page where the model looks in a folder of crops, dense attention by level and frame.
    """
    if attention and (page is None or model is None or not Path(query).is_dir()):
        raise ValueError(
            "--attention is shown on a page, by a model that sees the frames: give a folder of crops as the query, "
            "--model and --page FILE.html"
        )
    where = Where(camids, not_camids or (), pids, seconds(after), seconds(before))
    with galleries.open(gallery) as held:
        queries, vectors = _queries(query, held, model, attention=attention)
        if other_cameras and any(one.record is None for one in queries):
            raise ValueError("the camera of the query is not known: leave --other-cameras out")
        asked = _ask(held, queries, vectors, k, where, other_cameras=other_cameras, exact=exact)
    for one in asked[:SHOWN]:
        print(one)
    if len(asked) > SHOWN:
        print(f"... {len(asked) - SHOWN:,} more queries: look at them with --page FILE.html")
    if page is not None:
        search_page(asked, gallery).write(page)
        print(f"page: {page}")
    return 0


def _queries(query: str, held: Gallery, model: str | None, *, attention: bool) -> tuple[list[Query], FloatArray]:
    """What is asked, with its vectors (Q, D)."""
    path = Path(query)
    if path.is_dir():
        if model is None:
            raise ValueError(f"{query} is a folder of pictures: name the model that filled the gallery with --model")
        return _embed(path, model, held, attention=attention)
    if path.suffix == ".safetensors":
        records, vectors = read_features(path)
        check_opened(held, vectors.shape[1], features_model(path))
        return [Query.of(record) for record in records], vectors
    stored = held.get([query])[0]
    return [Query.of(stored.record)], stored.vector[None]


def _embed(folder: Path, model: str, held: Gallery, *, attention: bool) -> tuple[list[Query], FloatArray]:
    from denseil.data import read_folder
    from denseil.embedding import Embedder
    from denseil.embedding.cache import weights_digest

    embedder = Embedder(model)
    name = name_model(str(embedder.model.pretrained_cfg.get("architecture", "")), weights_digest(embedder.model))
    check_opened(held, embedder.model.num_features, name)
    tracklets = read_folder(folder)
    queries = [
        Query(
            tracklet.name,
            thumbnail=tracklet.frames[len(tracklet.frames) // 2],
            attention=attend(embedder.model, tracklet.frames) if attention else None,
        )
        for tracklet in tracklets
    ]
    return queries, embedder.embed(tracklets).numpy()


def _ask(
    held: Gallery,
    queries: list[Query],
    vectors: FloatArray,
    k: int,
    where: Where,
    *,
    other_cameras: bool,
    exact: bool,
) -> list[Asked]:
    """Search once for all queries, or once for each of their cameras; a query does not find itself."""
    cameras = [query.record.camid if other_cameras and query.record else None for query in queries]
    answers: dict[int, Asked] = {}
    for camid in dict.fromkeys(cameras):
        places = [at for at, camera in enumerate(cameras) if camera == camid]
        own = where if camid is None else _without(where, camid)
        found = held.search(vectors[places], k + 1, where=own, exact=exact)
        for at, hits in zip(places, found, strict=True):
            own_record = queries[at].record
            others = [hit for hit in hits if own_record is None or hit.record.id != own_record.id]
            answers[at] = Asked(queries[at], others[:k])
    return [answers[at] for at in range(len(queries))]


def _without(where: Where, camid: int) -> Where:
    return Where(where.camids, {*where.not_camids, camid}, where.pids, where.after, where.before)


def forget(
    gallery: str,
    *,
    pid: int | None = None,
    track: str | None = None,
    id: str | None = None,
    optimize: bool = True,
    alone: bool = False,
) -> int:
    """Remove one person, track or record, also from the files.

    Args:
        gallery: Where to forget.
        pid: The person.
        track: The track, as the tracker called it.
        id: The record.
        optimize: Write the files anew without it; --no-optimize leaves that for later.
        alone: No other process works on the gallery: remove what crashed writers left as well.
    """
    if sum(value is not None for value in (pid, track, id)) != 1:
        raise ValueError("say what to forget: one of --pid, --track, --id")
    with galleries.open(gallery) as held:
        gone = held.delete([id]) if id is not None else held.forget(pid=pid, track=track)
        return _removed(held, gone, optimize=optimize, alone=alone)


def expire(gallery: str, before: str, *, optimize: bool = True, alone: bool = False) -> int:
    """Remove what ended before a time, also from the files.

    Args:
        gallery: Where to forget.
        before: Such as 2026-05-01T00:00:00+00:00, 30d for 30 days ago, or seconds.
        optimize: Write the files anew without it; --no-optimize leaves that for later.
        alone: No other process works on the gallery: remove what crashed writers left as well.
    """
    limit = seconds(before)
    assert limit is not None
    with galleries.open(gallery) as held:
        return _removed(held, held.expire(limit), optimize=optimize, alone=alone)


def _removed(held: Gallery, gone: int, *, optimize: bool, alone: bool) -> int:
    if optimize:
        held.optimize(alone=alone)
    print(f"{gone:,} records removed; {held.uri} holds {held.count():,}")
    return 0


def copy(source: str, target: str) -> int:
    """Add all records of one gallery to another, such as of a folder to Milvus.

    Args:
        source: The gallery to read.
        target: The gallery to fill; made where there is none.
    """
    with galleries.open(source) as held, galleries.open(target, held.dim, held.model) as other:
        new = galleries.copy(held, other)
        print(f"{new:,} of {held.count():,} records were new; {target} holds {other.count():,}")
    return 0


def info(gallery: str) -> int:
    """Say what a gallery holds: records, cameras, persons, times, and which model made the vectors.

    Args:
        gallery: What to look at.
    """
    cameras: dict[int, int] = {}
    pids: set[int] = set()
    first, last = np.inf, -np.inf
    with galleries.open(gallery) as held:
        for item in (item for block in held.scan() for item in block):
            record = item.record
            cameras[record.camid] = cameras.get(record.camid, 0) + 1
            pids |= {record.pid} - {None}  # type: ignore[arg-type]
            first, last = min(first, record.start), max(last, record.until)
        print(f"{gallery}: {sum(cameras.values()):,} records, vectors {held.dim} wide, {len(pids):,} known persons")
    for camid, count in sorted(cameras.items()):
        print(f"  camera {camid}: {count:,}")
    if cameras:
        print(f"  from {show_time(first)} to {show_time(last)}")
    if held.model:
        print(f"  model {plain(held.model)}")
    return 0


def index(gallery: str, *, queries: int = 100) -> int:
    """Build an index for search --no-exact, and say what it misses.

    Args:
        gallery: A gallery on disk or in Milvus.
        queries: How many vectors to ask it for.
    """
    with galleries.open(gallery) as held:
        build = getattr(held, "index", None)
        if build is None:
            raise ValueError(f"{gallery} has no index: it is always exact")
        build()
        print(check_recall(held, queries=queries))
    return 0


def seconds(text: str | None) -> float | None:
    """A time as seconds since 1970: an ISO date with its offset, `30d` (or h) ago, or a number as it is."""
    if text is None:
        return None
    unit = {"d": "days", "h": "hours"}.get(text[-1:])
    try:
        if unit is not None:
            ago = timedelta(**{unit: float(text[:-1])})
            return (datetime.now(timezone.utc) - ago).timestamp()
        return float(text)
    except ValueError:
        pass
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{plain(text)!r} is no time; write 2026-05-01T08:30:00+02:00, 30d or seconds") from error
    if time.tzinfo is None:
        raise ValueError(f"{text!r} does not say where it is that late; add the offset, such as {text}+00:00")
    return time.timestamp()
