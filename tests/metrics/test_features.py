from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from denseil import cli
from denseil.gallery import read_features
from denseil.metrics import (
    Embeddings,
    RankingResult,
    load_features,
    load_records,
    merge_features,
    rank,
    save_features,
)
from denseil.metrics.merging import read_together
from denseil.viz import shown_features


@pytest.fixture
def pair() -> tuple[Embeddings, Embeddings]:
    generator = torch.Generator().manual_seed(0)

    def some(size: int) -> Embeddings:
        return Embeddings(torch.rand(size, 4, generator=generator), torch.arange(size) % 5, torch.arange(size) % 3)

    return some(20), some(60)


@pytest.fixture
def files(pair: tuple[Embeddings, Embeddings], tmp_path: Path) -> tuple[str, str]:
    paths = str(tmp_path / "q.safetensors"), str(tmp_path / "g.safetensors")
    for path, embeddings in zip(paths, pair, strict=True):
        save_features(path, embeddings, metadata={"frames": "all", "model": "é"})
    return paths


def test_round_trip(pair: tuple[Embeddings, Embeddings], files: tuple[str, str], tmp_path: Path) -> None:
    embeddings, metadata = load_features(files[0])
    for name in ("vectors", "pids", "camids"):
        assert torch.equal(getattr(embeddings, name), getattr(pair[0], name))
    assert metadata == {"frames": "all", "model": "é"}
    assert len(list(tmp_path.iterdir())) == 2


def test_a_failed_write_leaves_the_old_file(pair: tuple[Embeddings, Embeddings], files: tuple[str, str]) -> None:
    before = Path(files[0]).read_bytes()
    with pytest.raises(TypeError):
        save_features(files[0], pair[0], metadata={"frames": 8})  # type: ignore[dict-item]
    assert Path(files[0]).read_bytes() == before
    assert len(list(Path(files[0]).parent.iterdir())) == 2


def test_numpy_alone_can_write_one(tmp_path: Path) -> None:
    arrays = {"vectors": np.eye(3), "pids": np.array([1, 2, 3], np.int32), "camids": np.array([0, 0, 1], np.uint8)}
    save_file(arrays, tmp_path / "q.safetensors")
    embeddings, metadata = load_features(tmp_path / "q.safetensors")
    assert torch.equal(embeddings.vectors, torch.eye(3))
    assert embeddings.camids.tolist() == [0, 0, 1]
    assert metadata == {}


def test_an_id_means_the_same_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "q.safetensors"
    some = Embeddings(np.eye(4), [1, 2, 3, 4], [1, 1, 1, 1])
    save_features(path, some, records=[{"id": None}, {"id": 7}, {"id": "a"}, {}])
    expected = ["q:0", "7", "a", "q:3"]
    assert [record["id"] for record in read_together([path])[1]] == expected
    assert [record.id for record in read_features(path)[0]] == expected
    assert [one.name for one in shown_features(path)[1]] == expected
    for wrong in ("", True, 7.0, ["a"]):
        save_features(path, some, records=[{}, {}, {}, {"id": wrong}])
        for read in (lambda path: read_together([path]), read_features, shown_features):
            with pytest.raises(ValueError, match=r"q\.safetensors, row 3: id is .*; give each tracklet a text"):
                read(path)


def test_7_as_a_number_and_as_text_are_one_id(tmp_path: Path) -> None:
    for place, name in enumerate((7, "7")):
        save_features(tmp_path / f"{place}", Embeddings(np.eye(2)[:1], [1], [1]), records=[{"id": name}])
    with pytest.raises(ValueError, match="1 id of 2 with different records"):
        merge_features([tmp_path / "0", tmp_path / "1"], tmp_path / "both")


def test_records_travel_beside_the_vectors(pair: tuple[Embeddings, Embeddings], tmp_path: Path) -> None:
    path = tmp_path / "q.safetensors"
    records = [{"id": f"<b>é{i}", "start": i / 3, "thumbnail": None} for i in range(20)]
    save_features(path, pair[0], records=records)
    assert load_records(path) == records
    assert torch.equal(load_features(path).embeddings.vectors, pair[0].vectors)
    save_features(path, pair[0])
    assert load_records(path) is None


@pytest.mark.parametrize(
    ("records", "error"), [([{}], "1 records for 20"), ([{"start": float("nan")}] * 20, "not JSON compliant")]
)
def test_records_must_be_one_a_vector(
    pair: tuple[Embeddings, Embeddings], tmp_path: Path, records: list[dict[str, float]], error: str
) -> None:
    with pytest.raises(ValueError, match=error):
        save_features(tmp_path / "q.safetensors", pair[0], records=records)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", [b"{", b"{}", b"[{}]", b"[1, 2, 3]"])
def test_damaged_records_are_refused(tmp_path: Path, text: bytes) -> None:
    ids = np.arange(3)
    arrays = {"vectors": np.eye(3), "pids": ids, "camids": ids, "records": np.frombuffer(text, np.uint8)}
    save_file(arrays, tmp_path / "q.safetensors")
    with pytest.raises(ValueError, match="records"):
        load_records(tmp_path / "q.safetensors")


@pytest.mark.parametrize("keep", [0, 4, 60, -1])
def test_a_truncated_file_is_refused(files: tuple[str, str], keep: int) -> None:
    path = Path(files[0])
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"q\.safetensors is not a features file, or is damaged"):
        load_features(path)


def test_wrong_contents_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "f.safetensors"
    save_file({"vectors": np.eye(2), "pids": np.array([1, 2])}, path)
    with pytest.raises(ValueError, match=r"f\.safetensors lacks camids"):
        load_features(path)
    save_file({"vectors": np.eye(2), "pids": np.array([1, 2]), "camids": np.arange(9)}, path)
    with pytest.raises(ValueError, match=r"f\.safetensors: camids"):
        load_features(path)
    save_file({"vectors": np.eye(2), "pids": np.array([1.0, 2.0]), "camids": np.arange(2)}, path)
    with pytest.raises(TypeError, match=r"f\.safetensors: pids"):
        load_features(path)
    with pytest.raises(FileNotFoundError, match="absent"):
        load_features(tmp_path / "absent")
    with pytest.raises(FileNotFoundError):
        load_features(tmp_path)


def test_command_line(
    pair: tuple[Embeddings, Embeddings],
    files: tuple[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("matplotlib")
    out, plot = tmp_path / "out.json", tmp_path / "cmc.png"
    options = ["--protocol", "mars-official", "--metric", "euclidean", "--json", str(out), "--plot", str(plot)]
    assert cli.main(["evaluate", "--features", *files, *options]) == 0
    expected = rank(*pair, protocol="mars-official", metric="euclidean", frames="all")
    assert capsys.readouterr().out.strip() == str(expected)
    assert RankingResult.load(out).to_dict() == expected.to_dict()
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_command_line_errors(
    pair: tuple[Embeddings, Embeddings], files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["evaluate"]) == 2
    assert "--features" in capsys.readouterr().err
    for too_few in (["--features"], ["--features", files[0]], ["--features", files[0], "--metric", "cosine"]):
        assert cli.main(["evaluate", *too_few]) == 2
        assert "features" in capsys.readouterr().err
    assert cli.main(["evaluate", "--features", files[0], "absent"]) == 2
    assert "denseil: no features file absent: check the path; `denseil embed` and" in capsys.readouterr().err
    for unused in (
        *(["--precision", "bf16"], ["--frames", "even8"], ["--data-args", "split=1"], ["--random-weights"]),
        *(["--output", "folder"], ["--device", "cuda"], ["--seed", "3"]),
    ):
        assert cli.main(["evaluate", "--features", *files, *unused]) == 2
        assert f"--features: {unused[0]} would change nothing" in capsys.readouterr().err
    for unused in (["--gap", "90"], ["--stride", "10"], ["--window", "1"]):
        for words in (["--features", *files], ["model", "mars", "root"]):
            assert cli.main(["evaluate", *words, *unused]) == 2
            assert f"without --mot: {unused[0]} would change nothing" in capsys.readouterr().err
    assert cli.main(["evaluate", "model", "--mot", "t.txt", "--video", "v.mp4", "--output", "folder"]) == 2
    assert "--mot: --output would change nothing" in capsys.readouterr().err
    assert cli.main(["evaluate", "--features", *files, "--protocol", "mars"]) == 2
    assert "standard, mars-official" in capsys.readouterr().err
    save_features(files[0], pair[0], metadata={"frames": "8"})
    assert cli.main(["evaluate", "--features", *files]) == 2
    assert "'8'" in capsys.readouterr().err


def test_the_same_content_is_the_same_bytes(tmp_path):
    embeddings = Embeddings(torch.randn(3, 4), [1, 2, 3], [1, 1, 2])
    metadata = {f"entry {number}": "é" * number for number in range(8)}
    contents = set()
    for order in (list(metadata), list(metadata)[::-1], sorted(metadata, key=hash)):
        save_features(tmp_path / "f.safetensors", embeddings, metadata={key: metadata[key] for key in order})
        contents.add((tmp_path / "f.safetensors").read_bytes())
    assert len(contents) == 1
    assert load_features(tmp_path / "f.safetensors").metadata == metadata
