"""The command line, called as a person would."""

import pytest

import denseil
from denseil.cli import VERBS, main


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    out = capsys.readouterr().out
    assert all(verb in out for verb in VERBS)


def test_version(capsys: pytest.CaptureFixture[str]):
    assert main(["version"]) == 0
    assert capsys.readouterr().out.strip() == denseil.__version__


def test_models_lists_names_with_their_cost(capsys: pytest.CaptureFixture[str]):
    assert main(["models", "--filter", "denseil_resnet50"]) == 0
    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if line.startswith("denseil_resnet50 "))
    assert row.split()[1:] == ["202.9", "M", "23.5", "M", "20.71", "16.21", "4.50", "none"]
    assert "T = 4 frames" in out


def test_profile_of_any_backbone(capsys: pytest.CaptureFixture[str]):
    arguments = '{"backbone": "test_resnet", "dim": 64, "num_heads": 4}'
    assert main(["profile", "denseil", "--frames", "2", "--size", "[64, 32]", "--model_args", arguments]) == 0
    assert "T = 2 frames of 64 x 32" in capsys.readouterr().out


def test_errors_are_one_line_and_status_2(capsys: pytest.CaptureFixture[str]):
    assert main(["profile", "denseil_r5"]) == 2
    err = capsys.readouterr().err
    assert "did you mean" in err
    assert err.count("\n") == 1
