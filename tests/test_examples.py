"""The examples run on real tracklets."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
TRACKLETS = ROOT / "tests" / "data" / "mars_tiny"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_drop_in_trains_in_all_three_ways(capsys: pytest.CaptureFixture[str]):
    load("drop_in").main(str(TRACKLETS), steps=6)
    out = capsys.readouterr().out
    assert "8 tracklets of 2 people" in out
    losses = [(float(a), float(b)) for a, b in re.findall(r"loss ([\d.]+) -> ([\d.]+)", out)]
    assert len(losses) == 3  # pytorch-metric-learning is in the test extra
    assert all(last < first for first, last in losses)
    assert out.count("eval gives (8, 128)") == 3


def test_drop_in_needs_nothing_of_our_data_or_engine():
    source = (ROOT / "examples" / "drop_in.py").read_text()
    used = set(re.findall(r"denseil\.(\w+)", source))
    assert used <= {"create_model", "layers", "models", "DenseIL"}


def test_finetune_goes_on_from_its_own_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    load("finetune").main(str(TRACKLETS), str(tmp_path))
    assert "standard, cosine distance, frames: all" in capsys.readouterr().out
    assert (tmp_path / "second" / "final" / "model.safetensors").exists()


def test_every_variant_trains(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    module = load("variants")
    module.main(str(TRACKLETS), str(tmp_path))
    assert capsys.readouterr().out.count("under mars-official") == len(module.VARIANTS)


def test_retrieve_embeds_and_judges(capsys: pytest.CaptureFixture[str]):
    load("retrieve").main([str(TRACKLETS)])
    out = capsys.readouterr().out
    assert "2 queries, 8 test tracklets, 64 frames" in out
    assert "mars-official, cosine distance, frames: all" in out
