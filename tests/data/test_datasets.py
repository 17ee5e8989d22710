"""Datasets by name: readers that users register."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from denseil.cli import main
from denseil.data import VideoReIDDataset, read_dataset, register_dataset
from denseil.data.datasets import READERS
from denseil.training import TrainConfig
from denseil.training.parallel import _own_modules
from tests.data.test_mars import TINY

SOURCE = """
from denseil.data import read_dataset, register_dataset

@register_dataset("My-Cameras")
def read_mine(root):
    return read_dataset("mars", root)
"""


@pytest.fixture(autouse=True)
def forget_readers() -> Iterator[None]:
    known = dict(READERS)
    yield
    READERS.clear()
    READERS.update(known)


def test_a_registered_reader_is_called_with_a_path_and_its_options():
    @register_dataset("mine")
    def read(root: Path, *, part: str = "") -> VideoReIDDataset:
        return read_dataset("mars", root / part)

    assert read_dataset("Mine", str(TINY)).train == read_dataset("mars", TINY).train
    with pytest.raises(TypeError, match="the reader of mine has no option 'other': it has part"):
        read_dataset("mine", TINY, other=1)

    @register_dataset("MINE")
    def nothing(root: Path) -> VideoReIDDataset:
        return VideoReIDDataset([], [], [])

    assert read_dataset("mine", TINY).train == []


def test_a_registered_reader_may_return_any_object_with_the_three_lists():
    known = read_dataset("mars", TINY)
    register_dataset("mine")(lambda root: SimpleNamespace(train=known.train, query=known.query, gallery=known.gallery))
    assert read_dataset("mine", TINY).train == known.train
    register_dataset("mine")(lambda root: known.train)
    with pytest.raises(TypeError, match=r"dataset=list: its \.train must be a list of denseil\.data\.Tracklet"):
        read_dataset("mine", TINY)


@pytest.mark.parametrize("name", ["", "_", "mars", "iLIDS-VID"])
def test_names_of_the_library_are_refused(name: str):
    with pytest.raises(ValueError, match="taken or empty: choose another"):
        register_dataset(name)


def test_a_reader_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    (tmp_path / "my_readers_of_a_test.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    words = ["--import", "my_readers_of_a_test", "data", "check", "my_cameras", str(TINY)]
    assert main(words) == 0
    assert "my_cameras" in capsys.readouterr().out
    config = TrainConfig.from_recipe("smoke", dataset="my_cameras", root=str(TINY))
    assert _own_modules(config) == ["my_readers_of_a_test"], "for the processes of ablate --parallel"
