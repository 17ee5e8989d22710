import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch

import denseil
from denseil import DenseIL, Embedder
from denseil.cli import main
from denseil.data import read_dataset
from denseil.embedding import embed_to_file
from denseil.metrics import Embeddings, load_features, save_features
from denseil.models import update_config

MARS = Path(__file__).parent.parent / "data" / "mars_tiny"


@pytest.fixture(scope="module")
def embedded(model: DenseIL, tmp_path_factory) -> Path:
    """A folder with a saved model and the vectors of MARS's tracklets."""
    place = tmp_path_factory.mktemp("embedded")
    folder, out = str(denseil.save_pretrained(model, place / "model")), str(place / "mars.safetensors")
    assert main(["embed", str(MARS), "--dataset", "mars", "--model", folder, "-o", out, "--no-progress"]) == 0
    return place


@pytest.fixture
def folder(embedded, tmp_path) -> Path:
    return shutil.copytree(embedded / "model", tmp_path / "model")


@pytest.fixture
def features(embedded, tmp_path) -> Path:
    return Path(shutil.copy(embedded / "mars.safetensors", tmp_path))


def test_thresholds_reach_the_model_and_same_uses_them(folder, features, tmp_path, capsys):
    before = json.loads((folder / "config.json").read_text())
    arguments = ["calibrate", str(features), str(folder), "--far", "[0.1, 0.05]", "--plot", str(tmp_path / "curve.png")]
    assert main(arguments) == 0
    assert "equal error" in capsys.readouterr().out
    assert (tmp_path / "curve.png").stat().st_size > 1000
    after = json.loads((folder / "config.json").read_text())
    thresholds = after["denseil"].pop("thresholds")
    for config in (before, after):
        del config["denseil"]["digests"]["config"]
    assert after == before  # nothing else has changed
    embedder = Embedder(folder, device="cpu")
    assert embedder.threshold() == thresholds["eer"]["threshold"]
    assert embedder.threshold(far=0.05) == thresholds["far"]["0.05"] >= embedder.threshold(far=0.1)
    # The labelled set itself, decided by `same`, makes the errors that were promised.
    mars = read_dataset("mars", MARS)
    tracklets = [*mars.train, *mars.query, *mars.gallery]
    vectors = embedder.embed(tracklets)
    two_cameras = [
        (a, b)
        for a in range(len(tracklets))
        for b in range(a)
        if tracklets[a].camid != tracklets[b].camid and tracklets[a].pid != tracklets[b].pid
    ]
    accepted = [embedder.same(vectors[a], vectors[b], far=0.05) for a, b in two_cameras]
    assert len(accepted) == thresholds["impostors"]
    assert sum(accepted) / len(accepted) <= 0.05
    low, high = thresholds["eer"]["interval"]
    assert low <= thresholds["eer"]["threshold"] <= high
    assert main(["calibrate", str(features), str(folder), "--far", "0.2"]) == 0  # adds a rate, keeps the others
    again = json.loads((folder / "config.json").read_text())["denseil"]["thresholds"]
    assert again["far"].items() > thresholds["far"].items()
    assert set(again["far"]) == {"0.1", "0.05", "0.2"}
    capsys.readouterr()
    assert main(["calibrate", str(features), str(folder), "--far", "0.2", "--json", "--quiet"]) == 0
    printed = capsys.readouterr().out
    assert json.loads(printed)["thresholds"] == {"0.2": again["far"]["0.2"]}
    assert printed.count("\n") < 50  # without the curves
    third = denseil.embedding.calibrate(features, folder, rates=[1 / 3]).thresholds[1 / 3]
    opened = Embedder(folder, device="cpu")
    assert opened.threshold(far=1 / 3) == third
    assert opened.threshold(far=0.2) == again["far"]["0.2"]
    update_config(folder, {"thresholds": {**again, "measured_on": "rendered people"}})
    assert main(["calibrate", str(features), str(folder), "--far", "0.2"]) == 0  # rates of other people are dropped
    assert set(json.loads((folder / "config.json").read_text())["denseil"]["thresholds"]["far"]) == {"0.2"}
    saved = denseil.save_pretrained(embedder.model, tmp_path / "copy")
    assert Embedder(saved, device="cpu").threshold() == embedder.threshold()


def test_vectors_of_another_model_or_of_nobody_are_refused(model, folder, features, tmp_path, capsys):
    other = denseil.create_model("denseil", backbone="test_resnet", dim=32, depth=2, num_heads=4, ffn_dim=32)
    denseil.save_pretrained(other, tmp_path / "other")
    before = (tmp_path / "other" / "config.json").read_bytes()
    assert main(["calibrate", str(features), str(tmp_path / "other")]) == 2
    assert "was made by another model: run `denseil embed" in capsys.readouterr().err
    found = load_features(features).embeddings
    save_features(features, found, metadata={})
    assert main(["calibrate", str(features), str(folder)]) == 2
    assert "nobody knows which model" in capsys.readouterr().err
    assert (tmp_path / "other" / "config.json").read_bytes() == before


@pytest.mark.parametrize(
    ("other", "text"),
    [
        ({"preprocessing": {"size": (96, 48)}}, r"size=\[96, 48\]: .* measured with size="),
        ({"preprocessing": {"clip_len": 3}}, "clip_len=3: .* calibrate again"),
        ({"frames": "even8"}, "frames='even8': .* measured with frames='all'"),
        ({"flip": True}, "flip=True: .* measured with flip=False"),
    ],
)
def test_thresholds_of_vectors_made_otherwise_are_refused(model, folder, features, other, text):
    denseil.embedding.calibrate(features, folder)
    if "preprocessing" in other:
        other = {"preprocessing": dataclasses.replace(model.preprocessing, **other["preprocessing"])}
    vector = Embedder(folder, device="cpu")(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
    with pytest.raises(ValueError, match=text):
        Embedder(folder, device="cpu", **other).same(vector, vector)


def test_a_file_with_flip_calibrates_embedders_with_flip(folder, tmp_path):
    mars = read_dataset("mars", MARS)
    flipped = Embedder(folder, device="cpu", flip=True)
    embed_to_file(flipped, [*mars.train, *mars.query, *mars.gallery], tmp_path / "flipped.safetensors")
    denseil.embedding.calibrate(tmp_path / "flipped.safetensors", folder)
    assert -1 < Embedder(folder, device="cpu", flip=True).threshold() < 1
    with pytest.raises(ValueError, match=r"flip=False: .* measured with flip=True"):
        Embedder(folder, device="cpu").threshold()


def test_unlabelled_vectors_calibrate_nothing(folder, features, capsys):
    found, metadata = load_features(features)
    save_features(features, Embeddings(found.vectors, -1 + 0 * found.pids, found.camids), metadata=metadata)
    before = (folder / "config.json").read_bytes()
    assert main(["calibrate", str(features), str(folder)]) == 2
    assert "pids and camids are known" in capsys.readouterr().err
    assert (folder / "config.json").read_bytes() == before
