"""Embeddings with their labels, the input of every evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from denseil.common.vectors import ArrayLike

JUNK_PID = -1
DISTRACTOR_PID = 0


@dataclass(frozen=True, eq=False, init=False)
class Embeddings:
    """Vectors of tracklets, with their person and camera ids.

    All values are checked here once, so that no result is computed from misaligned labels: published re-ID code has
    reported scores computed with more camera ids than tracklets.

    Args:
        vectors: Embeddings (N, D), real numbers; stored as float32 on their device, without a copy if they are
            float32.
        pids: Person ids (N,), integers: -1 is junk (ignored by every protocol), 0 a distractor, others persons.
        camids: Camera ids (N,), integers; equal numbers mean the same camera.

    Raises:
        TypeError: If vectors are not real numbers, or pids or camids are not integers.
        ValueError: If dimensions or lengths are wrong, there is no vector, a value is not finite, or a pid is below
            -1.
    """

    vectors: Tensor
    pids: Tensor
    camids: Tensor

    def __init__(self, vectors: ArrayLike, pids: ArrayLike, camids: ArrayLike) -> None:
        object.__setattr__(self, "vectors", _as_vectors(vectors))
        object.__setattr__(self, "pids", as_ids("pids", pids, len(self.vectors)))
        object.__setattr__(self, "camids", as_ids("camids", camids, len(self.vectors)))
        if (lowest := int(self.pids.min())) < JUNK_PID:
            raise ValueError(
                f"pids go down to {lowest}; they must be -1 (junk), 0 (distractor) or a person: renumber them"
            )

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, index: Tensor | slice | list[int]) -> Embeddings:
        """Return the embeddings at the given indices, in their order."""
        return Embeddings(self.vectors[index], self.pids[index], self.camids[index])

    def __repr__(self) -> str:
        return f"Embeddings({len(self)} vectors of length {self.vectors.shape[1]})"


def _as_tensor(name: str, values: ArrayLike) -> Tensor:
    """Convert to a tensor, without a copy if possible."""
    if isinstance(values, Tensor):
        if values.is_meta or values.layout != torch.strided:
            raise TypeError(f"{name} are a tensor of {values.device} and {values.layout}; give a dense one with values")
        return values.detach()
    try:
        return torch.as_tensor(np.require(values, requirements=["C", "W"]))
    except (TypeError, ValueError) as error:  # ragged lists, strings, objects
        raise TypeError(f"{name} cannot be read as an array of numbers: {error}") from error


def _as_vectors(values: ArrayLike) -> Tensor:
    vectors = _as_tensor("vectors", values)
    if vectors.ndim != 2 or 0 in vectors.shape:
        raise ValueError(
            f"vectors have shape {tuple(vectors.shape)}; they must be (N, D), one row a tracklet, N and D >= 1"
        )
    if vectors.dtype == torch.bool or vectors.is_complex():
        raise TypeError(f"vectors are {vectors.dtype}; they must be real numbers: convert them to float32")
    given, vectors = vectors, vectors.float()
    if given.dtype == torch.float64 and (lost := (given != 0).any(1) & (vectors == 0).all(1)).any():
        raise ValueError(f"vector {int(lost.nonzero()[0])} is too short: it is zero in float32; scale the vectors")
    # aminmax propagates NaN and needs no temporary, unlike isfinite() on a gallery of a million.
    if not torch.stack(vectors.aminmax()).isfinite().all():
        row = next(i for i, vector in enumerate(vectors) if not vector.isfinite().all())
        raise ValueError(
            f"vectors hold NaN or infinity, first in row {row}; they must be finite in float32: mend the features"
        )
    return vectors


def as_ids(name: str, values: ArrayLike, length: int | None = None) -> Tensor:
    """Convert integers (N,) to int64 on the CPU.

    Args:
        name: Their name in errors.
        values: The integers.
        length: Required number; None for any.

    Raises:
        TypeError: If they are not integers.
        ValueError: If they have not one dimension, or not this length, or are 2^63 and more.
    """
    ids = _as_tensor(name, values)
    if ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        raise TypeError(f"{name} are {ids.dtype}; they must be integers")
    if ids.ndim != 1 or (length is not None and len(ids) != length):
        there = f", and there are {length} vectors" if length is not None else ""
        raise ValueError(
            f"{name} have shape {tuple(ids.shape)}{there}; give one a tracklet (one a frame is a known mistake)"
        )
    if ids.dtype == torch.uint64 and (ids.view(torch.int64) < 0).any():
        raise ValueError(f"{name} do not fit into 64 bits with a sign; renumber them")
    return ids.to("cpu", torch.int64)
