"""Threads that share a gallery."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from denseil import gallery
from denseil.gallery import MemoryGallery, Record
from tests.gallery.conftest import DIM, unit

THREADS, BATCHES, BATCH = 8, 25, 4


def test_threads_that_add_lose_nothing():
    held = MemoryGallery(DIM)

    def add(thread: int) -> int:
        vectors = unit(BATCHES * BATCH, seed=thread).reshape(BATCHES, BATCH, DIM)
        return sum(
            held.add([Record(f"{thread}-{batch}-{i}", camid=thread) for i in range(BATCH)], vectors[batch])
            for batch in range(BATCHES)
        )

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(add, range(THREADS))) == held.count() == THREADS * BATCHES * BATCH
    for thread in range(THREADS):
        names = [f"{thread}-{batch}-{i}" for batch in range(BATCHES) for i in range(BATCH)]
        vectors = np.stack([item.vector for item in held.get(names)])
        np.testing.assert_allclose(vectors, unit(BATCHES * BATCH, seed=thread), atol=1e-6)


def test_threads_that_forget_and_search_see_whole_records():
    held = MemoryGallery(DIM)
    vectors = unit(400)
    held.add([Record(str(i), camid=0, pid=i % 8) for i in range(400)], vectors)

    def work(thread: int) -> int:
        for _ in range(20):
            for hit in held.search(vectors[thread], k=5)[0]:
                assert hit.distance == pytest.approx(1 - float(vectors[thread] @ vectors[int(hit.record.id)]), abs=1e-5)
        return held.forget(pid=thread)

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(work, range(THREADS))) == 400
    assert held.count() == 0


def test_optimize_beside_writers(tmp_path: Path):
    pytest.importorskip("lancedb")
    uri = str(tmp_path / "g")
    with gallery.open(uri, DIM) as own:
        for batch in range(10):
            own.add([Record(f"old-{batch}-{i}", camid=0) for i in range(100)], unit(100, seed=100 + batch))

    def write(thread: int) -> int:
        with gallery.open(uri) as own:
            added = 0
            for batch in range(BATCHES):
                records = [Record(f"{thread}-{batch}-{i}", camid=0, pid=batch % 2) for i in range(BATCH)]
                added += own.add(records, unit(BATCH, seed=10 * thread + batch))
            return added

    def pack(thread: int) -> int:
        with gallery.open(uri) as own:
            for number in range(8):
                own.delete([f"old-{number}-{thread}"])
                own.optimize()
        return 0

    with ThreadPoolExecutor(5) as pool:
        added = sum(pool.map(lambda call: call[0](call[1]), [(write, 0), (pack, 1), (write, 2), (pack, 3), (write, 4)]))
    with gallery.open(uri) as held:
        assert added == 3 * BATCHES * BATCH
        assert held.count() == added + 1000 - 2 * 8
