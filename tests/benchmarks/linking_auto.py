"""What `link` finds with threshold "auto" under shifts: F1 of pairs, persons, and false links; centred and plain.

    python -m tests.benchmarks.shifts runs/shifts none night compressed high --seed 31 32 33 \
        --num-ids 30 --tracklets 3 --frames 4
    for set in none night compressed high; do for seed in 31 32 33; do
        denseil embed runs/shifts/$set-$seed/manifest.csv --dataset manifest \
            --model denseil_mobilenetv2 -o runs/$set-$seed.safetensors
    done; done
    python -m tests.benchmarks.linking_auto runs/{none,night,compressed,high}-*.safetensors

Each file is sampled twice for 10 and 30 persons in 1, 2 and 3 of its cameras, with new times, at which about three
persons are seen at once, or one in two seconds (`--apart`). The name of a file up to the first "-" is its shift. Files
named walks-..., of `denseil data synth --walks`, are one sample each, with their own times.
"""

from __future__ import annotations

import argparse
import itertools
import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from denseil.linking import link
from denseil.linking.centring import centred
from denseil.linking.checks import check_tracks
from denseil.metrics import load_features, load_records, score_clusters

GRID = np.arange(0.05, 0.9, 0.05)
SECONDS, DRAWS = 8.0, 2  # of a tracklet at most
Found = tuple[float, float, float]  # F1, persons, share of false links


def times(pids: NDArray[np.int64], slot: float, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Start and end of each tracklet; a person has one tracklet in a slot of `slot` seconds times the persons."""
    start = np.empty(len(pids))
    long = max(slot * len(np.unique(pids)), SECONDS + 2)
    for pid in np.unique(pids):
        rows = np.flatnonzero(pids == pid)
        start[rows] = long * rng.permutation(len(rows)) + rng.uniform(0, long - SECONDS, len(rows))
    return start, start + rng.uniform(0.5, 1, len(pids)) * SECONDS


def samples(path: Path, slot: float) -> Iterator[tuple[tuple[int, int], dict, NDArray[np.int64]]]:
    """Persons and cameras, the arguments of `link`, and the pids."""
    features = load_features(path)
    vectors = features.embeddings.vectors.numpy()
    pids, camids = features.embeddings.pids.numpy(), features.embeddings.camids.numpy()
    if path.stem.startswith("walks"):
        start, end = (np.array([each[name] for each in load_records(path) or []]) for name in ("start", "end"))
        found = {"vectors": vectors, "camids": camids, "start": start, "end": end}
        yield (len(np.unique(pids)), len(np.unique(camids))), found, pids
        return
    for draw in range(DRAWS):
        rng = np.random.default_rng(draw)
        for persons, cameras in itertools.product((10, 30), (1, 2, 3)):
            who = rng.choice(np.unique(pids), persons, replace=False)
            where = rng.choice(np.unique(camids), cameras, replace=False)
            rows = np.flatnonzero(np.isin(pids, who) & np.isin(camids, where))
            start, end = times(pids[rows], slot, rng)
            given = {"vectors": vectors[rows], "camids": camids[rows], "start": start, "end": end}
            yield (persons, cameras), given, pids[rows]


def measure(given: dict, pids: NDArray[np.int64]) -> tuple[Found, Found, Found]:
    """`auto` with plain vectors, `auto`, and centred vectors with the threshold of the highest F1, by the labels."""

    def scored(**change: object) -> Found:
        links = link(**{**given, **change})
        scores = score_clusters(links.person, pids)
        return 100 * scores.pair_f1, links.num_persons, 100 * scores.false_links

    vectors = centred(check_tracks(**given))[0].vectors
    best = max(scored(vectors=vectors, threshold=float(threshold)) for threshold in GRID)
    return scored(centre=False), scored(), best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path, nargs="+")
    parser.add_argument("--apart", action="store_true", help="few persons at once")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # that a threshold rests on few pairs
    rows = defaultdict(list)
    for path in options.features:
        for (persons, cameras), given, pids in samples(path, 15.0 if options.apart else 2.0):
            rows[path.stem.split("-")[0], persons, cameras].append(measure(given, pids))
    print("| set | persons | cameras | plain: F1 | persons | auto: F1 | persons | false links | best: F1 | persons |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for (kind, persons, cameras), found in sorted(rows.items()):
        plain, auto, best = np.mean(found, axis=0)
        print(
            f"| {kind} | {persons} | {cameras} | {plain[0]:.1f} | {plain[1]:.1f} | {auto[0]:.1f} | {auto[1]:.1f} "
            f"| {auto[2]:.2f} % | {best[0]:.1f} | {best[1]:.1f} |"
        )
    every = np.array([found for group in rows.values() for found in group])  # (sets, 3, 3)
    plain, auto, best = every.mean(0)
    print(f"| mean of {len(every)} | | | {plain[0]:.1f} | {plain[1]:.1f} | {auto[0]:.1f} | {auto[1]:.1f} ", end="")
    print(f"| {auto[2]:.2f} % | {best[0]:.1f} | {best[1]:.1f} |")
    within = [float((every[:, 1, 2] <= rate).mean()) for rate in (1.0, 1.5, 2.0)]
    print("false links at most 1 %, 1.5 %, 2 % in " + ", ".join(f"{share:.0%}" for share in within) + " of the sets")


if __name__ == "__main__":
    main()
