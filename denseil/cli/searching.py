"""The verb that searches a gallery."""

from __future__ import annotations

from pathlib import Path

from denseil.cli import options, values
from denseil.cli.computing import begin
from denseil.cli.output import say, show
from denseil.cli.parser import UsageError, Verbs
from denseil.cli.times import seconds
from denseil.common.text import plain

SHOWN = 10  # queries shown in the terminal; the page shows all


def declare(verbs: Verbs, name: str = "search") -> None:
    """Declare `search`, which is also a verb of `gallery`."""
    verb = verbs.add(
        name,
        search,
        "Find the nearest records of a gallery, as a table and as a page.",
        examples=(
            f"denseil {name} c3/street.mp4/11@1777617000 --gallery people --k 3 --page search.html",
            f"denseil {name} crops/9 --gallery people --model runs/mars/final --not-camids 1,2",
        ),
    )
    what = verb.subject("input")
    what.add("query", help="id of a record, a features file, or with --model a folder of crops or of such folders")
    what.add("--gallery", required=True, metavar="GALLERY", help="gallery to search: a folder or a URL")
    what.add("--model", metavar="MODEL", help="model to embed the crops; it must be the one that filled the gallery")
    which = verb.subject("filters")
    cameras = values.listed(values.whole(-(2**63)))
    which.gather("--camids", type=cameras, metavar="N", help="only these cameras, such as 1,2")
    which.gather("--not-camids", type=cameras, metavar="N", help="all cameras but these")
    which.gather("--pids", type=values.listed(values.whole(0)), metavar="N", help="only these persons")
    which.add(
        "--after",
        metavar="TIME",
        help="only records that end then or later: 2026-05-01T08:30:00+02:00, 30d or seconds",
    )
    which.add("--before", metavar="TIME", help="only records that start before this time")
    which.flag("--other-cameras", help="exclude the camera of the query, if it is known")
    how = verb.subject("search")
    how.add("--k", type=values.whole(1, 100_000), default=10, metavar="N", help="number of records to show")
    how.flag("--exact", default=True, help="compare with every record; --no-exact uses the index")
    out = verb.subject("page")
    out.add("--page", type=values.new(".html"), metavar="FILE.html", help="write a page with crops")
    out.flag("--attention", help="show the attention on a folder of crops on the page")
    options.compute(verb)
    options.general(verb, json=True, modules=True)


def search(
    query: str,
    gallery: str,
    model: str | None,
    k: int,
    camids: list[int] | None,
    not_camids: list[int] | None,
    pids: list[int] | None,
    after: str | None,
    before: str | None,
    other_cameras: bool,
    exact: bool,
    page: Path | None,
    attention: bool,
    device: str,
    seed: int,
    json: bool,
) -> int:
    """Find the nearest records, as a table and, with --page, as a page."""
    if attention and (page is None or model is None or not Path(query).is_dir()):
        raise UsageError(
            "--attention needs frames, a model and a page: give a folder of crops as the query, --model and "
            "--page FILE.html"
        )
    if model is not None and not Path(query).is_dir():
        raise UsageError(f"--model embeds a folder of crops, which {plain(query)} is not: leave it out, or give one")
    from denseil import gallery as galleries
    from denseil.cli.asking import ask, read_queries
    from denseil.cli.pages import search_page

    where = galleries.Where(camids, not_camids or (), pids, seconds(after), seconds(before))
    with galleries.open(gallery) as held:
        place = begin(device, seed)[0] if model is not None else None
        queries, vectors = read_queries(query, held, model, place, attention=attention)
        if other_cameras and any(one.record is None for one in queries):
            raise ValueError("the camera of the query is not known: leave --other-cameras out")
        asked = ask(held, queries, vectors, k, where, other_cameras=other_cameras, exact=exact)
    lines = [str(one) for one in asked[:SHOWN]]
    if len(asked) > SHOWN:
        lines.append(f"... {len(asked) - SHOWN:,} more queries: look at them with --page FILE.html")
    found = [{"query": one.query.name, "hits": one.hits} for one in asked]
    show(found, as_json=json, text="\n".join(lines))
    if page is not None:
        search_page(asked, gallery).write(page)
        if not json:
            say(plain(f"page: {page}"))
    return 0
