"""All output: results to stdout, notes and log records to stderr, with every line escaped by `plain`."""

from __future__ import annotations

import json
import logging
import math
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path

from denseil.common.files import replacing
from denseil.common.text import plain, plain_lines

_log = logging.getLogger("denseil")
STDOUT = Path("-")  # as the path of a JSON file


class OutputClosedError(Exception):
    """The reader of stdout has closed it, as `head` does."""


def say(text: object = "", *, end: str = "\n") -> None:
    """Print a result to stdout.

    Raises:
        OutputClosedError: If the reader of stdout has closed it.
    """
    try:
        print(plain_lines(text), end=end, flush=True)
    except BrokenPipeError:
        raise OutputClosedError from None
    except UnicodeEncodeError:  # a terminal without UTF-8
        print(plain_lines(text).encode("ascii", "backslashreplace").decode("ascii"), end=end, flush=True)


def show(result: object, *, as_json: bool, text: object = None) -> None:
    """Print a result as JSON or as text.

    Args:
        result: The result: a dataclass, a mapping, or an object with `to_dict()`.
        as_json: Print JSON.
        text: Text to print instead of JSON; the result itself by default.
    """
    say(json.dumps(jsonable(result), indent=2) if as_json else result if text is None else text)


def show_and_write(result: object, path: Path | None, *, text: object = None) -> None:
    """Print a result as text and write it to a JSON file, if there is a path; for `STDOUT`, print the JSON alone."""
    show(result, as_json=path == STDOUT, text=text)
    if path is not None and path != STDOUT:
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(jsonable(result), indent=2) + "\n", encoding="utf-8")


def note(text: object) -> None:
    """Print a note to stderr, unless `--quiet` is given."""
    _log.info("%s", text)


def progressing() -> bool:
    """Whether to show progress; False under `--quiet`."""
    return _log.isEnabledFor(logging.INFO)


def complain(text: object) -> None:
    """Print an error to stderr as one line."""
    print(f"denseil: {plain(text)}", file=sys.stderr, flush=True)


def jsonable(value: object) -> object:
    """Convert a result to JSON values; NaN and infinities become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    for method in ("to_dict", "_asdict", "tolist"):  # our results, named tuples, arrays
        if callable(convert := getattr(value, method, None)):
            return jsonable(convert())
    if is_dataclass(value):
        return {field.name: jsonable(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [jsonable(item) for item in value]
    return str(value)


class _Handler(logging.StreamHandler):  # type: ignore[type-arg] # no subscript at run time in Python 3.10
    """Handler that writes above a progress bar, if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        if "tqdm" not in sys.modules:
            super().emit(record)
            return
        from tqdm import tqdm

        tqdm.write(self.format(record), file=self.stream)


class _PlainFormatter(logging.Formatter):
    """Formatter with one line per record."""

    def format(self, record: logging.LogRecord) -> str:
        label = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        return plain(f"denseil: {label}{record.getMessage()}")


@contextmanager
def messages(*, quiet: bool) -> Iterator[None]:
    """Print log records and warnings to stderr within the block, one escaped line each.

    Args:
        quiet: Print only warnings and errors.
    """
    handler = _Handler(sys.stderr)
    handler.setFormatter(_PlainFormatter())
    level = _log.level
    _log.addHandler(handler)
    _log.setLevel(logging.WARNING if quiet else logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            yield
    finally:
        _log.removeHandler(handler)
        _log.setLevel(level)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: object = None,
    line: object = None,
) -> None:
    print(plain(f"denseil: warning: {message}"), file=sys.stderr, flush=True)
