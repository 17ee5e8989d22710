"""What `import denseil` costs beside `import timm`: `python -m tests.benchmarks.import_time`."""

import resource
import statistics
import subprocess
import sys


def cpu_seconds(module: str) -> float:
    """User and system seconds of a fresh interpreter that imports one module."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(rounds: int = 9) -> None:
    """Alternate the two, after one round that is not counted, and print the ratio of each pair."""
    ratios, timm_seconds = [], []
    for number in range(rounds + 1):
        ours, theirs = cpu_seconds("denseil"), cpu_seconds("timm")
        if number:
            ratios.append(ours / theirs)
            timm_seconds.append(theirs)
    print(
        f"import denseil / import timm, CPU time, {rounds} pairs: median {statistics.median(ratios):.3f}, "
        f"{min(ratios):.3f} to {max(ratios):.3f} (timm {statistics.median(timm_seconds):.2f} s)"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
