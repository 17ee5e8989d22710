"""Results of a search as text and as pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from denseil.common.text import plain
from denseil.gallery import Hit, Record
from denseil.viz import Attention, Page, Shown, ranked

YEAR = 365 * 86_400.0  # seconds; smaller times are relative to the start of a video


@dataclass(frozen=True)
class Query:
    """A query: a record, or crops of which only the name is known."""

    name: str
    record: Record | None = None
    thumbnail: str = ""  # used without a record
    attention: Attention | None = None

    @classmethod
    def of(cls, record: Record) -> Query:
        """Make the query of a record."""
        return cls(record.id, record)

    @property
    def shown(self) -> Shown:
        """Return the query's row for a page."""
        return _shown(self.record) if self.record else Shown(self.name, thumbnail=self.thumbnail)


@dataclass(frozen=True)
class Asked:
    """A query and its results."""

    query: Query
    hits: list[Hit]

    def __str__(self) -> str:
        lines = [plain(self.query.name)]
        for rank, hit in enumerate(self.hits, start=1):
            mark = {None: " ", True: "✓", False: "✗"}[self.query.shown.same_person(_shown(hit.record))]
            what = "  ".join([plain(hit.record.id), *details(hit.record)])
            lines.append(f"{rank:>4}  {hit.distance:.3f} {mark} {what}")
        return "\n".join(lines if self.hits else [*lines, "      nothing found"])


def _shown(record: Record) -> Shown:
    return Shown(record.id, record.pid, details(record), record.thumbnail)


def details(record: Record) -> list[str]:
    """Format a record's camera, time and person."""
    person = [] if record.pid is None else [f"person {record.pid}"]
    if not has_time(record):
        return [f"camera {record.camid}", *person]
    *date, time = show_time(record.start).split(" ", 1)
    return [f"camera {record.camid}", *date, f"{time}, {record.until - record.start:.0f}\N{NO-BREAK SPACE}s", *person]


def has_time(record: Record) -> bool:
    """Whether a record has a time; one without counts as the oldest, from 0 to 0."""
    return bool(record.start or record.until)


def show_time(value: float) -> str:
    """Format a time: UTC, or relative to the start of a video."""
    if not 0 <= value < YEAR:
        try:
            return datetime.fromtimestamp(value, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
        except (OverflowError, OSError, ValueError):
            return f"{value:g}"
    minutes, rest = divmod(int(value), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def search_page(asked: Sequence[Asked], gallery: str) -> Page:
    """Make the page of a search."""
    queries = [
        ranked(one.query.shown, [(_shown(hit.record), hit.distance) for hit in one.hits], one.query.attention)
        for one in asked
    ]
    page = Page("Search", f"in {gallery}")
    known = [query.state == "right" for query in queries if query.state != "unknown"]
    if known:
        page.add_text(f"{sum(known):,} of {len(known):,} first answers are right.")
    page.add_ranks(queries, "Nearest first")
    return page
