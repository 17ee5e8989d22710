"""Figures of results; matplotlib is imported only when a figure is made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from denseil.common.extras import need
from denseil.common.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure of a size in inches.

    Raises:
        ModuleNotFoundError: If matplotlib is not installed.
    """
    made: Figure = need("matplotlib.figure", to="plot", extra="viz").Figure(
        figsize=(width, height), layout="constrained"
    )
    return made


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure in the format of the path's suffix.

    Raises:
        ValueError: If matplotlib does not support the format.
    """
    suffix, known = Path(path).suffix.lower().removeprefix("."), sorted(figure.canvas.get_supported_filetypes())
    if suffix not in known:
        raise ValueError(f"{path}: the suffix names the format of a figure, one of {', '.join(known)}; not {suffix!r}")
    with replacing(path) as temporary:
        figure.savefig(temporary)
