"""The pictures of the docs are those that their script draws today."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.docs_pictures import PICTURES
from tests.docs_tables import DOCS


@pytest.mark.slow
@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_what_its_script_draws(name: str, tmp_path: Path):
    PICTURES[name](tmp_path / name)
    drawn, kept = (Image.open(folder / name).convert("RGB") for folder in (tmp_path, DOCS / "images"))
    assert drawn.size == kept.size
    difference = abs(np.asarray(drawn).astype(int) - np.asarray(kept)).mean()
    assert difference < 2, "run: python -m tests.docs_pictures"  # of 255; fonts may differ by a pixel
