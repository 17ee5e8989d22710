"""A page built from parts, in one file; all text is escaped."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from denseil.common.arguments import checked, checked_class
from denseil.common.extras import need
from denseil.common.files import replacing
from denseil.viz.persons import PersonRow
from denseil.viz.ranks import RankedQuery
from denseil.viz.strips import StripRow
from denseil.viz.thumbnails import Thumbnails

TEMPLATES = Path(__file__).parent / "templates"


@checked_class
class Page:
    """A self-contained HTML page, built part by part and then written.

    All text is escaped. The page's content security policy allows only its own script, and neither loads nor sends
    anything, so it can be mailed and opened without a network.

    Args:
        title: Title of the page.
        subtitle: Line under the title.
    """

    def __init__(self, title: str, subtitle: str = "") -> None:
        self.title, self.subtitle = title, subtitle
        self.thumbnails = Thumbnails()
        self._parts: list[Any] = []
        jinja2 = need("jinja2", to="make a page", extra="viz")
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )

    @checked
    def add_text(self, text: str) -> None:
        """Add a paragraph."""
        self._add("text", text=text)

    @checked
    def add_table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], note: str = "") -> None:
        """Add a table, with numbers aligned right.

        Args:
            title: Title of the table.
            columns: Names of the columns.
            rows: Values, one per column; floats are shown with two digits.
            note: Line under the table.

        Raises:
            ValueError: If a row and the columns differ in length.
        """
        wrong = next((row for row in rows if len(row) != len(columns)), None)
        if wrong is not None:
            raise ValueError(f"a row holds {len(wrong)} values for {len(columns)} columns: {wrong}")
        cells = [[_cell(value) for value in row] for row in rows]
        self._add("table", title=title, columns=columns, rows=cells, note=note)

    @checked
    def add_figure(self, svg: Any, title: str, note: str = "") -> None:
        """Add a figure made by `line_chart`."""
        self._add("figure", svg=svg, title=title, note=note)

    @checked
    def add_ranks(
        self, queries: Sequence[RankedQuery], title: str = "Ranked results", note: str = "", *, filtered: bool = True
    ) -> None:
        """Add ranked results, one row per query.

        Args:
            queries: The queries and their results.
            title: Title of the part.
            note: Line under the title.
            filtered: Whether to add a box that filters the rows; at most one part of a page has it.
        """
        self._add(
            "ranks",
            queries=queries,
            title=title,
            note=note,
            thumbnails=self.thumbnails,
            labelled=_labelled(queries),
            filtered=filtered,
        )

    @checked
    def add_persons(self, persons: Sequence[PersonRow], title: str, note: str = "", *, large: bool = False) -> None:
        """Add rows of tracklets, one row per person or question; `large` pictures are for pairs to compare."""
        self._add("persons", persons=persons, title=title, note=note, large=large, thumbnails=self.thumbnails)

    @checked
    def add_strips(self, rows: Sequence[StripRow], title: str, note: str = "") -> None:
        """Add strips of frames, one row per person or tracklet."""
        self._add("strips", rows=rows, title=title, note=note, thumbnails=self.thumbnails)

    @checked
    def html(self) -> str:
        """Return the page as HTML."""
        css, script = ((TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        page = self._environment.get_template("page.html").render(
            title=self.title,
            subtitle=self.subtitle,
            parts=self._parts,
            css=self._trusted(css),
            script=self._trusted(script),
            digest=digest,
            pictures=self._trusted(json.dumps(self.thumbnails.pictures)),  # only base64 and "data:"
        )
        return str(page).encode("utf-8", "backslashreplace").decode()  # names that are not UTF-8 are escaped

    @checked
    def write(self, path: str | Path) -> None:
        """Write the page atomically.

        Raises:
            FileNotFoundError: If the folder does not exist.
        """
        with replacing(path) as temporary:
            temporary.write_text(self.html(), encoding="utf-8", errors="replace")

    def _add(self, name: str, **values: Any) -> None:
        self._parts.append(self._trusted(self._environment.get_template(f"{name}.html").render(**values)))

    def _trusted(self, text: str) -> Any:
        """Mark text of this package, or the escaped output of a template, as safe markup."""
        return need("markupsafe", to="make a page", extra="viz").Markup(text)


def _cell(value: object) -> tuple[str, bool]:
    """Return the text of a cell, and whether it is a number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return ("" if value is None else str(value)), False
    return (f"{value:,}" if isinstance(value, int) else f"{value:.2f}"), True


def _labelled(queries: Sequence[RankedQuery]) -> bool:
    return any(row.right is not None for query in queries for row in query.rows)
