"""Text for people: safe on a terminal, and a suggestion for a misspelt name."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def plain(text: object) -> str:
    """Escape every character of a text that could act on a terminal: controls, line breaks, bidirectional marks."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in str(text))


def plain_lines(text: object) -> str:
    """Escape each line of a text as `plain` does; the line feeds between them stay.

    A name within the text must have gone through `plain` on its own, since its line breaks would be taken for the
    text's.
    """
    return "\n".join(plain(line) for line in str(text).split("\n"))


def did_you_mean(word: str, known: Iterable[str], *, n: int = 1) -> str:
    """Suggest the known names nearest to a misspelt one.

    Returns:
        `"did you mean 'lr'?"`, with up to `n` names; empty if none is near.
    """
    near = get_close_matches(str(word), list(known), n=n)
    return f"did you mean {' or '.join(map(repr, near))}?" if near else ""
