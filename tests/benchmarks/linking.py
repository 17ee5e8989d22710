"""Cost of `OnlineLinker.update` by the number of persons: a track that has grown, and a new track.

    python -m tests.benchmarks.linking 100 1000 10000

The vectors are random, with components that fall off as those of trained networks do (exponent 0.7), or evenly spread
over all dimensions (exponent 0), where no few components tell persons apart.
"""

from __future__ import annotations

import sys
from time import perf_counter

import numpy as np

from denseil.linking import OnlineLinker

DIM, CAMERAS, STEP = 256, 8, 0.04  # STEP in seconds


def cost(persons: int, exponent: float) -> tuple[int, float, float]:
    """Number of persons, and the median milliseconds of a call with a track that has grown, and with a new one."""
    rng = np.random.default_rng(0)
    basis = rng.normal(size=(DIM, DIM)) * np.arange(1, DIM + 1)[:, None] ** -exponent
    vectors = (rng.normal(size=(persons + 200, DIM)) @ basis).astype(np.float32)
    linker = OnlineLinker(threshold=0.7)  # about what "auto" gives for the packaged weights
    time = 0.0
    for row in range(persons):
        linker.update(row % CAMERAS, row, vectors[row], time := time + STEP)
    time += 10
    known = linker.num_persons
    grown = rng.integers(0, persons, 50)
    rows = [(int(row), vectors[row] + 0.05 * vectors[-1]) for row in np.tile(grown, 4)]
    fresh = [(row, vectors[row]) for row in range(persons, persons + 200)]
    medians = []
    for calls in (rows, fresh):
        spent = []
        for row, vector in calls:
            begin = perf_counter()
            linker.update(row % CAMERAS, row, vector, time := time + STEP)
            spent.append(perf_counter() - begin)
        medians.append(1000 * float(np.median(spent)))
    return known, medians[0], medians[1]


def main(sizes: list[int]) -> None:
    print("| persons | components | grown track | new track |\n|---|---|---|---|")
    for exponent, words in ((0.7, "falling off"), (0.0, "evenly spread")):
        for size in sizes:
            known, grown, fresh = cost(size, exponent)
            print(f"| {known:,} | {words} | {grown:.3f} ms | {fresh:.3f} ms |", flush=True)


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [100, 1000, 10_000])
