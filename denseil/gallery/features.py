"""Reading a features file for a gallery, and copying galleries."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from denseil.common.arguments import checked
from denseil.common.files import is_utf8
from denseil.common.text import counted
from denseil.gallery.checks import check_opened
from denseil.gallery.opening import check_two
from denseil.gallery.protocol import Gallery
from denseil.gallery.record import FloatArray, Record
from denseil.gallery.same import differences, refuse

logger = logging.getLogger(__name__)


@contextmanager
def one_file(path: str | Path) -> Iterator[None]:
    """Raise ValueError if a file has been replaced in the block, which reads it several times."""

    def state() -> tuple[int, ...]:
        stat = Path(path).stat()
        return stat.st_ino, stat.st_size, stat.st_mtime_ns

    before = state() if Path(path).exists() else None  # else what reads it says so
    yield
    if before != state():
        raise ValueError(f"{path} was replaced while it was read: do the same again")


@checked
def read_features(path: str | Path) -> tuple[list[Record], FloatArray]:
    """Read the records and vectors (N, D) of a features file.

    Rows without an id, or with null, get the file name and the row number as id; an integer becomes text. A pid of -1
    becomes None, an unknown person.

    Raises:
        FileNotFoundError: If the file does not exist.
        TypeError, ValueError: If the file is damaged (see `Record`), or was replaced meanwhile.
    """
    from denseil.metrics.features import load_features, load_records, row_id  # needs torch

    with one_file(path):
        embeddings = load_features(path).embeddings
        known = load_records(path) or [{} for _ in range(len(embeddings))]
    records, unnamed = [], []
    for row, (pid, camid, values) in enumerate(
        zip(embeddings.pids.tolist(), embeddings.camids.tolist(), known, strict=True)
    ):
        given = {name: values[name] for name in ("start", "end", "track", "thumbnail") if values.get(name) is not None}
        thumbnail = given.get("thumbnail")
        if isinstance(thumbnail, str) and not is_utf8(thumbnail):  # what is not text is left to `Record`
            unnamed.append(given.pop("thumbnail"))
        name = row_id(path, row, values)
        try:
            records.append(Record(name, camid=camid, pid=None if pid < 0 else pid, **given))
        except (TypeError, ValueError) as error:
            raise type(error)(f"{path}, row {row}: {error}") from error
    if unnamed:
        logger.warning(
            "%s: left out of the records: %s whose names are not UTF-8, first %s; rename the folders and embed again "
            "to have them",
            path,
            counted(len(unnamed), "picture"),
            unnamed[0],
        )
    return records, embeddings.vectors.cpu().numpy()


@checked
def features_model(path: str | Path) -> str:
    """Name the model that made the vectors of a features file, as `open` takes it; "" if it is not recorded.

    Raises:
        FileNotFoundError: If there is no such file.
        TypeError, ValueError: If it is damaged.
    """
    from denseil.metrics import load_features

    metadata = load_features(path).metadata
    return name_model(metadata.get("model", ""), metadata.get("weights", ""), metadata.get("model_id", ""))


@checked
def name_model(architecture: str, weights: str, model_id: str = "") -> str:
    """Build the name of a model that galleries compare; see `same_model`.

    Args:
        architecture: Its human-readable name.
        weights: Digest of its weights, of which 16 digits are used.
        model_id: Its identity, from `denseil.models.model_id`.

    Returns:
        The three, as far as they are known.
    """
    return " ".join(word for word in (architecture, weights[:16], model_id) if word)


@checked
def copy(source: Gallery, target: Gallery) -> int:
    """Add all records of one gallery to another; records that are in it already are kept.

    Returns:
        The number of new records.

    Raises:
        ValueError: If both are one gallery, or the target holds vectors of another model or width, or ids of the source
            with another camera, time or vector; nothing is added.
    """
    check_two(source.uri, target.uri)
    check_opened(target, source.dim, source.model)
    if target.count():
        differing: dict[str, list[str]] = {}
        total = 0
        for block in source.scan():
            records = [item.record for item in block]
            held = target.find([record.id for record in records])
            differing |= differences(records, np.stack([item.vector for item in block]), held) if held else {}
            total += len(block)
        refuse(differing, total, target.uri)
    return sum(
        target.add([item.record for item in block], [item.vector for item in block]) for block in source.scan() if block
    )
