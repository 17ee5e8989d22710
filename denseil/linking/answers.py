"""What a person has answered: pairs of tracklets that show one person, or two."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from denseil.common.arguments import checked, shown
from denseil.linking.names import csv_names
from denseil.linking.rules import Travel

ANSWERS = ("tracklet", "other", "same")
TRAVEL = ("from", "to", "least", "most")
YES, NO = ("yes", "1", "true"), ("no", "0", "false")


class Answers(NamedTuple):
    """Pairs of rows that show one person, and pairs that show two."""

    must_link: list[tuple[int, int]]
    cannot_link: list[tuple[int, int]]


@checked
def read_answers(path: str | Path, rows: Mapping[str, int]) -> Answers:
    """Read answers: a CSV file with the columns `tracklet`, `other` and `same`, which is yes or no.

    An empty `same` is no answer; of answers to the same pair the last counts.

    Args:
        path: The file.
        rows: Row of each tracklet by its name, which the file may hold as it is, or as `Links.to_csv` writes it.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If a column is missing, a tracklet is unknown, an answer is neither yes nor no, or two names are
            written the same.
    """
    rows = {**dict(zip(csv_names(rows), rows.values(), strict=True)), **rows}
    found: dict[tuple[int, int], bool] = {}
    for place, row in _table(path, ANSWERS):
        answer = row["same"].strip().lower()
        if not answer:
            continue
        if answer not in (*YES, *NO):
            raise ValueError(f"{path}, row {place}: same is {shown(row['same'])}; give yes or no")
        for name in ("tracklet", "other"):
            if row[name] not in rows:
                raise ValueError(f"{path}, row {place}: no tracklet {shown(row[name])} in the features files")
        one, other = sorted((rows[row["tracklet"]], rows[row["other"]]))
        if one == other:
            raise ValueError(f"{path}, row {place}: tracklet {shown(row['other'])} is compared with itself")
        found[one, other] = answer in YES
    return Answers([pair for pair, same in found.items() if same], [pair for pair, same in found.items() if not same])


@checked
def read_travel(path: str | Path) -> Travel:
    """Read travel times: a CSV file with the columns `from`, `to` (cameras), `least` and `most` (seconds).

    An empty `most` is no limit.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If a column is missing or a value is not a number.
    """
    found = {}
    for place, row in _table(path, TRAVEL):
        pair, limits = _way(row, f"{path}, row {place}")
        found[pair] = limits
    return found


def _way(row: Mapping[str, str], where: str) -> tuple[tuple[int, int], tuple[float, float]]:
    try:
        return (int(row["from"]), int(row["to"])), (float(row["least"] or 0), float(row["most"] or "inf"))
    except ValueError as error:
        raise ValueError(f"{where}: {error}; give camera numbers and seconds") from None


def _table(path: str | Path, columns: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    if not Path(path).is_file():
        raise FileNotFoundError(f"no file {path}")
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        try:
            reader = csv.DictReader(file)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise ValueError(f"{path} lacks the column {missing[0]!r}; its first row is {','.join(columns)}")
            return [(place, {name: row[name] or "" for name in columns}) for place, row in enumerate(reader, start=1)]
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is not a CSV file in UTF-8: {error}") from None
