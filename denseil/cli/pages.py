"""From what was found to text and to pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from denseil.gallery import Hit, Record

if TYPE_CHECKING:
    from denseil.viz import Page

YEAR = 365 * 86_400.0  # seconds; smaller times are counted from the start of a video


@dataclass(frozen=True)
class Asked:
    """A query, None where nothing is known of it but its pictures, and what was found."""

    query: Record | None
    hits: list[Hit]

    def right(self, record: Record) -> bool | None:
        """Whether a record shows the query's person; None where nobody knows."""
        if self.query is None or self.query.pid is None or record.pid is None:
            return None
        return self.query.pid == record.pid

    def __str__(self) -> str:
        lines = [plain(self.query.id) if self.query else "query"]
        for rank, hit in enumerate(self.hits, start=1):
            mark = {None: " ", True: "✓", False: "✗"}[self.right(hit.record)]
            what = "  ".join([plain(hit.record.id), *details(hit.record)])
            lines.append(f"{rank:>4}  {hit.distance:.3f} {mark} {what}")
        return "\n".join(lines if self.hits else [*lines, "      nothing found"])


def plain(text: str) -> str:
    """Text that cannot command a terminal."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def details(record: Record) -> list[str]:
    """A record's camera, time and person, in short."""
    person = [] if record.pid is None else [f"person {record.pid}"]
    *date, time = show_time(record.start).split(" ", 1)
    return [f"camera {record.camid}", *date, f"{time}, {record.until - record.start:.0f}\N{NO-BREAK SPACE}s", *person]


def show_time(value: float) -> str:
    """A time for people: UTC, or the time in a video."""
    if not 0 <= value < YEAR:
        try:
            return datetime.fromtimestamp(value, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
        except (OverflowError, OSError, ValueError):
            return f"{value:g}"
    minutes, rest = divmod(int(value), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def search_page(asked: Sequence[Asked], gallery: str) -> Page:
    """The page of a search."""
    from denseil.viz import Page, RankedQuery, RankedRow

    queries = [
        RankedQuery(
            name=one.query.id if one.query else "query",
            details=details(one.query) if one.query else (),
            thumbnail=one.query.thumbnail if one.query else "",
            rows=[
                RankedRow(hit.record.id, hit.distance, details(hit.record), hit.record.thumbnail, one.right(hit.record))
                for hit in one.hits
            ],
        )
        for one in asked
    ]
    page = Page("Search", f"in {gallery}")
    judged = [query.state == "right" for query in queries if query.state != "unknown"]
    if judged:
        page.add_text(f"{sum(judged):,} of {len(judged):,} first answers are right.")
    page.add_ranks(queries, "Nearest first")
    return page
