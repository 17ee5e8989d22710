"""Conversion between records with vectors and Milvus rows, names of partitions, and conditions for ids."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from denseil.gallery.fields import MAX_TEXT
from denseil.gallery.record import FloatArray, Record, Stored, key_of

COLLECTION = "denseil"
FILE = "milvus:///"
DAY = 86_400.0  # seconds
FIRST_DAY = -1_000_000  # its partition also has all earlier ends: the name of theirs would be too long
KEYS = 1_000  # keys in one condition, queries in one call


def schema_of(client: Any, dim: int, types: Any) -> Any:
    """Return the schema of a new collection; `types` are pymilvus' data types."""
    schema = client.create_schema(auto_id=False)
    schema.add_field("key", types.VARCHAR, is_primary=True, max_length=32)
    for name in ("id", "track", "thumbnail"):
        schema.add_field(name, types.VARCHAR, max_length=MAX_TEXT)
    for name in ("camid", "pid"):
        schema.add_field(name, types.INT64)
    for name in ("starts", "ends"):
        schema.add_field(name, types.DOUBLE)
    schema.add_field("vector", types.FLOAT_VECTOR, dim=dim)
    return schema


def address_of(uri: str) -> tuple[str, str]:
    """Return the server to connect to, and the name of the collection."""
    if uri.startswith(FILE):
        return uri.removeprefix("milvus://"), COLLECTION
    match = re.fullmatch(r"(http|https|milvus)://([^/?#\s]+)/?([A-Za-z_]\w{0,254})?/?", uri)
    if match is None:
        raise ValueError(f"{uri!r} is no address of Milvus; write http://HOST:PORT or http://HOST:PORT/COLLECTION")
    scheme, host, name = match.groups()
    return f"{'http' if scheme == 'milvus' else scheme}://{host}", name or COLLECTION


def day_at(end: float) -> int:
    """Return the day whose partition holds a record that ends then, counted from 1970."""
    return max(math.floor(end / DAY), FIRST_DAY)


def partition_of(day: int) -> str:
    """Return the name of a day's partition."""
    return f"day_{day}".replace("-", "m")


def day_of(partition: str) -> int | None:
    """Return the day of a partition, counted from 1970; None for a partition of something else."""
    match = re.fullmatch(r"day_(m?)(\d+)", partition)
    return int(match[2]) * (-1 if match[1] else 1) if match else None


def conditions(ids: Collection[str], size: int = KEYS) -> Iterator[str]:
    """Build conditions that together select the rows of the given ids."""
    keys = [key_of(name) for name in ids]
    for first in range(0, len(keys), size):
        yield f"key in {json.dumps(keys[first : first + size])}"


def stored_of(row: dict[str, Any]) -> Stored:
    """Return the record of a row with its vector."""
    vector: FloatArray = np.asarray(row["vector"], np.float32)
    return Stored(Record.from_row(row), vector)
