"""The pages `video.md`, `embedding.md` and `gallery.md`, as a person would follow them: each command, each line."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.videos import needs_pets

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```(?:\n\n```text\n(.*?)^```)?", re.M | re.S)


def follow(page: str, folder: Path) -> int:
    """Run a page's blocks in order, its Python in one program; what it shows of their output must be there."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment["PYTHONPATH"] = str(ROOT)
    names: dict[str, object] = {}
    blocks = BLOCK.findall((ROOT / "docs" / page).read_text(encoding="utf-8"))
    for language, code, shown in blocks:
        if language == "python":
            exec(compile(code, page, "exec"), names)
            continue
        done = subprocess.run(
            ["bash", "-e", "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert shown in done.stdout
    return len(blocks)


@needs_pets
@pytest.mark.slow
def test_the_tutorial_from_a_video_to_vectors_and_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    monkeypatch.chdir(tmp_path)
    assert follow("video.md", tmp_path) == 6
    assert (tmp_path / "vectors.safetensors").is_file()
    assert follow("embedding.md", tmp_path) == 5
    assert (tmp_path / "thresholds.png").stat().st_size > 1000
    assert follow("gallery.md", tmp_path) == 5
    page = (tmp_path / "search.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") == 4  # the query's picture, and those of the three found
