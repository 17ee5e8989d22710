"""The paper's tables, run on real tracklets with the smallest training there is."""

import dataclasses
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import denseil
from denseil.data import ClipDataset, read_dataset
from denseil.training import TrainConfig, ablate, budget, dry_run, tables
from denseil.training.ablate import _shuffled, fine_queries
from denseil.training.ablation_tables import spread
from denseil.training.budget import Cost, row_cost, with_budget

TRACKLETS = Path(__file__).parents[1] / "data" / "mars_tiny"


def smoke(output: Path) -> TrainConfig:
    return TrainConfig.from_recipe("smoke", root=str(TRACKLETS), output=str(output), epochs=1)


@pytest.mark.parametrize(("table", "row"), [(name, row) for name, (_, rows) in tables().items() for row in rows])
def test_every_row_is_a_model_and_a_config(table: str, row):
    with torch.device("meta"):
        denseil.create_model("denseil", **({"backbone": "test_resnet", "dim": 64} | row.model))
    dataclasses.replace(TrainConfig(), **row.train)
    assert row.shuffle in ("none", "test", "all")


def test_the_paper_s_full_model_is_one_row_of_each_of_its_tables():
    for name, (_, rows) in tables().items():
        if name.startswith("1"):
            assert [row.paper for row in rows].count((87.0, 90.8)) == 1


def test_rows_are_trained_once_and_printed_beside_the_paper(tmp_path: Path):
    rows = ["Baseline", "Dense Attn."]
    *_, table = ablate("1a", smoke(tmp_path), seeds=2, rows=rows)
    assert [(row.name, [one.seed for one in scores]) for row, scores in table.rows.items()] == [
        ("Baseline", [0, 1]),
        ("Dense Attn.", [0, 1]),
    ]
    lines = str(table).splitlines()
    assert lines[2].startswith("| Baseline | ")
    assert lines[2].endswith("| 2 | 82.1, 87.3 |")
    weights = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("final/model.safetensors")}
    assert len(weights) == 4
    keys = [set(denseil.models.read_weights(path)) for path in sorted(weights)]
    assert keys[0] == keys[1] != keys[2]  # the baseline has no decoder
    *_, again = ablate("1a", smoke(tmp_path), seeds=2, rows=rows)
    assert str(again) == str(table)
    assert weights == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("final/model.safetensors")}
    with pytest.raises(ValueError, match="another lr"):
        next(ablate("1a", dataclasses.replace(smoke(tmp_path), lr=1e-3), seeds=2, rows=rows))
    assert table.plot(tmp_path / "table.svg").read_text().count("Dense Attn.") >= 1


@pytest.mark.slow
def test_rows_side_by_side_within_a_time_budget(tmp_path: Path):
    """Two processes, epochs fitted once to the budget; the same scores as one process with those epochs."""
    rows = ["Baseline", "Dense Attn."]
    config = dataclasses.replace(smoke(tmp_path / "two"), warmup=0.5, test_frames="none")
    states = list(ablate("1a", config, seeds=1, rows=rows, parallel=2, minutes=0.001))
    assert [len(state.rows) for state in states] == [1, 2]
    fitted = json.loads((tmp_path / "two/1a/fitted.json").read_text())
    assert fitted == {"epochs": 1, "warmup": 0.25}
    assert len(list(tmp_path.rglob("final/model.safetensors"))) == 2
    assert not list(tmp_path.rglob("trial"))
    alone = dataclasses.replace(config, **fitted, output=str(tmp_path / "one"))
    *_, expected = ablate("1a", alone, seeds=1, rows=rows)
    found, known = (
        {row.name: [(one.seed, one.mAP, one.rank1) for one in scores] for row, scores in table.rows.items()}
        for table in (states[-1], expected)
    )
    assert found == known


def test_the_cost_of_a_row_has_the_time_for_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """By a clock that reading a batch moves by 1 s and a step by 10 s."""
    now = 0.0

    def moved(function: Any, seconds: float) -> Any:
        def call(*arguments: Any) -> Any:
            nonlocal now
            now += seconds
            return function(*arguments)

        return call

    monkeypatch.setattr(budget, "time", SimpleNamespace(perf_counter=lambda: now))
    monkeypatch.setattr(budget, "training_step", moved(budget.training_step, 10))
    monkeypatch.setattr(ClipDataset, "__getitems__", moved(ClipDataset.__getitems__, 1))
    config = dataclasses.replace(smoke(tmp_path), workers=0, accumulate=1)
    plan = dry_run(config)
    assert row_cost(config).epoch == 11 * plan.steps_per_epoch


def test_epochs_fit_into_the_budget(tmp_path: Path):
    config = smoke(tmp_path)
    costs = [Cost(start=2, epoch=3, end=1), Cost(start=2, epoch=5, end=1)]
    for seeds, parallel, minutes in ((1, 1, 10), (3, 2, 10), (3, 4, 60)):
        place = tmp_path / f"{seeds}-{parallel}-{minutes}"
        found = with_budget(config, place, minutes=minutes, seeds=seeds, parallel=parallel, costs=iter(costs))
        spent = seeds * (2 * 3 + found.epochs * 8) / parallel
        assert 0.8 * 60 * minutes <= spent <= 0.9 * 60 * minutes
        again = with_budget(config, place, minutes=1, seeds=1, parallel=1, costs=iter(()))
        assert again == found
    assert with_budget(config, tmp_path / "0", minutes=0.001, seeds=1, parallel=1, costs=iter(costs)).epochs == 1


def test_frames_out_of_order_are_the_same_frames():
    dataset = read_dataset("mars", TRACKLETS)
    mixed = _shuffled(dataset, 0, train=False)
    assert mixed.train == dataset.train
    assert [sorted(t.frames) for t in mixed.gallery] == [sorted(t.frames) for t in dataset.gallery]
    assert [list(t.frames) for t in mixed.gallery] != [list(t.frames) for t in dataset.gallery]
    assert [list(t.frames) for t in _shuffled(dataset, 0, train=True).train] != [list(t.frames) for t in dataset.train]


def test_the_shuffled_row_runs(tmp_path: Path):
    (table,) = ablate("order", smoke(tmp_path), seeds=1, rows=["shuffled everywhere"])
    ((row, (scores,)),) = table.rows.items()
    assert row.shuffle == "all"
    assert 0 < scores.mAP <= 1


def test_fine_queries_are_those_of_the_manifest(tmp_path: Path):
    query = read_dataset("mars", TRACKLETS).query
    assert fine_queries(query, tmp_path) == [False] * len(query)
    known = [{"name": query[0].name, "fine_detail": "shoes"}, {"name": query[1].name, "fine_detail": ""}]
    (tmp_path / "manifest.json").write_text(json.dumps({"tracklets": known}))
    assert fine_queries(query, tmp_path) == [True, False]


def test_spread():
    assert spread([0.5]) == "50.0"
    assert spread([0.5, 0.6]) == "55.0 ± 7.1"
    assert spread([float("nan")]) == ""


def test_unknown_names(tmp_path: Path):
    with pytest.raises(KeyError, match="no table '2a'; there are 1a, 1b"):
        next(ablate("2a", smoke(tmp_path)))
    with pytest.raises(KeyError, match="did you mean 'Baseline'"):
        next(ablate("1a", smoke(tmp_path), rows=["baseline"]))
    with pytest.raises(ValueError, match="minutes=0: give a number above 0"):
        next(ablate("1a", smoke(tmp_path), minutes=0))
    with pytest.raises(ValueError, match=r"rows=\[\]: name some of"):
        next(ablate("1a", smoke(tmp_path), rows=[]))
    with pytest.raises(ValueError, match="seeds=0"):
        next(ablate("1a", smoke(tmp_path), seeds=0))


def test_scores_of_other_data_or_frames_are_not_reused(tmp_path: Path):
    shutil.copytree(TRACKLETS, tmp_path / "data")
    config = dataclasses.replace(smoke(tmp_path / "out"), root=str(tmp_path / "data"))
    (first,) = ablate("1a", config, seeds=1, rows=["Baseline"])
    shutil.rmtree(tmp_path / "out/1a/baseline/seed0/run")  # checkpoints take room; the scores stay
    moved = dataclasses.replace(config, root=str(TRACKLETS))
    (again,) = ablate("1a", moved, seeds=1, rows=["Baseline"])
    assert str(again) == str(first)
    with pytest.raises(ValueError, match="holds this row with another frames"):
        next(ablate("1a", dataclasses.replace(config, test_frames="even8"), seeds=1, rows=["Baseline"]))
    frame = Path(next(iter(read_dataset("mars", config.root).query[0].frames)))
    frame.write_bytes(frame.read_bytes() + b"\0")
    with pytest.raises(ValueError, match="holds this row with another data"):
        next(ablate("1a", config, seeds=1, rows=["Baseline"]))


def test_frames_of_the_final_evaluation_are_those_of_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen = []

    def watched(*arguments: Any, **more: Any) -> Any:
        seen.append(more["frames"])
        return denseil.evaluate(*arguments, **more)

    monkeypatch.setattr(sys.modules["denseil.training.ablate"], "evaluate", watched)
    for policy in ("all", "even8", "none"):
        config = dataclasses.replace(smoke(tmp_path / policy), test_frames=policy)
        next(ablate("1a", config, seeds=1, rows=["Baseline"]))
    assert seen == ["all", "even8", "all"]


@pytest.mark.parametrize("text", ["[]", "{", '{"tracklets": 3}', '{"tracklets": [1, {"name": "a"}]}'])
def test_a_manifest_of_another_kind_is_not_that_of_rendered_people(tmp_path: Path, text: str):
    query = read_dataset("mars", TRACKLETS).query
    (tmp_path / "manifest.json").write_text(text)
    assert fine_queries(query, tmp_path) == [False] * len(query)


def test_a_budget_that_is_too_small_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    cost = Cost(start=60, epoch=120, end=60)
    found = with_budget(smoke(tmp_path), tmp_path, minutes=1, seeds=2, parallel=1, costs=iter([cost]))
    assert found.epochs == 1
    assert "2 trainings, 1 at a time, do not fit into 1 minutes with one epoch each: they will take about 8.0" in (
        caplog.text
    )
