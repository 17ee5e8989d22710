"""Names of tracklets in CSV files, which are read in terminals and spreadsheets."""

from __future__ import annotations

import re
from collections.abc import Iterable

from denseil.common.arguments import checked, shown
from denseil.common.text import plain

FORMULA = re.compile(r"[=@]|[+-](?![0-9.]+$)")  # a number stays as it is


@checked
def csv_names(names: Iterable[object]) -> list[str]:
    r"""Spell names for a CSV file.

    Characters that control a terminal, line breaks among them, are escaped, such as `\x1b`; a `'` goes before a name
    that a spreadsheet would take for a formula. Other names, such as all ids that denseil makes, stay as they are.

    Raises:
        ValueError: If two different names would be spelt the same.
    """
    spelt: list[str] = []
    first: dict[str, tuple[str, object]] = {}
    for name in names:
        text, raw = plain(name), f"{isinstance(name, str)} {name}"  # a text and a number may look alike
        spelt.append(f"'{text}" if FORMULA.match(text) else text)
        if first.setdefault(spelt[-1], (raw, name))[0] != raw:
            raise ValueError(
                f"{shown(first[spelt[-1]][1])} and {shown(name)} are both {spelt[-1]} in a CSV file; rename one of them"
            )
    return spelt
