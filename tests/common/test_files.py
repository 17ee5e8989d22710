"""Files are written whole or not at all, and only where a file may be."""

import os
from pathlib import Path

import pytest

from denseil.common.files import replacing


def test_a_device_a_pipe_and_a_folder_are_not_replaced(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "null").symlink_to(os.devnull)
    for path in (Path(os.devnull), tmp_path / "pipe", tmp_path / "folder", tmp_path / "null"):
        before = path.stat().st_mode
        with pytest.raises(ValueError, match="is a folder, a device or a pipe"), replacing(path) as temporary:
            temporary.touch()
        assert path.stat().st_mode == before
    assert {item.name for item in tmp_path.iterdir()} == {"pipe", "folder", "null"}


def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path):
    file = tmp_path / "file.txt"
    file.write_text("old")
    with pytest.raises(FileNotFoundError), replacing(file) as temporary:
        temporary.with_name("none").unlink(missing_ok=bool(temporary.write_text("")))
    assert [item.read_text() for item in tmp_path.iterdir()] == ["old"]
    with replacing(file) as temporary:
        temporary.write_text("new")
    assert [item.read_text() for item in tmp_path.iterdir()] == ["new"]
