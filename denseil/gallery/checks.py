"""Checks of vectors for a gallery, and of a gallery's model and width."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from torch import Tensor

from denseil.common.text import plain
from denseil.gallery.record import ArrayLike, FloatArray, Record


def unit_vectors(vectors: ArrayLike, dim: int | None = None, *, what: str = "vectors") -> FloatArray:
    """Convert vectors (N, D) to float32 of length 1.

    Args:
        vectors: Real numbers (N, D); (D,) counts as one vector.
        dim: D of the gallery; None for any.
        what: Name of the vectors in errors.

    Raises:
        TypeError: If they are not real numbers.
        ValueError: If the shape or width is wrong, a value is not finite, or a vector is zero.
    """
    if isinstance(vectors, Tensor):
        vectors = vectors.detach().cpu().float().numpy()
    array = np.asarray(vectors)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{what} are {array.dtype}; they must be real numbers")
    array = np.atleast_2d(array).astype(np.float32)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"{what} have shape {array.shape}; they must be (N, D), one row a tracklet")
    if dim is not None and array.shape[1] != dim:
        raise ValueError(
            f"{what} are {array.shape[1]} wide, the gallery is {dim} wide; take vectors of the model that filled it"
        )
    lengths = np.linalg.norm(array, axis=1, keepdims=True)
    wrong = np.flatnonzero(~np.isfinite(lengths[:, 0]) | (lengths[:, 0] == 0))
    if wrong.size:
        raise ValueError(f"{what}: row {wrong[0]} holds NaN or infinity, or zeros alone; nothing was done")
    lengths[np.abs(lengths - 1) < 1e-6] = 1  # copies of copies stay bit-identical
    units: FloatArray = array / lengths
    return units


def check_new(records: Sequence[Record], vectors: ArrayLike, dim: int) -> FloatArray:
    """Check new records and their vectors, and return the vectors as `unit_vectors` does.

    Raises:
        TypeError: As `unit_vectors`, or if an element is not a record.
        ValueError: As `unit_vectors`, or if the numbers of vectors and records differ, or two records have the same
            id.
    """
    wrong = next((record for record in records if not isinstance(record, Record)), None)
    if wrong is not None:
        raise TypeError(f"{wrong!r} is no denseil.gallery.Record")
    if not len(records):
        return np.empty((0, dim), np.float32)
    units = unit_vectors(vectors, dim)
    if len(units) != len(records):
        raise ValueError(f"{len(records)} records and {len(units)} vectors; give one vector a record")
    seen: set[str] = set()
    for record in records:
        if record.id in seen:
            raise ValueError(f"two records are called {record.id!r}; an id names one tracklet")
        seen.add(record.id)
    return units


class _Opened(Protocol):
    uri: str
    dim: int
    model: str


def same_model(one: str, other: str) -> bool:
    """Decide whether two names stand for one model.

    Two names that end in an identity (40 hexadecimal digits, from `denseil.models.model_id`) are compared by it; else
    by what comes before: galleries and files of earlier versions have only the architecture and a digest of weights.
    """
    (first, first_id), (second, second_id) = (_split(name) for name in (one, other))
    return first_id == second_id if first_id and second_id else first == second


def _split(name: str) -> tuple[str, str]:
    before, _, last = name.rpartition(" ")
    return (before, last) if re.fullmatch("[0-9a-f]{40}", last) else (name, "")


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
