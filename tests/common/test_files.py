"""Files are written whole or not at all, and only where a file may be."""

import errno
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from denseil.cli import main
from denseil.cli.run import explain
from denseil.common.files import replacing
from denseil.common.tensor_files import disk_errors
from denseil.metrics import load_features

MARS_TINY = Path(__file__).parents[1] / "data/mars_tiny"


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


def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path):
    (tmp_path / "data").mkdir()
    for name in ("there", "new"):  # one leads to a file, one to none yet
        (tmp_path / name).symlink_to(Path("data", f"{name}.txt"))
    (tmp_path / "data" / "there.txt").write_text("old")
    for name in ("there", "new"):
        with replacing(tmp_path / name) as temporary:
            temporary.write_text(name)
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / "data" / f"{name}.txt").read_text() == name
    (tmp_path / "lost").symlink_to(tmp_path / "none" / "file")
    with pytest.raises(FileNotFoundError, match="there is no folder"), replacing(tmp_path / "lost"):
        pass


def test_a_link_to_a_pipe_without_a_name_is_refused(tmp_path: Path):
    reading, writing = os.pipe()
    (tmp_path / "stdout").symlink_to(f"/proc/self/fd/{writing}")  # as /dev/stdout in `denseil ... | less`
    try:
        if not (tmp_path / "stdout").exists():
            pytest.skip("no /proc here")
        with pytest.raises(ValueError, match="stdout is a folder, a device or a pipe"), replacing(tmp_path / "stdout"):
            pass
    finally:
        os.close(reading)
        os.close(writing)


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


needs_bytes = pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names of files are always Unicode here")


@needs_bytes
def test_a_folder_whose_name_is_not_utf8_up_to_the_gallery(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Crops and features files may have any name; what cannot be written in a gallery is said in a line."""
    from denseil import gallery

    odd = tmp_path / os.fsdecode(b"caf\xe9")
    odd.mkdir()
    shutil.copytree(MARS_TINY / "bbox_test" / "0003", odd / "crops")
    features = str(odd / "v.safetensors")
    assert main(["embed", str(odd / "crops"), "--model", "denseil_mobilenetv2", "-o", features]) == 0
    assert main(["gallery", "add", str(tmp_path / "people"), features]) == 0
    assert "whose names are not UTF-8, first" in capsys.readouterr().err
    with gallery.open(str(tmp_path / "people")) as people:
        assert [one.record.thumbnail for block in people.scan() for one in block] == [""]
    for words in (
        ["gallery", "add", str(odd / "people"), features],
        ["export", "denseil_mobilenetv2", str(odd / "m.onnx")],
    ):
        assert main(words) == 2
        assert "caf\\udce9/" in (said := capsys.readouterr().err)
        assert "is not a name in UTF-8" in said
    with pytest.raises(UnicodeEncodeError) as caught:
        str(odd).encode()
    assert explain(caught.value).endswith(
        "is not text in utf-8 (surrogates not allowed): rename the file or folder in it"
    )


def test_a_folder_is_no_features_file(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"no features file .*: that is a folder; `denseil embed"):
        load_features(tmp_path)
