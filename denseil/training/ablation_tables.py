"""The rows of the paper's Table 1, and results of running them."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from denseil.common.arguments import checked, shown
from denseil.common.text import did_you_mean
from denseil.metrics.figures import new_figure, save_figure
from denseil.training.recipe_files import ABLATION_TABLES


@dataclass(frozen=True, eq=False)
class Row:
    """A row of a table, with the settings that it changes.

    Attributes:
        name: Name in the table.
        model: Arguments of the model.
        train: Fields of the config.
        shuffle: Tracklets with shuffled frames: "none", those of "test", or "all".
        paper: mAP and R-1 in percent in the paper, on MARS; None if it has no such row.
    """

    name: str
    model: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    shuffle: str = "none"
    paper: tuple[float, float] | None = None


@dataclass(frozen=True)
class Scores:
    """Scores of one trained row, in [0, 1]; `fine_*` over the queries that differ from others in one fine detail.

    The latter are known for rendered people only, and NaN for other datasets.
    """

    seed: int
    mAP: float  # noqa: N815
    rank1: float
    fine_mAP: float  # noqa: N815
    fine_rank1: float


@dataclass(frozen=True)
class AblationTable:
    """Results of a table by row. Prints as Markdown, with the paper's figures."""

    name: str
    title: str
    rows: Mapping[Row, Sequence[Scores]]

    def __str__(self) -> str:
        lines = ["| row | mAP | R-1 | fine mAP | fine R-1 | seeds | paper mAP, R-1 |", "|---|---|---|---|---|---|---|"]
        for row, scores in self.rows.items():
            cells = [
                spread([getattr(one, key) for one in scores]) for key in ("mAP", "rank1", "fine_mAP", "fine_rank1")
            ]
            paper = "{:.1f}, {:.1f}".format(*row.paper) if row.paper else ""
            lines.append(f"| {row.name} | {' | '.join(cells)} | {len(scores)} | {paper} |")
        return "\n".join(lines)

    def plot(self, path: str | Path) -> Path:
        """Plot mAP with its spread, and the paper's mAP; the suffix gives the format.

        Raises:
            ModuleNotFoundError: If matplotlib is not installed.
        """
        figure = new_figure(6, 3.5)
        axes, places = figure.subplots(), np.arange(len(self.rows))
        for key, label, shift in (("mAP", "all queries", -0.12), ("fine_mAP", "fine detail", 0.12)):
            for place, scores in zip(places, self.rows.values(), strict=True):
                values = [100 * getattr(one, key) for one in scores]
                colour = "C0" if key == "mAP" else "C1"
                axes.plot([place + shift] * len(values), values, "o", color=colour, alpha=0.4, markersize=4)
                axes.plot(
                    place + shift, np.mean(values), "_", color=colour, markersize=18, label=label if not place else ""
                )
        paper = [(place, row.paper[0]) for place, row in zip(places, self.rows, strict=True) if row.paper]
        if paper:
            axes.plot(*zip(*paper, strict=True), "x", color="0.5", label="paper, on MARS")
        axes.set_xticks(places, [row.name for row in self.rows], rotation=20, ha="right")
        axes.set(ylabel="mAP (%)", title=f"{self.name}: {self.title}")
        axes.grid(axis="y", alpha=0.3)
        axes.legend(fontsize="small")
        save_figure(figure, path)
        return Path(path)


def spread(values: Sequence[float]) -> str:
    """Format mean and sample standard deviation of shares, in percent."""
    if np.isnan(values).any():
        return ""
    mean = f"{100 * statistics.mean(values):.1f}"
    return mean if len(values) < 2 else f"{mean} ± {100 * statistics.stdev(values):.1f}"


@checked
def tables() -> dict[str, tuple[str, list[Row]]]:
    """Return the tables by name, each with title and rows."""
    content = yaml.safe_load(files("denseil.recipes").joinpath(ABLATION_TABLES).read_text(encoding="utf-8"))
    return {
        str(name): (table["title"], [_row(title, **entries) for title, entries in table["rows"].items()])
        for name, table in content.items()
    }


def _row(name: str, *, paper: Sequence[float] | None = None, **entries: Any) -> Row:
    return Row(name, paper=(paper[0], paper[1]) if paper else None, **entries)


def find_rows(table: str, rows: Collection[str] | None = None) -> list[Row]:
    """Return rows of a table, in the table's order.

    Raises:
        KeyError: If the table or a row does not exist.
        ValueError: If no row is named.
    """
    known = tables()
    if table not in known:
        raise KeyError(f"no table {table!r}; there are {', '.join(known)}")
    names = [row.name for row in known[table][1]]
    if rows is not None and not rows:
        raise ValueError(f"rows={shown(rows)}: name some of {names}, or give None for all")
    for name in rows or ():
        if name not in names:
            hint = did_you_mean(name, names)
            raise KeyError(f"table {table} has no row {name!r}: {f'{hint} ' * bool(hint)}it has {names}")
    return [row for row in known[table][1] if rows is None or row.name in rows]
