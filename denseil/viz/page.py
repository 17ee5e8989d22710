"""One page from parts: everything in one file, everything that comes from outside escaped."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from denseil.common.extras import need
from denseil.common.files import replacing
from denseil.viz.ranks import RankedQuery
from denseil.viz.thumbnails import Thumbnails

TEMPLATES = Path(__file__).parent / "templates"


class Page:
    """A page that grows part by part, then is written.

    All text is escaped, and the page's own policy lets the browser run the one script that is in it, load nothing and
    send nothing: it can be mailed, and opened without a network.

    Args:
        title: what the page is.
        subtitle: one line under it.
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

    def add_text(self, text: str) -> None:
        """Add a paragraph."""
        self._add("text", text=text)

    def add_table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], note: str = "") -> None:
        """Add a table; numbers stand on the right.

        Args:
            title: what it shows.
            columns: names of the columns.
            rows: values, one a column; floats are shown with two digits.
            note: a line under it.

        Raises:
            ValueError: a row of another length than the columns.
        """
        wrong = next((row for row in rows if len(row) != len(columns)), None)
        if wrong is not None:
            raise ValueError(f"a row holds {len(wrong)} values for {len(columns)} columns: {wrong}")
        cells = [[_cell(value) for value in row] for row in rows]
        self._add("table", title=title, columns=columns, rows=cells, note=note)

    def add_figure(self, svg: Any, title: str, note: str = "") -> None:
        """Add a figure that `line_chart` drew."""
        self._add("figure", svg=svg, title=title, note=note)

    def add_ranks(self, queries: Sequence[RankedQuery], title: str = "Ranked results") -> None:
        """Add rows of ranked results, a query each, with a box to filter them."""
        self._add("ranks", queries=queries, title=title, thumbnails=self.thumbnails, labelled=_labelled(queries))

    def html(self) -> str:
        """The page as text."""
        css, script = ((TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        page = self._environment.get_template("page.html").render(
            title=self.title,
            subtitle=self.subtitle,
            parts=self._parts,
            css=self._trusted(css),
            script=self._trusted(script),
            digest=digest,
            pictures=self._trusted(json.dumps(self.thumbnails.pictures)),  # base64 and "data:" alone
        )
        return str(page)

    def write(self, path: str | Path) -> None:
        """Write the page, whole or not at all.

        Raises:
            FileNotFoundError: the folder does not exist.
        """
        with replacing(path) as temporary:
            temporary.write_text(self.html(), encoding="utf-8", errors="replace")

    def _add(self, name: str, **values: Any) -> None:
        self._parts.append(self._trusted(self._environment.get_template(f"{name}.html").render(**values)))

    def _trusted(self, text: str) -> Any:
        """Text of this package, or what a template has escaped already."""
        return need("markupsafe", to="make a page", extra="viz").Markup(text)


def _cell(value: object) -> tuple[str, bool]:
    """What a cell says, and whether it is a number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return ("" if value is None else str(value)), False
    return (f"{value:,}" if isinstance(value, int) else f"{value:.2f}"), True


def _labelled(queries: Sequence[RankedQuery]) -> bool:
    return any(row.right is not None for query in queries for row in query.rows)
