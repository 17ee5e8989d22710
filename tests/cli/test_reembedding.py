"""`denseil gallery reembed`: the vectors of another model, for the records whose crops are there."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch

import denseil
from denseil import gallery as galleries
from denseil.cli import main
from denseil.data import read_folder
from denseil.embedding import Embedder
from denseil.gallery import Record
from denseil.models import model_id
from tests.training.test_adapt import SIZE, write_tracklets


def saved(folder: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    model = denseil.create_model("denseil", backbone="test_resnet", dim=32, depth=1, num_heads=2, ffn_dim=32)
    model.preprocessing = denseil.Preprocessing(size=SIZE, clip_len=2)
    return denseil.save_pretrained(model, folder)


def test_records_get_the_vectors_of_another_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("lancedb")
    tracklets = write_tracklets(tmp_path / "crops", light=1.0)[:6]
    before, after = (Embedder(saved(tmp_path / name, seed), device="cpu") for seed, name in enumerate(("a", "b")))
    records = [
        Record(each.name, each.camid, each.start or 0, each.end, pid=each.pid, thumbnail=each.frames[3])
        for each in tracklets
    ]
    shared = Record("shared", 1, thumbnail=tracklets[5].frames[0])
    with galleries.open(str(tmp_path / "old"), 32, model_id(before.model)) as old:
        old.add(records, before.embed(tracklets))
        old.add([shared], before.embed(tracklets[:1]))
    shutil.rmtree(Path(tracklets[0].frames[0]).parent)
    words = ["gallery", "reembed", str(tmp_path / "old"), str(tmp_path / "new"), "--model", str(tmp_path / "b")]
    for embedded in (4, 0):  # again, nothing is left to do
        assert main([*words, "--device", "cpu", "--json", "--quiet"]) == 1
        result = json.loads(capsys.readouterr().out)
        assert (result["embedded"], result["left_out"], result["total"]) == (embedded, 3, 4)
    with galleries.open(str(tmp_path / "new")) as new:
        assert new.model.startswith("denseil ")  # named as `denseil gallery add` names it
        assert new.model.endswith(f" {model_id(after.model)}")
        found = new.get([each.name for each in tracklets[1:5]])
    assert [each.record for each in found] == records[1:5]
    expected = after.embed([read_folder(Path(each.frames[0]).parent)[0] for each in tracklets[1:5]])
    torch.testing.assert_close(torch.tensor([each.vector.tolist() for each in found]), expected, atol=1e-5, rtol=0)


def test_folders_that_cannot_be_embedded_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("lancedb")
    tracklets = write_tracklets(tmp_path / "crops", light=1.0)[:4]
    embedder = Embedder(saved(tmp_path / "a", 0), device="cpu")
    records = [Record(each.name, each.camid, thumbnail=each.frames[3]) for each in tracklets]
    with galleries.open(str(tmp_path / "old"), 32, model_id(embedder.model)) as old:
        old.add(records, embedder.embed(tracklets))
    for frame in tracklets[0].frames:
        Path(frame).write_bytes(b"damaged")
    shutil.copytree(Path(tracklets[3].frames[0]).parent, Path(tracklets[1].frames[0]).parent / "more")
    words = ["gallery", "reembed", str(tmp_path / "old"), str(tmp_path / "new"), "--model", str(tmp_path / "a")]
    for embedded in (2, 0):
        assert main([*words, "--device", "cpu", "--json", "--quiet"]) == 1
        printed = capsys.readouterr()
        result = json.loads(printed.out)
        assert (result["embedded"], result["left_out"], result["total"]) == (embedded, 2, 2)
        assert printed.err.count("is left out:") == 2
    with galleries.open(str(tmp_path / "new")) as new:
        assert len(new.find([each.name for each in tracklets[2:]])) == 2


def test_another_tracklet_of_the_same_id_is_not_taken_for_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("lancedb")
    tracklets = write_tracklets(tmp_path / "crops", light=1.0)[:2]
    embedder = Embedder(saved(tmp_path / "a", 0), device="cpu")
    records = [Record(each.name, each.camid, start=5.0, thumbnail=each.frames[3]) for each in tracklets]
    for name, start in (("old", 5.0), ("new", 7.0)):
        with galleries.open(str(tmp_path / name), 32, model_id(embedder.model)) as held:
            held.add([dataclasses.replace(each, start=start, end=9.0) for each in records], embedder.embed(tracklets))
    words = ["gallery", "reembed", str(tmp_path / "old"), str(tmp_path / "new"), "--model", str(tmp_path / "a")]
    assert main([*words, "--device", "cpu", "--quiet"]) == 2
    assert "2 of 2 ids are held in" in capsys.readouterr().err
