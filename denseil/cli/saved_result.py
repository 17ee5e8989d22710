"""Files of the results of `denseil evaluate`: named by what was evaluated, and never written over another result."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from denseil.cli.output import say
from denseil.common.text import plain

if TYPE_CHECKING:
    from denseil.metrics import RankingResult

OF_RUN = ("final", "best")  # folders that every run has


def name_of_model(model: str) -> str:
    """Return the name of a model or of its folder; that of a run's model starts with the run's."""
    place = Path(model.removeprefix("local-dir:"))
    if place.is_dir():
        place = place.resolve()
        return f"{place.parent.name}-{place.name}" if place.name in OF_RUN else place.name
    return place.name


def result_name(
    model: str,
    dataset: str,
    settings: Sequence[str],
    *,
    checkpoint: Path | None,
    data_args: Mapping[str, object] | None,
) -> str:
    """Return the name of a result's file.

    Args:
        model: The model, as it was given.
        dataset: The dataset.
        settings: Frames, protocol, and all else in words.
        checkpoint: File of the model's weights; None for its own.
        data_args: Arguments of the dataset's reader.
    """
    words = [name_of_model(model), *([checkpoint.stem] if checkpoint else []), dataset]
    words += [re.sub(r"[^\w.-]+", "_", f"{key}{value}")[:40] for key, value in sorted((data_args or {}).items())]
    return "-".join([*words, *settings]) + ".json"


def save_result(result: RankingResult, path: Path, *, quietly: bool) -> None:
    """Write a result as JSON; with a number after the name if the file holds another result."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = result.to_json()
    names = (path.with_name(f"{path.stem}{'' if number == 1 else f'-{number}'}.json") for number in count(1))
    free = next(name for name in names if not name.exists() or name.read_text("utf-8", errors="replace") == text)
    result.save(free)
    if not quietly:
        say(plain(f"saved to {free}{f' ({path.name} holds another result)' if free != path else ''}"))
