"""Text for users: terminal-safe output, and suggestions for misspelt names."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from unicodedata import category


def plain(text: object) -> str:
    """Escape all characters that can control a terminal: control characters, line breaks, bidirectional marks.

    Spaces of any width are kept; Python counts all but the ordinary one as not printable.
    """
    return "".join(
        letter if letter.isprintable() or category(letter) == "Zs" else repr(letter)[1:-1] for letter in str(text)
    )


def plain_lines(text: object) -> str:
    """Escape a text of several lines as `plain` does, but keep its line feeds.

    Names within the text must be escaped with `plain` first, because their line breaks cannot be told from those of
    the text.
    """
    return "\n".join(plain(line) for line in str(text).split("\n"))


def counted(number: int, noun: str, plural: str = "") -> str:
    """Format a number of things: "1 vector", "2,000 vectors"; `plural` is for nouns that take no s, such as "boxes"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def did_you_mean(word: str, known: Iterable[str], *, n: int = 1) -> str:
    """Suggest the known names closest to a misspelt one.

    Returns:
        `"did you mean 'lr'?"`, with up to `n` names; an empty string if none is close.
    """
    near = get_close_matches(str(word), list(known), n=n)
    return f"did you mean {' or '.join(map(repr, near))}?" if near else ""
