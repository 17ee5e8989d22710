"""A command does not write over what it reads, and knows that it can write before it reads."""

import os
import re
import sys
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
        ("link f.safetensors -o f.safetensors", "f.safetensors: its format is csv, not safetensors; call it f.csv"),
        ("link f -o f", "f is both output and features"),
        ("link f -o ../{}/f", "f is both output and features"),
        ("link other.safetensors f -o new.csv --page f", "f is both page and features"),
        ("link f.safetensors -o new --page new", "new is both output and page"),
        ("evaluate --features f.safetensors other.safetensors --json f.safetensors", "is both json and features"),
        ("embed crops --model f.safetensors -o f.safetensors", "f.safetensors is both output and model"),
    ],
)
def test_nothing_that_is_read_is_written_over(
    features: Path, words: str, text: str, capsys: pytest.CaptureFixture[str]
):
    before = features.read_bytes()
    Path("f").write_bytes(before)  # a name without a suffix
    assert main(words.format(features.parent.name).split()) == 2
    assert text in capsys.readouterr().err
    assert features.read_bytes() == Path("f").read_bytes() == before
    assert not any(Path(name).exists() for name in ("new", "new.csv"))


def test_other_files_are_written(features: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["link", str(features), "--threshold", "0.5", "-o", "new.csv", "--page", "new.html"]) == 0
    check_outputs({"recipe": "smoke", "output": Path("smoke"), "model": "a" * 5000})  # names, and no files
    assert main(["evaluate", "--features", str(features), str(features), "--json", "-"]) == 0
    assert Path("new.csv").exists()
    assert capsys.readouterr().out.strip().endswith("}")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("link f.safetensors -o no/p.csv", "argument -o/--output: cannot write no/p.csv: there is no folder"),
        ("link f.safetensors -o p.csv --page no/p.html", "argument --page: cannot write no/p.html: there is no folder"),
        ("link f.safetensors -o - --page -", "argument -o/--output: '-' names no output: only evaluate"),
        ("link f.safetensors -o p.csv --page ./-", "argument --page: './-' names no output"),
        ("link f.safetensors -o p.csv --mot -", "argument --mot: '-' names no output"),
        ("export m -", "argument output: '-' names no output"),
        ("calibrate f.safetensors m --plot p.txt", "argument --plot: p.txt: the suffix names the format of a figure"),
        ("embed crops --model m -o v.npz", "v.npz: its format is safetensors, not npz; call it v.safetensors"),
        (
            "features merge f.safetensors -o m.csv",
            "argument -o/--output: m.csv: its format is safetensors, not csv; call",
        ),
        ("link f.safetensors -o p.xlsx", "argument -o/--output: p.xlsx: its format is csv, not xlsx; call it p.csv"),
        ("link f.safetensors -o p.csv --questions q.json", "--questions: q.json: its format is csv, not json"),
        (
            "search a --gallery people --page s.pdf",
            "argument --page: s.pdf: its format is html, not pdf; call it s.html",
        ),
        ("evaluate m mars r --plot p", "argument --plot: p: the suffix names the format of a figure, one of png"),
        ("embed crops --model none -o f.safetensors", "f.safetensors is there already: give another name, or remove"),
        ("link f.safetensors -o p.csv --questions no/q.csv", "argument --questions: cannot write no/q.csv: there"),
        ("link f.safetensors -o p.csv --mot f.safetensors --tracks a=b", "--mot: cannot write into f.safetensors: f."),
        ("link f.safetensors -o p.csv --mot f.safetensors/x --tracks a=b", "f.safetensors is no folder; give the name"),
        ("features merge f.safetensors -o no/m.safetensors", "argument -o/--output: cannot write no/m.safetensors"),
        ("calibrate f.safetensors model --plot no/t.png", "argument --plot: cannot write no/t.png: there is no folder"),
        ("search a --gallery people --page no/s.html", "argument --page: cannot write no/s.html: there is no folder"),
        ("evaluate --features f.safetensors f.safetensors --plot no/c.png", "argument --plot: cannot write no/c.png"),
        ("evaluate --features f.safetensors f.safetensors --json no/c.json", "argument --json: cannot write no/c.json"),
        ("evaluate --features f.safetensors f.safetensors --page .", "argument --page: '.' names no file to write"),
        ("evaluate model mars root -o f.safetensors", "argument -o/--output: cannot write into f.safetensors: f.safe"),
        ("embed crops --model m -o no/v.safetensors", "argument -o/--output: cannot write no/v.safetensors: there is"),
        ("adapt model crops -o f.safetensors/adapted", "argument -o/--output: cannot write into f.safetensors/adapted"),
        ("tracklets a.mp4 a.txt f.safetensors", "argument output: cannot write into f.safetensors: f.safe"),
        ("export model no/m.onnx", "argument output: cannot write no/m.onnx: there is no folder no; create it"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is_read(
    features: Path, words: str, text: str, capsys: pytest.CaptureFixture[str]
):
    features.write_bytes(b"is not read")
    assert main(words.split()) == 2
    assert text in capsys.readouterr().err
    assert {path.name for path in features.parent.iterdir()} == {"f.safetensors", "other.safetensors"}


@pytest.mark.parametrize(
    "words", ["link f.safetensors -o p.csv", "link f.safetensors --mot new/x -o p.csv", "evaluate model mars root"]
)
def test_a_read_only_folder_is_refused_before_anything_is_read(
    features: Path, words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(os, "access", lambda *_: False)  # as root, any folder can be written to
    assert main(words.split()) == 2
    assert re.search(r"cannot write \S+: the folder \S+ is read-only; choose another", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("words", "package"),
    [
        ("link f.safetensors -o p.csv --threshold 0.5 --page p.html", "jinja2"),
        ("search f.safetensors --gallery people --page p.html", "jinja2"),
        ("evaluate --features f.safetensors f.safetensors --page p.html", "jinja2"),
        ("evaluate --features f.safetensors f.safetensors --plot p.png", "matplotlib"),
        ("calibrate f.safetensors model --plot p.png", "matplotlib"),
    ],
)
def test_a_missing_extra_is_told_before_any_work(
    features: Path, words: str, package: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setitem(sys.modules, package, None)
    assert main(words.split()) == 2
    printed = capsys.readouterr()
    assert f"{package} is needed: pip install 'denseil[viz]'" in printed.err
    assert not printed.out
    assert not Path("p.csv").exists()
