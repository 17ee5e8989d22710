"""docs/own_model.md from end to end: train, evaluate, embed and export a module of one's own; the three agree."""

import re
import shutil
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]


def test_the_page_runs_and_its_three_results_agree(tmp_path: Path, monkeypatch):
    shutil.copytree(ROOT / "tests/data/mars_tiny", tmp_path / "tests/data/mars_tiny")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/own_model.md").read_text(encoding="utf-8"), re.M | re.S)
    assert len(blocks) == 3
    page: dict[str, object] = {"__name__": "own_model"}
    torch.manual_seed(0)
    for block in blocks:
        exec(compile(block, "own_model.md", "exec"), page)
    assert page["done"].result.mAP == page["result"].mAP  # trained and then evaluated, or evaluated by hand
    torch.testing.assert_close(page["exported"], page["vectors"], rtol=0, atol=1e-5)
    assert (tmp_path / "runs/own/final/model.safetensors").is_file()
