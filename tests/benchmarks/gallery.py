"""What the embedded gallery costs: time against plain numpy in one paired run, bytes on disk.

    python -m tests.benchmarks.gallery --size 100000 --dim 512
    python -m tests.benchmarks.gallery --milvus http://127.0.0.1:19530

Exact top 10 of 100,000 vectors, filtered by camera and time. numpy holds vectors and columns in memory and does the
same: mask, product, partition. The two are asked in turns, so that a busy machine slows both; medians are printed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from denseil import gallery
from denseil.gallery import Gallery, Record, Where, check_recall

CAMERAS, DAY, K = 10, 86_400.0, 10
WHERE = Where(camids=range(5), after=20_000.0, before=60_000.0)


def people(size: int, dim: int, seed: int = 0) -> np.ndarray:
    """Vectors (size, dim) of length 1: each person five times, with noise."""
    generator = np.random.default_rng(seed)
    centres = generator.standard_normal((size // 5 + 1, dim), np.float32)
    vectors = np.repeat(centres, 5, axis=0)[:size] + 0.5 * generator.standard_normal((size, dim), np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def by_numpy(queries: np.ndarray, vectors: np.ndarray, camids: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Rows (Q, K) of the nearest that pass the filter."""
    passing = np.flatnonzero((camids < 5) & (starts >= 20_000) & (starts < 60_000))
    similarity = queries @ vectors[passing].T
    best = np.argpartition(similarity, -K, axis=1)[:, -K:]
    return passing[np.take_along_axis(best, np.argsort(-np.take_along_axis(similarity, best, 1), axis=1), 1)]


def compare(held: Gallery, vectors: np.ndarray, camids: np.ndarray, starts: np.ndarray, repeats: int) -> None:
    for number in (1, 64):
        queries = people(number, vectors.shape[1], seed=1)
        queries[: min(number, len(vectors))] += vectors[:number]
        queries /= np.linalg.norm(queries, axis=1, keepdims=True)
        found = [[int(hit.record.id) for hit in hits] for hits in held.search(queries, K, where=WHERE)]
        assert found == by_numpy(queries, vectors, camids, starts).tolist(), "not the same neighbours"
        ours, theirs = [], []
        for _ in range(repeats):
            ours.append(timed(lambda q=queries: held.search(q, K, where=WHERE)))  # type: ignore[misc]
            theirs.append(timed(lambda q=queries: by_numpy(q, vectors, camids, starts)))  # type: ignore[misc]
        a, b = median(ours), median(theirs)
        print(f"search, {number:>2} queries: {1000 * a:.0f} ms, numpy in memory {1000 * b:.0f} ms, ratio {a / b:.1f}")


def run(uri: str, size: int, dim: int, repeats: int) -> None:
    vectors = people(size, dim)
    camids, starts = np.arange(size) % CAMERAS, np.random.default_rng(2).uniform(0, DAY, size)
    records = [Record(str(i), camid=int(camids[i]), start=starts[i], pid=i // 5) for i in range(size)]
    with gallery.open(uri, dim) as held:
        seconds = timed(lambda: held.add(records, vectors))
        print(f"add {size:,} x {dim}: {seconds:.2f} s")
        compare(held, vectors, camids, starts, repeats)
        print(f"forget one person: {timed(lambda: held.forget(pid=3)):.2f} s")
        print(f"optimize after it: {timed(held.optimize):.2f} s")
        if Path(uri).is_dir():
            size_on_disk = sum(path.stat().st_size for path in Path(uri).rglob("*") if path.is_file())
            print(f"on disk: {size_on_disk / (size - 5):,.0f} bytes a record, of them {4 * dim} its vector")
        print(f"build an index: {timed(held.index):.1f} s")  # type: ignore[attr-defined]
        print(check_recall(held))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--milvus", help="a server to ask in place of a folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        uri = options.milvus + "/benchmark" if options.milvus else folder
        run(uri, options.size, options.dim, options.repeats)


if __name__ == "__main__":
    main()
