"""`python -m tests.fuzz --calls 2000 --seed 0 [--only gallery]`: faults by room, exit status 1 if there are any."""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

from tests.fuzz.engine import Fault, by_kind, call_once, call_verb
from tests.fuzz.targets import World, targets
from tests.fuzz.verbs import commands


def fuzz(
    calls: int, seed: int, only: str = "", *, folder: Path, verbs: float = 0.2, leave_out: tuple[str, ...] = ()
) -> tuple[list[Fault], int]:
    """Call targets in turn, and verbs in between.

    Returns:
        The faults, and the number of targets and verbs.
    """
    world = World(folder)
    rng = random.Random(seed)
    known = [each for each in targets(world) if only in each.name and not each.name.startswith(leave_out)]
    words = {name: line for name, line in commands(world).items() if only in f"denseil {name}"}
    faults: list[Fault] = []
    for number in range(calls):
        if words and (not known or rng.random() < verbs):
            fault = call_verb(rng, words)
        else:
            fault = call_once(known[number % len(known)], rng)
        if fault is not None:
            faults.append(fault)
    return faults, len(known) + len(words)


def report(faults: list[Fault]) -> str:
    lines = []
    for (target, kind), same in by_kind(faults).items():
        lines.append(f"{target}  {kind}  ({len(same)})\n    {same[0].arguments}\n    {same[0].detail}")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="targets whose name holds this")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        found, number = fuzz(arguments.calls, arguments.seed, arguments.only, folder=Path(folder))
    print(report(found).encode("utf-8", "backslashreplace").decode())
    print(
        f"{arguments.calls} calls of {number} functions and verbs: {len(found)} faults of {len(by_kind(found))} kinds"
    )
    sys.exit(1 if found else 0)
