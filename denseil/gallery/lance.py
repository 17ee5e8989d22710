"""The embedded gallery: a LanceDB table in a folder or an object store."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from denseil.common.extras import need
from denseil.gallery.nearest import Nearest
from denseil.gallery.protocol import Closing
from denseil.gallery.record import (
    COLUMNS,
    ArrayLike,
    FloatArray,
    Hit,
    Record,
    Stored,
    Where,
    check_limit,
    check_new,
    check_opened,
    check_target,
    key_of,
    unit_vectors,
)

TABLE = "records"
MODEL = b"denseil.model"  # in the table's metadata
KEYS = 5_000  # keys in one condition


class LanceGallery(Closing):
    """See `Gallery`.

    Exact search reads the vectors that pass the filter once for all queries, block by block, and compares them here.
    Every call sees what other processes have added.

    Args:
        uri: a folder, or an address of an object store that LanceDB knows (`s3://`, `gs://`, `az://`).
        dim: width of the vectors. Given, the gallery is made where there is none; not given, it must be there.
        model: what makes them; see `open`.

    Raises:
        FileNotFoundError: no gallery there, and no width given.
        ModuleNotFoundError: LanceDB is not installed.
        ValueError: a gallery of another model or width; a table of that name that is no gallery.
    """

    def __init__(self, uri: str, dim: int | None = None, model: str = "") -> None:
        lancedb = need("lancedb", to="keep a gallery on disk", extra="gallery")
        self.uri = uri
        if "://" not in uri and dim is None and not Path(uri, f"{TABLE}.lance").is_dir():
            raise FileNotFoundError(_absent(uri))
        with self._plainly("opening it"):
            database = lancedb.connect(uri, read_consistency_interval=timedelta(0))
            if TABLE in database.list_tables().tables:
                self._table = database.open_table(TABLE)
            elif dim is None:
                raise FileNotFoundError(_absent(uri))
            else:
                self._table = database.create_table(TABLE, schema=_schema(dim, model), exist_ok=True)
        names = self._table.schema.names
        if not {*COLUMNS, "vector"} <= set(names):
            raise ValueError(f"the table {TABLE} in {uri} is no gallery: it holds {', '.join(names)}")
        self.dim = int(self._table.schema.field("vector").type.list_size)
        self.model = (self._table.schema.metadata or {}).get(MODEL, b"").decode()
        check_opened(self, dim, model)

    def add(self, records: Sequence[Record], vectors: ArrayLike) -> int:
        """See `Gallery.add`; all or nothing."""
        units = check_new(records, vectors, self.dim)
        if not len(records):
            return 0
        table = _rows(records, units, self._table.schema)
        with self._plainly("adding"):
            return int(self._table.merge_insert("key").when_not_matched_insert_all().execute(table).num_inserted_rows)

    def search(
        self, vectors: ArrayLike, k: int = 10, *, where: Where | None = None, exact: bool = True
    ) -> list[list[Hit]]:
        """See `Gallery.search`."""
        check_limit(k)
        queries = unit_vectors(vectors, self.dim, what="queries")
        with self._plainly("searching"):
            if not exact and self._table.list_indices():
                return self._by_index(queries, k, where or Where())
            return self._by_reading(queries, k, where or Where())

    def _by_reading(self, queries: FloatArray, k: int, where: Where) -> list[list[Hit]]:
        nearest = Nearest(queries, k)
        found: dict[int, Record] = {}
        for batch in self._batches([*COLUMNS, "vector"], where.expression()):
            first = nearest.seen
            nearest.see(_vectors(batch, self.dim))
            best = set(nearest.row.ravel().tolist())
            found = {row: record for row, record in found.items() if row in best}
            new = sorted(row for row in best if row >= first)
            if new:
                rows = batch.select(COLUMNS).take([row - first for row in new]).to_pylist()
                found.update(zip(new, map(Record.from_row, rows), strict=True))
        return [
            [Hit(found[row], distance) for distance, row in zip(*one, strict=True)]
            for one in zip(*(array.tolist() for array in nearest.sorted()), strict=True)
        ]

    def _by_index(self, queries: FloatArray, k: int, where: Where) -> list[list[Hit]]:
        query = self._table.search(queries).distance_type("dot").limit(k)
        if expression := where.expression():
            query = query.where(expression, prefilter=True)
        rows = query.select([*COLUMNS, "_distance"]).to_arrow().to_pylist()
        found: list[list[Hit]] = [[] for _ in queries]
        for at, group in groupby(rows, lambda row: row.get("query_index", 0)):
            # "dot" is 1 - q.g, which is the cosine distance of vectors of length 1
            found[at] = [Hit(Record.from_row(row), min(max(row["_distance"], 0.0), 2.0)) for row in group]
        return found

    def get(self, ids: Sequence[str]) -> list[Stored]:
        """See `Gallery.get`."""
        held: dict[str, Stored] = {}
        with self._plainly("reading"):
            for condition in _conditions(ids):
                for batch in self._batches([*COLUMNS, "vector"], condition):
                    held.update((item.record.id, item) for item in _stored(batch, self.dim))
        for name in ids:
            if name not in held:
                raise KeyError(f"no record {name!r} in {self.uri}")
        return [held[name] for name in ids]

    def scan(self) -> Iterator[list[Stored]]:
        """See `Gallery.scan`."""
        with self._plainly("reading"):
            for batch in self._batches([*COLUMNS, "vector"], ""):
                yield _stored(batch, self.dim)

    def count(self, where: Where | None = None) -> int:
        """See `Gallery.count`."""
        with self._plainly("counting"):
            return int(self._table.count_rows((where or Where()).expression() or None))

    def delete(self, ids: Collection[str]) -> int:
        """See `Gallery.delete`."""
        return sum(self._remove(condition) for condition in _conditions(ids))

    def forget(self, *, pid: int | None = None, track: str | None = None) -> int:
        """See `Gallery.forget`."""
        check_target(pid, track)
        if track is None:
            return self._remove(f"pid = {pid}")
        quoted = track.replace("'", "''")
        return self._remove(f"track = '{quoted}'")

    def expire(self, before: float) -> int:
        """See `Gallery.expire`."""
        return self._remove(f"ends < {float(before)!r}")

    def _remove(self, condition: str) -> int:
        with self._plainly("removing"):
            return int(self._table.delete(condition).num_deleted_rows)

    def index(self) -> None:
        """Build an index, which `search(exact=False)` uses: faster, and it misses some (see `check_recall`)."""
        from lancedb.index import IvfFlat

        with self._plainly("building the index"):
            self._table.create_index("vector", config=IvfFlat(distance_type="dot"), replace=True)

    def optimize(self, *, alone: bool = False) -> None:
        """See `Gallery.optimize`.

        Lance marks rows as deleted and drops them from a file once a tenth of it is gone; here every file is written
        anew as soon as any row is, and so is the index, so that nothing of it stays. It needs the gallery's size free
        on the disk. A process that reads at that moment may have to ask again. What a killed writer left goes after
        seven days, or at once with `alone`.
        """
        with self._plainly("optimizing"):
            self._table.optimize()  # one file for many small ones
            if self._may_hold_deleted():
                self._table.update(values_sql={"key": "key"})
                if self._table.list_indices():
                    self.index()
            with warnings.catch_warnings():  # it warns of what the docstring says
                warnings.simplefilter("ignore", UserWarning)
                self._table.optimize(cleanup_older_than=timedelta(0), delete_unverified=alone)

    def _may_hold_deleted(self) -> bool:
        """Whether a file may hold more rows than the table; sure for one file, and always so for several.

        Lance says how many rows its files hold only as a mean, cut to an integer.
        """
        stats = self._table.stats()
        files = stats["fragment_stats"]
        return bool(files["num_fragments"] > 1 or files["lengths"]["max"] > stats["num_rows"])

    def _batches(self, columns: list[str], condition: str) -> Iterator[Any]:
        query = self._table.search().select(columns).limit(max(self._table.count_rows(), 1))
        return iter((query.where(condition) if condition else query).to_batches(batch_size=4096))

    @contextmanager
    def _plainly(self, doing: str) -> Iterator[None]:
        """One line for what comes out of Lance with its stack of causes."""
        try:
            yield
        except (KeyError, FileNotFoundError):
            raise
        except (OSError, RuntimeError, ValueError) as error:
            cause = " ".join(str(error).split(", rust/")[0].split())[:300]
            text = f"gallery {self.uri}: {doing} failed, nothing was changed: {cause}"
            raise OSError(text) from error


def _absent(uri: str) -> str:
    return f"no gallery at {uri}: check the path; `denseil gallery add` makes one"


def _schema(dim: int, model: str) -> Any:
    import pyarrow as pa

    types = {"camid": pa.int64(), "pid": pa.int64(), "starts": pa.float64(), "ends": pa.float64()}
    columns = [pa.field(name, types.get(name, pa.string()), nullable=False) for name in COLUMNS]
    vector = pa.field("vector", pa.list_(pa.float32(), dim), nullable=False)
    return pa.schema([*columns, vector], metadata={MODEL: model.encode()})


def _rows(records: Sequence[Record], vectors: FloatArray, schema: Any) -> Any:
    import pyarrow as pa

    rows = [record.to_row() for record in records]
    columns = {name: [row[name] for row in rows] for name in COLUMNS}
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    return pa.table({**columns, "vector": flat}, schema=schema)


def _vectors(batch: Any, dim: int) -> FloatArray:
    vectors: FloatArray = np.asarray(batch["vector"].flatten()).reshape(-1, dim)
    return vectors


def _stored(batch: Any, dim: int) -> list[Stored]:
    records = map(Record.from_row, batch.select(COLUMNS).to_pylist())
    return [Stored(*pair) for pair in zip(records, _vectors(batch, dim), strict=True)]


def _conditions(ids: Collection[str]) -> Iterator[str]:
    keys = [key_of(name) for name in dict.fromkeys(ids)]
    for first in range(0, len(keys), KEYS):
        yield f"key in ({', '.join(repr(key) for key in keys[first : first + KEYS])})"
