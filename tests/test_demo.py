"""The demo, cut short, on real tracklets; the page is looked into, not only made."""

import re
from pathlib import Path

import pytest

from denseil.cli import main
from tests.data.test_mars import TINY


@pytest.mark.slow  # README's first command runs the same
def test_demo_writes_a_page_that_needs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    arguments = ["demo", "--real", str(TINY), "--output", str(tmp_path / "demo"), "--epochs", "2"]
    assert main(arguments) == 0
    page = (tmp_path / "demo" / "report.html").read_text()
    assert f"the report is in {tmp_path / 'demo' / 'report.html'}" in capsys.readouterr().out
    for text in (
        "DenseIL, trained",
        "baseline, untrained",
        "HSV histogram",
        "2 queries, 6 in the gallery",
        "packaged weights",
        "denseil_mobilenetv2.people_v1, not trained further",
    ):
        assert text in page, text
    assert not re.findall(r"(?:src|href)=[\"']https?:", page)
    assert page.count("data:image") > 5
    shares = re.findall(r"(?:level \d|own tokens)</td>\s*<td[^>]*>([\d.]+)</td>\s*<td[^>]*>([\d.]+)", page)
    assert len(shares) == 4  # three levels and H, each with a column for the model trained here and for the wheel's
    for column in zip(*shares, strict=True):
        assert sum(map(float, column)) == pytest.approx(100, abs=0.05)
    assert main(arguments) == 0  # again: nothing is trained anew
