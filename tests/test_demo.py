"""The demo on real tracklets and on a real video; the page is looked into, not only made."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import denseil
from denseil.cli import main
from denseil.demo.video import add_video
from denseil.synth import sample
from denseil.viz import Page
from tests.data.test_mars import TINY
from tests.data.videos import PETS_TRACKS, PETS_VIDEO, needs_pets


def sections(page: str) -> dict[str, str]:
    """The parts of a page by their titles."""
    return dict(re.findall(r'<section class="part[^"]*">\s*<h2>(.*?)</h2>(.*?)</section>', page, re.S))


@pytest.mark.slow  # README's first command runs the same
def test_demo_writes_a_page_that_needs_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["demo", "--real", str(TINY), "--output", str(tmp_path / "demo"), "--device", "cpu"]) == 0
    page = (tmp_path / "demo" / "report.html").read_text()
    assert f"the report is in {tmp_path / 'demo' / 'report.html'}" in capsys.readouterr().out
    assert not re.findall(r"(?:src|href)=[\"']https?:", page)
    assert page.count("data:image") > 100
    parts = sections(page)
    for title in ("Real people", "Rendered people, ranked"):
        found = parts[title]
        assert found.count('<li class="right">') > 1
        assert found.count('<li class="wrong">') > 1
        for query in re.findall(r"<article.*?</article>", found, re.S):  # a mark says whether the persons are one
            asked = re.search(r"<h3>person (\d+)</h3>", query)[1]
            for state, pid in re.findall(r'<li class="(\w+)">.*?title="person (\d+)"', query, re.S):
                assert (state == "right") == (pid == asked)
    assert parts["Rendered people and their cameras"].count("<figure>") == 5 * 3
    looks = parts["Where dense attention looks on rendered people"]
    assert looks.count('<i style="--s:1.000"></i>') >= 3 * 3  # the strongest part of each strip
    for shares in re.findall(r"<p>(H .*?)</p>", looks):
        assert sum(map(int, re.findall(r"(\d+) %", shares))) == pytest.approx(100, abs=2)
    scores = re.findall(r"<td>([^<]+)</td><td class=\"number\">([\d.]+)</td>", parts["Scores on rendered people"])
    by_name = {name: float(value) for name, value in scores}
    assert set(by_name) == {"dense interaction", "frames averaged", "a histogram of colours"}
    assert by_name["dense interaction"] > by_name["a histogram of colours"]
    assert parts["More frames"].count('class="curve"') == 2
    assert parts["CMC"].count('class="curve"') == 3
    assert str(sample()) not in page  # pictures are in it, not their paths


@pytest.mark.slow
@needs_pets
def test_demo_of_one_s_own_video(tmp_path: Path):
    video = ["--video", str(PETS_VIDEO), "--tracks", str(PETS_TRACKS)]
    assert main(["demo", *video, "--output", str(tmp_path), "--device", "cpu"]) == 0
    parts = sections((tmp_path / "report.html").read_text())
    halves = parts["Your video: half a track finds its other half"]
    assert len(re.findall(r'<li class="right">', halves)) == 8  # each of the 8 tracks has one other half
    assert "of 8 tracks" in halves
    assert "Where dense attention looks in your video" in parts


def test_doubts_about_the_boxes_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    folder, tracks, page = tmp_path / "img1", tmp_path / "street.txt", Page("t")
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (8, 48, 96, 3), np.uint8)
    for number, picture in enumerate(pixels, start=1):
        Image.fromarray(picture).save(folder / f"{number}.png")
    tracks.write_text("".join(f"{at},{track},{30 * track},4,20,40\n" for at in range(1, 13) for track in (1, 2)))
    model = denseil.create_model("denseil", backbone="test_resnet", dim=32, depth=1, num_heads=2, ffn_dim=32)
    model.preprocessing = denseil.Preprocessing(size=(64, 32), clip_len=2)
    add_video(page, model.eval(), denseil.TrackletEmbedder(model, device="cpu"), folder, tracks)
    page.write(tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    assert "skipped: 8 boxes of frames after the last, 8" in html
    assert "check: the video ends before its boxes" in html
    assert "the video ends before its boxes" in caplog.text


def test_a_video_needs_its_tracks(capsys: pytest.CaptureFixture[str]):
    assert main(["demo", "--video", "street.mp4"]) == 2
    assert "give both or neither" in capsys.readouterr().err
