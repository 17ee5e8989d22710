"""Files that commit 6022594 wrote: a run with its checkpoint, a saved model, features, a gallery and an export."""

import shutil
from pathlib import Path

import pytest
import torch

import denseil
from denseil import gallery
from denseil.gallery import read_features
from denseil.models import read_weights
from denseil.training import TrainConfig

DATA = Path(__file__).parent / "data"
OLD = DATA / "made_at_6022594"


@pytest.fixture(scope="module")
def tracklets() -> list[denseil.data.Tracklet]:
    dataset = denseil.data.read_dataset("mars", DATA / "mars_tiny")
    return dataset.query + dataset.gallery


@pytest.fixture(scope="module")
def vectors(tracklets: list[denseil.data.Tracklet]) -> torch.Tensor:
    return denseil.Embedder(str(OLD / "run/final"), device="cpu").embed(tracklets)


def test_a_saved_model_gives_the_vectors_of_its_features_file(vectors: torch.Tensor):
    records, kept = read_features(OLD / "features.safetensors")
    assert [record.id for record in records][:2] == ["0003C1T0001", "0003C2T0003"]
    torch.testing.assert_close(vectors, torch.from_numpy(kept), rtol=0, atol=1e-6)


def test_an_export_opens(tracklets: list[denseil.data.Tracklet], vectors: torch.Tensor):
    exported = denseil.Embedder.from_exported(OLD / "model.onnx").embed(tracklets)
    torch.testing.assert_close(exported, vectors, rtol=0, atol=1e-5)


def test_a_gallery_opens_and_finds(tmp_path: Path, vectors: torch.Tensor):
    shutil.copytree(OLD / "gallery", tmp_path / "gallery")
    with gallery.open(str(tmp_path / "gallery")) as held:
        assert held.count() == 8
        hits = held.search(vectors[:1].numpy(), k=1)[0]
        assert hits[0].record.id == "0003C1T0001"
        assert hits[0].distance < 1e-5


def test_a_run_resumes_from_its_checkpoint(tmp_path: Path):
    shutil.copytree(OLD / "run", tmp_path / "run", ignore=shutil.ignore_patterns("final"))
    config = TrainConfig.load(tmp_path / "run/train.yaml")
    config = TrainConfig.from_dict({**vars(config), "output": str(tmp_path / "run"), "root": str(DATA / "mars_tiny")})
    done = denseil.train(config, resume=True)
    again, before = (read_weights(folder / "model.safetensors") for folder in (done.folder, OLD / "run/final"))
    assert all(torch.equal(value, again[name]) for name, value in before.items())
