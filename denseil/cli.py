"""The command line: one function a verb, its options read from the signature.

A verb prints what its library function returns and gives the exit status: 0 done, 1 found problems,
2 could not run. Nothing imports this module.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from jsonargparse import auto_cli

from denseil import __version__


def version() -> int:
    """Print the version."""
    print(__version__)
    return 0


VERBS: dict[str, Callable[..., int] | dict[str, Any]] = {
    "version": version,
}


def main(argv: list[str] | None = None) -> int:
    """Run one verb and return its exit status."""
    try:
        return int(auto_cli(VERBS, args=argv, prog="denseil") or 0)
    except (ValueError, TypeError, KeyError, RuntimeError, OSError) as error:
        print(f"denseil: {type(error).__name__}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
