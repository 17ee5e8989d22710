"""Results of `denseil evaluate` of several models, splits and weights: each has a file of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from denseil.cli.saved_result import result_name, save_result
from denseil.metrics import Embeddings, RankingResult, rank


def named(model: str, checkpoint: str | None = None, **data_args: object) -> str:
    weights = Path(checkpoint) if checkpoint else None
    return result_name(model, "mars", ["all", "standard"], checkpoint=weights, data_args=data_args)


def test_names_tell_runs_weights_and_splits_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for folder in ("a/final", "b/final", "b/best", "b/tiny"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert named("a/final") == named(f"local-dir:{tmp_path}/a/final") == "a-final-mars-all-standard.json"
    assert (named("b/final"), named("b/best")) == ("b-final-mars-all-standard.json", "b-best-mars-all-standard.json")
    assert named("b/tiny") == "tiny-mars-all-standard.json"
    monkeypatch.chdir(tmp_path / "b" / "final")
    assert named(".") == "b-final-mars-all-standard.json"
    assert named("hf-hub:owner/net") == "net-mars-all-standard.json"
    assert named("net", "runs/epoch_3.safetensors") == "net-epoch_3-mars-all-standard.json"
    assert named("net", split=1, root="/x/y") == "net-mars-root_x_y-split1-all-standard.json"
    assert len(named("net", what="x" * 999)) < 80


def test_another_result_is_never_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    first = rank(Embeddings([[0.0]], [1], [0]), Embeddings([[1.0]], [1], [1]), metric="euclidean")
    results = [first, replace(first, mAP=0.5), replace(first, mAP=0.25)]
    for result in [*results, *results]:  # once more is no other result
        save_result(result, tmp_path / "out" / "x.json", quietly=False)
    found = {path.name: RankingResult.load(path).mAP for path in (tmp_path / "out").iterdir()}
    assert found == {"x.json": 1.0, "x-2.json": 0.5, "x-3.json": 0.25}
    assert "x-2.json (x.json holds another result)" in capsys.readouterr().out
