"""Values on the command line: converters of one word, with errors of one line."""

from __future__ import annotations

import json
import re
from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path

from denseil.cli.output import STDOUT
from denseil.common.extras import need
from denseil.common.files import check_output, check_output_folder, check_parent

DEVICE = re.compile(r"auto|cpu|(cuda|mps|xpu|hpu|npu)(:\d+)?")


PICTURES = ("png", "pdf", "svg", "jpg", "jpeg", "webp", "tif", "tiff", "eps", "ps")  # of matplotlib
TABLES = ("csv", "tsv", "xls", "xlsx", "ods", "json", "jsonl", "yaml", "parquet", "arrow", "feather", "db", "sqlite")
ARRAYS = ("safetensors", "npy", "npz", "pt", "pth", "pkl", "mat", "h5", "hdf5", "onnx", "faiss")
FORMATS = (*PICTURES, *TABLES, *ARRAYS, "html", "htm", "md", "zip")


def path(word: str) -> Path:
    """Convert a path."""
    if not word or "\0" in word:
        raise ArgumentTypeError(f"{word!r} is not a path")
    return Path(word)


def new_file(word: str) -> Path:
    """Convert the path of a file to write, in a folder that exists, before any work is done for it."""
    return _writable(word, check_output)


def new(suffix: str) -> Callable[[str], Path]:
    """Convert the path of a file to write in the format of `suffix`; the suffix of another format is refused."""

    def read(word: str) -> Path:
        found = new_file(word)
        if suffix == ".html":
            _check_installed("jinja2", to="write a page")
        if found.suffix.lower() != suffix and found.suffix.lower().removeprefix(".") in FORMATS:
            name = f"{found.stem}{suffix}"
            raise ArgumentTypeError(f"{word}: its format is {suffix[1:]}, not {found.suffix[1:]}; call it {name}")
        return found

    return read


def new_file_or_stdout(word: str) -> Path:
    """Convert the path of a file to write, or - for stdout."""
    return STDOUT if word == "-" else new_file(word)


def new_picture(word: str) -> Path:
    """Convert the path of a figure to write, in a format that matplotlib has."""
    found = new_file(word)
    if found.suffix.lower().removeprefix(".") not in PICTURES:
        raise ArgumentTypeError(
            f"{word}: the suffix names the format of a figure, one of {', '.join(PICTURES)}; not {found.suffix!r}"
        )
    _check_installed("matplotlib", to="plot")
    return found


def _check_installed(package: str, *, to: str) -> None:
    """Check before any work that the extra viz is installed."""
    try:
        need(package, to=to, extra="viz")
    except ModuleNotFoundError as error:
        raise ArgumentTypeError(str(error)) from error


def new_folder(word: str) -> Path:
    """Convert the path of a folder to write into, which is created if it does not exist."""
    return _writable(word, check_output_folder)


def new_path(word: str) -> Path:
    """Convert the path of a file or folder to write, in a folder that exists."""
    return _writable(word, check_parent)


def _writable(word: str, check: Callable[[Path], None]) -> Path:
    found = path(word)
    if found == STDOUT:
        raise ArgumentTypeError(
            f"{word!r} names no output: only evaluate --json writes to standard output; give a file or a folder"
        )
    try:
        check(found)
    except (OSError, ValueError) as error:
        raise ArgumentTypeError(str(error)) from error
    return found


def whole(least: int, most: int = 2**63 - 1) -> Callable[[str], int]:
    """Convert a whole number in ASCII digits, from `least` to `most`."""

    def read(word: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,19}", word) or not least <= int(word) <= most:
            limit = f"of at least {least}" if most >= 2**63 - 1 else f"from {least} to {most}"
            raise ArgumentTypeError(f"{word!r}: it must be a whole number {limit}")
        return int(word)

    return read


def wholes(least: int) -> Callable[[str], tuple[int, ...]]:
    """Convert whole numbers of at least `least`, with commas between them."""
    one = whole(least)
    return lambda word: tuple(one(part) for part in word.split(","))


def number(least: float, most: float = float("inf"), *, above: bool = False) -> Callable[[str], float]:
    """Convert a number from `least` (or above it) to `most`; infinity only if `most` is infinite."""

    def read(word: str) -> float:
        try:
            value = float(word)
        except ValueError:
            value = float("nan")
        if not (least < value if above else least <= value) or not value <= most:
            limit = f"above {least:g}" if above else f"of at least {least:g}"
            upper = "" if most == float("inf") else f" and at most {most:g}"
            raise ArgumentTypeError(f"{word!r}: it must be a number {limit}{upper}")
        return value

    return read


def device(word: str) -> str:
    """Check the name of a device."""
    if not DEVICE.fullmatch(word):
        raise ArgumentTypeError(f"{word!r} is not a device; give auto, cpu, cuda, cuda:1 or mps")
    return word


def shard(word: str) -> tuple[int, int]:
    """I/N as numbers, 1 <= I <= N."""
    first, slash, last = word.partition("/")
    if not (slash and first.isascii() and last.isascii() and first.isdigit() and last.isdigit()):
        raise ArgumentTypeError(f"{word!r}: give I/N, such as 2/3")
    if not 1 <= int(first) <= int(last):
        raise ArgumentTypeError(f"{word!r}: I is a number from 1 to N")
    return int(first), int(last)


def size(word: str) -> tuple[int, int]:
    """Convert height and width in pixels: 256x128, 256,128 or [256, 128]."""
    found = re.fullmatch(r"\[?\s*([0-9]{1,5})\s*[x,]\s*([0-9]{1,5})\s*\]?", word)
    if not found or "0" in found.groups():
        raise ArgumentTypeError(f"{word!r} is not a size; give height x width in pixels, such as 256x128")
    return int(found[1]), int(found[2])


def listed(one: Callable[[str], object]) -> Callable[[str], list[object]]:
    """Convert several values in one word: 1,2 or [1, 2]; or one value."""

    def read(word: str) -> list[object]:
        return [one(part.strip()) for part in word.strip("[]").split(",")]

    return read


def names(word: str) -> list[object]:
    """Convert one name, or a JSON list of names."""
    if not word.startswith("["):
        return [word]
    found = _json(word)
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise ArgumentTypeError(f"{word!r} is not a list of names")
    return found


def or_null(one: Callable[[str], object]) -> Callable[[str], object]:
    """Convert a value, or null to None."""

    def read(word: str) -> object:
        return None if word.lower() in ("null", "none") else one(word)

    return read


def anything(word: str) -> object:
    """Convert a value by its form: null, true, false, a number, JSON in brackets, or text."""
    if word.lower() in ("null", "none"):
        return None
    if word.lower() in ("true", "false"):
        return word.lower() == "true"
    if re.fullmatch(r"[+-]?[0-9]+", word):
        return int(word)
    if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?inf|nan", word):
        return float(word)
    return _json(word) if word[:1] in ("[", "{", '"') else word


def mapping(word: str) -> dict[str, object]:
    """Convert named values: a JSON object, or name=value with dots for nested names."""
    if word.startswith("{"):
        found = _json(word)
        assert isinstance(found, dict)
        return found
    name, equals, value = word.partition("=")
    if not equals or not re.fullmatch(r"[\w-]+(\.[\w-]+)*", name):
        raise ArgumentTypeError(f"{word!r}: give name=value, such as dim=256, or a JSON object")
    first, *rest = reversed(name.replace("-", "_").split("."))
    nested: dict[str, object] = {first: anything(value)}
    for outer in rest:
        nested = {outer: nested}
    return nested


def merged(below: dict[str, object], above: dict[str, object]) -> dict[str, object]:
    """Merge one mapping into another, key by key at every depth."""
    result = dict(below)
    for name, value in above.items():
        old = result.get(name)
        result[name] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def _json(word: str) -> object:
    try:
        found: object = json.loads(word)
    except (ValueError, RecursionError) as error:
        raise ArgumentTypeError(f"{word!r} is not JSON: {error}") from error
    return found
