"""Files are written whole or not at all, and only where a file may be."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from denseil.cli.run import explain
from denseil.common.files import replacing
from denseil.common.tensor_files import disk_errors


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


def test_a_full_disk_is_one_error_that_names_the_file(tmp_path: Path):
    resource = pytest.importorskip("resource")
    path, before = tmp_path / "vectors.safetensors", resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))
    try:
        with pytest.raises(OSError, match=r"cannot write .*vectors\.safetensors: .*make room"), disk_errors(path):
            save_file({"a": np.zeros(2**16)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert explain(OSError(errno.ENOSPC, "No space left on device")).startswith("No space left on device: make room")
