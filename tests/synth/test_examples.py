"""The examples on rendered people run."""

import re
from pathlib import Path

import pytest
from PIL import Image

import denseil
from denseil.synth import sample
from tests.test_examples import TRACKLETS, load


def test_heads_sheet_has_both_kinds(tmp_path: Path):
    load("heads_sheet").main([str(tmp_path / "sheet.png"), "--columns", "2", "--height", "64"])
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (2 * 32, 2 * 64)
        painted, photographed = sheet.crop((0, 0, 64, 64)), sheet.crop((0, 64, 64, 128))
    assert painted.tobytes() != photographed.tobytes()


@pytest.mark.parametrize("groups", [[], ["--groups", "1"], ["--heads", "photographed"]])
def test_contact_sheet_has_a_row_for_each_person(groups: list[str], tmp_path: Path):
    options = ["--rows", "2", "--frames", "1", "--height", "64", "--difficulty", "hard", *groups]
    load("contact_sheet").main([str(tmp_path / "sheet.png"), *options])
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (4 * 32, 2 * 64)


@pytest.mark.slow
def test_training_and_baselines_run_on_the_sample(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    options = ["--init", "random", "--epochs", "1", "--num-ids", "4", "--evaluate", "mars", str(TRACKLETS)]
    load("train_on_rendered_people").main([str(sample()), "--output", str(tmp_path / "run"), *options])
    assert f"mars in {TRACKLETS}" in capsys.readouterr().out
    load("rendered_people_baselines").main([str(sample()), "--trained", str(tmp_path / "run" / "final")])
    out = capsys.readouterr().out
    chance, histogram = (re.search(rf"^{row}.*? +([\d.]+)", out, re.M).group(1) for row in ("chance", "HSV.*stripes"))
    assert float(histogram) > float(chance)
    for name in denseil.list_pretrained():
        assert re.search(rf"^{re.escape(name)} +\d", out, re.M)
    assert re.search(r"run/final +\d", out)
