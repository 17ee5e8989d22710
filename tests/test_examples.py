"""The examples run on real tracklets."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import denseil
from denseil.data import cut_tracklets, decode_image, read_dataset, read_folder, read_tracks
from denseil.metrics import load_features, merge_features
from denseil.synth import sample
from tests.data.videos import PETS_TRACKS, PETS_VIDEO, needs_pets

ROOT = Path(__file__).parent.parent
TRACKLETS = ROOT / "tests" / "data" / "mars_tiny"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_drop_in_trains_in_all_three_ways(capsys: pytest.CaptureFixture[str]):
    load("drop_in").main(str(TRACKLETS), steps=3)
    out = capsys.readouterr().out
    assert "8 tracklets of 2 people" in out
    losses = [(float(a), float(b)) for a, b in re.findall(r"loss ([\d.]+) -> ([\d.]+)", out)]
    assert len(losses) == 3  # pytorch-metric-learning is in the test extra
    assert all(last < first for first, last in losses)
    assert out.count("eval gives (8, 128)") == 3


def test_drop_in_needs_nothing_of_our_data_or_engine():
    source = (ROOT / "examples" / "drop_in.py").read_text()
    used = set(re.findall(r"denseil\.(\w+)", source))
    assert used <= {"create_model", "layers", "models", "DenseIL"}


def test_finetune_goes_on_from_its_own_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    load("finetune").main(str(TRACKLETS), str(tmp_path))
    assert "standard, cosine distance, frames: all" in capsys.readouterr().out
    assert (tmp_path / "second" / "final" / "model.safetensors").exists()


@pytest.mark.slow
def test_timms_train_loop_stops_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    main = load("timm_train").main
    common = [str(TRACKLETS), str(tmp_path), "--backbone", "test_resnet", "--size", "64", "32"]
    losses = main([*common, "--epochs", "6"])
    assert min(losses[-2:]) < losses[0]
    resumed = main([*common, "--epochs", "8", "--resume", str(tmp_path / "last.pth.tar")])
    assert len(resumed) == 2
    assert re.findall(r"epoch (\d): ", capsys.readouterr().out) == list("01234567")
    model = timm.create_model(f"local-dir:{tmp_path / 'final'}", pretrained=True)
    assert model.preprocessing.size == (64, 32)
    assert model.preprocessing.clip_len == 4


def test_every_variant_trains(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    module = load("variants")
    module.main(str(TRACKLETS), str(tmp_path))
    assert capsys.readouterr().out.count("under mars-official") == len(module.VARIANTS)


def test_retrieve_embeds_and_evaluates(capsys: pytest.CaptureFixture[str]):
    load("retrieve").main([str(TRACKLETS)])
    out = capsys.readouterr().out
    assert "2 queries, 8 test tracklets, 64 frames" in out
    assert "mars-official, cosine distance, frames: all" in out


def test_the_paper_s_figures_are_drawn(tmp_path: Path):
    module = load("paper_figures")
    module.main([str(TRACKLETS), "--output", str(tmp_path), "--name", "real", "--queries", "2"])
    assert (tmp_path / "figure4_real.png").stat().st_size > 10_000
    with Image.open(tmp_path / "figure5_real.jpg") as image:
        drawn = np.asarray(image.convert("RGB")).astype(int)
    for colour in (module.RIGHT, module.WRONG, module.QUERY):  # frames around crops; JPEG moves colours a little
        rgb = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
        assert (abs(drawn - rgb).max(axis=2) < 30).sum() > 200, colour


def test_the_frontier_of_trained_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    module = load("frontier")
    torch.manual_seed(0)
    for name, args in {"baseline": {"depth": 0}, "denseil": {"depth": 1}}.items():
        model = denseil.create_model("denseil", backbone="test_resnet", dim=32, num_heads=4, ffn_dim=32, **args)
        model.pretrained_cfg["input_size"] = (3, 64, 32)
        denseil.save_pretrained(model, tmp_path / name / "final")
    module.main([str(TRACKLETS), str(tmp_path), "--rounds", "1", "--plot", str(tmp_path / "plot.svg")])
    lines = capsys.readouterr().out.splitlines()[2:]
    assert len(lines) == 2 * len(module.COUNTS)
    assert 1 <= sum(line.endswith("| yes |") for line in lines) <= len(lines)
    text = (tmp_path / "plot.svg").read_text()
    assert "test_resnet / 32, DenseAttention, d = 32, R = 1, T = 8" in text
    assert "test_resnet / 32, frames averaged, T = 8" in text


@cache
def frontier() -> ModuleType:
    return load("frontier")


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_no_point_beats_one_on_the_frontier(pairs: list[tuple[int, int]]):
    module = frontier()
    points = [module.Point("", 1, 1.0, float(slow), float(good)) for slow, good in pairs]
    best = module.frontier(points)
    for point in points:
        beaten = any(
            (o.milliseconds <= point.milliseconds and o.mAP > point.mAP)
            or (o.milliseconds < point.milliseconds and o.mAP >= point.mAP)
            for o in points
        )
        assert (point in best) != beaten


@pytest.mark.slow
def test_the_array_of_jobs_embeds_what_one_machine_does(tmp_path: Path):
    model = denseil.create_model("denseil", backbone="test_resnet", dim=32, depth=0)
    model.pretrained_cfg["input_size"] = (3, 64, 32)
    denseil.save_pretrained(model, tmp_path / "model")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    shutil.copytree(TRACKLETS / "bbox_test", tmp_path / "crops")
    (tmp_path / "crops" / "bad").mkdir()  # skipped, which must not keep the last job from joining the files
    (tmp_path / "crops" / "bad" / "1.jpg").write_bytes(b"no picture")
    for task in ("1", "2", "1"):  # the first again, as after --requeue
        environment = os.environ | {"SLURM_ARRAY_TASK_ID": task, "SLURM_ARRAY_TASK_COUNT": "2", "PATH": path}
        command = [
            "bash",
            ROOT / "examples" / "embed_array.sbatch",
            tmp_path / "crops",
            tmp_path / "model",
            tmp_path,
        ]
        subprocess.run(command, env=environment | {"PYTHONPATH": str(ROOT)}, check=True)
    merge_features([tmp_path / "2.safetensors", tmp_path / "1.safetensors"], tmp_path / "all")
    expected = denseil.Embedder(model).embed(read_folder(TRACKLETS / "bbox_test"))
    torch.testing.assert_close(load_features(tmp_path / "all").embeddings.vectors, expected, rtol=0, atol=1e-6)


@needs_pets
def test_two_halves_of_a_video_are_played_as_two_cameras(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    lines = PETS_TRACKS.read_text().splitlines()
    for name, frames in (("first", range(1, 61)), ("second", range(61, 121))):
        kept = [line for line in lines if line[:1].isdigit() and int(line.split(",")[0]) in frames]
        (tmp_path / name).write_text("\n".join(kept))
    files = [(str(PETS_VIDEO), str(tmp_path / name)) for name in ("first", "second")]
    linker = load("live_two_cameras").main(*files)
    out = capsys.readouterr().out
    tracks = re.findall(r"camera (\d), track (\d+): person (\d+)", out)
    assert {camera for camera, _, _ in tracks} == {"1", "2"}
    assert 4 <= linker.num_persons <= len(tracks)
    at_once = {linker.person(1, int(track)) for camera, track, _ in tracks if camera == "1"}
    assert len(at_once) == sum(camera == "1" for camera, _, _ in tracks)  # all are in one picture
    assert f"{linker.num_persons} persons; threshold" in out


def test_a_street_of_rendered_people_and_its_boxes(tmp_path: Path):
    street = tmp_path / "street.mp4"
    load("street").main([str(street), "--people", "6", "--together", "3"])
    tracks = read_tracks(street.with_suffix(".txt"))
    assert len(tracks) == 6 * 3 * 5  # people, visits, frames
    assert sorted(np.unique(tracks.frames[tracks.ids == tracks.ids[0]]).tolist())[:5] == [98, 99, 100, 101, 102]
    cut = cut_tracklets(street, street.with_suffix(".txt"), tmp_path / "crops", max_gap=1)
    assert cut.tracklets == 6 * 3
    with Image.open(tmp_path / "crops" / "crops" / "49" / "000100.jpg") as crop:
        own = np.asarray(crop, dtype=float)
    people = read_dataset("mars", sample())
    first = min((t for t in [*people.query, *people.gallery] if t.pid == 49), key=lambda one: one.camid)
    wanted = decode_image(first.frames[2])
    assert own.shape == wanted.shape
    assert abs(own - wanted).mean() < 6  # of 255: the video is compressed


def test_person_0_is_a_person_for_ray_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", ModuleType("ray"))
    actor = object.__new__(load("ray_embed").Embed)
    actor.embedder, actor.ready = SimpleNamespace(embed=lambda tracklets: torch.eye(len(tracklets))), 0.0
    actor.gallery = denseil.gallery.MemoryGallery(3)
    same = {name: np.zeros(3) for name in ("start", "end")}
    batch = {"id": np.array(["a", "b", "c"]), "pid": np.array([-1, 0, 1]), "camid": np.ones(3, int), **same}
    actor({**batch, "paths": np.array(["[]"] * 3)})
    assert [item.record.pid for item in actor.gallery.get(["a", "b", "c"])] == [None, 0, 1]


@pytest.mark.slow
def test_actors_of_ray_embed_what_one_process_does(tmp_path: Path):
    pytest.importorskip("ray.data", reason='no Ray: pip install "ray[data]"')
    torch.manual_seed(0)
    model = denseil.create_model("denseil", backbone="test_resnet", dim=32, depth=0)
    model.pretrained_cfg["input_size"] = (3, 64, 32)
    denseil.save_pretrained(model, tmp_path / "model")
    people = tmp_path / "gallery"
    words = ["--dataset", "mars", "--model", tmp_path / "model", "--workers", "2", "--batch", "4", "--gallery", people]
    command = [sys.executable, ROOT / "examples" / "ray_embed.py", TRACKLETS, tmp_path / "vectors", *words]
    settings = {"RAY_USAGE_STATS_ENABLED": "0", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=os.environ | settings)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "16 tracklets, 128 frames" in done.stdout
    found = {row["id"]: row["vector"] for row in pq.read_table(tmp_path / "vectors").to_pylist()}
    dataset = read_dataset("mars", TRACKLETS)
    tracklets = [*dataset.train, *dataset.query, *dataset.gallery]
    wanted = denseil.Embedder(model.eval(), device="cpu").embed(tracklets).numpy()
    assert set(found) == {str(one.key) for one in tracklets}
    for tracklet, vector in zip(tracklets, wanted, strict=True):
        np.testing.assert_allclose(found[str(tracklet.key)], vector, atol=1e-5)
    assert denseil.gallery.open(str(people)).count() == 16
