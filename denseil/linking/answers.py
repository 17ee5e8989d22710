"""Answers to questions: pairs of tracklets that show one person, or two."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from denseil.common.arguments import checked, shown
from denseil.common.files import replacing
from denseil.linking.doubts import Doubt
from denseil.linking.names import csv_names
from denseil.linking.rules import Travel

ANSWERS = ("tracklet", "other", "same")
TRAVEL = ("from", "to", "least", "most")
WHOLE = re.compile("[+-]?[0-9]{1,19}")
SECONDS = re.compile("[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)(e[+-]?[0-9]+)?|inf", re.IGNORECASE)
YES, NO = ("yes", "1", "true"), ("no", "0", "false")


class Answers(NamedTuple):
    """Pairs of rows that show one person, and pairs that show two."""

    must_link: list[tuple[int, int]]
    cannot_link: list[tuple[int, int]]


@checked
def read_answers(path: str | Path | Sequence[str | Path], rows: Mapping[str, int]) -> Answers:
    """Read answers: CSV files with the columns `tracklet`, `other` and `same`, which is yes or no.

    An empty `same` is no answer; of answers to the same pair the last counts.

    Args:
        path: The file, or several.
        rows: Row of each tracklet by its name, which the file may hold as it is, or as `Links.to_csv` writes it.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If a column is missing or stands twice, a cell is in none, a tracklet is unknown, an answer is
            neither yes nor no, or two names are written the same.
    """
    rows = {**dict(zip(csv_names(rows), rows.values(), strict=True)), **rows}
    found: dict[tuple[int, int], bool] = {}
    for file in [path] if isinstance(path, (str, Path)) else path:
        for place, row in _table(file, ANSWERS):
            if row["same"].strip():
                pair, same = _answer(row, rows, f"{file}, row {place}")
                found[pair] = same
    return Answers([pair for pair, same in found.items() if same], [pair for pair, same in found.items() if not same])


def _answer(row: Mapping[str, str], rows: Mapping[str, int], where: str) -> tuple[tuple[int, int], bool]:
    answer = row["same"].strip().lower()
    if answer not in (*YES, *NO):
        raise ValueError(f"{where}: same is {shown(row['same'])}; give yes or no")
    for name in ("tracklet", "other"):
        if row[name] not in rows:
            raise ValueError(
                f"{where}: no tracklet {shown(row[name])} in the features files: give that of its recording, too, or "
                "remove the row"
            )
    one, other = sorted((rows[row["tracklet"]], rows[row["other"]]))
    if one == other:
        raise ValueError(f"{where}: tracklet {shown(row['other'])} is compared with itself")
    return (one, other), answer in YES


def holds_answers(path: str | Path) -> bool:
    """Whether a file is a table of questions with an answer in it; False if there is none.

    Raises:
        ValueError: If there is a file that is no such table, or not in UTF-8: it may hold answers all the same.
    """
    return Path(path).is_file() and any(row["same"].strip() for _, row in _table(path, ANSWERS))


def write_questions(path: str | Path, doubtful: Sequence[Doubt], names: Sequence[str], answers: Answers) -> None:
    """Write the answers so far, then the pairs to confirm, with an empty answer.

    Args:
        path: The file; it is replaced as a whole.
        doubtful: The pairs to confirm.
        names: Names of all tracklets, as `csv_names` spells them.
        answers: What has been answered.
    """
    told = [(pair, "yes") for pair in answers.must_link] + [(pair, "no") for pair in answers.cannot_link]
    asked = [((doubt.one, doubt.other), "") for doubt in doubtful]
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(ANSWERS)
        writer.writerows([names[one], names[other], same] for (one, other), same in told + asked)


@checked
def read_travel(path: str | Path) -> Travel:
    """Read travel times: a CSV file with the columns `from`, `to` (cameras), `least` and `most` (seconds).

    An empty `most` is no limit.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If a column is missing or stands twice, a cell is in none, a value is not a number, or a way is
            given twice.
    """
    found: dict[tuple[int, int], tuple[float, float]] = {}
    for place, row in _table(path, TRAVEL):
        pair, limits = _way(row, f"{path}, row {place}")
        if pair in found:
            raise ValueError(f"{path}, row {place}: the way from {pair[0]} to {pair[1]} is given twice; keep one row")
        found[pair] = limits
    return found


def _way(row: Mapping[str, str], where: str) -> tuple[tuple[int, int], tuple[float, float]]:
    words = {name: row[name].strip() for name in TRAVEL}
    words |= {name: words[name] or empty for name, empty in (("least", "0"), ("most", "inf"))}
    for name, word in words.items():
        if not (WHOLE if name in ("from", "to") else SECONDS).fullmatch(word):
            raise ValueError(f"{where}: {name} is {shown(row[name])}; give camera numbers and seconds")
    return (int(words["from"]), int(words["to"])), (float(words["least"]), float(words["most"]))


def _table(path: str | Path, columns: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    if not Path(path).is_file():
        raise FileNotFoundError(f"no file {path}")
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        try:
            header = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=max(",;\t", key=header.count))  # a spreadsheet may write semicolons
            names = next(reader, [])
            wrong = next((name for name in columns if names.count(name) != 1), None)
            if wrong is not None:
                what = "has twice" if wrong in names else "lacks"
                raise ValueError(f"{path} {what} the column {wrong!r}: its first row must be {','.join(columns)}")
            return [
                (place, _cells(row, names, columns, f"{path}, row {place}"))
                for place, row in enumerate(filter(any, reader), start=1)
            ]
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is not a CSV file in UTF-8 ({error}); save it as one") from None


def _cells(row: Sequence[str], names: Sequence[str], columns: Sequence[str], where: str) -> dict[str, str]:
    """The cells of a row in some columns; a ValueError for one under no name, as an answer beside its column is."""
    known = dict(zip(names, row, strict=False))
    for place, cell in enumerate(row):
        if cell.strip() and not (place < len(names) and names[place].strip()):
            raise ValueError(f"{where}: {shown(cell)} is in a column without a name; move it, or name the column")
    return {name: known.get(name, "") for name in columns}
