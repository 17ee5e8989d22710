"""Helpers of the readers: required files, sorted listings, whole numbers, MATLAB variables."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denseil.common.extras import need

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm")
VIDEO_SUFFIXES = (
    ".mp4",
    ".mov",
    ".avi",
    ".mkv",
    ".webm",
    ".m4v",
    ".mpg",
    ".mpeg",
    ".ts",
    ".wmv",
    ".flv",
    ".h264",
    ".hevc",
)
_DIGITS = str.maketrans("123456789", "000000000")
_RUNS = re.compile("([0-9]+)")
LEAST_PID, MOST = -1, 2**31 - 1
_HDF5 = b"\x89HDF\r\n\x1a\n"


def require(root: Path, *, files: Iterable[str] = (), folders: Iterable[str] = ()) -> None:
    """Check that paths under a root exist.

    Raises:
        FileNotFoundError: If any is missing, or is a folder instead of a file, or the reverse; all are named.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is not a folder: give the folder that holds the dataset")
    wrong = [
        f"{root / name} ({_state(root / name)}, a file is expected)" for name in files if not (root / name).is_file()
    ]
    wrong += [
        f"{root / name} ({_state(root / name)}, a folder is expected)" for name in folders if not (root / name).is_dir()
    ]
    if wrong:
        raise FileNotFoundError(f"the dataset at {root} is not complete: " + "; ".join(wrong))


def _state(path: Path) -> str:
    return "is a folder" if path.is_dir() else "is a file" if path.exists() else "missing"


def first_of(root: Path, names: Sequence[str], *, what: str) -> Path:
    """Return the first of the paths under a root that exists.

    Raises:
        FileNotFoundError: If none does; all are named.
    """
    for name in names:
        if (root / name).exists():
            return root / name
    raise FileNotFoundError(f"no {what} under {root}: looked for " + ", ".join(repr(name) for name in names))


def folders_in(folder: Path) -> list[str]:
    """List the folders in a folder, in natural order, without hidden ones."""
    with os.scandir(folder) as entries:
        return natural_order(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def images_in(folder: Path) -> list[str]:
    """List the image files in a folder, in natural order, without hidden ones and without folders named like one."""
    with os.scandir(folder) as entries:
        return natural_order(
            entry.name
            for entry in entries
            if entry.name.lower().endswith(IMAGE_SUFFIXES) and not entry.name.startswith(".") and not entry.is_dir()
        )


def natural_order(names: Iterable[str]) -> list[str]:
    """Sort names in natural order, so that 2 comes before 10."""
    found = list(names)
    if len({name.translate(_DIGITS) for name in found}) == 1:  # numbers of one length: a plain sort is the same
        return sorted(found)
    return sorted(found, key=_natural)


def _natural(name: str) -> tuple[list[tuple[str, int]], str]:
    """Return the sort key of a name: alternating texts and numbers, then the name itself for 7 and 07."""
    parts = [*_RUNS.split(name), "-1"]
    return [(text, int(number)) for text, number in zip(parts[::2], parts[1::2], strict=True)], name


def whole_number(text: str, what: str, *, least: int = 0) -> int:
    """Convert an integer label of ASCII digits; Python's `int` would accept "0001_02" as 102.

    Args:
        text: The digits; surrounding spaces are ignored.
        what: Its location and name ("pid" or "camid"), for the error.
        least: The smallest allowed value.

    Raises:
        ValueError: If it is not a whole number from `least` to 2^31 - 1.
    """
    digits = text.strip()
    if re.fullmatch("[+-]?[0-9]{1,10}", digits) and least <= int(digits) <= MOST:
        return int(digits)
    raise ValueError(f"{what} must be a whole number from {least} to {MOST}, got {text!r}")


def read_names(path: Path) -> list[bytes]:
    r"""Read the non-blank lines of a text file as bytes, with line ends `\n` or `\r\n`.

    Raises:
        ValueError: If there are none.
    """
    names = [line for line in map(bytes.strip, path.read_bytes().splitlines()) if line]
    if not names:
        raise ValueError(f"{path} holds no names: copy it again from the distribution")
    return names


def load_mat(path: Path, variable: str, *, columns: int | None = None) -> NDArray[np.int64]:
    """Read an integer variable of a MATLAB file of any version.

    Args:
        path: The file.
        variable: Its name in the file.
        columns: Required number of columns of a table; None for a list, which is flattened.

    Returns:
        Array (N, columns), or (N,) for a list.

    Raises:
        ValueError: If the file is not readable, or the variable is missing or has another shape.
        ModuleNotFoundError: If scipy (or h5py for version 7.3 files) is not installed.
    """
    with path.open("rb") as file:
        head = file.read(520)
    hdf5 = head.startswith(_HDF5) or head[512:520] == _HDF5
    try:
        values = _load_hdf5(path, variable) if hdf5 else _load_classic(path, variable)
    except ModuleNotFoundError:
        raise
    except Exception as error:  # scipy and h5py raise a dozen kinds on a damaged file
        raise ValueError(
            f"{path} is not a readable MATLAB file ({error}): copy it again from the distribution"
        ) from error
    if values is None:
        raise ValueError(f"{path} has no variable {variable!r}: is it the right file?")
    if not np.issubdtype(values.dtype, np.number) or (
        columns is not None and (values.ndim != 2 or values.shape[1] != columns)
    ):
        shape = "(N,)" if columns is None else f"(N, {columns})"
        raise ValueError(f"{variable!r} in {path} is {values.dtype} {values.shape}, expected numbers {shape}")
    wrong = np.argwhere(~np.isfinite(values) | (values != np.floor(values.real)) | (np.abs(values) >= 2.0**53))
    if len(wrong):
        row = int(wrong[0, 0]) if columns is not None or values.shape[0] > 1 else int(wrong[0, -1])
        raise ValueError(
            f"{variable!r} in {path}, row {row + 1}: {values[tuple(wrong[0])]} is not a whole number: copy the file "
            "again from the distribution"
        )
    table: NDArray[np.int64] = values.astype(np.int64)
    return table.ravel() if columns is None else table


def _load_classic(path: Path, variable: str) -> NDArray[Any] | None:
    content: dict[str, NDArray[Any]] = need("scipy.io", to="read MATLAB files").loadmat(path, variable_names=[variable])
    return content.get(variable)


def _load_hdf5(path: Path, variable: str) -> NDArray[Any] | None:
    with need("h5py", to="read MATLAB 7.3 files").File(path, "r") as content:
        return np.asarray(content[variable]).T if variable in content else None  # MATLAB is column-major
