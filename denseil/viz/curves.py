"""Curves as inline SVG: no script, sharp on paper, in the page's own colours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from denseil.common.extras import need

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 52, 24, 12, 40  # pixels around the curves


def line_chart(series: Mapping[str, Sequence[tuple[float, float]]], *, x: str, y: str, low: float | None = None) -> Any:
    """Draw curves over common axes.

    Args:
        series: name -> points (x, y); points that are not finite are left out.
        x: what the horizontal axis is.
        y: what the vertical axis is.
        low: where the vertical axis begins at the latest; at the smallest value where None.

    Returns:
        SVG, safe to put in a page.

    Raises:
        ValueError: no point at all.
    """
    drawn = {
        name: [(a, b) for a, b in points if math.isfinite(a) and math.isfinite(b)] for name, points in series.items()
    }
    points = [point for of_one in drawn.values() for point in of_one]
    if not points:
        raise ValueError("no points to draw: give at least one that is finite")
    xs, ys = [a for a, _ in points], [b for _, b in points] + ([] if low is None else [low])
    across, up = _ticks(min(xs), max(xs)), _ticks(min(ys), max(ys))

    def at(a: float, b: float) -> tuple[float, float]:
        right = (a - across[0]) / (across[-1] - across[0])
        above = (b - up[0]) / (up[-1] - up[0])
        return LEFT + right * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - above * (HEIGHT - TOP - BOTTOM)

    escape = need("markupsafe", to="make a page", extra="viz").escape
    lines = []
    for value in up:
        height = at(across[0], value)[1]
        lines.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{height:.1f}" y2="{height:.1f}"/>')
        lines.append(f'<text x="{LEFT - 8}" y="{height + 4:.1f}" text-anchor="end">{value:g}</text>')
    for value in across:
        place = at(value, up[0])[0]
        lines.append(f'<text x="{place:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{value:g}</text>')
    lines.append(f'<text class="axis" x="{WIDTH - RIGHT}" y="{HEIGHT - 4}" text-anchor="end">{escape(x)}</text>')
    for number, (name, of_one) in enumerate(drawn.items()):
        path = " ".join(f"{place:.1f},{height:.1f}" for place, height in (at(a, b) for a, b in of_one))
        lines.append(f'<polyline class="curve c{number % 4}" points="{path}"><title>{escape(name)}</title></polyline>')
    legend = "".join(f'<span class="c{number % 4}">{escape(name)}</span>' for number, name in enumerate(drawn))
    label = escape(f"{y} over {x}: {', '.join(drawn)}")
    svg = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(lines)}</svg>'
    legend = f'<p class="legend"><b>{escape(y)}</b>{legend}</p>'
    return need("markupsafe", to="make a page", extra="viz").Markup(legend + svg)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers from at most `low` to at least `high`, about five."""
    if high <= low:
        high = low + (abs(low) or 1.0)
    rough = (high - low) / 4
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(number * step, 12) for number in range(first, last + 1)]
