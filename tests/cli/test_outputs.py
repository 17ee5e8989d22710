"""A command does not write over what it reads."""

from pathlib import Path

import numpy as np
import pytest

from denseil.cli import main
from denseil.cli.outputs import check_outputs
from denseil.metrics import Embeddings, save_features


@pytest.fixture
def features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save_features(Path("f.safetensors"), Embeddings(np.eye(4), [1, 1, 2, 2], [1, 2, 1, 2]))
    Path("other.safetensors").write_bytes(Path("f.safetensors").read_bytes())
    return tmp_path / "f.safetensors"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("link f.safetensors -o f.safetensors", "f.safetensors is both output and features"),
        ("link f.safetensors -o ../{}/f.safetensors", "f.safetensors is both output and features"),
        ("link other.safetensors f.safetensors -o new.csv --page f.safetensors", "is both page and features"),
        ("link f.safetensors -o new.csv --page new.csv", "new.csv is both output and page"),
        ("evaluate --features f.safetensors other.safetensors --json f.safetensors", "is both json and features"),
        ("embed crops --model f.safetensors -o f.safetensors", "f.safetensors is both output and model"),
    ],
)
def test_nothing_that_is_read_is_written_over(
    features: Path, words: str, text: str, capsys: pytest.CaptureFixture[str]
):
    before = features.read_bytes()
    assert main(words.format(features.parent.name).split()) == 2
    assert text in capsys.readouterr().err
    assert features.read_bytes() == before
    assert not Path("new.csv").exists()


def test_other_files_are_written(features: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["link", str(features), "--threshold", "0.5", "-o", "new.csv", "--page", "new.html"]) == 0
    check_outputs({"recipe": "smoke", "output": Path("smoke"), "model": "a" * 5000})  # names, and no files
    assert main(["evaluate", "--features", str(features), str(features), "--json", "-"]) == 0
    assert Path("new.csv").exists()
    assert capsys.readouterr().out.strip().endswith("}")
