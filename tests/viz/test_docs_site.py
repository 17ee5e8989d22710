"""The built docs in a browser, at the widths of a laptop and a phone: nothing is cut off, no flag is broken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
WIDTHS = (1280, 390)
CUT = """() => {
  const found = [], width = document.documentElement.clientWidth;
  const say = (element, what) => found.push(what + ': ' + element.textContent.trim().slice(0, 60));
  if (document.documentElement.scrollWidth > width) found.push('the page scrolls sideways');
  const parts = ':is(pre, code, table, img, p, li, h1, h2, h3, .md-typeset__scrollwrap)';
  for (const element of document.querySelectorAll('.md-content ' + parts)) {
    const box = element.getBoundingClientRect();
    if (!box.width) continue;
    if (element.clientWidth && element.scrollWidth > element.clientWidth + 5) say(element, 'wider than its box');
    if (box.right > width + 1) say(element, 'reaches past the window');
  }
  for (const code of document.querySelectorAll('.md-content code')) {
    const texts = document.createTreeWalker(code, NodeFilter.SHOW_TEXT);
    while (texts.nextNode())
      for (const flag of texts.currentNode.textContent.matchAll(/--[\\w-]{1,40}/g)) {
        const range = document.createRange();
        range.setStart(texts.currentNode, flag.index);
        range.setEnd(texts.currentNode, flag.index + flag[0].length);
        const lines = new Set([...range.getClientRects()].map(box => Math.round(box.top)));
        if (lines.size > 1) found.push('broken flag: ' + flag[0]);
      }
  }
  return found;
}"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The docs, built strictly; with `--quiet` mkdocs counts no warnings."""
    for package in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(package, reason='no mkdocs: pip install ".[docs]"')
    folder = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut_off(width: int, site: Path, browser: Any):
    page = browser.new_page(viewport={"width": width, "height": 900})
    cut = {}
    files = sorted(site.rglob("index.html"))
    for file in files:
        page.goto(file.as_uri())
        page.wait_for_function(
            "document.querySelectorAll('.md-content table').length === "
            "document.querySelectorAll('.md-content .md-typeset__table table, .md-content table[class]').length"
        )
        if found := page.evaluate(CUT):
            cut[file.parent.relative_to(site).as_posix()] = found
    page.close()
    assert len(files) > 40
    assert not cut
