"""Every comparison, one after another, each an alternating run of its own: `python -m tests.benchmarks`.

    python -m tests.benchmarks                     # all: 20 minutes on two cores
    python -m tests.benchmarks inference loading   # some
    python -m tests.benchmarks --json report.json

Ratios within a run are what counts: machines differ and are shared. Options of one comparison, such as peers given by
path, are those of its own command, `python -m tests.benchmarks.inference --help`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

import torch

import denseil

COMPARISONS = ("inference", "tracklets", "loading", "loader", "ranking", "training", "cpu", "heap", "forms")


def machine() -> dict[str, object]:
    """What the figures were taken on."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text(encoding="utf-8").splitlines()
        cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), cpu)
    features = (
        sorted(name for name, has in torch.cpu.get_capabilities().items() if has is True)
        if hasattr(torch.cpu, "get_capabilities")
        else []
    )
    return {
        "date": date.today().isoformat(),
        "cpu": cpu,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "features": features,
        "torch": torch.__version__,
        "denseil": denseil.__version__,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("comparisons", nargs="*", help=f"of {', '.join(COMPARISONS)}; all by default")
    parser.add_argument("--json", type=Path, help="write every figure here")
    options = parser.parse_args()
    if unknown := set(options.comparisons) - set(COMPARISONS):
        parser.error(f"no comparison {', '.join(sorted(unknown))}; there are {', '.join(COMPARISONS)}")
    report: dict[str, object] = {"machine": machine()}
    print(", ".join(f"{key} {value}" for key, value in machine().items() if value))
    failed = 0
    for name in options.comparisons or COMPARISONS:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "figures.json")
            print(f"\n== {name}", flush=True)
            command = [sys.executable, "-m", f"tests.benchmarks.{name}", "--json", str(file)]
            failed += subprocess.run(command, check=False).returncode != 0
            report[name] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else "failed"
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
