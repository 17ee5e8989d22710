"""Reading safetensors files under any name, and errors of writing them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from denseil.common.files import readable

if TYPE_CHECKING:
    import torch


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


def load_tensors(path: str | Path) -> dict[str, torch.Tensor]:
    """Read all tensors of a file, whose name may be other than UTF-8."""
    from safetensors.torch import load_file

    with readable(path) as named:
        return load_file(named)
