"""Unit vectors: one check and conversion for galleries and for linking."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeAlias, Union

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

ArrayLike: TypeAlias = Union["Tensor", npt.ArrayLike]


def unit_vectors(vectors: ArrayLike, *, what: str = "vectors") -> npt.NDArray[np.float32]:
    """Convert vectors (N, D) to float32 of length 1.

    Args:
        vectors: Real numbers (N, D), also of torch on any device; (D,) counts as one vector.
        what: Name of the vectors in errors.

    Raises:
        TypeError: If they are not real numbers.
        ValueError: If the shape is wrong, a value is not finite, or a vector is zero.
    """
    if "torch" in sys.modules:  # without it there are no tensors
        vectors = _without_torch(vectors)
    try:
        array = np.asarray(vectors)
    except ValueError as error:
        raise ValueError(f"{what} have rows of different lengths; they must be (N, D), one row a tracklet") from error
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{what} are {array.dtype}; they must be real numbers")
    with np.errstate(over="ignore"):
        array = np.atleast_2d(array).astype(np.float32)
        if array.ndim != 2 or array.shape[1] == 0:
            raise ValueError(f"{what} have shape {array.shape}; they must be (N, D), one row a tracklet")
        lengths = np.linalg.norm(array, axis=1, keepdims=True)
    odd = np.flatnonzero(~np.isfinite(lengths[:, 0]) | (lengths[:, 0] == 0))
    if odd.size:
        largest = np.abs(array[odd]).max(axis=1, keepdims=True)
        wrong = odd[~(np.isfinite(largest) & (largest > 0))[:, 0]]
        if wrong.size:
            raise ValueError(
                f"{what}: row {wrong[0]} holds NaN or infinity, or zeros alone, in float32; nothing was done: leave "
                "out tracklets that could not be embedded"
            )
        array[odd] /= largest  # whose squares float32 does not hold
        lengths[odd] = np.linalg.norm(array[odd], axis=1, keepdims=True)
    lengths[np.abs(lengths - 1) < 1e-6] = 1  # copies of copies stay bit-identical
    units: npt.NDArray[np.float32] = array / lengths
    return units


def _without_torch(vectors: ArrayLike) -> npt.ArrayLike:
    """Return a tensor as an array; real numbers of 16 bits as float32, since numpy lacks bfloat16."""
    from torch import Tensor

    if not isinstance(vectors, Tensor):
        return vectors
    vectors = vectors.detach().cpu()
    array: npt.ArrayLike = (vectors.float() if vectors.is_floating_point() else vectors).numpy()
    return array
