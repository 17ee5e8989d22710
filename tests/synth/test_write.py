"""What is written: MARS layout, resume, processes, single tracklets, the command."""

import json
import os
import shutil
import signal
import socket
from pathlib import Path

import numpy as np
import pytest
from joblib.externals.loky import reusable_executor
from PIL import Image

from denseil.cli import main
from denseil.cli.rendering import _progress_of
from denseil.data import check_dataset, read_dataset
from denseil.synth import People, Recipe, synthesize
from denseil.synth.sensor import to_jpeg

SMALL = {"num_ids": 6, "num_cameras": 2, "frames": 2, "height": 64, "width": 32}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesize(tmp_path_factory.mktemp("people") / "set", **SMALL, workers=0)


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_reads_as_mars(root: Path):
    report = check_dataset("mars", root, counts="none")
    assert report.ok, str(report)
    dataset = read_dataset("mars", root)
    trained = sum(identity.train for identity in People(Recipe(**SMALL)).identities)
    assert (len(dataset.train), len(dataset.query), len(dataset.gallery)) == (2 * trained, 6 - trained, 6 - trained)
    assert 0 < trained < 6
    for query in dataset.query:
        assert any(item.pid == query.pid and item.camid != query.camid for item in dataset.gallery)
    with Image.open(dataset.train[0].frames[0]) as image:
        assert image.size == (32, 64)


def test_processes_write_the_same_bytes(root: Path, tmp_path: Path):
    other = synthesize(tmp_path / "set", **SMALL, workers=2)
    assert contents(other) == contents(root)


def test_a_worker_that_is_ended_from_outside(root: Path, tmp_path: Path):
    def end_a_worker(done: int, total: int) -> None:
        if done == 1:
            for process in list(reusable_executor._executor._processes.values()):
                os.kill(process.pid, signal.SIGKILL)

    with pytest.raises(RuntimeError, match=r"one of 2 worker processes was ended from outside.*run again to go on"):
        synthesize(tmp_path, **SMALL, workers=2, progress=end_a_worker)
    synthesize(tmp_path, **SMALL, workers=0)
    assert contents(tmp_path) == contents(root)


def test_an_interrupted_run_goes_on(root: Path, tmp_path: Path):
    class StopError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise StopError

    with pytest.raises(StopError):
        synthesize(tmp_path, **SMALL, workers=0, progress=stop)
    kept = {name: (tmp_path / name).stat().st_mtime_ns for name in contents(tmp_path) if name.endswith("jpg")}
    assert 0 < len(kept) < 24
    first = tmp_path / sorted(kept)[0]
    first.unlink()  # a tracklet with a frame missing is rendered again
    first.with_name(f".{first.stem}.1{first.suffix}").write_bytes(b"")  # as a process leaves it that is killed
    synthesize(tmp_path, **SMALL, workers=0)
    assert contents(tmp_path) == contents(root)
    untouched = [name for name, time in kept.items() if (tmp_path / name).stat().st_mtime_ns == time]
    assert len(untouched) == len(kept) - 2


def test_one_tracklet_alone_is_the_one_that_was_written(root: Path):
    people = People(Recipe(**SMALL))
    take = people.takes(people.identities[3])[1]
    quality = people.passage(take).sensor.quality
    part = "bbox_train" if take.identity.train else "bbox_test"
    for t, image in enumerate(people.render(take), start=1):
        file = root / part / f"{take.identity.pid:04d}" / f"{take.name}F{t:03d}.jpg"
        assert file.read_bytes() == to_jpeg(image, quality)


def test_manifest_says_what_is_true(root: Path):
    manifest = json.loads((root / "manifest.json").read_text())
    assert manifest["labels"] == People(Recipe(**SMALL)).checksum()
    assert [row["pid"] for row in manifest["people"]] == [1, 2, 3, 4, 5, 6]
    assert {"top", "bottom", "shoes", "bag", "hair", "gait"} <= set(manifest["people"][0]["look"])
    assert {"query", "fine_detail", "occluded", "heading_degrees"} <= set(manifest["tracklets"][0])


def test_another_recipe_and_a_foreign_folder_are_refused(root: Path, tmp_path: Path):
    with pytest.raises(ValueError, match=r"seed=9 \(there: 0\)"):
        synthesize(root, **SMALL, seed=9, workers=0)
    mark = root / "recipe.json"
    before = mark.read_text()
    mark.write_text(json.dumps({**json.loads(before), "minutes": 20}))  # as of walks
    with pytest.raises(ValueError, match=r"another recipe: minutes=None \(there: 20\)\. Give"):
        synthesize(root, **SMALL, workers=0)
    mark.write_text(before)
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="not empty"):
        synthesize(tmp_path, **SMALL, workers=0)


@pytest.mark.parametrize("wrong", [{"num_ids": 10.0}, {"num_ids": "10"}, {"seed": 1.5}, {"groups": "half"}])
def test_a_wrong_type_is_named_and_claims_no_folder(tmp_path: Path, wrong: dict[str, object]):
    with pytest.raises(TypeError, match=rf"synthesize: {next(iter(wrong))}="):
        synthesize(tmp_path / "people", **{"num_ids": 10, **wrong})
    assert not (tmp_path / "people").exists()


def test_groups_are_written_and_a_folder_of_before_groups_is_continued(root: Path, tmp_path: Path):
    small = {**SMALL, "num_ids": 12, "frames": 1, "num_cameras": 1}
    manifest = json.loads((synthesize(tmp_path / "g", **small, groups=0.5, workers=0) / "manifest.json").read_text())
    assert manifest["recipe"]["version"] == 2
    assert sum(person["detail"] == "wardrobe" for person in manifest["people"]) == 6
    with pytest.raises(ValueError, match=r"groups=0.0 \(there: 0.5\)"):
        synthesize(tmp_path / "g", **small, workers=0)
    shutil.copytree(root, tmp_path / "old")
    recipe = json.loads((root / "recipe.json").read_text())
    del recipe["groups"]
    (tmp_path / "old" / "recipe.json").write_text(json.dumps(recipe))
    synthesize(tmp_path / "old", **SMALL, workers=0)


def test_rendering_asks_the_network_for_nothing(monkeypatch: pytest.MonkeyPatch):
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    people = People(Recipe(**SMALL))
    assert len(people.render(people.takes(people.identities[0])[0])) == 2


def test_frames_of_a_tracklet_move_and_are_not_blank():
    people = People(Recipe(num_ids=8, frames=3, height=64, width=32))
    for identity in people.identities:
        first, _, last = (np.asarray(image, dtype=float) for image in people.render(people.takes(identity)[0]))
        assert first.std() > 4
        assert np.abs(first - last).mean() > 0.5


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    options = ["--num-ids", "2", "--num-cameras", "2", "--frames", "1", "--height", "64", "--width", "32"]
    assert main(["data", "synth", str(tmp_path / "set"), *options, "--workers", "0"]) == 0
    captured = capsys.readouterr()
    assert "2 of 2 identities" in captured.err
    assert str(tmp_path / "set") in captured.out
    assert read_dataset("mars", tmp_path / "set").train


def test_progress_in_a_log_file_is_a_line_for_every_tenth(capsys: pytest.CaptureFixture[str]):
    progress = _progress_of("identities")
    for done in range(241):
        progress(done, 240)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"{done} of 240 identities" for done in range(0, 241, 24)]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--walks", "--groups", "0.5"], "--groups"),
        (["--walks", "--heads", "photographed"], "--heads"),
        (["--benchmark", "people-v1", "--seed", "3"], "--seed"),
        (["--minutes", "3"], "--minutes"),
        (["--walks", "--workers", "8"], "--workers"),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], named: str
):
    assert main(["data", "synth", str(tmp_path / "set"), *words]) == 2
    assert f"{named} would change nothing" in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


def test_photographed_heads_are_version_3(tmp_path: Path):
    settings = {"num_ids": 2, "num_cameras": 2, "frames": 1, "height": 64, "width": 32, "workers": 0}
    root = synthesize(tmp_path / "set", **settings, heads="photographed")
    assert json.loads((root / "recipe.json").read_text())["version"] == 3
    with pytest.raises(ValueError, match="heads='real': choose one of painted, photographed"):
        synthesize(tmp_path / "other", **settings, heads="real")


@pytest.mark.parametrize(("share", "parts"), [(0, (4, 0, 0)), (1, (0, 2, 2))])
def test_people_for_training_or_for_testing_alone_are_read(tmp_path, share, parts):
    settings = {"num_ids": 2, "num_cameras": 2, "frames": 1, "height": 32, "width": 16, "workers": 0}
    found = read_dataset("mars", synthesize(tmp_path / "people", **settings, test_share=share))
    assert (len(found.train), len(found.query), len(found.gallery)) == parts


@pytest.mark.parametrize("cameras", [6, 7])
def test_more_cameras_than_mars_has_are_said(tmp_path, caplog, cameras):
    settings = {"num_ids": 2, "num_cameras": cameras, "frames": 1, "height": 32, "width": 16, "workers": 0}
    synthesize(tmp_path / "people", **settings)
    assert ("MARS readers of other libraries refuse" in caplog.text) == (cameras > 6)
    assert check_dataset("mars", tmp_path / "people", counts="none").ok
