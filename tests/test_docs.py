"""Docs that cannot rot: computed tables, code blocks, docstrings against signatures."""

import doctest
import importlib
import inspect
import pkgutil
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

import denseil
from tests.docs_tables import DOCS, TABLES, between_markers

ROOT = DOCS.parent


@pytest.mark.parametrize("page", TABLES)
def test_computed_tables_are_current(page: str):
    text = (DOCS / page).read_text()
    assert text == between_markers(text, TABLES[page]()), "run: python -m tests.docs_tables"


def code_blocks(path: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", path.read_text(), re.M | re.S)


@pytest.mark.parametrize("page", ["drop_in.md", "fast.md", "works_with.md"])
def test_code_of_a_page_runs(page: str):
    for block in code_blocks(DOCS / page):
        exec(compile(block, page, "exec"), {})


@pytest.mark.slow
def test_first_code_block_of_readme_runs():
    exec(compile(code_blocks(ROOT / "README.md")[0], "README.md", "exec"), {})


@cache
def public_objects() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for module in (
        "denseil",
        "denseil.layers",
        "denseil.models",
        "denseil.data",
        "denseil.metrics",
        "denseil.embedding",
        "denseil.gallery",
        "denseil.viz",
        "denseil.losses",
        "denseil.training",
        "denseil.exporters",
        "denseil.linking",
        "denseil.runtime",
        "denseil.synth",
    ):
        for name, value in vars(importlib.import_module(module)).items():
            if not name.startswith("_") and (inspect.isclass(value) or inspect.isfunction(value)):
                found.setdefault(f"{module}.{name}", value)
    return found


@pytest.mark.parametrize("name", public_objects())
def test_docstring_names_every_argument(name: str):
    value = public_objects()[name]
    doc = inspect.getdoc(value) or ""
    assert doc, name
    documented = set(re.findall(r"^\s+\**(\w+): ", doc.partition("Args:")[2].partition("Raises:")[0], re.M))
    arguments = set(inspect.signature(value).parameters) - {"self", "args", "kwargs"}
    if "Args:" in doc:
        assert arguments <= documented, arguments - documented


def test_every_public_name_is_on_a_page_of_the_api():
    pages = "\n".join(page.read_text() for page in (DOCS / "api").glob("*.md"))
    shown = {name.rpartition(".")[2] for name in re.findall(r"^::: (\S+)$", pages, re.M)}
    ours = {value.__name__ for name, value in public_objects().items() if name.count(".") == 2 and is_ours(value)}
    assert len(ours) > 150
    assert not ours - shown


def is_ours(value: object) -> bool:
    return getattr(value, "__module__", "").startswith("denseil.")


def modules() -> list[str]:
    return [m.name for m in pkgutil.walk_packages(denseil.__path__, "denseil.")]


@pytest.mark.parametrize("name", modules())
def test_doctests(name: str):
    module = importlib.import_module(name)
    results = doctest.testmod(module, extraglobs={"torch": torch}, optionflags=doctest.ELLIPSIS)
    assert results.failed == 0
