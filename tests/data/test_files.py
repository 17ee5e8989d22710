"""What all readers share: the order of frames, whole numbers, links, files that are left out."""

import os
import random
import re
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

from denseil.data import read_dataset, read_folder
from denseil.data.readers.files import load_mat, natural_order, whole_number

LINE = b"frame"


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(LINE)


@given(st.lists(st.integers(0, 10**9), unique=True, min_size=1), st.integers(0, 12), st.randoms())
def test_frames_are_in_the_order_of_their_numbers(numbers: list[int], width: int, rng: random.Random):
    names = [f"c1_{number:0{width}}.jpg" for number in sorted(numbers)]
    assert natural_order(rng.sample(names, len(names))) == names


@given(st.lists(st.text("ab01_.", max_size=6), unique=True))
def test_the_order_does_not_depend_on_how_files_are_listed(names: list[str]):
    assert natural_order(names) == natural_order(reversed(names))


def test_after_999_999_frames(tmp_path: Path):
    touch(tmp_path / "walk", "1000000.jpg", "999999.jpg", "000002.jpg", "10.webp", "9.TIF")
    (found,) = read_folder(tmp_path)
    assert [Path(frame).name for frame in found.frames] == [
        "000002.jpg",
        "9.TIF",
        "10.webp",
        "999999.jpg",
        "1000000.jpg",
    ]


@given(st.text(max_size=12) | st.integers().map(str))
def test_a_whole_number_is_what_its_digits_say(text: str):
    digits = text.strip()
    if re.fullmatch("[+-]?[0-9]+", digits) and 0 <= int(digits) < 2**31 and len(digits) <= 10:
        assert whole_number(text, "pid") == int(digits)
    else:
        with pytest.raises(ValueError, match="pid must be a whole number from 0 to 2147483647"):
            whole_number(text, "pid")


@pytest.mark.parametrize("text", ["0001_02", "٣", "1.0", "1e3", "", "-2", str(2**63), "0x1"])
def test_what_python_or_nobody_takes_for_a_pid(text: str):
    with pytest.raises(ValueError, match=r"row 3: pid must be a whole number from -1 to 2147483647, got"):
        whole_number(text, "row 3: pid", least=-1)


def test_links_are_followed_once(tmp_path: Path):
    touch(tmp_path / "elsewhere" / "walk", "1.jpg", "2.jpg")
    root = tmp_path / "root"
    touch(root / "own", "1.jpg")
    (root / "linked").symlink_to(tmp_path / "elsewhere" / "walk")
    (root / "own" / "round").symlink_to(root)  # leads back
    (root / "linked again").symlink_to(tmp_path / "elsewhere" / "walk")
    (root / "broken").symlink_to(tmp_path / "nothing")
    found = {tracklet.name: len(tracklet.frames) for tracklet in read_folder(root)}
    assert found == {"linked": 2, "own": 1}


def test_a_folder_that_cannot_be_listed_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    touch(tmp_path / "one", "1.jpg")
    touch(tmp_path / "two", "1.jpg")
    listed = os.scandir

    def refused(folder: str):
        if Path(folder).name == "two":
            raise PermissionError(13, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(PermissionError, match="two"):
        read_folder(tmp_path)


def test_a_folder_named_like_an_image_is_no_frame(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """As some detectors save the crops of frame1.jpg."""
    touch(tmp_path / "frame1.jpg", "1.jpg", "2.jpg")
    assert [(one.name, len(one.frames)) for one in read_folder(tmp_path)] == [("frame1.jpg", 2)]
    assert not caplog.records


def test_files_that_are_left_out_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    touch(tmp_path / "walk", "1.jpg", "2.heic", "notes.txt", ".hidden")
    assert len(read_folder(tmp_path)[0].frames) == 1
    assert "left out: 2 files" in caplog.text
    (tmp_path / "walk" / "1.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"no images in .*: they end in \.jpg"):
        read_folder(tmp_path)


@pytest.mark.parametrize(("value", "row"), [(1.5, 2), (np.nan, 2), (np.inf, 2), (2.0**60, 2)])
def test_a_matlab_value_that_is_no_whole_number_names_its_row(tmp_path: Path, value: float, row: int):
    table = np.array([[1.0, 2.0], [3.0, value]])
    scipy.io.savemat(tmp_path / "a.mat", {"table": table, "list": table.ravel()})
    with pytest.raises(ValueError, match=rf"'table' in .*a\.mat, row {row}: .* is not a whole number"):
        load_mat(tmp_path / "a.mat", "table", columns=2)
    with pytest.raises(ValueError, match=r"'list' in .*a\.mat, row 4: .* is not a whole number"):
        load_mat(tmp_path / "a.mat", "list")


def manifest(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(["tracklet,frame,pid,camid,split", *rows]), encoding="utf-8")
    return path


def test_zeros_before_a_number_do_not_matter(tmp_path: Path):
    found = read_dataset("manifest", manifest(tmp_path / "manifest.csv", "a,1.jpg,007,1,query", "a,2.jpg,7, 01,query"))
    assert (found.problems, found.query[0].pid, found.query[0].camid) == ((), 7, 1)


def test_a_frame_that_stands_twice_is_refused_with_its_rows(tmp_path: Path):
    path = manifest(
        tmp_path / "manifest.csv", "b,1.jpg,7,1,query", "a,1.jpg,7,1,query", "a,2.jpg,7,1,query", "a,1.jpg,7,1,query"
    )
    with pytest.raises(ValueError, match=r"rows 2 and 4: a frame occurs twice in tracklet 'a'"):
        read_dataset("manifest", path)


@pytest.mark.parametrize(
    ("row", "says"), [("a,1.jpg,-2,1,query", "pid must be a whole"), ("a,1.jpg,1,-1,query", "camid must be a whole")]
)
def test_labels_out_of_range_are_refused(tmp_path: Path, row: str, says: str):
    with pytest.raises(ValueError, match=says):
        read_dataset("manifest", manifest(tmp_path / "manifest.csv", row))
