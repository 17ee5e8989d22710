"""Pages as text, then in a real browser: nothing hostile runs, all of it can be used."""

from __future__ import annotations

import dataclasses
import io
import os
import re
import threading
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import denseil
from denseil.viz import (
    Attention,
    Page,
    RankedQuery,
    RankedRow,
    Strip,
    StripRow,
    attend,
    attention_by_frame,
    attention_strips,
    line_chart,
)

HOSTILE = [
    "<script>window.hacked = 1</script>",
    '"><img src=x onerror="window.hacked=1">',
    "</script><script>window.hacked = 1</script>",
    "' onmouseover='window.hacked=1",
    "{{ 7 * 7 }} {% raw %} &amp; <!-- ]]> \u202e é 人",
    "</style></title></svg><svg onload=window.hacked=1>",
]


def picture(path: Path, seed: int = 0) -> str:
    pixels = np.random.default_rng(seed).integers(0, 256, (60, 30, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return str(path)


def queries(folder: Path, count: int, found: int = 10) -> list[RankedQuery]:
    paths = [picture(folder / f"{i}.png", i) for i in range(5)]
    return [
        RankedQuery(
            f"query {q}",
            [
                RankedRow(f"row {q} {r}", r / 10, [f"camera {r}"], paths[(q + r) % 5], (q + r) % 2 == 0)
                for r in range(found)
            ],
            ["camera 1"],
            paths[q % 5],
        )
        for q in range(count)
    ]


def hostile_page(folder: Path) -> Page:
    page = Page(HOSTILE[0], HOSTILE[1])
    for text in HOSTILE:
        page.add_text(text)
        page.add_table(text, [text, text], [[text, 1.0], [text, None]], text)
        page.add_figure(line_chart({text: [(0, 1), (1, 2)]}, x=text, y=text), text, text)
    rows = [RankedRow(text, 0.5, [text], text, None) for text in HOSTILE]
    page.add_ranks([RankedQuery(text, rows, [text], text) for text in HOSTILE], HOSTILE[2], HOSTILE[3])
    page.add_strips(
        [StripRow(text, [Strip(text, [text], [[0.5]])], [text]) for text in HOSTILE], HOSTILE[2], HOSTILE[3]
    )
    return page


class Tags(HTMLParser):
    """What a browser would make of the page."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def test_hostile_names_stay_text(tmp_path: Path):
    tags = Tags()
    tags.feed(hostile_page(tmp_path).html())
    assert tags.names.count("script") == 2  # the page's own
    assert "img" not in tags.names
    assert not {name for name in tags.attributes if name.startswith("on")}
    assert all(text in tags.text for text in HOSTILE)


def test_it_is_one_file_with_each_picture_once(tmp_path: Path):
    page = Page("t")
    page.add_ranks(queries(tmp_path, 40))
    html = page.html()
    assert len(page.thumbnails.pictures) == 5
    assert html.count("data:image/jpeg") == 5
    assert not re.findall(r'(?:src|href)="(?!data:)', html)
    assert "http" not in html.replace("http-equiv", "")


def test_pictures_that_cannot_be_read_leave_their_place(tmp_path: Path):
    (tmp_path / "text.jpg").write_text("no picture")
    page = Page("t")
    for path in (str(tmp_path / "text.jpg"), str(tmp_path), str(tmp_path / "absent"), "\0", "a" * 5000, "/dev/null"):
        page.add_ranks([RankedQuery("q", [RankedRow("r", 0.1, thumbnail=path)])])
    assert page.thumbnails.pictures == []


def test_a_pipe_named_as_a_picture_does_not_block_the_page(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.jpg")
    numbers: list[int | None] = []
    reading = threading.Thread(
        target=lambda: numbers.append(Page("t").thumbnails.number(str(tmp_path / "pipe.jpg"))), daemon=True
    )
    reading.start()
    reading.join(timeout=20)
    assert numbers == [None]


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="1 values for 2 columns"):
        Page("t").add_table("t", ["a", "b"], [[1]])


def test_no_points_no_curve():
    with pytest.raises(ValueError, match="no points"):
        line_chart({"a": [(0, float("nan"))]}, x="x", y="y")


def test_names_that_are_not_utf8_can_be_written(tmp_path: Path):
    name = "caf\udce9"
    page = Page(name)
    page.add_figure(line_chart({name: [(0, 1)]}, x=name, y=name), name, name)
    page.write(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8").count(r"caf\udce9") > 4


@pytest.mark.parametrize("points", [[(3, 7)], [(0, 0), (0, 0)], [(1, -2), (2, 5)], [(0, 1e-9), (1e6, 1e9)]])
def test_curves_stay_inside_the_frame(points: list[tuple[float, float]]):
    svg = line_chart({"a": points}, x="x", y="y")
    _, _, width, height = map(float, re.search(r'viewBox="([^"]*)"', svg)[1].split())
    drawn = re.search(r'<g class="curve">\s*<path d="([^"]*)"', svg)[1]
    for across, down in re.findall(r"[ML] (\S+) (\S+)", drawn):
        assert 0 <= float(across) <= width
        assert 0 <= float(down) <= height


def test_attention_sums_to_one_and_keeps_its_places():
    model = denseil.create_model("denseil", backbone="test_resnet", dim=64, num_heads=4).eval()
    with torch.no_grad():
        attention = model.attention_maps(torch.randn(2, 3, 3, 64, 32))[-1]
    shown = attention_by_frame(attention, clip=1, frames=("a", "b", "c"))
    assert shown.levels == (0, 2, 3, 4)
    assert [name for name, _, _ in shown.cells] == ["H", "Z2", "Z3", "Z4"]
    assert shown.shares.shape == (4, 3, 4)
    assert float(shown.shares.sum()) == pytest.approx(1, abs=1e-5)
    keys = (attention.level == 3) & (attention.frame == 2) & (attention.part == 1)
    assert float(shown.shares[2, 2, 1]) == pytest.approx(float(attention.weights[1][..., keys].mean()), abs=1e-6)
    with pytest.raises(ValueError, match="2 pictures for 3 frames"):
        attention_by_frame(attention, frames=("a", "b"))
    with pytest.raises(ValueError, match="of 2 clips"):
        attention_by_frame(attention, clip=2)


def test_attention_of_a_block_of_choice(tmp_path: Path):
    model = denseil.create_model("denseil", backbone="test_resnet", dim=64, num_heads=4, depth=2).eval()
    paths = [picture(tmp_path / f"{i}.png", i) for i in range(3)]
    first, last, default = (attend(model, paths, **which).shares for which in ({"block": 0}, {"block": 1}, {}))
    assert torch.equal(last, default)
    assert not torch.allclose(first, last)
    with pytest.raises(ValueError, match="no dense attention"):
        attend(denseil.create_model("denseil", backbone="test_resnet", depth=0), paths)


def test_attention_is_that_of_the_models_own_colours(tmp_path: Path):
    model = denseil.create_model("denseil", backbone="test_resnet", dim=64, num_heads=4).eval()
    straight, swapped = str(tmp_path / "rgb.png"), str(tmp_path / "bgr.png")
    pixels = np.random.default_rng(0).integers(0, 256, (60, 30, 3), np.uint8)
    Image.fromarray(pixels).save(straight)
    Image.fromarray(pixels[..., ::-1].copy()).save(swapped)
    expected = attend(model, [straight]).shares
    model.preprocessing = dataclasses.replace(model.preprocessing, color_order="BGR")
    assert torch.equal(attend(model, [swapped]).shares, expected)


def test_attention_passes_over_a_damaged_frame(tmp_path: Path):
    model = denseil.create_model("denseil", backbone="test_resnet", dim=64, num_heads=4).eval()
    paths = [picture(tmp_path / f"{i}.png", i) for i in range(8)]
    whole = attend(model, [*paths[:3], paths[2], *paths[4:]])
    Path(paths[3]).write_bytes(b"damaged")
    found = attend(model, paths)
    assert torch.equal(found.shares, whole.shares)
    assert found.frames == tuple(paths)
    for path in paths:
        Path(path).unlink(missing_ok=True)
    with pytest.raises(ValueError, match=r"no frame of tracklet .*0\.png can be read"):
        attend(model, paths)


def visit(browser: Any, page: Page, path: Path, **options: Any) -> Any:
    page.write(path)
    tab = browser.new_page(**options)
    tab.problems = []
    tab.on("console", lambda message: tab.problems.append(message.text))
    tab.on("pageerror", lambda error: tab.problems.append(str(error)))
    tab.on("request", lambda request: request.url.startswith(("file:", "data:")) or tab.problems.append(request.url))
    tab.goto(path.as_uri())
    return tab


@pytest.mark.parametrize("width", [1280, 390])
def test_hostile_names_do_nothing_in_a_browser(browser: Any, tmp_path: Path, width: int):
    tab = visit(browser, hostile_page(tmp_path), tmp_path / "p.html", viewport={"width": width, "height": 800})
    for element in tab.locator("article li").all():
        element.hover()
    assert tab.evaluate("window.hacked") is None
    assert tab.problems == []
    assert tab.title() == HOSTILE[0]
    assert tab.locator("h3").all_text_contents() == [*HOSTILE, *HOSTILE]  # ranks and strips
    assert tab.evaluate("document.documentElement.scrollWidth") == width  # nothing sticks out
    tab.close()


def test_injected_script_would_not_run(browser: Any, tmp_path: Path):
    path = tmp_path / "p.html"
    Page("t").write(path)
    path.write_text(
        path.read_text().replace("<main>", "<main><script>window.hacked = 1</script><img src=x onerror='hacked=1'>")
    )
    tab = browser.new_page()
    tab.goto(path.as_uri())
    assert tab.evaluate("window.hacked") is None
    tab.close()


def test_keyboard_filter_and_theme(browser: Any, tmp_path: Path):
    page = Page("t")
    page.add_ranks(queries(tmp_path, 6))
    tab = visit(browser, page, tmp_path / "p.html", color_scheme="dark")
    focused = "document.activeElement.getAttribute('aria-label')"
    tab.keyboard.press("j")
    tab.keyboard.press("j")
    assert tab.evaluate(focused) == "Query 2: query 1"
    tab.keyboard.press("k")
    assert tab.evaluate(focused) == "Query 1: query 0"
    tab.keyboard.press("/")
    tab.keyboard.type("row 3 9")
    assert tab.locator("article:visible h3").all_text_contents() == ["query 3"]
    assert tab.locator("#shown").text_content() == "1 of 6 queries"
    tab.keyboard.press("Escape")
    tab.locator("#wrong").check()
    assert tab.locator("article:visible h3").all_text_contents() == ["query 1", "query 3", "query 5"]
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = tab.evaluate(paper)
    tab.locator("#theme").click()
    assert tab.evaluate(paper) != dark
    assert tab.problems == []
    tab.close()


def test_marks_are_words_and_colours(browser: Any, tmp_path: Path):
    page = Page("t")
    page.add_ranks(queries(tmp_path, 1, found=2))
    tab = visit(browser, page, tmp_path / "p.html")
    assert [" ".join(text.split()) for text in tab.locator(".distance").all_text_contents()] == [
        "0.000 ✓ right",
        "0.100 ✗ wrong",
    ]
    colours = tab.evaluate("[...document.querySelectorAll('li .picture')].map(e => getComputedStyle(e).boxShadow)")
    assert colours[0] != colours[1]
    tab.close()


def test_a_screenshot_of_the_whole_page_has_its_rows(browser: Any, tmp_path: Path):
    page = Page("t")
    page.add_ranks(queries(tmp_path, 20))
    tab = visit(browser, page, tmp_path / "p.html", viewport={"width": 1280, "height": 300})
    picture = Image.open(io.BytesIO(tab.screenshot(full_page=True))).convert("L")
    assert picture.height > 2500
    last = np.asarray(picture)[-200:]  # the last row
    assert (last < last.max() - 100).sum() > 500  # its text at least
    tab.close()


def test_of_a_thousand_queries_the_first_and_those_near_are_shown(browser: Any, tmp_path: Path):
    page = Page("t")
    page.add_ranks(queries(tmp_path, 1000))
    tab = visit(browser, page, tmp_path / "p.html", viewport={"width": 390, "height": 844})
    loaded = "[...document.images].filter(image => image.hasAttribute('src')).length"
    assert tab.evaluate("document.images.length") == 11_000
    assert 390 <= tab.evaluate(loaded) < 700  # the first are there at once, as a screenshot wants them
    tab.locator("article").nth(999).scroll_into_view_if_needed()
    tab.locator("article").nth(999).locator("img[src]").first.wait_for()
    assert tab.evaluate(loaded) < 1900
    assert tab.problems == []
    tab.close()


def test_attention_opens_on_demand(browser: Any, tmp_path: Path):
    model = denseil.create_model("denseil", backbone="test_resnet", dim=64, num_heads=4).eval()
    with torch.no_grad():
        attention = attention_by_frame(model.attention_maps(torch.randn(1, 3, 3, 64, 32))[-1])
    page = Page("t")
    page.add_ranks([RankedQuery("q", [RankedRow("r", 0.1)], attention=attention)])
    tab = visit(browser, page, tmp_path / "p.html")
    assert not tab.locator(".attention").is_visible()
    tab.locator("summary").focus()
    tab.keyboard.press("Enter")
    assert tab.locator(".attention").is_visible()
    assert tab.locator(".attention i").count() == 4 * 3 * 4
    tab.close()


def test_strips_of_attention_show_each_level_that_counts_on_its_own_scale():
    shares = torch.tensor([[[0.30, 0.20], [0.20, 0.10]], [[0.01, 0.02], [0.01, 0.01]], [[0.05, 0.05], [0.05, 0.00]]])
    strips = attention_strips(Attention((0, 2, 4), shares, ("a.jpg", "b.jpg")))
    assert [strip.label for strip in strips] == [
        "all levels: 11.0 to 36.0 % a part",
        "H, 80 %: 10.0 to 30.0 % a part",
        "Z4, 15 %: 0.0 to 5.0 % a part",
    ]
    assert strips[1].parts == [[1.0, pytest.approx(0.5)], [pytest.approx(0.5), 0.0]]
    assert strips[0].pictures == ("a.jpg", "b.jpg")
