"""`denseil adapt`: the folder, the page, and refusals."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import denseil
from denseil.cli import main
from denseil.cli.adapt_page import adapt_page
from denseil.data import Tracklet, VideoReIDDataset, write_manifest
from denseil.training import AdaptResult
from denseil.training.adapt_criterion import Score
from denseil.training.adapt_result import Cluster, Stage
from tests.training.test_adapt import SIZE, write_tracklets


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tracklets")
    tracklets = write_tracklets(root, light=0.5)
    return write_manifest(VideoReIDDataset(tracklets, [], []), root / "manifest.csv")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = denseil.create_model("denseil", backbone="test_resnet", dim=32, depth=1, num_heads=2, ffn_dim=32)
    model.preprocessing = denseil.Preprocessing(size=SIZE, clip_len=2)
    return denseil.save_pretrained(model, tmp_path_factory.mktemp("model") / "saved")


def test_a_page_that_cannot_be_made_is_said_before_the_work(
    manifest: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert main(["adapt", str(folder), str(manifest), "-o", str(tmp_path / "out"), "--device", "cpu"]) == 2
    assert "to write the page (or give --no-page), jinja2 is needed" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_tracklets_of_several_cameras_are_taken_together(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for name, camera in (("door", 0), ("hall", 1)):
        (tmp_path / name).mkdir()
        own = [one for one in write_tracklets(tmp_path / name, light=0.5) if one.camid % 2 == camera]
        write_manifest(VideoReIDDataset(own, [], []), tmp_path / name / "manifest.csv")
    words = ["adapt", str(folder), str(tmp_path / "door"), "--device", "cpu", "--no-page", "--minutes", "1e-9"]
    more, out = str(tmp_path / "hall"), str(tmp_path / "out")
    assert main([*words, str(tmp_path / "door" / "manifest.csv"), "--output", out]) == 2
    assert "two tracklets have the same frames: give each folder or manifest once" in capsys.readouterr().err
    assert main([*words[:3], more, *words[3:], "--output", out, "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["tracklets"] == 32


def test_tracklets_of_one_manifest_may_begin_with_the_same_frame(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    own = write_tracklets(tmp_path, light=0.5)
    first = own[0]
    window = Tracklet(first.frames[:2], first.pid, first.camid, "window", first.start, first.end)
    manifest = write_manifest(VideoReIDDataset([*own, window], [], []), tmp_path / "manifest.csv")
    words = ["adapt", str(folder), str(manifest), "--output", str(tmp_path / "out"), "--device", "cpu", "--no-page"]
    assert main([*words, "--minutes", "1e-9", "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["tracklets"] == len(own) + 1


def test_the_verb_writes_a_model_a_report_and_a_page(
    manifest: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    words = ["adapt", str(folder), str(manifest), "--output", str(tmp_path / "out"), "--device", "cpu"]
    assert main([*words, "--minutes", "1e-9", "--json", "--quiet"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["adapted"] is False
    assert result["tracklets"] == 32
    assert result["stages"][0]["reason"] == "too little time was left for it"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert json.loads((tmp_path / "out" / "adapt.json").read_text())["model_id"] == result["model_id"]
    page = (tmp_path / "out" / "adapt.html").read_text()
    assert "The model was not adapted" in page
    assert "surely one person" in page
    assert main(words) == 2
    assert "is there already" in capsys.readouterr().err


def test_the_page_shows_stages_histograms_and_clusters(manifest: Path, tmp_path: Path):
    tracklets = denseil.data.read_dataset("manifest", manifest).train
    rng = np.random.default_rng(0)

    def score(conflicts: float) -> Score:
        return Score(np.full((12, 12), conflicts), 0.75, rng.uniform(0.5, 1, 12), rng.uniform(-0.2, 0.6, 20))

    result = AdaptResult(
        folder=tmp_path,
        adapted=True,
        reason="",
        stages=(
            Stage("batch norm", True, "", score(0.321), score(0.256)),
            Stage("clusters", False, "<too small>", None),
        ),
        before=score(0.321),
        after=score(0.256),
        tracklets=len(tracklets),
        learned=12,
        model_id="b",
        source_id="a",
        threshold=0.625,
        clusters=(Cluster(0.71, (3, 5), (1.0, 0.71)), Cluster(0.9, (0, 1, 2), (1.0, 0.95, 0.9))),
    )
    page = adapt_page(result, tracklets).html()
    for text in ("The model was adapted", "0.321", "0.256", "&lt;too small&gt;", "0.625", "Before", "After"):
        assert text in page, text
    assert page.index("least similarity 0.710") < page.index("least similarity 0.900")
    assert page.count("data:image/jpeg") == 5
    assert "kept: conflicts 0.321 to 0.256" in str(result)
