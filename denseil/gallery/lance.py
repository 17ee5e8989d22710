"""The embedded gallery: a LanceDB table in a folder or an object store.

Over 250 lines because it is one class: each method of a gallery meets limits of LanceDB of its own.
"""

from __future__ import annotations

import os
import random
import re
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from denseil.common.arguments import checked
from denseil.common.extras import need
from denseil.common.text import plain
from denseil.common.vectors import ArrayLike
from denseil.gallery._arrow import (
    FORMAT_NAME,
    MODEL_NAME,
    conditions,
    schema_of,
    stored_of,
    table_of,
    vectors_of,
)
from denseil.gallery.checks import check_new, check_new_folder, check_opened, gallery_vectors
from denseil.gallery.fields import check_moment
from denseil.gallery.nearest import Block, search_blocks
from denseil.gallery.protocol import Closing
from denseil.gallery.record import COLUMNS, FloatArray, Hit, Record, Stored, key_of
from denseil.gallery.same import check_held
from denseil.gallery.where import Where, check_ids, check_limit, check_target

TABLE = "records"
ATTEMPTS = 30  # after conflicts with other writers
GONE = 8  # where a file is not found: `optimize` of another process deletes old versions
T = TypeVar("T")


class LanceGallery(Closing):
    """Gallery in a LanceDB table; see `Gallery`.

    Exact search reads the vectors that pass the filter once for all queries, block by block, and compares them in this
    process. Every call sees the records that other processes have added.

    Args:
        uri: A folder, or the URL of an object store supported by LanceDB (`s3://`, `gs://`, `az://`).
        dim: Width of the vectors, to create the gallery if it does not exist; None to open an existing one.
        model: Identity of their model; see `open`.

    Raises:
        FileNotFoundError: If the gallery does not exist and `dim` is None.
        ModuleNotFoundError: If LanceDB is not installed.
        ValueError: If the gallery has another model or width, a table of that name is not a gallery, or a folder
            without one holds other files.
    """

    def __init__(self, uri: str, dim: int | None = None, model: str = "") -> None:
        lancedb = need("lancedb", to="keep a gallery on disk", extra="gallery")
        self.uri = uri
        # Absolute: Lance takes "memory:x" for a store that ends with the process.
        place = uri if "://" in uri else str(Path(os.path.expanduser(uri)).absolute())  # noqa: PTH111 (a text)
        if "://" not in uri and not Path(place, f"{TABLE}.lance").is_dir():
            if dim is None:
                raise FileNotFoundError(_absent(uri))
            check_new_folder(Path(place))
        with self._plainly("opening it"):
            database = lancedb.connect(place, read_consistency_interval=timedelta(0))
            try:
                self._table = database.open_table(TABLE)
            except ValueError as error:  # no table, or one of which a killed process had made the folder alone
                if "not found" not in str(error):
                    raise
                if dim is None:
                    raise FileNotFoundError(_absent(uri)) from None
                self._table = database.create_table(TABLE, schema=schema_of(dim, model), exist_ok=True)
        names = self._table.schema.names
        if not {*COLUMNS, "vector"} <= set(names):
            raise ValueError(f"the table {TABLE} in {uri} is no gallery: it holds {', '.join(names)}")
        self.dim = int(self._table.schema.field("vector").type.list_size)
        metadata = self._table.schema.metadata or {}
        self.model = metadata.get(MODEL_NAME, b"").decode()
        self.format = int(metadata.get(FORMAT_NAME, b"1"))
        check_opened(self, dim, model)

    @checked
    def add(self, records: Sequence[Record], vectors: ArrayLike, *, replace: bool = False) -> int:
        """See `Gallery.add`; all or nothing, except for ids that another process adds at the same moment."""
        units = check_new(records, vectors, self.dim)
        if not len(records):
            return 0
        table = table_of(records, units, self._table.schema)
        held = {} if replace else self._held(records, table["key"])
        check_held(records, units, held, self.uri)
        with self._plainly("adding"):
            insert = self._table.merge_insert("key").when_not_matched_insert_all()
            if replace:
                insert = insert.when_matched_update_all()
            new = int(_retry(lambda: insert.execute(table)).num_inserted_rows)
        if not replace and new < len(records) - len(held):  # another process has added some of them since
            check_held(records, units, self._held(records, table["key"]), self.uri, added=new)
        return new

    def _held(self, records: Sequence[Record], keys: Any) -> dict[str, Stored]:
        """Return what is held under the ids of new records; `keys` is the column of their keys."""
        from pyarrow import compute

        with self._plainly("reading"):
            columns = [batch["key"] for batch in self._batches(["key"], "")]
            held = {
                key for column in columns for key in column.filter(compute.is_in(column, value_set=keys)).to_pylist()
            }
        return self.find([record.id for record in records if key_of(record.id) in held]) if held else {}

    @checked
    def search(
        self, vectors: ArrayLike, k: int = 10, *, where: Where | None = None, exact: bool = True
    ) -> list[list[Hit]]:
        """See `Gallery.search`."""
        k = check_limit(k)
        queries = gallery_vectors(vectors, self.dim, what="queries")
        with self._plainly("searching"):
            if not exact and self._table.list_indices():
                return self._by_index(queries, k, where or Where())
            return self._by_reading(queries, k, where or Where())

    def _by_reading(self, queries: FloatArray, k: int, where: Where) -> list[list[Hit]]:
        def block(batch: Any) -> Block:
            def records_of(places: list[int]) -> list[Record]:
                return list(map(Record.from_row, batch.select(COLUMNS).take(places).to_pylist()))

            return vectors_of(batch, self.dim), records_of

        return search_blocks(queries, k, map(block, self._batches([*COLUMNS, "vector"], where.expression())))

    def _by_index(self, queries: FloatArray, k: int, where: Where) -> list[list[Hit]]:
        query = self._table.search(queries).distance_type("dot").limit(min(k, max(self._table.count_rows(), 1)))
        if expression := where.expression():
            query = query.where(expression, prefilter=True)
        rows = query.select([*COLUMNS, "_distance"]).to_arrow().to_pylist()
        found: list[list[Hit]] = [[] for _ in queries]
        for at, group in groupby(rows, lambda row: row.get("query_index", 0)):
            # "dot" is 1 - q.g, which is the cosine distance of vectors of length 1
            found[at] = [Hit(Record.from_row(row), min(max(row["_distance"], 0.0), 2.0)) for row in group]
        return found

    def find(self, ids: Collection[str]) -> dict[str, Stored]:
        """See `Gallery.find`."""
        found: dict[str, Stored] = {}
        with self._plainly("reading"):
            for condition in conditions(check_ids(ids)):
                for batch in self._batches([*COLUMNS, "vector"], condition):
                    found.update((item.record.id, item) for item in stored_of(batch, self.dim))
        return found

    def scan(self) -> Iterator[list[Stored]]:
        """See `Gallery.scan`."""
        with self._plainly("reading"):
            for batch in self._batches([*COLUMNS, "vector"], ""):
                yield stored_of(batch, self.dim)

    @checked
    def count(self, where: Where | None = None) -> int:
        """See `Gallery.count`."""
        with self._plainly("counting"):
            return int(self._table.count_rows((where or Where()).expression() or None))

    def delete(self, ids: Collection[str]) -> int:
        """See `Gallery.delete`."""
        return sum(self._remove(condition) for condition in conditions(check_ids(ids)))

    def forget(self, *, pid: int | None = None, track: str | None = None) -> int:
        """See `Gallery.forget`."""
        check_target(pid, track)
        if track is None:
            return self._remove(f"pid = {pid:d}")
        quoted = track.replace("'", "''")
        return self._remove(f"track = '{quoted}'")

    def expire(self, before: float) -> int:
        """See `Gallery.expire`."""
        return self._remove(f"ends < {check_moment('before', before)!r}")

    def _remove(self, condition: str) -> int:
        with self._plainly("removing"):
            return int(_retry(lambda: self._table.delete(condition)).num_deleted_rows)

    def index(self) -> None:
        """Build an index for `search(exact=False)`, which is faster but misses some neighbours (see `check_recall`)."""
        from lancedb.index import IvfFlat

        with self._plainly("building the index"):
            self._table.create_index("vector", config=IvfFlat(distance_type="dot"), replace=True)

    def optimize(self, *, alone: bool = False) -> None:
        """See `Gallery.optimize`.

        Lance marks rows as deleted, and drops them from a file once a tenth of it is deleted. Here every file with a
        deleted row is rewritten, and so is the index, so that no bytes of removed records stay. This needs free disk
        space of the gallery's size. A concurrent reader may have to repeat its call. After a conflict with another
        writer it starts again. Files left by killed writers and conflicts are deleted after seven days, or at once
        with `alone`.
        """
        with self._plainly("optimizing"):
            _retry(self._table.optimize)  # merges many small files into one
            if self._may_hold_deleted():
                _retry(lambda: self._table.update(values_sql={"key": "key"}))
                if self._table.list_indices():
                    _retry(self.index)
            _retry(lambda: self._table.delete("false"))  # the newest version no longer says what was forgotten
            with warnings.catch_warnings():  # the warning is covered by the docstring
                warnings.simplefilter("ignore", UserWarning)
                _retry(lambda: self._table.optimize(cleanup_older_than=timedelta(0), delete_unverified=alone))

    def _may_hold_deleted(self) -> bool:
        """Whether files may contain deleted rows: exact for one file, always True for several.

        Lance reports the number of rows only as a mean per file, rounded down.
        """
        stats = self._table.stats()
        files = stats["fragment_stats"]
        return bool(files["num_fragments"] > 1 or files["lengths"]["max"] > stats["num_rows"])

    def _batches(self, columns: list[str], condition: str) -> Iterator[Any]:
        query = self._table.search().select(columns)
        return iter((query.where(condition) if condition else query).to_batches(batch_size=4096))

    @contextmanager
    def _plainly(self, doing: str) -> Iterator[None]:
        """Convert errors of Lance, which come with a stack of causes, to one line."""
        try:
            yield
        except (KeyError, FileNotFoundError):
            raise
        except (OSError, RuntimeError, ValueError) as error:
            cause = " ".join(re.split(r", \S+\.rs\b", str(error))[0].split())[:300]
            text = f"gallery {plain(self.uri)}: {doing} failed, nothing was changed: {cause}"
            raise OSError(text) from error


def _retry(action: Callable[[], T]) -> T:
    """Call again after another writer committed first, or deleted the version that the call had read."""
    for attempt in range(ATTEMPTS):
        try:
            return action()
        except (OSError, RuntimeError, ValueError) as error:  # noqa: PERF203 (a call takes milliseconds)
            text = str(error).lower()
            if attempt >= (ATTEMPTS - 1 if "conflict" in text else GONE - 1 if "not found" in text else 0):
                raise
            time.sleep(random.uniform(0, 0.05 * 2 ** min(attempt, 5)))
    raise AssertionError


def _absent(uri: str) -> str:
    return f"no gallery at {uri}: check the path; `denseil gallery add` makes one"
