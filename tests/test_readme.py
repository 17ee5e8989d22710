"""README's commands on MARS run on the real tracklets of the checkout, with a small recipe and nothing else changed."""

import re
import shlex
from pathlib import Path

import pytest

from denseil.cli import main
from tests.data.test_mars import TINY

README = Path(__file__).parent.parent / "README.md"


def test_train_on_mars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    section = README.read_text().partition("## Train on MARS")[2]
    commands = re.search(r"```bash\n(.*?)```", section, re.S)[1].strip().splitlines()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    ran = 0
    for command in commands:
        if command.startswith("denseil "):
            words = shlex.split(command.replace("paper-mars", "smoke").replace("/data/mars", str(TINY)))
            assert main(words[1:]) == 0, command
            ran += 1
    out = capsys.readouterr().out
    assert ran == 4
    assert "steps: 2 epochs x 1 = 2" in out
    assert out.count("the model is in runs/mars/final") == 2
    assert "mars-official, cosine distance, frames: all" in out
    assert (tmp_path / "evaluation" / "mars-final-mars-all-mars-official-cosine.json").exists()


def test_code_of_the_training_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    text = (README.parent / "docs" / "training.md").read_text().replace("tests/data/mars_tiny", str(TINY))
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "training.md", "exec"), names)
    assert len(blocks) == 3
    out = capsys.readouterr().out
    assert "mars-official, cosine distance, frames: all" in out
    assert "epoch 1\n" in out
