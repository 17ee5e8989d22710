"""Text for people: safe on a terminal, and a suggestion for a misspelt name."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def plain(text: object) -> str:
    """Escape whatever in a text could command a terminal: control characters, escapes, bidirectional marks."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in str(text))


def did_you_mean(word: str, known: Iterable[str], *, n: int = 1) -> str:
    """Suggest the known names nearest to a misspelt one.

    Returns:
        `"did you mean 'lr'?"`, with up to `n` names; empty if none is near.
    """
    near = get_close_matches(str(word), list(known), n=n)
    return f"did you mean {' or '.join(map(repr, near))}?" if near else ""
