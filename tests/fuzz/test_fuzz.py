"""A short run of the fuzzer; `python -m tests.fuzz --calls 2000` is a long one."""

import importlib
import inspect
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

import denseil
from tests.fuzz.engine import call_once, foreign
from tests.fuzz.targets import LEFT_OUT, ROOMS, Target, World, targets

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("calls", "seed"),
    [(250, 0), pytest.param(1200, 1, marks=pytest.mark.slow), pytest.param(1200, 2, marks=pytest.mark.slow)],
)
def test_no_foreign_exception_leaves_the_library(calls: int, seed: int):
    command = [sys.executable, "-m", "tests.fuzz", "--calls", str(calls), "--seed", str(seed)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)  # what it breaks is not pytest's
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    found = re.search(rf"{calls} calls of (\d+) functions and verbs: 0 faults", done.stdout)
    assert found, done.stdout
    assert int(found[1]) > 150


def test_every_public_name_is_called_or_left_out_for_a_reason(tmp_path: Path):
    rooms = {room.removeprefix("denseil.") for room in denseil._ROOMS}
    assert rooms == set(ROOMS)
    called = {target.name for target in targets(World(tmp_path))}
    missing = []
    for room in ROOMS:
        module = importlib.import_module(f"denseil.{room}")
        names = public_names(Path(module.__file__).read_text(encoding="utf-8")) or {"keep_heap"}
        values = {name: getattr(module, name) for name in names}
        known = {name for name, value in values.items() if inspect.isclass(value) or inspect.isroutine(value)}
        missing += [f"{room}.{name}" for name in known if not {name, f"{room}.{name}"} & LEFT_OUT.keys()]
    assert [name for name in missing if name not in called] == []


def public_names(text: str) -> set[str]:
    """Names of a room: those that it imports as themselves."""
    return {match[1] for match in re.finditer(r"import (\w+) as \1\b", text)}


def test_faults_are_told_from_errors_of_ours(tmp_path: Path):
    def fault(call, **arguments):
        found = [call_once(Target("t", call, {}, tuple(arguments)), random.Random(seed)) for seed in range(20)]
        return [each for each in found if each]

    assert fault(lambda dim=1: denseil.layers.PartPool(dim), dim=0) == []
    assert fault(lambda text="": text.lower(), text="")  # an AttributeError of Python's
    assert fault(lambda size=1: [0] * 3 + size, size=0)
    assert foreign(ValueError("from here")) is not None  # nothing of ours raised it
