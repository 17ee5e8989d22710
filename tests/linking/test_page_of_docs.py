"""The code of docs/linking.md, and boxes as BoxMOT and Ultralytics write them."""

from pathlib import Path

import numpy as np
import pytest

from denseil.data import read_tracks
from tests.test_docs import DOCS, code_blocks

# as `boxmot track --save-txt` writes them: frame, id, box, confidence, class from 1, number of the detection
BOXMOT = """1,1,100,200,50,120,0.912345,1,0
1,2,300,210,48,118,0.701234,1,1
2,1,104,200,50,121,0.905432,1,0
"""
# as `yolo track save_txt=True` writes them, a file for each frame; the last box has no track yet
ULTRALYTICS = {1: "0 0.5 0.5 0.1 0.4 1\n0 0.2 0.5 0.1 0.4 2\n", 10: "0 0.51 0.5 0.1 0.4 1\n0 0.9 0.9 0.1 0.1\n"}


@pytest.mark.parametrize("end", [None, "1,0,-1", "0,0,-1", "1.0,0.0,0"])  # earlier versions: classes from 0
def test_boxes_of_boxmot_are_read_as_they_are(end: str | None, tmp_path: Path):
    lines = [line if end is None else f"{line.rsplit(',', 3)[0]},{end}" for line in BOXMOT.splitlines()]
    (tmp_path / "door.txt").write_text("\n".join(lines))
    found = read_tracks(tmp_path / "door.txt")
    assert found.ids.tolist() == [1, 2, 1]
    assert found.boxes[1].tolist() == [300, 210, 48, 118]
    assert not found.left_out


def test_the_code_of_the_page_runs_and_reads_boxes_of_ultralytics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in code_blocks(DOCS / "linking.md"):
        exec(compile(block, "linking.md", "exec"), names)
    assert capsys.readouterr().out.splitlines()[-1] == "merged 2 into 1"
    (tmp_path / "labels").mkdir()
    for frame, text in ULTRALYTICS.items():
        (tmp_path / "labels" / f"door_{frame}.txt").write_text(text)
    (tmp_path / "labels" / "door_2_1.txt").write_text("0 0.3 0.5 0.1 0.4 3\n")  # of a video door_2.mp4
    names["from_ultralytics"]("labels", "door", 1000, 500)
    found = read_tracks("door.txt")
    assert found.frames.tolist() == [1, 1, 10]
    assert found.ids.tolist() == [1, 2, 1]
    np.testing.assert_allclose(found.boxes, [[450, 150, 100, 200], [150, 150, 100, 200], [460, 150, 100, 200]])
