"""Atomic writing of files, under a temporary name that is then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

PLAN = "plan.txt"


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Write to a temporary file that atomically replaces `path` when the block succeeds.

    If the path is a symbolic link, the file that it leads to is replaced, and the link stays.

    Raises:
        FileNotFoundError: If the folder does not exist.
        PermissionError: If the folder is read-only.
        ValueError: If the path names no file, or is a folder, a device or a pipe, which renaming would replace.
    """
    path = Path(path)
    if path.is_symlink() and (path.is_file() or not path.exists()):  # that of a pipe names no file
        path = Path(os.path.realpath(path))
    check_output(path)
    # The suffix is kept, because figures are saved in the format that it names.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def keep_plan(folder: Path, plan: str, *, otherwise: str) -> None:
    """Create a folder of intermediate files with its plan, or check that the files in it are of the same plan.

    Args:
        folder: The folder.
        plan: A text that changes whenever the files would.
        otherwise: What the folder holds if it has another plan, and what to do, for the error.

    Raises:
        ValueError: If it has another plan.
    """
    path = folder / PLAN
    folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        with replacing(path) as temporary:
            temporary.write_text(plan, encoding="utf-8")
    elif path.read_text(encoding="utf-8") != plan:
        raise ValueError(f"{folder} holds {otherwise}")


def check_output(path: Path) -> None:
    """Raise an error if a file cannot be written at `path`; the errors are those of `replacing`."""
    if not path.name:
        raise ValueError(f"{str(path)!r} names no file to write: give the name of a file")
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is a folder, a device or a pipe: give the name of a file")
    check_parent(path)


def check_parent(path: Path) -> None:
    """Raise an error if there is no folder to write `path` in, or it is read-only."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: there is no folder {path.parent}; create it")
    _check_writable(path, path.parent)


def check_output_folder(path: Path) -> None:
    """Raise an error if files cannot be written into the folder `path`, which need not exist yet.

    Raises:
        NotADirectoryError: If it, or a folder above it, is a file.
        PermissionError: If the folder that it is in is read-only.
    """
    there = next(folder for folder in (path, *path.absolute().parents) if os.path.lexists(folder))
    if not there.is_dir():
        raise NotADirectoryError(f"cannot write into {path}: {there} is no folder; give the name of a folder")
    _check_writable(path, there)


def _check_writable(path: Path, folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"cannot write {path}: the folder {folder} is read-only; choose another one")


def is_utf8(path: str | Path) -> bool:
    """Whether a path is text in UTF-8, and not a name of other bytes."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def check_utf8(path: str | Path, *, of: str) -> None:
    """Check a path for a library that opens names in UTF-8 only.

    Args:
        path: The path.
        of: What is there, for the message: "a gallery".

    Raises:
        ValueError: If it is not UTF-8.
    """
    if not is_utf8(path):
        raise ValueError(
            f"{path} is not a name in UTF-8, which {of} needs: rename the file or its folder, or, if the locale is to "
            "blame, set PYTHONUTF8=1"
        )


@contextmanager
def readable(path: str | Path) -> Iterator[Path]:
    """Yield a path for libraries that read names in UTF-8 only: a temporary link if that of the file is another."""
    if is_utf8(path):
        yield Path(path)
        return
    with TemporaryDirectory() as folder:
        link = Path(folder, "file")
        link.symlink_to(Path(path).absolute())
        yield link
