from __future__ import annotations

import re
from pathlib import Path

import pytest

from denseil.metrics import Embeddings, load_features, rank

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")


def test_the_code_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    exec(compile(code, "docs/metrics.md", "exec"), {})
    assert {path.name for path in tmp_path.iterdir()} == {"result.json", "cmc.png", "q.safetensors"}
    assert load_features("q.safetensors").metadata["frames"] == "all"


def test_the_table_of_the_page_is_what_is_printed() -> None:
    gallery = Embeddings([[0.0], [0.1], [1], [2], [3], [4], [5]], [1, -1, 0, 1, 2, 1, 1], [0, 1, 1, 1, 1, 0, 2])
    # The worked example, on the cosine of angles that grow with the place on the line.
    angles = gallery.vectors[:, 0] / 10
    gallery = Embeddings(
        [[a, b] for a, b in zip(angles.cos(), angles.sin(), strict=True)], gallery.pids, gallery.camids
    )
    assert f"```text\n{rank(gallery=gallery, query_index=[0], protocol='mars-official', frames='all')}\n```" in PAGE
