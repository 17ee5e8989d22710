"""Features files joined: what was one run is one file again, and what does not belong together is refused."""

from pathlib import Path

import pytest
import torch

from denseil.cli import main
from denseil.metrics import Embeddings, load_features, load_records, merge_features, save_features
from denseil.metrics.merging import read_together

VECTORS = torch.nn.functional.normalize(torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), dim=1)


def write(path: Path, rows: list[int], *, shard: str | None = None, **changes: str) -> Path:
    """A features file of some of six records."""
    metadata = {"model": "a", "frames": "all"} | ({"shard": shard} if shard else {}) | changes
    embeddings = Embeddings(VECTORS[rows], [10 + row for row in rows], [1] * len(rows))
    save_features(path, embeddings, metadata=metadata, records=[{"id": f"track {row}"} for row in rows])
    return path


def test_shards_in_any_order_are_the_file_of_one_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    whole = write(tmp_path / "whole", [0, 1, 2, 3, 4, 5])
    shares = {"3/3": [4, 5], "1/3": [0, 1], "2/3": [2, 3]}
    paths = [write(tmp_path / f"{rows[0]}", rows, shard=shard) for shard, rows in shares.items()]
    assert main(["features", "merge", *map(str, paths), "-o", str(tmp_path / "all")]) == 0
    assert f"6 vectors: {tmp_path / 'all'}" in capsys.readouterr().out
    assert (tmp_path / "all").read_bytes() == whole.read_bytes()
    with pytest.raises(FileExistsError, match="is there already"):
        merge_features(paths, tmp_path / "all")


def test_files_of_several_videos_in_the_order_given(tmp_path: Path):
    report = merge_features([write(tmp_path / "b", [3, 2]), write(tmp_path / "a", [0, 5])], tmp_path / "all")
    assert (report.vectors, report.repeated) == (4, 0)
    assert load_features(tmp_path / "all").embeddings.pids.tolist() == [13, 12, 10, 15]
    assert [record["id"] for record in load_records(tmp_path / "all")] == [f"track {row}" for row in (3, 2, 0, 5)]


def test_the_same_record_in_two_files_is_kept_once(tmp_path: Path):
    report = merge_features([write(tmp_path / "a", [0, 1]), write(tmp_path / "b", [1, 2])], tmp_path / "all")
    assert (report.vectors, report.repeated) == (3, 1)
    assert "1 of them in more than one file" in str(report)
    assert load_features(tmp_path / "all").embeddings.pids.tolist() == [10, 11, 12]


@pytest.mark.parametrize("change", ["vectors", "pids", "camids", "records"])
def test_one_id_of_two_records_is_refused(tmp_path: Path, change: str):
    first = write(tmp_path / "a", [0, 1])
    values = {"vectors": VECTORS[[1, 2]], "pids": [11, 12], "camids": [1, 1]}
    records = [{"id": "track 1"}, {"id": "track 2"}]
    if change == "records":
        records[0]["start"] = 3.0
    else:
        values[change] = {"vectors": VECTORS[[3, 2]], "pids": [19, 12], "camids": [2, 1]}[change]
    save_features(tmp_path / "b", Embeddings(**values), metadata={"model": "a", "frames": "all"}, records=records)
    with pytest.raises(ValueError, match="1 id of 4 with different records, first 'track 1'"):
        merge_features([first, tmp_path / "b"], tmp_path / "all")
    assert not (tmp_path / "all").exists()


@pytest.mark.parametrize(
    ("shards", "says"),
    [
        (["1/3", "3/3"], "1 of 3 shards are missing: 2"),
        (["1/2", "1/2"], "are both shard 1/2"),
        (["1/2", "2/3"], "of different runs"),
        (["1/1", None], "is not a shard"),
        (["0/1", "1/1"], "is not a shard"),
    ],
)
def test_shards_that_are_not_one_run(tmp_path: Path, shards: list[str | None], says: str):
    paths = [write(tmp_path / f"{number}", [number], shard=shard) for number, shard in enumerate(shards)]
    with pytest.raises(ValueError, match=says):
        merge_features(paths, tmp_path / "all")


def test_vectors_made_differently_do_not_mix(tmp_path: Path):
    one, other = write(tmp_path / "a", [0]), write(tmp_path / "b", [1], model="other")
    with pytest.raises(ValueError, match=r"has model 'a', .*b 'other': vectors made differently do not mix; embed all"):
        merge_features([one, other], tmp_path / "all")
    save_features(tmp_path / "c", Embeddings(VECTORS[:1, :3], [1], [1]), metadata={"model": "a", "frames": "all"})
    with pytest.raises(ValueError, match=r"has vectors of 4 numbers, .*c of 3: they are of two models; embed all"):
        merge_features([one, tmp_path / "c"], tmp_path / "all")
    save_features(tmp_path / "d", Embeddings(VECTORS[:1], [1], [1]), metadata={"model": "a", "frames": "all"})
    with pytest.raises(ValueError, match=r"some have none, first \S+/d: merge those"):
        merge_features([one, tmp_path / "d"], tmp_path / "all")
    with pytest.raises(ValueError, match="no features files"):
        merge_features([], tmp_path / "all")


def test_files_without_records(tmp_path: Path):
    for name in "ab":
        save_features(tmp_path / name, Embeddings(VECTORS[:2], [1, 2], [1, 1]))
    assert merge_features([tmp_path / "a", tmp_path / "b"], tmp_path / "all").vectors == 4
    assert load_records(tmp_path / "all") is None


@pytest.mark.parametrize(
    ("made", "text"),
    [
        ([{"model": "net a"}, {"model": "net b"}], "a was made by net a, b by net b: vectors of two models cannot"),
        ([{"model": "net a"}, {"model": "net a"}], ""),
        ([{"model": "net a"}, {}], ""),
        ([{"model": "net a"}, {}, {"model": "net b"}], "a was made by net a, c by net b: vectors of two models cannot"),
        ([{"model": "a", "weights": "12"}, {"model": "b", "weights": "12"}], ""),
        ([{"model": "a", "weights": "12"}, {"weights": "34"}], "a was made by a 12, b by a model 34: vectors of two"),
    ],
)
def test_names_decide_where_files_record_no_more_of_their_models(
    made: list[dict[str, str]],
    text: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    names = "abc"[: len(made)]
    for name, metadata in zip(names, made, strict=True):
        save_features(name, Embeddings(VECTORS, [1, 1, 2, 2, 3, 3], [1, 2, 1, 2, 1, 2]), metadata=metadata)
    commands = [["link", *names, "-o", "p.csv", "--threshold", "0.5"], ["evaluate", "--features", "a", names[-1]]]
    for words in commands:
        assert main(words) == (2 if text else 0)
        error = capsys.readouterr().err
        assert text in error
        assert len([line for line in error.splitlines() if "without a time" not in line]) == bool(text)


def test_missing_shards_are_told_where_files_are_read_together(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    files = [write(tmp_path / f"{row}", [row], shard=f"{row + 1}/3") for row in range(3)]
    read_together(files)
    assert caplog.text == ""
    read_together(files[:2])
    assert "2 of 3 shards of a run are given: the tracklets of the others are missing" in caplog.text
