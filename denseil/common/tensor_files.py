"""Errors of writing safetensors files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError


@contextmanager
def disk_errors(path: str | Path) -> Iterator[None]:
    """Convert what safetensors raises if it cannot write, for example because the disk is full.

    Raises:
        OSError: For such an error; it names `path`.
    """
    try:
        yield
    except SafetensorError as error:
        raise OSError(f"cannot write {path}: {error}; make room, then run the same again") from error
