"""Digest of an exported file, stored inside it: a changed byte is an error, not a wrong vector.

ONNX and OpenVINO files hold it in their metadata, .pt2 files in the comment that ends a zip archive. It is the SHA-256
of the file with 64 zeros in place of the digest; for OpenVINO, of the .xml and then the .bin. It detects damage and
mixed-up files. It does not say who wrote a file: whoever can change the file can also change the digest.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from pathlib import Path

PLACEHOLDER = "0" * 64
_COMMENT = b"denseil-sha256:"
_IN_METADATA = re.compile(rb'(?:"|&quot;)sha256(?:"|&quot;): (?:"|&quot;)([0-9a-f]{64})(?:"|&quot;)')
_IN_COMMENT = re.compile(_COMMENT + rb"([0-9a-f]{64})\Z")


def seal(path: Path) -> None:
    """Write the digest of an exported file into it, in place of an earlier one.

    Raises:
        ValueError: If the file has no place for one.
    """
    if path.suffix == ".pt2":
        with zipfile.ZipFile(path, "a") as archive:
            archive.comment = _COMMENT + PLACEHOLDER.encode()
    data = path.read_bytes()
    place = _find(path, data)
    if place is None:
        raise ValueError(f"{path} has no place for a digest: it was not written by denseil.export")
    digest = _digest(path, data, place)
    with path.open("r+b") as file:
        file.seek(place)
        file.write(digest.encode())


def check_seal(path: Path) -> bool:
    """Compare an exported file with its digest.

    Returns:
        Whether it has one; files of earlier versions do not.

    Raises:
        ValueError: If the file was changed, or the .bin beside an .xml is that of another model.
    """
    data = path.read_bytes()
    place = _find(path, data)
    if place is None:
        return False
    if _digest(path, data, place).encode() != data[place : place + 64]:
        both = f" or {path.with_suffix('.bin').name}" if path.suffix == ".xml" else ""
        raise ValueError(f"its SHA-256 is not the one written by the export: {path.name}{both} was changed or replaced")
    return True


def file_digest(path: Path) -> str:
    """SHA-256 of a file, and of the .bin beside an .xml."""
    return _digest(path, path.read_bytes(), None)


def _find(path: Path, data: bytes) -> int | None:
    """Return the position of the digest; None if there is none."""
    found = list((_IN_COMMENT if path.suffix == ".pt2" else _IN_METADATA).finditer(data))
    return found[0].start(1) if len(found) == 1 else None


def _digest(path: Path, data: bytes, place: int | None) -> str:
    """SHA-256 of a file with zeros in the place of its digest."""
    digest = hashlib.sha256(data if place is None else data[:place])
    if place is not None:
        digest.update(PLACEHOLDER.encode())
        digest.update(memoryview(data)[place + 64 :])
    if path.suffix == ".xml":
        digest.update(path.with_suffix(".bin").read_bytes())
    return digest.hexdigest()
