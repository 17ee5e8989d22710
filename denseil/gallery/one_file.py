"""A gallery in one file, such as one in memory across restarts; it needs numpy alone."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from denseil.common.arguments import checked
from denseil.common.files import replacing
from denseil.common.text import plain
from denseil.gallery.checks import check_opened
from denseil.gallery.memory import MemoryGallery
from denseil.gallery.protocol import Gallery
from denseil.gallery.record import Record

KIND = "denseil gallery 1"
DAMAGE = (ValueError, TypeError, LookupError, AttributeError, EOFError, OSError, RuntimeError, zlib.error, BadZipFile)


@checked
def save(gallery: Gallery, path: str | Path) -> None:
    """Write a gallery to one file, which replaces an earlier one when it is complete.

    What is forgotten in the gallery afterwards stays in the file until it is saved again.

    Args:
        gallery: Any gallery; all of its vectors are held in memory meanwhile.
        path: A file, by convention `.npz`.

    Raises:
        FileNotFoundError: If its folder does not exist.
        OSError: If it cannot be written. An earlier file is kept.
    """
    held = [stored for some in gallery.scan() for stored in some]
    records = [asdict(stored.record) for stored in held]
    head = json.dumps({"kind": KIND, "dim": gallery.dim, "model": gallery.model, "records": records})
    vectors = np.array([stored.vector for stored in held], np.float32).reshape(len(held), gallery.dim)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, head=np.frombuffer(head.encode(), np.uint8), vectors=vectors)


@checked
def load(path: str | Path, model: str = "") -> MemoryGallery:
    """Read a file of `save` into a gallery in memory.

    Args:
        path: The file.
        model: The model that makes the vectors, as for `open`; "" skips the check.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no such file, is damaged, or holds vectors of another model.
    """
    with Path(path).open("rb") as opened:
        try:
            with np.load(opened) as file:  # without pickle
                head, vectors = json.loads(file["head"].tobytes()), file["vectors"]
            if head["kind"] != KIND:
                raise ValueError(f"it is of kind {head['kind']!r}, not {KIND!r}")
            gallery = MemoryGallery(head["dim"], head["model"])
            gallery.add([Record(**record) for record in head["records"]], vectors)
        except DAMAGE as error:
            raise ValueError(f"{plain(path)} is no gallery of denseil.gallery.save, or is damaged: {error}") from error
    try:
        check_opened(gallery, None, model)
    except ValueError as error:
        raise ValueError(f"{plain(path)}: {error}") from None
    return gallery
