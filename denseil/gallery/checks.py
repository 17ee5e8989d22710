"""Checks of vectors for a gallery, and of a gallery's model and width."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import Protocol

import numpy as np

from denseil.common.arguments import check_seconds, shown
from denseil.common.files import check_output_folder
from denseil.common.text import plain
from denseil.common.vectors import ArrayLike, unit_vectors
from denseil.gallery.record import FloatArray, Record


def gallery_vectors(vectors: ArrayLike, dim: int, *, what: str = "vectors") -> FloatArray:
    """Convert vectors for a gallery of width `dim`; see `unit_vectors`.

    Raises:
        TypeError, ValueError: As `unit_vectors`, or if the width is wrong.
    """
    units = unit_vectors(vectors, what=what)
    if units.shape[1] != dim:
        raise ValueError(
            f"{what} are {units.shape[1]} wide, the gallery is {dim} wide; take vectors of the model that filled it"
        )
    return units


def check_new(records: Sequence[Record], vectors: ArrayLike, dim: int) -> FloatArray:
    """Check new records and their vectors, and return the vectors as `gallery_vectors` does.

    Raises:
        TypeError: As `gallery_vectors`, or if an element is not a record.
        ValueError: As `gallery_vectors`, or if the numbers of vectors and records differ, or two records have the same
            id, or a time must be in milliseconds (one that is stored already can still be read).
    """
    if not all(issubclass(kind, Record) for kind in set(map(type, records))):
        wrong = next(record for record in records if not isinstance(record, Record))
        raise TypeError(f"{shown(wrong)} is not a denseil.gallery.Record")
    if not len(records):
        return np.empty((0, dim), np.float32)
    units = gallery_vectors(vectors, dim)
    if len(units) != len(records):
        raise ValueError(f"{len(records)} records and {len(units)} vectors; give one vector a record")
    ids = [record.id for record in records]
    if len(set(ids)) < len(ids):
        twice, _ = Counter(ids).most_common(1)[0]
        raise ValueError(f"two records are called {shown(twice)}; an id names one tracklet")
    latest = max(records, key=attrgetter("end"))
    check_seconds(f"the end of record {shown(latest.id)}", latest.until)
    return units


def check_new_folder(folder: Path) -> None:
    """Refuse a folder for a new gallery that holds other files than LanceDB's tables, such as crops.

    Raises:
        NotADirectoryError: If the folder, or one above it, is a file.
        PermissionError: If the folder that it is in is read-only.
        ValueError: If there is such a file.
    """
    check_output_folder(folder)
    inside = folder.iterdir() if folder.is_dir() else ()
    others = sorted(path.name for path in inside if path.suffix != ".lance" and path.name[0] != ".")
    if others:
        raise ValueError(
            f"the folder {folder} is no gallery: it holds {plain(others[0])}"
            f"{' and other files' if others[1:] else ''}; give a new folder, or an empty one"
        )


class _Opened(Protocol):
    uri: str
    dim: int
    model: str


def same_model(one: str, other: str) -> bool:
    """Decide whether two names stand for one model.

    Two names that end in an identity (40 hexadecimal digits, from `denseil.models.model_id`) are compared by it;
    otherwise by the part before it, because galleries and files of earlier versions have only that. If one of them is
    an architecture alone, as in files of other code bases, the digest of the other's weights is left out.
    """
    (first, first_id), (second, second_id) = (_split(name) for name in (one, other))
    if first_id and second_id:
        return first_id == second_id
    return first == second or _without_weights(first) == second or first == _without_weights(second)


def _split(name: str) -> tuple[str, str]:
    before, _, last = name.rpartition(" ")
    return (before, last) if re.fullmatch("[0-9a-f]{40}", last) else (name, "")


def _without_weights(name: str) -> str:
    return re.sub(" [0-9a-f]{16}$", "", name)


def check_opened(gallery: _Opened, dim: int | None, model: str) -> None:
    """Check that a gallery holds vectors of a model, if both are known, and of a width.

    Raises:
        ValueError: If it does not.
    """
    if model and gallery.model and not same_model(model, gallery.model):
        raise ValueError(
            f"the gallery {plain(gallery.uri)} was filled by the model {plain(gallery.model)}, not by {plain(model)}: "
            "their vectors cannot be compared; embed with the model that filled it, or fill another gallery"
        )
    if dim not in (None, gallery.dim):
        raise ValueError(
            f"the gallery {plain(gallery.uri)} is {gallery.dim} wide, not {dim}; take vectors of the model that filled "
            "it"
        )
