"""The page of an evaluation, as text and in a browser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from denseil import cli
from denseil.metrics import Embeddings, KReciprocal, RankingResult, rank, save_features
from denseil.viz import Shown, evaluation_page, shown_features
from tests.viz.test_page import HOSTILE, picture, visit

PEOPLE = 12


def embeddings(size: int, seed: int, camid: int) -> Embeddings:
    generator = torch.Generator().manual_seed(seed)
    pids = torch.arange(size) % PEOPLE + 1
    vectors = torch.eye(PEOPLE + 1)[pids] + 0.35 * torch.randn(size, PEOPLE + 1, generator=generator)
    return Embeddings(vectors, pids, torch.full((size,), camid))


def shown(of: Embeddings, letter: str) -> list[Shown]:
    return [Shown(f"{letter}{at}", pid) for at, pid in enumerate(of.pids.tolist())]


@pytest.fixture
def evaluated() -> tuple[RankingResult, Embeddings, Embeddings]:
    query, gallery = embeddings(30, 0, 1), embeddings(60, 1, 2)
    query = Embeddings(query.vectors, query.pids.index_fill(0, torch.tensor([4, 5]), 99), query.camids)  # no match
    return rank(query, gallery, frames="all"), query, gallery


def names(html: str) -> list[str]:
    return re.findall(r'aria-label="Query \d+: (\w+)"', html)


def test_worst_queries_come_first_and_the_rest_is_counted(evaluated: tuple[RankingResult, Embeddings, Embeddings]):
    result, query, gallery = evaluated
    assert result.average_precision is not None
    html = evaluation_page(result, (query, shown(query, "q")), (gallery, shown(gallery, "g")), limit=8, k=5).html()
    scores = {f"q{at}": score for at, score in enumerate(result.average_precision.tolist()) if score == score}
    assert names(html) == sorted(scores, key=scores.__getitem__)[:8]
    assert "Not shown: 2 queries without a match" in html
    assert "The worst 8 queries of 28 by score." in html
    assert f"{100 * result.mAP:.2f}" in html
    assert html.count('class="curve"') == 1
    assert html.count('<li class="right">') + html.count('<li class="wrong">') == 8 * 5
    for text in ("standard", "cosine", "all"):
        assert f"<td>{text}</td>" in html


def test_marks_and_first_ranks_agree(evaluated: tuple[RankingResult, Embeddings, Embeddings]):
    result, query, gallery = evaluated
    html = evaluation_page(result, (query, shown(query, "q")), (gallery, shown(gallery, "g")), k=60).html()
    articles = html.split("<article")[1:]
    assert len(articles) == result.num_valid
    for article in articles:
        marks = re.findall(r'<li class="(right|wrong)">', article)
        assert f"first right at rank {marks.index('right') + 1}<" in article


def test_a_re_ranked_result_says_that_the_lists_are_not(evaluated: tuple[RankingResult, Embeddings, Embeddings]):
    _, query, gallery = evaluated
    for rerank in (None, KReciprocal(k1=5)):
        result = rank(query, gallery, rerank=rerank)
        html = evaluation_page(result, (query, shown(query, "q")), (gallery, shown(gallery, "g"))).html()
        assert f"<td>{rerank or 'no'}</td>" in html
        assert ("in the order of the distance alone" in html) is bool(rerank)


def test_a_loaded_result_is_refused(evaluated: tuple[RankingResult, Embeddings, Embeddings]):
    result, query, gallery = evaluated
    loaded = RankingResult.from_json(result.to_json())
    with pytest.raises(ValueError, match="these 30 queries"):
        evaluation_page(loaded, (query, shown(query, "q")), (gallery, shown(gallery, "g")))


@pytest.fixture
def files(evaluated: tuple[RankingResult, Embeddings, Embeddings], tmp_path: Path) -> list[str]:
    """Features files with hostile records; the gallery's have pictures."""
    _, query, gallery = evaluated
    paths = [str(tmp_path / f"{name}.safetensors") for name in "qg"]
    crop = picture(tmp_path / "crop.png")
    save_features(paths[0], query, records=[{"id": f"{HOSTILE[at % 6]}{at}", "thumbnail": 3} for at in range(30)])
    save_features(paths[1], gallery, records=[{"thumbnail": crop} for _ in range(60)])
    return paths


def test_command_on_features(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    page = tmp_path / "report.html"
    assert cli.main(["evaluate", "--features", *files, "--page", str(page)]) == 0
    assert f"page: {page}" in capsys.readouterr().out
    html = page.read_text(encoding="utf-8")
    assert html.count("<script") == 2  # the page's own
    assert html.count("data:image") == 1  # each picture once
    assert [one.name for one in shown_features(files[1])[1]][:2] == ["g:0", "g:1"]
    assert cli.main(["evaluate", "--features", *files, "--attention", "--page", str(page)]) == 2
    assert "--attention needs a model and a page" in capsys.readouterr().err
    assert cli.main(["evaluate", "--features", *files, "--rerank", "--page", str(page)]) == 2
    assert "--page shows lists that are not re-ranked: leave out" in capsys.readouterr().err


def test_it_is_whole_in_a_browser(browser: Any, files: list[str], tmp_path: Path):
    query, gallery = (shown_features(path) for path in files)
    page = evaluation_page(rank(query[0], gallery[0]), query, gallery)
    for width in (1280, 390):
        tab = visit(browser, page, tmp_path / "p.html", viewport={"width": width, "height": 844})
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.locator("article").count() == 28
        assert tab.evaluate("window.hacked") is None
        assert tab.problems == []
        tab.close()
