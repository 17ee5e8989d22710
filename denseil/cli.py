"""The command line: one function a verb, its options read from the signature.

A verb prints what its library function returns and gives the exit status: 0 done, 1 found problems,
2 could not run. Nothing imports this module.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import takewhile
from json import dumps
from pathlib import Path
from typing import Any

from jsonargparse import auto_cli

from denseil import __version__, metrics


def version() -> int:
    """Print the version."""
    print(__version__)
    return 0


def evaluate(
    features: tuple[Path, Path] | None = None,
    *,
    protocol: str = "standard",
    metric: str = "cosine",
    json: Path | None = None,
    plot: Path | None = None,
) -> int:
    """Judge saved features of any code base.

    Args:
        features: the queries' features file and the gallery's; for mars-official the gallery holds the queries too.
        protocol: standard or mars-official.
        metric: cosine or euclidean.
        json: where to write the result.
        plot: where to draw its CMC curve; the suffix names the format.
    """
    if features is None:
        raise ValueError("nothing to evaluate: give --features QUERY.safetensors GALLERY.safetensors")
    result = metrics.rank_features(*features, protocol=protocol, metric=metric)
    print(result)
    if json is not None:
        result.save(json)
    if plot is not None:
        result.plot(plot)
    return 0


VERBS: dict[str, Callable[..., int] | dict[str, Any]] = {
    "evaluate": evaluate,
    "version": version,
}

PAIRS = ("--features",)  # options of two words, `--features QUERY GALLERY`; jsonargparse reads a tuple from one


def _join_pairs(words: list[str]) -> list[str]:
    """Make one JSON list of the words that follow an option of two."""
    words = list(words)
    for at, word in enumerate(words, start=1):
        if word in PAIRS:
            values = list(takewhile(lambda value: not value.startswith("-"), words[at : at + 2]))
            words[at : at + len(values)] = [dumps(values)]
    return words


def main(argv: list[str] | None = None) -> int:
    """Run one verb and return its exit status."""
    words = _join_pairs(sys.argv[1:] if argv is None else argv)
    try:
        return int(auto_cli(VERBS, args=words, prog="denseil") or 0)
    except (ValueError, TypeError, KeyError, RuntimeError, ImportError, OSError) as error:
        print(f"denseil: {type(error).__name__}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
