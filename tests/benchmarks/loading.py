"""Time and peak memory of loading a saved model: `python -m tests.benchmarks.loading`.

Each load is in a process of its own, on a warm page cache, before a plain read of the same file into memory.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import denseil
from tests.benchmarks.rounds import Ratio, report


def load(folder: Path) -> None:
    """Print the seconds of reading the file and of loading the model, and the peak over before by the weights' size."""
    before = peak_memory()
    begin = time.perf_counter()
    model = denseil.create_model(f"local-dir:{folder}", pretrained=True)
    seconds = time.perf_counter() - begin
    peak = peak_memory() - before
    size = sum(value.nbytes for value in model.state_dict().values())
    begin = time.perf_counter()
    content = (folder / "model.safetensors").read_bytes()
    reading = time.perf_counter() - begin
    assert len(content) >= size
    print(json.dumps([reading, seconds, peak / size]))


def peak_memory() -> int:
    """Bytes, of this process alone: what getrusage says begins with the peak of the process that started it."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="denseil_resnet50")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        return load(options.load)
    with tempfile.TemporaryDirectory() as folder:
        denseil.save_pretrained(denseil.create_model(options.model), folder)
        command = [sys.executable, "-m", "tests.benchmarks.loading", "--load", folder]
        rows = [
            json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            for _ in range(options.rounds)
        ]
    reading, loading, peaks = (sorted(column) for column in zip(*rows, strict=True))
    times = sorted(load / read for read, load, _ in rows)
    middle = len(rows) // 2
    ratios = [
        Ratio("loading / reading the file", times[middle], times[0], times[-1], "at most 3"),
        Ratio("peak memory / weights", peaks[middle], peaks[0], peaks[-1], "at most 2.2"),
    ]
    result = report(f"{options.model} from a folder", {"reading": reading, "loading": loading}, ratios)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1), encoding="utf-8")
    return None


if __name__ == "__main__":
    main()
