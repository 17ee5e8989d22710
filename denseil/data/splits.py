"""Random half splits of iLIDS-VID and PRID-2011: making, reading and writing.

Two published formats are read and written:

* MATLAB (Wang et al., ECCV 2014): the variable `ls_set`, one row per split, the positions (from 1) of persons in sorted
  order, shuffled; the first half of a row is for testing, the rest for training.
* JSON (as in torchreid): `[{"train": ["person001", ...], "test": [...]}, ...]`, names of folders.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from denseil.common.arguments import check_seed, checked
from denseil.common.extras import need
from denseil.common.files import replacing
from denseil.common.text import counted
from denseil.data.readers.files import load_mat

MOST_SPLITS = 1000  # published protocols have 10


class Split(NamedTuple):
    """Training and test persons, as sorted folder names."""

    train: tuple[str, ...]
    test: tuple[str, ...]


@checked
def make_splits(persons: Sequence[str], *, num_splits: int = 10, seed: int = 0) -> list[Split]:
    """Make random half splits. For an odd number of persons the larger half is for training.

    Raises:
        ValueError: If there are fewer than two persons, or one twice, or the number of splits is out of its range.
    """
    check_seed(seed)
    if not 1 <= num_splits <= MOST_SPLITS:
        raise ValueError(f"num_splits={num_splits}: give a number from 1 to {MOST_SPLITS:,}")
    people = sorted(set(persons))
    if len(people) != len(persons) or len(people) < 2:
        raise ValueError(f"splits need at least two different persons, got {len(persons)} ({len(people)} different)")
    rng = np.random.default_rng(seed)
    return [_halves(people, rng.permutation(len(people)).tolist()) for _ in range(num_splits)]


@checked
def read_splits(path: Path | str, persons: Sequence[str]) -> list[Split]:
    """Read splits of either format.

    Args:
        path: A `.mat` or `.json` file.
        persons: The dataset's persons; a `.mat` file refers to them by their sorted order.

    Raises:
        ValueError: If the file does not fit the persons, or a split has a person on both sides or twice on one.
    """
    path, people = Path(path), sorted(persons)
    if not people:
        raise ValueError(f"there are no persons to split by {path}")
    if not path.is_file():
        raise FileNotFoundError(f"no split file {path}")
    if path.suffix == ".mat":
        rows = load_mat(path, "ls_set", columns=len(people)).tolist()
        if any(sorted(row) != list(range(1, len(people) + 1)) for row in rows):
            raise ValueError(f"{path}: each row of 'ls_set' must hold each number of 1 to {len(people)} once")
        return [_halves(people, [position - 1 for position in row]) for row in rows]
    try:
        splits = [
            Split(tuple(sorted(row["train"])), tuple(sorted(row["test"]))) for row in json.loads(path.read_bytes())
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f'{path} is not a list of {{"train": [...], "test": [...]}}: {error!r}') from error
    if not splits:
        raise ValueError(f"{path} holds no splits")
    for number, split in enumerate(splits):
        unknown, both = {*split.train, *split.test} - set(people), set(split.train) & set(split.test)
        twice = {name for half in split for name, after in pairwise(half) if name == after}
        if unknown or both or twice or not split.train or not split.test:
            raise ValueError(
                f"{path}, split {number}: {counted(len(unknown), 'person')} not in the dataset {sorted(unknown)[:3]}, "
                f"{len(both)} in both halves {sorted(both)[:3]}, "
                f"{len(twice)} twice in one half {sorted(twice)[:3]}; {len(split.train)} train, {len(split.test)} test"
            )
    return splits


@checked
def write_splits(splits: Sequence[Split], path: Path | str) -> Path:
    """Write splits atomically, as `.json` or `.mat` by the suffix of the path.

    Raises:
        ValueError: If there are no splits, the format is unknown, or `.mat` cannot represent the splits: persons that
            are left out, or a test half larger than the training half.
    """
    path = Path(path)
    if path.suffix not in (".json", ".mat"):
        raise ValueError(f"splits can be written as .json or .mat, got {path.name!r}")
    if not splits:
        raise ValueError(f"there are no splits to write to {path}: make some with make_splits")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        if path.suffix == ".json":
            rows = [{"train": list(split.train), "test": list(split.test)} for split in splits]
            partial.write_text(json.dumps(rows, indent=1), encoding="utf-8")
        else:
            need("scipy.io", to="write MATLAB files").savemat(partial, {"ls_set": _positions(splits)})
    return path


def _halves(people: list[str], order: list[int]) -> Split:
    half = len(people) // 2
    test, train = order[:half], order[half:]
    return Split(tuple(people[i] for i in sorted(train)), tuple(people[i] for i in sorted(test)))


def _positions(splits: Sequence[Split]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    people = sorted({*splits[0].train, *splits[0].test})
    place = {person: float(i + 1) for i, person in enumerate(people)}
    for split in splits:
        if sorted(split.train + split.test) != people or len(split.test) != len(people) // 2:
            raise ValueError("a .mat file holds splits of the same persons into halves only: write .json")
    return np.array([[place[person] for person in split.test + split.train] for split in splits])
