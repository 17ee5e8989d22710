"""Frames a second of CPU time that one core renders: `python -m tests.benchmarks.rendering`.

    python -m tests.benchmarks.rendering
    python -m tests.benchmarks.rendering --base FOLDER   # and another checkout's, in turns, with the ratio

Dressing people is counted, those who only ever pass by are dressed before.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parents[2]
RATES = """
import json, time
from denseil.synth import People, Recipe
from denseil.synth.passage import EXTRAS, _extra

for number in range(EXTRAS):
    _extra(number, 1)
rates = {}
for name, difficulty, frames, height in (
    ("128 x 64, hard", "hard", 8, 128), ("128 x 64, standard", "standard", 4, 128), ("256 x 128", "standard", 4, 256)
):
    people = People(Recipe(100, frames=frames, height=height, width=height // 2, difficulty=difficulty))
    for take in people.takes(people.identities[0]):  # compiles
        people.render(take)
    start, done = time.process_time(), 0
    for identity in people.identities[1:5]:
        for take in people.takes(identity):
            done += len(people.render(take))
    rates[name] = done / (time.process_time() - start)
print(json.dumps(rates))
"""


def rates(checkout: Path) -> dict[str, float]:
    """Rates of a checkout's renderer, in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", RATES]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, help="folder of another checkout to compare with")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each; their median counts")
    parser.add_argument("--json", type=Path, help="write every figure here")
    options = parser.parse_args()
    checkouts = {"here": HERE} | ({"base": options.base} if options.base else {})
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in checkouts}
    for _ in range(options.rounds):
        for name, checkout in checkouts.items():
            runs[name].append(rates(checkout))
    for size in runs["here"][0]:
        line = f"{size:20}{statistics.median(run[size] for run in runs['here']):6.1f} frames a second of CPU time"
        if options.base:
            ratios = [a[size] / b[size] for a, b in zip(runs["here"], runs["base"], strict=True)]
            before = statistics.median(run[size] for run in runs["base"])
            line += f", base {before:.1f}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(line)
    if options.json:
        options.json.write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
