"""`denseil embed`: the vectors of `Embedder`, whoever computes them and however often they are killed."""

import dataclasses
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import denseil
from denseil import DenseIL, Embedder
from denseil.cli import main
from denseil.data import Tracklet, read_dataset, read_folder
from denseil.embedding import embed_to_file, to_file
from denseil.embedding.cache import features_key
from denseil.metrics import load_features, load_records, merge_features
from denseil.models.interface import preprocessing_of
from tests.forked import finish, start

MARS = Path(__file__).parent.parent / "data" / "mars_tiny"
ROOT = Path(__file__).parents[2]

IN_SMALL_PARTS = """
import sys
import denseil.embedding.to_file as to_file
from denseil.cli import main

to_file.PART_FRAMES = 16
if __name__ == "__main__":
    sys.exit(main(["embed", *sys.argv[1:]]))
"""


@pytest.fixture(scope="module")
def folder(model: DenseIL, tmp_path_factory) -> Path:
    return denseil.save_pretrained(model, tmp_path_factory.mktemp("model"))


def every_tracklet() -> list[Tracklet]:
    mars = read_dataset("mars", MARS)
    return [*mars.train, *mars.query, *mars.gallery]


def test_a_dataset_becomes_vectors_with_their_records(folder, tmp_path, capsys):
    out = tmp_path / "vectors.safetensors"
    assert main(["embed", str(MARS), "--dataset", "mars", "--model", str(folder), "-o", str(out), "--no-progress"]) == 0
    tracklets = every_tracklet()
    assert f"{len(tracklets)} vectors: {out}" in capsys.readouterr().out
    features, records = load_features(out), load_records(out)
    expected = Embedder(folder, device="cpu").embed(tracklets)
    torch.testing.assert_close(features.embeddings.vectors, expected, rtol=0, atol=1e-6)
    assert features.embeddings.pids.tolist() == [t.pid for t in tracklets]
    assert features.embeddings.camids.tolist() == [t.camid for t in tracklets]
    assert features.metadata["frames"] == "all"
    assert [record["frames"] for record in records] == [len(t.frames) for t in tracklets]
    assert len({record["id"] for record in records}) == len(tracklets)
    assert all(Path(record["thumbnail"]).is_file() for record in records)
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


@pytest.mark.parametrize(("split", "count"), [("train", 4), ("query", 3), ("gallery", 9), ("gallery_with_queries", 12)])
def test_parts_of_a_dataset(folder, tmp_path, split, count):
    mars = read_dataset("mars", MARS)
    found = mars.gallery_with_queries()[0] if split == "gallery_with_queries" else getattr(mars, split)
    out = tmp_path / "v.safetensors"
    arguments = ["embed", str(MARS), "--dataset", "mars", "--split", split, "--model", str(folder), "-o", str(out)]
    assert main([*arguments, "--no-progress"]) == 0
    assert load_features(out).embeddings.pids.tolist() == [t.pid for t in found]


def test_a_folder_of_crops(folder, tmp_path):
    out = tmp_path / "v.safetensors"
    assert main(["embed", str(MARS / "bbox_test"), "--model", str(folder), "-o", str(out), "--no-progress"]) == 0
    assert [record["id"] for record in load_records(out)] == [
        "c0/bbox_test/0003",
        "c0/bbox_test/0008",
        "c0/bbox_test/0009",
    ]
    assert load_features(out).embeddings.pids.tolist() == [-1, -1, -1]


def test_crops_whose_manifest_is_above_them_are_told_of_it(folder, tmp_path, capsys):
    shutil.copytree(MARS / "bbox_test" / "0003", tmp_path / "cut" / "crops" / "3")
    (tmp_path / "cut" / "manifest.csv").touch()
    for crops in (tmp_path / "cut" / "crops", tmp_path / "cut" / "crops" / "3"):
        out = tmp_path / f"{crops.name}.safetensors"
        assert main(["embed", str(crops), "--model", str(folder), "-o", str(out), "--no-progress"]) == 0
        error = capsys.readouterr().err
        assert f"{crops} is read without cameras and times, which are in {tmp_path / 'cut' / 'manifest.csv'}" in error


def test_folders_whose_manifests_are_inside_are_told_of_them(folder, tmp_path, capsys):
    for camera in ("door", "hall"):
        shutil.copytree(MARS / "bbox_test" / "0003", tmp_path / "cut" / camera / "crops" / "3")
        (tmp_path / "cut" / camera / "manifest.csv").touch()
    crops = tmp_path / "cut"
    assert main(["embed", str(crops), "--model", str(folder), "-o", str(tmp_path / "v.safetensors")]) == 0
    error = capsys.readouterr().err
    assert (
        f"{crops} is read without cameras and times, which are in {crops / 'door' / 'manifest.csv'} and 1 more" in error
    )


def test_what_cannot_be_read_is_named_and_what_can_is_kept(model, tmp_path, caplog):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8 not much of a picture")
    good = every_tracklet()[:3]
    bad = Tracklet([str(broken)] * 2, pid=5, camid=1, name="bad")
    embedder = Embedder(model, device="cpu")
    report = embed_to_file(embedder, [good[0], bad, *good[1:]], tmp_path / "v.safetensors")
    assert (report.vectors, report.skipped) == (3, ("bad",))
    assert "1 tracklet without a readable frame: bad" in str(report)
    vectors = load_features(tmp_path / "v.safetensors").embeddings.vectors
    torch.testing.assert_close(vectors, embedder.embed(good), rtol=0, atol=1e-6)
    assert "broken.jpg" in caplog.text
    with pytest.raises(ValueError, match=r"no frame of 1 tracklet can be read, first of .*broken.jpg"):
        embed_to_file(embedder, [bad], tmp_path / "none.safetensors")


def test_a_skipped_tracklet_shows_in_the_exit_status(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    shutil.copytree(MARS / "bbox_test" / "0003", tmp_path / "crops" / "good")
    (tmp_path / "crops" / "bad").mkdir()
    (tmp_path / "crops" / "bad" / "1.jpg").write_bytes(b"\xff\xd8 not much of a picture")
    out = tmp_path / "v.safetensors"
    words = ["embed", str(tmp_path / "crops"), "--model", str(folder), "-o", str(out), "--no-progress"]
    assert main(words) == 1
    assert "skipped: 1 tracklet without a readable frame: bad" in capsys.readouterr().out
    assert [record["id"] for record in load_records(out)] == ["c0/crops/good"]


def test_ids_of_folders_and_of_unnamed_tracklets_do_not_collide(model, tmp_path):
    embedder, (one, other, *_) = Embedder(model, device="cpu"), every_tracklet()
    ids = []
    for folder in ("fa", "fb"):
        shutil.copytree(MARS / "bbox_test" / "0003", tmp_path / folder / "person1")
        embed_to_file(embedder, read_folder(tmp_path / folder), tmp_path / f"{folder}.safetensors")
        ids += [record["id"] for record in load_records(tmp_path / f"{folder}.safetensors")]
    assert ids == ["c0/fa/person1", "c0/fb/person1"]
    unnamed = [dataclasses.replace(each, name="") for each in (one, other)]
    assert len({str(each.key) for each in unnamed}) == 2
    assert unnamed[0].key == dataclasses.replace(one, name="").key  # the same in any file


def test_tracklets_that_share_an_id_are_refused_before_anything_is_embedded(model, tmp_path):
    tracklet = every_tracklet()[0]
    named = [dataclasses.replace(tracklet, name=name) for name in ("x", "x", "x#1")]
    with pytest.raises(ValueError, match="2 of 3 tracklets share 1 id"):
        embed_to_file(Embedder(model, device="cpu"), named, tmp_path / "v.safetensors", shard=(1, 3))
    assert not list(tmp_path.iterdir())


def test_names_that_are_not_utf8_have_a_key(model):
    tracklets = [[Tracklet([f"caf{letter}.png"], 1, 1)] for letter in ("\udce9", "\udcea")]
    keys = {features_key(model, one, preprocessing=preprocessing_of(model, None)) for one in tracklets}
    assert len(keys) == 2


def test_corrected_labels_keep_the_parts(model, tmp_path, monkeypatch):
    embedder, tracklets, out = Embedder(model, device="cpu"), every_tracklet(), tmp_path / "v.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr("denseil.embedding.to_file._finish", lambda *_: None)
        embed_to_file(embedder, tracklets, out)
    monkeypatch.setattr("denseil.embedding.to_file._embed_part", None)
    embed_to_file(embedder, [dataclasses.replace(each, pid=each.pid + 100) for each in tracklets], out)
    assert load_features(out).embeddings.pids.tolist() == [each.pid + 100 for each in tracklets]


def test_what_an_earlier_call_could_not_read_is_read_again(model, tmp_path, monkeypatch):
    embedder, tracklets, out = Embedder(model, device="cpu"), every_tracklet(), tmp_path / "v.safetensors"
    monkeypatch.setattr("denseil.embedding.to_file.PART_FRAMES", 1)  # a part for each tracklet
    done, embed_part = [], to_file._embed_part

    def embed(embedder, part, bar):
        done.append(part[0].name)
        vectors = embed_part(embedder, part, bar)
        return vectors * torch.nan if len(done) == 2 else vectors  # the disk is away for a moment

    monkeypatch.setattr("denseil.embedding.to_file._embed_part", embed)
    with monkeypatch.context() as patch:
        patch.setattr("denseil.embedding.to_file._finish", lambda *_: None)
        embed_to_file(embedder, tracklets, out)
    report = embed_to_file(embedder, tracklets, out)
    assert (report.vectors, report.skipped) == (len(tracklets), ())
    assert done[len(tracklets) :] == [tracklets[1].name]


def test_nothing_is_overwritten_or_mixed_up(model, tmp_path, monkeypatch):
    embedder, tracklets = Embedder(model, device="cpu"), every_tracklet()
    out = tmp_path / "v.safetensors"
    out.write_bytes(b"precious")
    with pytest.raises(FileExistsError, match="is there already"):
        embed_to_file(embedder, tracklets, out)
    assert out.read_bytes() == b"precious"
    with pytest.raises(FileNotFoundError, match="no folder"):
        embed_to_file(embedder, tracklets, tmp_path / "none" / "v.safetensors")
    with pytest.raises(ValueError, match="no tracklets"):
        embed_to_file(embedder, [], tmp_path / "w.safetensors")
    monkeypatch.setattr("denseil.embedding.to_file._finish", lambda *_: None)
    embed_to_file(embedder, tracklets, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="parts of another run"):
        embed_to_file(embedder, tracklets[1:], tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="parts of another run"):
        embed_to_file(Embedder(model, device="cpu", frames="even8"), tracklets, tmp_path / "w.safetensors")


def test_shards_together_are_the_whole(folder, model, tmp_path):
    embedder, tracklets = Embedder(model, device="cpu"), every_tracklet()
    embed_to_file(embedder, tracklets, tmp_path / "whole")
    for number in (1, 2, 3):
        words = ["embed", str(MARS), "--dataset", "mars", "--model", str(folder), "--shard", f"{number}/3"]
        assert main([*words, "-o", str(tmp_path / f"{number}"), "--no-progress", "--device", "cpu"]) == 0
    merge_features([tmp_path / f"{number}" for number in (2, 3, 1)], tmp_path / "merged")
    both = [load_features(tmp_path / name) for name in ("whole", "merged")]
    torch.testing.assert_close(*(each.embeddings.vectors for each in both), rtol=0, atol=1e-6)
    assert both[0].metadata == both[1].metadata
    assert load_records(tmp_path / "merged") == load_records(tmp_path / "whole")
    for bad in ((0, 3), (4, 3), (1, 17)):
        with pytest.raises(ValueError, match=r"give \(i, n\)"):
            embed_to_file(embedder, tracklets, tmp_path / "none", shard=bad)


def test_a_model_that_makes_nan_is_not_called_unreadable(model, tmp_path):
    broken = denseil.create_model("denseil", backbone="test_resnet", dim=32, depth=1, num_heads=4)
    torch.nn.init.constant_(broken.neck.bn.running_mean, torch.nan)
    with pytest.raises(RuntimeError, match="NaN or infinity for tracklet"):
        embed_to_file(Embedder(broken, device="cpu"), every_tracklet()[:1], tmp_path / "v.safetensors")


@pytest.fixture(scope="module")
def script(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("script") / "in_small_parts.py"
    path.write_text(IN_SMALL_PARTS)
    return path


def arguments(folder: Path, out: Path) -> list[str]:
    return [str(MARS), "--dataset", "mars", "--model", str(folder), "-o", str(out), "--device", "cpu", "--no-progress"]


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def undisturbed(folder, script, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("alone") / "vectors.safetensors"
    subprocess.run([sys.executable, script, *arguments(folder, out)], check=True, env=ENVIRONMENT)
    return out


@pytest.mark.slow
def test_killed_it_resumes_to_the_same_file(folder, script, undisturbed, tmp_path, monkeypatch):
    out = tmp_path / "vectors.safetensors"
    parts = tmp_path / "vectors.safetensors.parts"
    process = subprocess.Popen([sys.executable, script, *arguments(folder, out)], env=ENVIRONMENT)
    while process.poll() is None and len(list(parts.glob("[0-9]*.safetensors"))) < 2:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was done before it could be killed"
    assert not out.exists()
    again = shutil.copytree(parts, tmp_path / "again.safetensors.parts")
    subprocess.run([sys.executable, script, *arguments(folder, out)], check=True, env=ENVIRONMENT)
    assert out.read_bytes() == undisturbed.read_bytes()
    assert not parts.exists()
    # What was done before the kill is not done again: other vectors in its place are found in the file.
    first = load_file(again / "000000.safetensors")["vectors"]
    save_file({"vectors": -first}, again / "000000.safetensors")
    monkeypatch.setattr("denseil.embedding.to_file.PART_FRAMES", 16)
    embed_to_file(Embedder(folder, device="cpu"), every_tracklet(), tmp_path / "again.safetensors")
    vectors = load_features(tmp_path / "again.safetensors").embeddings.vectors
    torch.testing.assert_close(vectors[: len(first)], -first, rtol=0, atol=0)


def die_at(line: int, folder: Path, out: Path, shard: tuple[int, int], lines: Path) -> None:
    """Embed a shard, and be killed at the n-th line of the module that writes it (0: live); says how many it ran."""
    ran = 0

    def trace(frame, event, _):
        nonlocal ran
        if frame.f_code.co_filename != to_file.__file__:
            return None
        ran += event == "line"
        if event == "line" and ran == line:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    to_file.PART_FRAMES = 16
    sys.settrace(trace)
    embed_to_file(Embedder(folder, device="cpu"), every_tracklet(), out, shard=shard)
    sys.settrace(None)
    lines.write_text(str(ran))


@pytest.mark.slow
def test_three_shards_killed_at_random_and_merged(folder, tmp_path):
    """Each shard is killed twice, wherever it is, and called again each time."""
    chance = random.Random(0)
    lines, log = tmp_path / "lines", tmp_path / "log"
    finish(start(die_at, 0, folder, tmp_path / "undisturbed", (1, 3), lines, log=log), log)
    last = int(lines.read_text())
    for number in chance.sample((1, 2, 3), 3):
        out = tmp_path / f"{number}.safetensors"
        for line in (chance.randrange(1, last // 2), chance.randrange(1, last // 2)):
            child = start(die_at, line, folder, out, (number, 3), lines, log=log)
            child.join()
            assert child.exitcode == -signal.SIGKILL
            assert not out.exists()
        finish(start(die_at, 0, folder, out, (number, 3), lines, log=log), log)
        assert [path.name for path in tmp_path.glob("*.parts")] == []
    whole = embed_to_file(Embedder(folder, device="cpu"), every_tracklet(), tmp_path / "whole")
    report = merge_features([tmp_path / f"{number}.safetensors" for number in (3, 1, 2)], tmp_path / "merged")
    assert whole.vectors == report.vectors == 16
    both = [load_features(tmp_path / name) for name in ("whole", "merged")]
    torch.testing.assert_close(*(each.embeddings.vectors for each in both), rtol=0, atol=1e-6)
    assert load_records(tmp_path / "merged") == load_records(tmp_path / "whole")


def test_killed_between_the_file_and_the_end_of_its_parts(model, tmp_path, monkeypatch):
    embedder, tracklets, out = Embedder(model, device="cpu"), every_tracklet()[:3], tmp_path / "v.safetensors"
    with monkeypatch.context() as context:
        context.setattr(to_file.shutil, "rmtree", lambda _: None)
        first = embed_to_file(embedder, tracklets, out)
    written = out.read_bytes()
    with pytest.raises(ValueError, match="parts of another run"):
        embed_to_file(embedder, tracklets[:2], out)
    assert embed_to_file(embedder, tracklets, out) == first
    assert out.read_bytes() == written
    assert not (tmp_path / "v.safetensors.parts").exists()


@pytest.mark.slow
def test_two_processes_give_the_same_vectors(folder, script, undisturbed, tmp_path):
    out = tmp_path / "vectors.safetensors"
    launch = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", "--cpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    done = subprocess.run(
        [*launch, str(script), *arguments(folder, out)], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(re.findall("16 vectors", done.stdout)) == 1  # one process speaks
    assert out.read_bytes() == undisturbed.read_bytes()
