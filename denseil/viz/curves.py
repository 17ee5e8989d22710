"""Line charts for pages, as SVG from matplotlib in the colours of the page."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from denseil.common.arguments import checked
from denseil.common.extras import need
from denseil.common.text import plain
from denseil.metrics.figures import new_figure

# Placeholders for the variables of page.css, which follow the light or dark theme.
COLOURS = {
    "#010101": "--accent",
    "#010102": "--c1",
    "#010103": "--c2",
    "#010104": "--c3",
    "#010105": "--line",
    "#010106": "--quiet",
}
*CURVES, GRID, INK = COLOURS


@checked
def line_chart(series: Mapping[str, Sequence[tuple[float, float]]], *, x: str, y: str, low: float | None = None) -> Any:
    """Draw curves over common axes.

    Args:
        series: Points (x, y) of each curve, by name. Points that are not finite are skipped.
        x: Label of the horizontal axis.
        y: Label of the vertical axis.
        low: Bottom of the vertical axis, unless a point is lower; None chooses it from the points.

    Returns:
        The SVG and its legend, as escaped markup for a page.

    Raises:
        ModuleNotFoundError: If matplotlib or jinja2 is not installed.
        ValueError: If no point is finite, or `low` is not.
    """
    if low is not None and not math.isfinite(low):
        raise ValueError(f"low={low}: give a finite number, or None")
    markup = need("markupsafe", to="make a page", extra="viz")
    curves = {
        plain(name): [(a, b) for a, b in points if math.isfinite(a) and math.isfinite(b)]
        for name, points in series.items()
    }
    x, y = plain(x), plain(y)
    if not any(curves.values()):
        raise ValueError("no points to draw: give at least one that is finite")
    figure = new_figure(5.4, 2.5)
    axes = figure.subplots()
    for number, points in enumerate(curves.values()):
        colour = CURVES[number % len(CURVES)]
        axes.plot(
            *zip(*points, strict=True), color=colour, marker="o" if len(points) == 1 else None, gid=f"curve{number}"
        )
    if low is not None and axes.dataLim.y0 >= low:
        axes.set_ylim(bottom=low)
    axes.spines[:].set_visible(False)
    axes.grid(color=GRID, linewidth=0.8)
    axes.tick_params(length=0, labelcolor=INK)
    axes.set_xlabel(x, color=INK, loc="right", parse_math=False)
    names = "".join(
        f'<span class="c{number % len(CURVES)}">{markup.escape(name)}</span>' for number, name in enumerate(curves)
    )
    label = markup.escape(f"{y} over {x}: {', '.join(curves)}")
    return markup.Markup(f'<p class="legend"><b>{markup.escape(y)}</b>{names}</p>{_svg(figure, label)}')


def _svg(figure: Any, label: str) -> str:
    """Return a figure as an `<svg>` element without XML header, with text as text and colours as CSS variables."""
    from matplotlib import rc_context

    file = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "denseil"}):  # text stays text; ids are reproducible
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", svg, flags=re.S)
    head, _, rest = svg.partition(">")
    head = re.sub(r' (width|height)="[^"]*"', "", head)  # the width of the page, height in proportion
    rest = re.sub(r'<g id="curve(\d+)">', r'<g class="curve">', rest)
    svg = head + ">" + re.sub(r'<g id="[^"]*"', "<g", rest)  # ids must differ between charts of a page
    for colour, name in COLOURS.items():
        svg = svg.replace(colour, f"var({name})")
    return svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
