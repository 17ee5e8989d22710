"""Evaluating a model on real tracklets: the example's plain way, the cache, the command, two processes."""

import dataclasses
import json
import logging
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import denseil
from denseil.cli import main
from denseil.data import VideoReIDDataset, read_dataset
from denseil.embedding import Embedder, embed_to_file, embed_tracklets, evaluate
from denseil.metrics import Embeddings, RankingResult, load_features, mean_of_splits, rank, rank_features

ROOT = Path(__file__).parent.parent / "data" / "mars_tiny"


def tiny(seed: int) -> denseil.DenseIL:
    torch.manual_seed(seed)
    model = denseil.create_model("denseil", backbone="test_resnet", dim=32, depth=1, num_heads=4, ffn_dim=32)
    model.preprocessing = dataclasses.replace(model.preprocessing, size=(128, 64))  # a quarter of the work
    return model.eval()


@pytest.fixture(scope="module")
def model() -> denseil.DenseIL:
    return tiny(0)


@pytest.fixture(scope="module")
def dataset() -> VideoReIDDataset:
    return read_dataset("mars", ROOT)


def embeddings(model: denseil.DenseIL, tracklets, **options) -> Embeddings:
    vectors = torch.stack(list(embed_tracklets(model, tracklets, **options)))
    return Embeddings(vectors, [t.pid for t in tracklets], [t.camid for t in tracklets])


@pytest.mark.parametrize("frames", ["all", "even8"])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_is_embedding_and_ranking(model: denseil.DenseIL, dataset: VideoReIDDataset, frames: str, metric: str):
    query, gallery = (embeddings(model, part, frames=frames) for part in (dataset.query, dataset.gallery))
    expected = rank(query, gallery, metric=metric, frames=frames)
    assert evaluate(model, dataset, frames=frames, metric=metric).to_dict() == expected.to_dict()
    both, index = dataset.gallery_with_queries()
    expected = rank(
        gallery=embeddings(model, both, frames=frames),
        query_index=index,
        protocol="mars-official",
        metric=metric,
        frames=frames,
    )
    result = evaluate(model, dataset, frames=frames, metric=metric, protocol="mars-official")
    assert result.to_dict() == expected.to_dict()
    assert result.num_gallery == len(dataset.gallery) + len(dataset.query)


def test_mirrored_frames_are_named_in_the_result(model: denseil.DenseIL, dataset: VideoReIDDataset):
    plain, both = (evaluate(model, dataset, frames="even8", flip=flip) for flip in (False, True))
    assert (plain.frames, both.frames) == ("even8", "even8, mirrored too")
    with pytest.raises(ValueError, match="evaluated in different ways"):
        mean_of_splits([plain, both])


def test_any_object_with_queries_and_a_gallery(model: denseil.DenseIL, dataset: VideoReIDDataset):
    own = SimpleNamespace(query=tuple(dataset.query), gallery=dataset.gallery)
    assert evaluate(model, own).to_dict() == evaluate(model, dataset).to_dict()
    for wrong in (SimpleNamespace(query=dataset.query), SimpleNamespace(query=dataset.query, gallery=["a"])):
        with pytest.raises(TypeError, match=r"dataset=SimpleNamespace: its \.gallery must be a list of"):
            evaluate(model, wrong)


def test_cache_serves_all_protocols_and_nothing_else(
    model: denseil.DenseIL, dataset: VideoReIDDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    encoded: list[int] = []
    encode = model.encode_frames
    monkeypatch.setattr(model, "encode_frames", lambda frames: encoded.append(len(frames)) or encode(frames))
    first = evaluate(model, dataset, cache=tmp_path)
    assert encoded
    encoded.clear()
    assert evaluate(model, dataset, cache=tmp_path).to_dict() == first.to_dict()
    evaluate(model, dataset, cache=tmp_path, protocol="mars-official", metric="euclidean")
    assert not encoded
    evaluate(model, dataset, cache=tmp_path, frames="even8")
    assert encoded  # another policy
    encoded.clear()
    weight = model.neck.bn.running_mean
    before = weight.clone()
    weight.add_(1)
    evaluate(model, dataset, cache=tmp_path)
    assert encoded  # other weights
    weight.copy_(before)
    encoded.clear()
    shutil.copytree(ROOT, tmp_path / "moved")
    evaluate(model, read_dataset("mars", tmp_path / "moved"), cache=tmp_path)
    assert encoded  # other files


def test_the_cache_takes_corrected_labels(model: denseil.DenseIL, dataset: VideoReIDDataset, tmp_path: Path):
    evaluate(model, dataset, cache=tmp_path)
    (file,) = tmp_path.iterdir()
    wrong = load_features(file)
    query, gallery = ([replace(one, pid=one.pid + 1) for one in part] for part in (dataset.query, dataset.gallery))
    right = replace(dataset, query=query, gallery=gallery)
    result = evaluate(model, right, cache=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    held, metadata = load_features(file)
    assert torch.equal(held.vectors, wrong.embeddings.vectors)
    assert torch.equal(held.camids, wrong.embeddings.camids)
    assert metadata == wrong.metadata
    assert held.pids.tolist() == [one.pid for one in right.gallery_with_queries()[0]] != wrong.embeddings.pids.tolist()
    assert result.to_dict() == evaluate(model, right).to_dict()


def test_cached_vectors_say_which_model_made_them(dataset: VideoReIDDataset, tmp_path: Path):
    files = []
    for seed in (0, 1):
        made = tiny(seed)
        evaluate(made, dataset, cache=tmp_path / f"{seed}")
        files += list((tmp_path / f"{seed}").iterdir())
    with pytest.raises(ValueError, match="vectors of two models cannot be compared"):
        rank_features(*files)
    folder = denseil.save_pretrained(made, tmp_path / "model")
    assert denseil.embedding.calibrate(files[1], folder, rates=[0.2]).identities > 1
    embedded = tmp_path / "embedded.safetensors"
    embed_to_file(Embedder(folder, device="cpu"), dataset.query, embedded)
    cached, own = load_features(files[1]).metadata, load_features(embedded).metadata
    assert {name: value for name, value in own.items() if name not in ("policy", "normalized")} == {
        name: value for name, value in cached.items() if name != "policy"
    }
    policy = json.loads(own["policy"]) | {"vector": "mean of the clips' embeddings"}
    assert json.loads(cached["policy"]) == policy


def test_a_file_is_no_place_for_a_cache(model: denseil.DenseIL, tmp_path: Path):
    (tmp_path / "file").touch()
    unreadable = VideoReIDDataset(*[[denseil.data.Tracklet(["no.jpg"], 1, 1)]] * 3, name="nothing")
    with pytest.raises(NotADirectoryError, match="is no folder"):  # before any frame is read
        evaluate(model, unreadable, cache=tmp_path / "file" / "cache")


def test_damaged_cache_is_made_anew(
    model: denseil.DenseIL, dataset: VideoReIDDataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    first = evaluate(model, dataset, cache=tmp_path)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with caplog.at_level(logging.WARNING):
        assert evaluate(model, dataset, cache=tmp_path).to_dict() == first.to_dict()
    assert "computed again" in caplog.text
    assert file.stat().st_size == len(whole)


def test_bad_input_is_one_clear_error(model: denseil.DenseIL, dataset: VideoReIDDataset):
    with pytest.raises(ValueError, match="0 queries"):
        evaluate(model, VideoReIDDataset(dataset.train, [], dataset.gallery))
    with pytest.raises(ValueError, match="no protocol is named 'mars'"):
        evaluate(model, dataset, protocol="mars")
    with pytest.raises(ValueError, match="no metric is named"):
        evaluate(model, dataset, metric="l1")


@pytest.fixture(scope="module")
def folder(model: denseil.DenseIL, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return denseil.save_pretrained(model, tmp_path_factory.mktemp("saved") / "tiny")


def test_command_writes_a_page(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    page = tmp_path / "report.html"
    arguments = [str(folder), "mars", str(ROOT), "--device", "cpu", "--output", str(tmp_path / "out")]
    assert main(["evaluate", *arguments, "--protocol", "mars-official", "--page", str(page), "--attention"]) == 0
    html = page.read_text(encoding="utf-8")
    result = RankingResult.load(tmp_path / "out" / "tiny-mars-all-mars-official-cosine.json")
    assert html.count("<article") == result.num_valid > 0
    assert html.count('<table class="attention">') == result.num_valid
    assert f"{100 * result.mAP:.2f}" in html
    assert "data:image" in html
    assert main(["evaluate", *arguments, "--attention"]) == 2
    assert "give --page FILE.html" in capsys.readouterr().err


def test_command_prints_and_saves_the_record(
    folder: Path, dataset: VideoReIDDataset, model: denseil.DenseIL, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "out"
    arguments = [str(folder), "mars", str(ROOT), "--device", "cpu", "--output", str(out)]
    assert main(["evaluate", *arguments, "--frames", "even8", "--protocol", "mars-official"]) == 0
    printed = capsys.readouterr().out
    assert "mars-official, cosine distance, frames: even8" in printed
    saved = RankingResult.load(out / "tiny-mars-even8-mars-official-cosine.json")
    assert saved.to_dict() == evaluate(model, dataset, frames="even8", protocol="mars-official").to_dict()
    (features,) = out.glob("features-*.safetensors")  # of all test tracklets: they are evaluated again as they are
    capsys.readouterr()
    assert (
        main(["evaluate", *arguments, "--frames", "even8", "--protocol", "mars-official", "--precision", "bf16"]) == 0
    )
    assert "tiny-mars-even8-mars-official-cosine-bf16.json" in capsys.readouterr().out
    assert RankingResult.load(out / "tiny-mars-even8-mars-official-cosine.json").to_dict() == saved.to_dict()
    assert main(["evaluate", "--features", str(features), str(features)]) == 0
    assert main(["evaluate", str(folder), "mars"]) == 2
    assert "give MODEL DATASET ROOT" in capsys.readouterr().err
    assert main(["evaluate", "denseil_r50", "mars", str(ROOT)]) == 2
    assert "no weights are published" in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_give_the_same_record(
    folder: Path, dataset: VideoReIDDataset, model: denseil.DenseIL, tmp_path: Path
):
    arguments = [str(folder), "mars", str(ROOT), "--device", "cpu", "--output", str(tmp_path)]
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*launch, "-m", "denseil", "evaluate", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("cosine distance") == 1  # one process prints
    saved = json.loads((tmp_path / "tiny-mars-all-standard-cosine.json").read_text())
    assert saved == evaluate(model, dataset).to_dict()
