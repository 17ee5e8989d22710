"""The Gradio app of `examples/space`, on loopback: asked by a client, and used in a browser."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

SPACE = Path(__file__).parents[2] / "examples" / "space"


@pytest.fixture(scope="module")
def app() -> Iterator[tuple[Any, str]]:
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    pytest.importorskip("gradio", reason="no gradio: pip install gradio")
    spec = importlib.util.spec_from_file_location("space_app", SPACE / "app.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    built = module.build()
    options = {"server_name": "127.0.0.1", "prevent_thread_lock": True, "quiet": True, "share": False}
    _, url, _ = built.launch(allowed_paths=[str(module.sample())], **options)
    yield module, url
    built.close()


@pytest.mark.slow
def test_a_client_is_answered(app: tuple[Any, str], tmp_path: Path):
    from gradio_client import Client, handle_file
    from gradio_client.exceptions import AppError

    module, url = app
    client = Client(url, verbose=False)
    query, other = module.PEOPLE.query[0], next(t for t in module.PEOPLE.query if t.pid != module.PEOPLE.query[0].pid)
    first, second = ([handle_file(path) for path in one.frames] for one in (query, other))
    found = client.predict(first, api_name="/nearest")
    assert len(found) == 8
    assert found[0]["caption"].startswith(f"person {query.pid}: ")
    same = client.predict(first, first, api_name="/compare")
    assert same.startswith("Cosine similarity 1.000: the same person")
    assert "Cosine similarity" in client.predict(first, second, api_name="/compare")
    with Image.open(client.predict(first, api_name="/look")) as picture:
        width, height = picture.size
        assert (width % 64, height) == (0, 128)
        assert np.ptp(np.asarray(picture.convert("RGB"))) > 50
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    for wrong, message in (([], "at least one picture"), ([handle_file(str(broken))], "no picture that can be read")):
        with pytest.raises((AppError, ValueError), match=message):
            client.predict(wrong, api_name="/nearest")


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_in_a_browser(app: tuple[Any, str], browser: Any, width: int):
    _, url = app
    tab = browser.new_page(viewport={"width": width, "height": 900})
    tab.goto(url)
    tab.get_by_role("button", name="Find", exact=True).click()
    tab.get_by_text(re.compile(r"person \d+: 0\.\d\d, same")).first.wait_for(timeout=30_000)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    tab.close()


def test_what_a_space_needs_is_said():
    header = (SPACE / "README.md").read_text().split("---")[1]
    for line in ("sdk: gradio", "app_file: app.py", "license: apache-2.0"):
        assert line in header
    assert (SPACE / "requirements.txt").read_text().split() == ["denseil[data,viz]"]
