"""Progress bars."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm

ON_TERMINAL, IN_FILE = 0.5, 30.0  # seconds between two states of a bar


def progress_bar(total: int | None, *, unit: str, show: bool, **options: Any) -> tqdm[Any]:
    """Make a progress bar on stderr: redrawn twice a second on a terminal, written twice a minute to a file.

    Args:
        total: Number of units; None if unknown.
        unit: Name of a unit.
        show: Whether to show it. If so, the variable TQDM_DISABLE of the environment still hides it.
        options: Further arguments of tqdm.
    """
    interval = ON_TERMINAL if sys.stderr.isatty() else IN_FILE
    hidden = {} if show else {"disable": True}
    return tqdm(total=total, unit=unit, mininterval=interval, maxinterval=max(10.0, interval), **hidden, **options)
