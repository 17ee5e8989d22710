"""A short run of the fuzzer; `python -m tests.fuzz --calls 2000` is a long one."""

import random
from pathlib import Path

import pytest

from tests.fuzz.__main__ import fuzz, report
from tests.fuzz.engine import call_once, foreign
from tests.fuzz.targets import Target

NOT_YET = ("embedding.", "viz.", "exporters.")
"""Rooms in which a wrong type is still answered by Python's own error; `denseil.common.arguments.checked` ends that."""


@pytest.mark.parametrize(
    ("calls", "seed"),
    [(250, 0), pytest.param(2000, 1, marks=pytest.mark.slow), pytest.param(2000, 2, marks=pytest.mark.slow)],
)
def test_no_foreign_exception_leaves_the_library(
    calls: int, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    faults, targets = fuzz(calls, seed, folder=tmp_path, leave_out=NOT_YET)
    assert targets > 60
    assert faults == [], report(faults)


def test_faults_are_told_from_errors_of_ours(tmp_path: Path):
    import denseil

    def fault(call, **arguments):
        found = [call_once(Target("t", call, {}, tuple(arguments)), random.Random(seed)) for seed in range(20)]
        return [each for each in found if each]

    assert fault(lambda dim=1: denseil.layers.PartPool(dim), dim=0) == []
    assert fault(lambda text="": text.lower(), text="")  # an AttributeError of Python's
    assert fault(lambda size=1: [0] * 3 + size, size=0)
    assert foreign(ValueError("from here")) is not None  # nothing of ours raised it
