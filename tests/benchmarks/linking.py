"""Cost of `OnlineLinker.update` by the number of persons: a track that has grown, and a new track; cost of `link`.

    python -m tests.benchmarks.linking 100 1000 10000
    python -m tests.benchmarks.linking --recorded 20000 100000   # `link`: seconds of the processor, and peak memory

The vectors of the calls are random, with components that fall off as those of trained networks do (exponent 0.7), or
evenly spread over all dimensions (exponent 0), where no few components tell persons apart. `link` gets ten tracklets of
each person in one of 20 cameras, at any time of a day.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
from time import perf_counter, process_time

import numpy as np

from denseil.linking import OnlineLinker, link
from denseil.metrics import score_clusters

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


def recorded(tracklets: int) -> None:
    """Link random persons, and print a row."""
    rng = np.random.default_rng(0)
    pids = rng.integers(0, tracklets // 10, tracklets)
    vectors = rng.normal(size=(tracklets // 10, DIM)).astype(np.float32)[pids]
    vectors += 0.7 * rng.normal(size=vectors.shape).astype(np.float32)
    start = rng.uniform(0, 86_400, tracklets)
    begin = process_time()
    links = link(vectors, camids=rng.integers(0, 20, tracklets), start=start, end=start + 10, threshold=0.5)
    spent, peak = process_time() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    score = score_clusters(links.person, pids)
    print(f"| {tracklets:,} | {spent:,.0f} s | {peak:.2f} GB | {links.num_persons:,} | {100 * score.pair_f1:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", type=int, nargs="*", default=[100, 1000, 10_000], help="persons")
    parser.add_argument("--recorded", type=int, nargs="+", help="tracklets given to link, each in a process of its own")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        recorded(options.one)
    elif options.recorded:
        print("| tracklets | processor | peak memory | persons | F1 of pairs |\n|---|---|---|---|---|", flush=True)
        for size in options.recorded:
            subprocess.run([sys.executable, "-m", "tests.benchmarks.linking", "--one", str(size)], check=True)
    else:
        print("| persons | components | grown track | new track |\n|---|---|---|---|")
        for exponent, words in ((0.7, "falling off"), (0.0, "evenly spread")):
            for size in options.sizes:
                known, grown, fresh = cost(size, exponent)
                print(f"| {known:,} | {words} | {grown:.3f} ms | {fresh:.3f} ms |", flush=True)


if __name__ == "__main__":
    main()
