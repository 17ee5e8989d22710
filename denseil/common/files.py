"""Atomic writing of files, under a temporary name that is then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Write to a temporary file that atomically replaces `path` when the block succeeds.

    Raises:
        FileNotFoundError: If the folder does not exist.
        ValueError: If the path names no file, or is a folder, a device or a pipe, which renaming would replace.
    """
    path = Path(path)
    check_output(path)
    # The suffix is kept, because figures are saved in the format that it names.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def check_output(path: Path) -> None:
    """Raise an error if a file cannot be written at `path`; the errors are those of `replacing`."""
    if not path.name:
        raise ValueError(f"{str(path)!r} names no file to write: give the name of a file")
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is a folder, a device or a pipe: give the name of a file")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: there is no folder {path.parent}; create it")
