"""Conversion between records with vectors and Arrow tables, and SQL conditions for ids, for LanceDB."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np

from denseil.gallery.record import COLUMNS, FORMAT, FloatArray, Record, Stored, key_of

MODEL_NAME, FORMAT_NAME = b"denseil.model", b"denseil.format"  # in the table's metadata
KEYS = 5_000  # keys in one condition


def schema_of(dim: int, model: str) -> Any:
    """Return the schema of a new table."""
    import pyarrow as pa

    types = {"camid": pa.int64(), "pid": pa.int64(), "starts": pa.float64(), "ends": pa.float64()}
    columns = [pa.field(name, types.get(name, pa.string()), nullable=False) for name in COLUMNS]
    vector = pa.field("vector", pa.list_(pa.float32(), dim), nullable=False)
    return pa.schema([*columns, vector], metadata={MODEL_NAME: model.encode(), FORMAT_NAME: str(FORMAT).encode()})


def table_of(records: Sequence[Record], vectors: FloatArray, schema: Any) -> Any:
    """Convert records and their vectors (N, D) to a table."""
    import pyarrow as pa

    columns = dict(zip(COLUMNS, zip(*map(Record.to_row, records), strict=True), strict=True))
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    return pa.table({**columns, "vector": flat}, schema=schema)


def vectors_of(batch: Any, dim: int) -> FloatArray:
    """Return the vectors (N, D) of a batch."""
    vectors: FloatArray = np.asarray(batch["vector"].flatten()).reshape(-1, dim)
    return vectors


def stored_of(batch: Any, dim: int) -> list[Stored]:
    """Return the records of a batch with their vectors."""
    records = map(Record.from_row, batch.select(COLUMNS).to_pylist())
    return [Stored(*pair) for pair in zip(records, vectors_of(batch, dim), strict=True)]


def conditions(ids: Collection[str]) -> Iterator[str]:
    """Build conditions that together select the rows of the given ids."""
    keys = [key_of(name) for name in ids]
    for first in range(0, len(keys), KEYS):
        yield f"key in ({', '.join(repr(key) for key in keys[first : first + KEYS])})"
