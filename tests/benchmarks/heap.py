"""What it is worth that glibc keeps freed memory: `python -m tests.benchmarks.heap`.

A training step and a pass of inference, each in a process with `keep_heap` and in one without, in alternation. Pages
cost more on some virtual machines than on bare metal: the ratio is of this machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

import denseil
from denseil.common.heap import keep_heap
from tests.benchmarks.rounds import Seconds, ratio, report
from tests.benchmarks.training import step

WORKS = ("training step", "inference, eager", "inference, optimised")


def work(name: str, model: str, threads: int) -> float:
    """Median seconds of one piece of work in this process."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    if name == WORKS[0]:
        run = step(denseil.create_model(model, num_classes=625), 8)
    else:
        net = denseil.create_model(model).eval()
        net = denseil.optimize(net, verbose=False) if name == WORKS[2] else net
        clips = torch.randn(4, 8, 3, 256, 128)

        def run() -> None:
            with torch.inference_mode():
                net(clips)

    times = []
    for _ in range(5):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return statistics.median(times[2:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="denseil_mobilenetv2")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--work", choices=WORKS, help=argparse.SUPPRESS)
    parser.add_argument("--keep", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        if options.keep:
            keep_heap()
        print(work(options.work, options.model, options.threads))
        return
    seconds: Seconds = {}
    command = [sys.executable, "-m", "tests.benchmarks.heap", "--model", options.model, "--threads"]
    for _ in range(options.rounds):
        for name in WORKS:
            for keep in (False, True):
                run = [*command, str(options.threads), "--work", name, *(["--keep"] if keep else [])]
                found = float(subprocess.run(run, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
                seconds.setdefault(f"{name}, kept" if keep else name, []).append(found)
    ratios = [ratio(f"{name}: left alone / kept", seconds, name, f"{name}, kept") for name in WORKS]
    result = report(f"{options.model}, {options.threads} threads, {options.rounds} rounds", seconds, ratios)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
