"""The gallery on a server: a Milvus collection with one partition per day.

Over 250 lines because it is one class: each method of a gallery meets limits of Milvus of its own.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import numpy as np

from denseil.common.arguments import checked
from denseil.common.extras import need
from denseil.common.vectors import ArrayLike
from denseil.gallery._milvus_rows import (
    DAY,
    FILE,
    FIRST_DAY,
    KEYS,
    address_of,
    conditions,
    day_at,
    day_of,
    partition_of,
    schema_of,
    stored_of,
)
from denseil.gallery.checks import check_new, check_opened, gallery_vectors
from denseil.gallery.fields import check_moment
from denseil.gallery.nearest import Block, search_blocks
from denseil.gallery.protocol import Closing
from denseil.gallery.record import COLUMNS, FORMAT, FloatArray, Hit, Record, Stored
from denseil.gallery.same import check_held
from denseil.gallery.where import Where, check_ids, check_limit, check_target

MODEL_NAME, FORMAT_NAME = "denseil.model", "denseil.format"  # properties of the collection
HITS = 20_000  # records of one answer: each comes with its texts
FLOATS = 2_000_000  # numbers of the vectors in one call: 8 MB of the 64 MB of a message
TIMEOUT = 30.0  # seconds for one call
LISTS = 1_024  # maximum number of lists of the index
LIMIT = 16_384  # maximum number of neighbours that Milvus returns
SMALL_LIMIT = 1_000  # maximum k without counting the records first


class MilvusGallery(Closing):
    """Gallery in a Milvus collection; see `Gallery`.

    Records of one day (of their end, UTC) form one partition, which `expire` drops as a whole. Records removed by
    `forget` and `delete` are no longer found, but their bytes stay until the day's partition is dropped and Milvus has
    collected its garbage. The server's token, if it needs one, is read from `MILVUS_TOKEN`.

    Args:
        uri: `http://HOST:PORT`, `https://HOST:PORT` or `milvus://HOST:PORT`, followed by `/COLLECTION` if it is
            not called denseil; or `milvus:///FILE.db` for a file of milvus-lite.
        dim: Width of the vectors, to create the gallery if it does not exist; None to open an existing one.
        model: Identity of their model; see `open`.

    Raises:
        ConnectionError: If no server answers.
        FileNotFoundError: If the gallery does not exist and `dim` is None.
        ModuleNotFoundError: If pymilvus is not installed.
        ValueError: If the gallery has another model or width, the collection is not a gallery, or the URL is invalid.
    """

    def __init__(self, uri: str, dim: int | None = None, model: str = "") -> None:
        pymilvus = need("pymilvus", to="talk to Milvus", extra="milvus")
        self.uri = uri
        address, self._name = address_of(uri)
        self._is_file = uri.startswith(FILE)
        grpc = need("grpc", to="talk to Milvus", extra="milvus")
        own = (pymilvus.MilvusException, grpc.RpcError)
        self._errors: tuple[type[Exception], ...] = (*own, OSError, RuntimeError, ValueError)
        with self._plainly("connecting"):
            self._client = pymilvus.MilvusClient(address, token=os.environ.get("MILVUS_TOKEN", ""), timeout=TIMEOUT)
            there = self._client.has_collection(self._name, timeout=TIMEOUT)
        if not there:
            if dim is None:
                self.close()
                raise FileNotFoundError(f"no gallery at {uri}: check it; `denseil gallery add` makes one")
            with self._plainly("making the gallery"):
                self._create(dim, model, pymilvus.DataType)
        with self._plainly("opening"):
            described = self._client.describe_collection(self._name, timeout=TIMEOUT)
            self._client.load_collection(self._name, timeout=TIMEOUT)
        columns = {field["name"]: field for field in described["fields"]}
        if not {*COLUMNS, "vector"} <= set(columns):
            raise ValueError(f"the collection {self._name} at {uri} is no gallery: it holds {', '.join(columns)}")
        self.dim = int(columns["vector"]["params"]["dim"])
        self.model = str(described["properties"].get(MODEL_NAME, ""))
        self.format = int(described["properties"].get(FORMAT_NAME, 1))
        check_opened(self, dim, model)

    def _create(self, dim: int, model: str, types: Any) -> None:
        self._client.create_collection(
            self._name,
            schema=schema_of(self._client, dim, types),
            index_params=self._index("FLAT"),
            consistency_level="Strong",
            properties={FORMAT_NAME: str(FORMAT), **({MODEL_NAME: model} if model else {})},
            timeout=TIMEOUT,
        )

    def _index(self, kind: str, **params: int) -> Any:
        index = self._client.prepare_index_params()
        index.add_index("vector", index_name="vector", index_type=kind, metric_type="IP", params=params)
        return index

    @checked
    def add(self, records: Sequence[Record], vectors: ArrayLike, *, replace: bool = False) -> int:
        """See `Gallery.add`; in parts, a day at a time.

        A process that is killed while it replaces a record by one of another day may leave both.
        """
        units = check_new(records, vectors, self.dim)
        held = self.find([record.id for record in records])
        if not replace:
            check_held(records, units, held, self.uri)
        added = 0
        with self._plainly("adding", lambda: f"{added} of {len(records)} records were added; add them all again"):
            rows = [
                {**dict(zip(COLUMNS, record.to_row(), strict=True)), "vector": unit}
                for record, unit in zip(records, units, strict=True)
                if replace or record.id not in held
            ]
            rows.sort(key=lambda row: row["ends"])
            size = max(FLOATS // self.dim, 1)
            for day, group in groupby(rows, lambda row: day_at(row["ends"])):
                self._make_day(day)
                of_day = list(group)
                for first in range(0, len(of_day), size):
                    part = of_day[first : first + size]
                    # `insert` keeps a second copy of a record that another writer adds at the same moment
                    self._client.upsert(self._name, part, partition_name=partition_of(day), timeout=TIMEOUT)
                    added += len(part)
            if replace and not self._is_file:  # in milvus-lite a record of a key takes the place of any other
                self._leave_days([(held[one.id].record, one) for one in records if one.id in held])
        return len(records) - len(held)

    def _leave_days(self, changed: list[tuple[Record, Record]]) -> None:
        """Delete records that were held, each with the one in its place, from their days if that is of another one."""
        left = [(day_at(old.until), old.id) for old, new in changed if day_at(old.until) != day_at(new.until)]
        for day, group in groupby(sorted(left), lambda one: one[0]):
            for condition in conditions([name for _, name in group]):
                self._client.delete(self._name, filter=condition, partition_name=partition_of(day), timeout=TIMEOUT)

    def _make_day(self, day: int) -> None:
        if not self._client.has_partition(self._name, partition_of(day), timeout=TIMEOUT):
            self._client.create_partition(self._name, partition_of(day), timeout=TIMEOUT)

    @checked
    def search(
        self, vectors: ArrayLike, k: int = 10, *, where: Where | None = None, exact: bool = True
    ) -> list[list[Hit]]:
        """See `Gallery.search`; with an index, exact means that all its lists are read."""
        k = check_limit(k)
        queries = gallery_vectors(vectors, self.dim, what="queries")
        found: list[list[Hit]] = []
        where = where or Where()
        if k > SMALL_LIMIT and (k := max(min(k, self.count(where)), 1)) > LIMIT:
            return self._by_reading(queries, k, where)
        with self._plainly("searching"):
            params = {"nprobe": LISTS} if exact and self._lists() else {}
            size = max(min(HITS // k, KEYS), 1)
            for first in range(0, len(queries), size):
                results = self._client.search(
                    self._name,
                    data=list(queries[first : first + size]),
                    filter=where.expression("[]"),
                    limit=k,
                    output_fields=list(COLUMNS),
                    search_params={"metric_type": "IP", "params": params},
                    timeout=TIMEOUT,
                )
                # Milvus returns the inner product as `distance`
                found.extend(
                    [Hit(Record.from_row(hit["entity"]), min(max(1 - hit["distance"], 0.0), 2.0)) for hit in hits]
                    for hits in results
                )
        return found

    def _by_reading(self, queries: FloatArray, k: int, where: Where) -> list[list[Hit]]:
        def block(rows: list[dict[str, Any]]) -> Block:
            vectors = np.asarray([row["vector"] for row in rows], np.float32)
            return vectors, lambda places: [Record.from_row(rows[place]) for place in places]

        with self._plainly("searching"):
            return search_blocks(queries, k, map(block, self._blocks(where.expression("[]"), [*COLUMNS, "vector"])))

    def _lists(self) -> bool:
        index = self._client.describe_index(self._name, "vector", timeout=TIMEOUT)
        return bool(index["index_type"] != "FLAT")

    def find(self, ids: Collection[str]) -> dict[str, Stored]:
        """See `Gallery.find`."""
        columns = [*COLUMNS, "vector"]
        with self._plainly("reading"):
            parts = conditions(check_ids(ids), min(KEYS, max(FLOATS // self.dim, 1)))
            return {row["id"]: stored_of(row) for part in parts for row in self._rows(part, columns)}

    def scan(self) -> Iterator[list[Stored]]:
        """See `Gallery.scan`."""
        with self._plainly("reading"):
            for rows in self._blocks("", [*COLUMNS, "vector"]):
                yield [stored_of(row) for row in rows]

    @checked
    def count(self, where: Where | None = None) -> int:
        """See `Gallery.count`."""
        with self._plainly("counting"):
            return self._count((where or Where()).expression("[]"))

    def _count(self, condition: str) -> int:
        return int(self._rows(condition, ["count(*)"])[0]["count(*)"])

    def delete(self, ids: Collection[str]) -> int:
        """See `Gallery.delete`."""
        return sum(self._remove(condition) for condition in conditions(check_ids(ids)))

    def forget(self, *, pid: int | None = None, track: str | None = None) -> int:
        """See `Gallery.forget`."""
        forgotten = check_target(pid, track)
        if track is None:
            return self._remove(f"pid == {pid:d}")
        if track.isprintable():
            return self._remove(f"track == {json.dumps(track, ensure_ascii=False)}")
        # Milvus cannot express a control character in a condition
        found = [item.record.id for block in self.scan() for item in block if forgotten(item.record)]
        return self.delete(found)

    def expire(self, before: float) -> int:
        """See `Gallery.expire`; complete days are dropped as partitions."""
        before, gone = check_moment("before", before), 0
        with self._plainly("expiring", lambda: f"{gone} records were removed; expire them again"):
            for name in self._client.list_partitions(self._name, timeout=TIMEOUT):
                day = day_of(name)
                if day is not None and (day + 1) * DAY <= before:
                    after = f"ends >= {day * DAY!r} and " if day > FIRST_DAY else ""
                    held = self._count(f"{after}ends < {(day + 1) * DAY!r}")
                    if not self._is_file:  # milvus-lite drops a partition directly
                        self._client.release_partitions(self._name, [name], timeout=TIMEOUT)
                    self._client.drop_partition(self._name, name, timeout=TIMEOUT)
                    gone += held
        return gone + self._remove(f"ends < {before!r}")

    def _remove(self, condition: str) -> int:
        """Delete by key, because Milvus does not count deletions by other conditions."""
        gone = 0
        with self._plainly("removing", lambda: f"{gone} records were removed; remove them again"):
            keys = [row["key"] for rows in self._blocks(condition, ["key"]) for row in rows]
            for first in range(0, len(keys), KEYS):
                part = keys[first : first + KEYS]
                self._client.delete(self._name, filter=f"key in {json.dumps(part)}", timeout=TIMEOUT)
                gone += len(part)
        return gone

    def index(self) -> None:
        """Build an index for `search(exact=False)`, which is faster but misses some neighbours (see `check_recall`)."""
        with self._plainly("building the index"):
            lists = min(max(int(4 * math.sqrt(self._count(""))), 1), LISTS)
            self._client.release_collection(self._name, timeout=TIMEOUT)
            self._client.drop_index(self._name, "vector", timeout=TIMEOUT)
            self._client.create_index(self._name, self._index("IVF_FLAT", nlist=lists), timeout=TIMEOUT)
            self._client.load_collection(self._name, timeout=TIMEOUT)

    def optimize(self, *, alone: bool = False) -> None:
        """See `Gallery.optimize`. Flushes and compacts the collection; bytes are removed when a day is dropped."""
        with self._plainly("optimizing"):
            self._client.flush(self._name, timeout=TIMEOUT)
            self._client.compact(self._name, timeout=TIMEOUT)

    def close(self) -> None:
        """See `Gallery.close`."""
        self._client.close()

    def _rows(self, condition: str, columns: list[str]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._client.query(
            self._name, filter=condition, output_fields=columns, timeout=TIMEOUT
        )
        return rows

    def _blocks(self, condition: str, columns: list[str]) -> Iterator[list[dict[str, Any]]]:
        size = max(min(FLOATS // self.dim, KEYS), 1)
        cursor = self._client.query_iterator(
            self._name, batch_size=size, filter=condition, output_fields=columns, timeout=TIMEOUT
        )
        try:
            while rows := cursor.next():
                yield rows
        finally:
            cursor.close()

    @contextmanager
    def _plainly(self, doing: str, so_far: Callable[[], str] = lambda: "nothing was changed") -> Iterator[None]:
        """Convert errors of pymilvus to one line, and silence its own log."""
        log = logging.getLogger("pymilvus")
        before = log.level
        log.setLevel(logging.CRITICAL + 1)
        try:
            yield
        except self._errors as error:
            cause = " ".join(str(getattr(error, "message", None) or error).split())[:300]
            raise ConnectionError(f"gallery {self.uri}: {doing} failed, {so_far()}: {cause}") from error
        finally:
            log.setLevel(before)
