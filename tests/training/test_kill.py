"""Trainings killed with signal 9 at random moments: resumed, they end in the weights of an uninterrupted one.

By default one kill with two workers and one with two processes; with `-m slow` 3 of each kind, or as many as the
environment variable KILLS says (24 take a quarter of an hour). What was hit is printed.
"""

from __future__ import annotations

import dataclasses
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from denseil.data import read_dataset, write_manifest
from denseil.training import TrainConfig, train
from denseil.training.progress import read_metrics
from tests.data.test_mars import TINY
from tests.forked import finish, free_port, launcher, start

KINDS: dict[str, dict[str, Any]] = {
    "workers 0": {"workers": 0},
    "workers 2": {"workers": 2},
    "bf16": {"precision": "bf16", "workers": 0, "height": 128, "width": 64},  # see docs/training.md on tiny maps
    "accumulation": {"accumulate": 2, "workers": 0},
    "two processes": {"workers": 0},
}
KILLS = int(os.environ.get("KILLS", "3"))


def run_child(fields: dict[str, Any], resume: bool) -> None:
    train(TrainConfig.from_dict(fields), resume=resume)


class Run:
    """A training in one or two child processes."""

    def __init__(self, config: TrainConfig, *, processes: int, resume: bool) -> None:
        Path(config.output).parent.mkdir(parents=True, exist_ok=True)
        self.log, port = Path(f"{config.output}.log"), free_port()
        self.children = [
            start(
                run_child,
                dataclasses.asdict(config),
                resume,
                log=self.log,
                environment=launcher(rank, processes, port) if processes > 1 else None,
            )
            for rank in range(processes)
        ]

    def kill(self, config: TrainConfig, after: int, delay: float) -> bool:
        """Kill each process `delay` seconds after a step; whether one was still running."""
        while steps_done(config) < after and any(child.is_alive() for child in self.children):
            time.sleep(0.002)
        time.sleep(delay)
        running = any(child.is_alive() for child in self.children)
        for child in self.children:
            if child.is_alive():
                os.kill(child.pid, signal.SIGKILL)
        for child in self.children:
            child.join()
        return running

    def finish(self) -> None:
        for child in self.children:
            finish(child, self.log)


def config_of(kind: str, folder: Path, *, epochs: int) -> TrainConfig:
    """Eight persons, epochs of four batches, a checkpoint after each second."""
    dataset = read_dataset("mars", TINY)
    persons = [dataclasses.replace(tracklet, pid=pid) for pid, tracklet in enumerate(dataset.train, start=1)]
    folder.mkdir(parents=True, exist_ok=True)
    write_manifest(dataclasses.replace(dataset, train=persons), folder / "manifest.csv")
    fields = {
        "dataset": "manifest",
        "root": str(folder / "manifest.csv"),
        "output": str(folder / "whole"),
        "device": "cpu",
        "epochs": epochs,
        "save_every": 2,
        "validate_every": 3,
        "tracker": "none",
        "appearance": {"jitter": 0.3, "crop": 0.1},
        **KINDS[kind],
    }
    return TrainConfig.from_recipe("smoke", **fields)


def weights(config: TrainConfig) -> dict[str, torch.Tensor]:
    return load_file(Path(config.output, "final", "model.safetensors"))


def steps_done(config: TrainConfig) -> int:
    return max((line["step"] for line in read_metrics(config.output)), default=0)


def kill_and_resume(kind: str, folder: Path, moments: list[float], *, epochs: int = 6) -> None:
    """Kill after each share of the uninterrupted run's steps and a random part of one more, resume, and compare."""
    processes = 2 if kind == "two processes" else 1
    whole = config_of(kind, folder, epochs=epochs)
    begun = time.monotonic()
    Run(whole, processes=processes, resume=False).finish()
    expected, steps = weights(whole), 4 * epochs // whole.accumulate
    per_step = (time.monotonic() - begun) / steps
    hit: list[int | str] = []
    for trial, moment in enumerate(moments):
        config = dataclasses.replace(whole, output=str(folder / f"trial{trial}"))
        run = Run(config, processes=processes, resume=False)
        after = int(moment * steps)
        running = run.kill(config, after, (moment * steps - after) * per_step)
        hit.append(steps_done(config) if running else "end")
        Run(config, processes=processes, resume=Path(config.output, "train.yaml").exists()).finish()
        found = weights(config)
        assert found.keys() == expected.keys()
        assert all(torch.equal(value, expected[name]) for name, value in found.items()), (kind, moment, hit[-1])
        lines = [line["step"] for line in read_metrics(config.output) if line["kind"] == "train"]
        assert lines == list(range(1, steps + 1))
        print(f"{kind}: {trial + 1} of {len(moments)} equal, {running=} after step {hit[-1]} of {steps}", flush=True)
    assert "end" not in hit or len(moments) > 1


@pytest.mark.parametrize("kind", ["workers 2", "two processes"])
def test_killed_once(kind: str, tmp_path: Path):
    kill_and_resume(kind, tmp_path, [0.8], epochs=3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_random_moments(kind: str, tmp_path: Path):
    rng = random.Random(kind)
    kill_and_resume(kind, tmp_path, [rng.random() for _ in range(KILLS)])
