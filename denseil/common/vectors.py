"""Arrays from users: vectors of length 1, whole numbers, and times."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeAlias, Union

import numpy as np
import numpy.typing as npt

from denseil.common.arguments import shown

if TYPE_CHECKING:
    from torch import Tensor

ArrayLike: TypeAlias = Union["Tensor", npt.ArrayLike]

COARSEST = 0.1  # seconds between neighbouring times of a type


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


def whole_numbers(name: str, values: ArrayLike) -> npt.NDArray[np.int64]:
    """Convert whole numbers below 2^63, which may be given as floats, such as cameras, frames or tracks.

    Args:
        name: Their name in errors.
        values: The numbers, of any shape; there may be none.

    Raises:
        ValueError: If one is no number, not whole, or 2^63 and more.
    """
    found = np.asarray(values)
    if not found.size:
        return found.astype(np.int64)
    if found.dtype.kind not in "iuf" or (found.dtype.kind == "f" and not (found == np.trunc(found)).all()):
        raise ValueError(f"{name} holds {shown(found.tolist())} of type {found.dtype}; give whole numbers")
    far = np.flatnonzero(
        found > 2**63 - 1 if found.dtype.kind != "f" else (found < -(2.0**63)) | (found >= 2.0**63)
    )  # a float holds 2^63, but not 2^63 - 1
    if len(far):
        raise ValueError(f"{name} holds {found.flat[far[0]]} in row {far[0]}; give whole numbers below 2^63")
    return found.astype(np.int64)


def check_steps(name: str, given: npt.NDArray[np.generic]) -> None:
    """Check that times are of a type that tells them apart: in float32, dates are 128 s apart.

    Raises:
        ValueError: If neighbouring numbers of the type are more than 0.1 s apart at the largest time.
    """
    if given.dtype.kind == "f" and given.size and given.dtype.itemsize < 8:
        finite = np.abs(given[np.isfinite(given)])
        step = float(np.spacing(finite.max())) if finite.size else 0.0
        if step > COARSEST:
            raise ValueError(
                f"{name} is of type {given.dtype}, whose numbers are {step:g} s apart at {float(finite.max()):.0f}: "
                "give float64"
            )


def _without_torch(vectors: ArrayLike) -> npt.ArrayLike:
    """Return tensors, also in a list, as arrays; real numbers of 16 bits as float32, since numpy lacks bfloat16."""
    from torch import Tensor

    if isinstance(vectors, (list, tuple)) and any(isinstance(one, Tensor) for one in vectors):
        return [np.asarray(_without_torch(one)) for one in vectors]
    if not isinstance(vectors, Tensor):
        return vectors
    vectors = vectors.detach().cpu()
    array: npt.ArrayLike = (vectors.float() if vectors.is_floating_point() else vectors).numpy()
    return array
