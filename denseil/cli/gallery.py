"""Verbs of the gallery: fill, copy, forget, expire, index."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

from denseil.cli import options, searching, values
from denseil.cli.output import note, show
from denseil.cli.parser import Verb, Verbs, refuse_unused
from denseil.cli.times import seconds
from denseil.common.text import plain

if TYPE_CHECKING:
    from denseil.gallery import Gallery


def declare(verbs: Verbs) -> None:
    """Declare `search` and the verbs of `gallery`."""
    searching.declare(verbs)
    verbs.group("gallery", "Store, search and delete vectors of tracklets.")
    _declare_adding(verbs)
    searching.declare(verbs, "gallery search")
    _declare_forgetting(verbs)
    _declare_upkeep(verbs)


def _declare_adding(verbs: Verbs) -> None:
    verb = verbs.add(
        "gallery add",
        add,
        "Add the vectors and records of a features file to a gallery; records that are in it already are kept.",
        examples=(
            "denseil gallery add people vectors.safetensors",
            "denseil gallery add http://127.0.0.1:19530 vectors.safetensors",
        ),
    )
    what = verb.subject("input")
    what.add("gallery", help=f"{options.GALLERY}; created if it does not exist")
    what.add("features", type=values.path, help="a features file, from denseil embed")
    options.general(verb, json=True)


def _declare_forgetting(verbs: Verbs) -> None:
    verb = verbs.add(
        "gallery forget",
        forget,
        "Remove one person, track or record, also from the files. The exit status is 1 if there was none.",
        examples=(
            "denseil gallery forget people --id c3/street.avi/9@1777617000",
            "denseil gallery forget people --pid 12 --alone",
        ),
    )
    verb.subject("input").add("gallery", help=options.GALLERY)
    which = verb.subject("selection, one of these")
    which.add("--pid", type=values.whole(0), metavar="N", help="a person")
    which.add(
        "--track", metavar="TRACK", help="a track, if a program stored tracks in its records; denseil embed stores none"
    )
    which.add("--id", metavar="ID", help="a record")
    _declare_removal(verb)

    verb = verbs.add(
        "gallery expire",
        expire,
        "Remove records that ended before a time, also from the files.",
        examples=("denseil gallery expire people 30d", "denseil gallery expire people 2026-05-01T00:00:00+00:00"),
    )
    what = verb.subject("input")
    what.add("gallery", help=options.GALLERY)
    what.add("before", help="a date such as 2026-05-01T00:00:00+00:00, an age such as 30d or 12h, or seconds")
    _declare_removal(verb)


def _declare_removal(verb: Verb) -> None:
    how = verb.subject("files")
    how.flag("--optimize", default=True, help="rewrite the files without the records; --no-optimize postpones it")
    how.flag("--alone", help="assert that no other process uses the gallery, and remove files of crashed writers")
    options.general(verb, json=True)


def _declare_upkeep(verbs: Verbs) -> None:
    verb = verbs.add(
        "gallery copy",
        copy,
        "Add all records of one gallery to another, such as from a folder to Milvus.",
        examples=("denseil gallery copy people backup", "denseil gallery copy people http://127.0.0.1:19530"),
    )
    what = verb.subject("input")
    what.add("source", help=options.GALLERY)
    what.add("target", help="target gallery; created if it does not exist")
    options.general(verb, json=True)

    verb = verbs.add(
        "gallery info",
        info,
        "Print the records, cameras, persons, times and model of a gallery.",
        examples=("denseil gallery info people", "denseil gallery info people --json"),
    )
    verb.subject("input").add("gallery", help=options.GALLERY)
    options.general(verb, json=True)

    verb = verbs.add(
        "gallery index",
        index,
        "Build an index for search --no-exact, and measure its recall.",
        examples=("denseil gallery index people", "denseil gallery index people --queries 1000"),
    )
    what = verb.subject("input")
    what.add("gallery", help="a folder, or http://HOST:PORT of Milvus")
    what.add("--queries", type=values.whole(1, 10**6), default=100, metavar="N", help="queries to measure the recall")
    options.general(verb, json=True)


def add(gallery: str, features: Path, json: bool) -> int:
    """Add the vectors and records of a features file to a gallery; records that are in it already are kept."""
    from denseil import gallery as galleries
    from denseil.common.vectors import unit_vectors
    from denseil.gallery.features import one_file

    with one_file(features):
        (records, vectors), model = galleries.read_features(features), galleries.features_model(features)
    unit_vectors(vectors, what=str(features))  # what cannot be added makes no gallery
    with galleries.open(gallery, vectors.shape[1], model) as held:
        new, total = held.add(records, vectors), held.count()
    text = f"new records: {new:,} of {len(records):,}; {plain(gallery)} holds {total:,}"
    show({"new": new, "records": len(records), "total": total}, as_json=json, text=text)
    return 0


def forget(
    gallery: str, pid: int | None, track: str | None, id: str | None, optimize: bool, alone: bool, json: bool
) -> int:
    """Remove one person, track or record, also from the files."""
    if sum(value is not None for value in (pid, track, id)) != 1:
        raise ValueError("give what to forget: one of --pid, --track, --id")
    refuse_unused("--no-optimize", {"--alone": alone and not optimize})
    from denseil import gallery as galleries

    with galleries.open(gallery) as held:
        gone = held.delete([id]) if id is not None else held.forget(pid=pid, track=track)
        _removed(held, gone, optimize=optimize, alone=alone, json=json)
    if not gone and track is not None:
        note("no record has this track, and denseil embed stores none: give --id ID, as denseil search prints it")
    elif not gone:
        note("nothing in the gallery matches: check the name, as denseil search prints it")
    return 0 if gone else 1


def expire(gallery: str, before: str, optimize: bool, alone: bool, json: bool) -> int:
    """Remove records that ended before a time, also from the files."""
    refuse_unused("--no-optimize", {"--alone": alone and not optimize})
    limit = seconds(before)
    assert limit is not None
    if limit > time.time():
        raise ValueError(
            f"{plain(before)!r} lies in the future, so that all records would be removed: give a past time; a number "
            "is in seconds, not milliseconds"
        )
    from denseil import gallery as galleries
    from denseil.cli.pages import YEAR

    with galleries.open(gallery) as held:
        undated = held.count() - held.count(galleries.Where(after=1)) if limit > 1 else 0
        gone = held.expire(limit)
        _removed(held, gone, optimize=optimize, alone=alone, json=json)
    if not gone and 0 < limit < YEAR:
        note(f"nothing ended before {limit:g} seconds since 1970, or since the start of a video; an age is {limit:g}d")
    if undated:
        note(f"of these, {undated:,} had no time: such records count as the oldest")
    return 0


def _removed(held: Gallery, gone: int, *, optimize: bool, alone: bool, json: bool) -> None:
    if optimize:
        held.optimize(alone=alone)
    total = held.count()
    text = f"removed records: {gone:,}; {plain(held.uri)} holds {total:,}"
    show({"removed": gone, "total": total}, as_json=json, text=text)


def copy(source: str, target: str, json: bool) -> int:
    """Add all records of one gallery to another, such as from a folder to Milvus."""
    from denseil import gallery as galleries
    from denseil.gallery.opening import check_two

    check_two(source, target)
    with galleries.open(source) as held, galleries.open(target, held.dim, held.model) as other:
        new, records, total = galleries.copy(held, other), held.count(), other.count()
    text = f"new records: {new:,} of {records:,}; {plain(target)} holds {total:,}"
    show({"new": new, "records": records, "total": total}, as_json=json, text=text)
    return 0


def info(gallery: str, json: bool) -> int:
    """Print the records, cameras, persons, times and model of a gallery."""
    from denseil import gallery as galleries
    from denseil.cli.pages import has_time, show_time
    from denseil.gallery.record import FORMAT

    cameras: dict[int, int] = {}
    pids: set[int] = set()
    first, last, untimed = math.inf, -math.inf, 0
    with galleries.open(gallery) as held:
        for record in (item.record for block in held.scan() for item in block):
            cameras[record.camid] = cameras.get(record.camid, 0) + 1
            pids |= set() if record.pid is None else {record.pid}
            if has_time(record):
                first, last = min(first, record.start), max(last, record.until)
            else:
                untimed += 1
        dim, model, format = held.dim, held.model, held.format
    total = sum(cameras.values())
    lines = [f"{plain(gallery)}: records {total:,}, known persons {len(pids):,}, width of the vectors {dim}"]
    lines += [f"  camera {camid}: {count:,}" for camid, count in sorted(cameras.items())]
    lines += [f"  from {show_time(first)} to {show_time(last)}"] if first < math.inf else []
    lines += [f"  without a time: {untimed:,}"] if untimed else []
    lines += [f"  model {plain(model)}"] if model else []
    if format < FORMAT:
        lines.append(f"  format {format}, of an earlier version, in which one id could stand for two tracklets")
    found = {"records": total, "dim": dim, "persons": len(pids), "cameras": cameras, "model": model, "format": format}
    show({**found, "start": first, "end": last, "without_time": untimed}, as_json=json, text="\n".join(lines))
    return 0


def index(gallery: str, queries: int, json: bool) -> int:
    """Build an index for search --no-exact, and measure its recall."""
    from denseil import gallery as galleries

    with galleries.open(gallery) as held:
        build = getattr(held, "index", None)
        if build is None:
            raise ValueError(f"{gallery} has no index: it is always exact")
        build()
        show(galleries.check_recall(held, queries=queries), as_json=json)
    return 0
