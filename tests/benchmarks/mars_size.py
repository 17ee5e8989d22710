"""MARS at full size, names only: `python -m tests.benchmarks.mars_size` times and weighs reading and checking it."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.io import savemat


def write_info(root: Path) -> None:
    """An `info/` folder with MARS's published numbers of identities, cameras, tracklets, frames and queries."""
    (root / "info").mkdir()
    rng = np.random.default_rng(0)
    train = np.arange(8_298) % 625 + 1
    test = np.concatenate([np.full(870, -1), np.full(3_248, 0), np.arange(8_062) % 636 + 626])
    for part, pids, frames in (("train", train, 509_914), ("test", test, 681_089)):
        (root / f"bbox_{part}").mkdir()
        cuts = np.sort(rng.choice(np.arange(1, frames), len(pids) - 1, replace=False))
        first, last = np.concatenate([[1], cuts + 1]), np.concatenate([cuts, [frames]])
        cams = rng.integers(1, 7, len(pids))
        with (root / "info" / f"{part}_name.txt").open("w") as file:
            for track, (start, stop, pid, cam) in enumerate(zip(first, last, pids, cams, strict=True)):
                person = "00-1" if pid == -1 else f"{pid:04d}"
                file.writelines(
                    f"{person}C{cam}T{track % 10_000:04d}F{i:03d}.jpg\n" for i in range(1, stop - start + 2)
                )
        rows = np.stack([first, last, pids, cams], axis=1).astype(np.int32)
        savemat(root / "info" / f"tracks_{part}_info.mat", {f"track_{part}_info": rows})
    queries = np.sort(rng.choice(np.arange(4_119, 12_181), 1_980, replace=False))
    savemat(root / "info" / "query_IDX.mat", {"query_IDX": queries[None].astype(np.uint16)})


def main() -> None:
    if len(sys.argv) == 2:
        from denseil.data import check_dataset

        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
        print(check_dataset("mars", sys.argv[1], images=False))
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"{seconds:.1f} s, peak {peak / 1024:.0f} MB, of which {before / 1024:.0f} MB before reading (torch)")
        return
    with tempfile.TemporaryDirectory() as folder:
        write_info(Path(folder))
        subprocess.run([sys.executable, "-m", "tests.benchmarks.mars_size", folder], check=True)


if __name__ == "__main__":
    main()
