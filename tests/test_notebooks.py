"""The notebooks run, and the pages made of them show the same code (nbclient and nbconvert, of the extra `docs`)."""

import json
import re

import pytest

from tests.docs_notebooks import NAMES, NOTEBOOKS, PAGES, execute, page

EXPECTED = {
    "train_and_evaluate": ["standard, cosine distance, frames: all", "in the package"],
    "video_to_persons": ["180 crops of 36 tracklets", "linked pairs are right"],
    "where_attention_looks": ["block 2: H"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_and_makes_its_page(name: str):
    for package in ("nbclient", "nbconvert", "ipykernel"):
        pytest.importorskip(package, reason=f'no {package}: pip install ".[docs]"')
    text, pictures = page(name, execute(name))
    for expected in EXPECTED[name]:
        assert expected in text
    assert pictures
    assert set(re.findall(r"\]\((\S+\.webp)\)", text)) == set(pictures)
    assert "/tmp" not in text


@pytest.mark.parametrize("name", NAMES)
def test_the_page_of_a_notebook_has_its_code_and_pictures(name: str):
    notebook = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text())
    text = (PAGES / f"{name}.md").read_text()
    for cell in notebook["cells"]:
        assert "".join(cell["source"]).partition("\n")[2] in text, "run: python -m tests.docs_notebooks"
        assert not cell.get("outputs")
    for picture in re.findall(r"\]\((\S+\.webp)\)", text):
        assert (PAGES / picture).stat().st_size > 1000
