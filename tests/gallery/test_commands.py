"""The gallery's verbs, called as a person would."""

from __future__ import annotations

import importlib
import json
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import denseil
from denseil import gallery
from denseil.cli import main
from denseil.cli.gallery import seconds
from denseil.gallery import features_model
from denseil.gallery.opening import check_two
from denseil.metrics import Embeddings, load_features, save_features
from tests.gallery.conftest import HOSTILE, unit

pytest.importorskip("lancedb")


@pytest.fixture
def features(tmp_path: Path) -> Path:
    """Twelve tracklets of four persons and three cameras, an hour apart, with hostile names."""
    path = tmp_path / "vectors.safetensors"
    people = unit(4, dim=8)
    vectors = np.concatenate([people + 0.1 * unit(4, seed=camera, dim=8) for camera in (1, 2, 3)])
    pids, camids = np.tile(np.arange(4), 3), np.repeat([1, 2, 3], 4)
    records = [
        {"id": f"{HOSTILE[i % 6]}{i}", "start": 1.7e9 + 3600 * i, "end": 1.7e9 + 3600 * i + 60, "thumbnail": None}
        for i in range(12)
    ]
    save_features(path, Embeddings(vectors, np.where(pids == 3, -1, pids), camids), records=records)
    return path


@pytest.fixture
def uri(features: Path, capsys: pytest.CaptureFixture[str]) -> str:
    place = str(features.parent / "g")
    assert main(["gallery", "add", place, str(features)]) == 0
    assert capsys.readouterr().out == f"new records: 12 of 12; {place} holds 12\n"
    return place


def test_vectors_that_cannot_be_added_make_no_gallery(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    save_features(tmp_path / "zero.safetensors", Embeddings(np.zeros((2, 8)), [1, 2], [1, 1]))
    assert main(["gallery", "add", str(tmp_path / "g"), str(tmp_path / "zero.safetensors")]) == 2
    assert "row 0 holds NaN or infinity, or zeros alone" in capsys.readouterr().err
    assert not (tmp_path / "g").exists()


@pytest.mark.parametrize("reader", ["denseil.metrics.features.load_records", "denseil.metrics.load_features"])
def test_a_file_that_is_replaced_meanwhile_is_not_added(
    reader: str, features: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    found = load_features(features).embeddings
    save_features(tmp_path / "other", Embeddings(-found.vectors, found.pids, found.camids), metadata={"model": "b"})
    module, _, name = reader.rpartition(".")
    read = getattr(importlib.import_module(module), name)

    def late(path: Path) -> object:
        if (tmp_path / "other").exists():
            (tmp_path / "other").replace(features)
        return read(path)

    monkeypatch.setattr(reader, late)
    assert main(["gallery", "add", str(tmp_path / "g"), str(features)]) == 2
    assert "was replaced while it was read" in capsys.readouterr().err
    assert not (tmp_path / "g").exists()


def test_adding_again_changes_nothing(uri: str, features: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["gallery", "add", uri, str(features)]) == 0
    assert "new records: 0 of 12" in capsys.readouterr().out


def test_search_by_record(uri: str, capsys: pytest.CaptureFixture[str]):
    name = f"{HOSTILE[0]}0"
    assert main(["search", name, "--gallery", uri, "--k", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == name
    assert [line.split()[2] for line in lines[1:]] == ["✓", "✓"]
    assert not any(name in line for line in lines[1:])  # a query does not find itself
    assert main(["gallery", "search", name, "--gallery", uri, "--camids", "[3]", "--k", "1"]) == 0
    assert "camera 3" in capsys.readouterr().out


def test_search_by_file_and_page(uri: str, features: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    page = tmp_path / "page.html"
    command = ["search", str(features), "--gallery", uri, "--other_cameras", "--k", "3", "--page", str(page)]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "2 more queries" in out
    assert "\t" not in out  # names cannot command the terminal
    html = page.read_text(encoding="utf-8")
    assert HOSTILE[0] not in html
    assert "9 of 9 first answers are right." in html
    assert html.count('<li class="right">') == 18  # two other cameras each
    hits = html.split("<article")[1]
    assert "camera 1<" not in hits.split("<ol")[1]


def test_times(uri: str, capsys: pytest.CaptureFixture[str]):
    name = f"{HOSTILE[0]}0"
    assert main(["search", name, "--gallery", uri, "--after", "2023-11-15T00:00:00+00:00"]) == 0
    after = len(capsys.readouterr().out.splitlines()) - 1
    assert main(["search", name, "--gallery", uri, "--before", "2023-11-15T00:00:00+00:00"]) == 0
    before = len(capsys.readouterr().out.splitlines()) - 1
    assert (before, after) == (1, 10)  # from 22:13 on, one an hour; the query itself is left out
    assert seconds("1970-01-01T01:00:00+01:00") == 0
    assert seconds("12.5") == 12.5
    thirty, sixty = seconds("30d"), seconds("60d")
    assert thirty is not None
    assert sixty is not None
    assert thirty - sixty == pytest.approx(30 * 86_400, abs=5)


def test_a_record_without_a_time_shows_none(uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    save_features(tmp_path / "folders.safetensors", Embeddings(unit(2, seed=9, dim=8), [-1, -1], [7, 7]))
    assert main(["gallery", "add", uri, str(tmp_path / "folders.safetensors")]) == 0
    capsys.readouterr()
    assert main(["gallery", "info", uri]) == 0
    out = capsys.readouterr().out
    assert "from 2023-11-14 22:13:20 to 2023-11-15" in out  # not from 0:00:00
    assert "without a time: 2" in out
    assert main(["search", str(tmp_path / "folders.safetensors"), "--gallery", uri, "--camids", "7"]) == 0
    assert "camera 7\n" in capsys.readouterr().out


def test_forgetting(uri: str, capsys: pytest.CaptureFixture[str]):
    assert main(["gallery", "forget", uri, "--pid", "1"]) == 0
    assert main(["gallery", "forget", uri, "--id", f"{HOSTILE[0]}0"]) == 0
    assert main(["gallery", "expire", uri, "2023-11-15T05:00:00+00:00"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert [line.split(";")[0] for line in out] == [f"removed records: {count}" for count in (3, 1, 4)]
    with gallery.open(uri) as held:
        assert held.count() == 4
    assert main(["gallery", "info", uri]) == 0
    assert "records 4, known persons 2, width of the vectors 8" in capsys.readouterr().out


def test_expiring_says_how_many_had_no_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    uri = str(tmp_path / "g")
    with gallery.open(uri, 8) as held:
        held.add([gallery.Record("timeless", camid=1), gallery.Record("old", camid=1, start=1e9)], unit(2, dim=8))
        held.add([gallery.Record("new", camid=1, start=4e9)], unit(1, seed=1, dim=8))
    assert main(["gallery", "expire", uri, "30d"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("removed records: 2;")
    assert "of these, 1 had no time: such records count as the oldest" in printed.err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["forget", "--pid", "1", "--no-optimize", "--alone"], "--no-optimize: --alone would change nothing"),
        (["expire", "30d", "--no-optimize", "--alone"], "--no-optimize: --alone would change nothing"),
        (["search", f"{HOSTILE[0]}0", "--model", "m"], "--model embeds a folder of crops, which <script>"),
    ],
)
def test_options_without_effect_are_refused(uri: str, words: list[str], text: str, capsys: pytest.CaptureFixture[str]):
    place = ["--gallery", uri] if words[0] == "search" else [uri]
    assert main(["gallery", words[0], *(place + words[1:] if words[0] != "search" else words[1:] + place)]) == 2
    assert text in capsys.readouterr().err
    with gallery.open(uri) as held:
        assert held.count() == 12


def test_forgetting_what_is_not_there_says_so(uri: str, capsys: pytest.CaptureFixture[str]):
    assert main(["gallery", "forget", uri, "--id", "a typo"]) == 1
    printed = capsys.readouterr()
    assert printed.out.startswith("removed records: 0")
    assert "nothing in the gallery matches" in printed.err
    assert main(["gallery", "forget", uri, "--track", "9"]) == 1
    assert "no record has this track, and denseil embed stores none: give --id ID" in capsys.readouterr().err


def test_an_age_without_its_unit_is_told(uri: str, capsys: pytest.CaptureFixture[str]):
    assert main(["gallery", "expire", uri, "30"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("removed records: 0")
    assert "nothing ended before 30 seconds since 1970, or since the start of a video; an age is 30d" in printed.err


def test_copy(uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    other = str(tmp_path / "other")
    assert main(["gallery", "copy", uri, other]) == 0
    assert "new records: 12 of 12" in capsys.readouterr().out
    with gallery.open(uri) as a, gallery.open(other) as b:
        name = f"{HOSTILE[1]}1"
        assert a.get([name])[0].record == b.get([name])[0].record
        assert (a.get([name])[0].vector == b.get([name])[0].vector).all()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            ["search", "nobody", "--gallery", "URI"],
            "denseil: 'nobody' is no record in URI, and no folder",
        ),
        (["search", "nobody", "--gallery", "URI"], "give a whole id, such as "),
        (["search", "nobody", "--gallery", "URI", "--model", "m"], "--model embeds a folder of crops, which nobody"),
        (["search", "x", "--gallery", "nowhere"], "denseil: no gallery at nowhere"),
        (["search", "x", "--gallery", "milvsu://h"], "did you mean milvus://"),
        (["search", ".", "--gallery", "URI"], "--model"),
        (["search", "x", "--gallery", "URI", "--after", "noon"], "'noon' is not a time"),
        (
            ["search", "x", "--gallery", "URI", "--after", "2026-05-01"],
            "has no time zone: add it, such as 2026-05-01T00:00:00+02:00",
        ),
        (["gallery", "forget", "URI"], "give what to forget"),
        (["gallery", "forget", "URI", "--pid", "1", "--id", "a"], "give what to forget"),
        (["gallery", "add", "URI", "absent.safetensors"], "no features file"),
        (["gallery", "index", "memory://"], "always a new one"),
    ],
)
def test_errors_are_one_line(uri: str, capsys: pytest.CaptureFixture[str], words: list[str], text: str):
    assert main([uri if word == "URI" else word for word in words]) == 2
    err = capsys.readouterr().err
    assert text.replace("URI", uri) in err
    assert err.count("\n") == 1


def test_an_index_says_what_it_costs(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path, uri = tmp_path / "v.safetensors", str(tmp_path / "g")
    save_features(path, Embeddings(unit(2000), np.zeros(2000, int), np.zeros(2000, int)))
    assert main(["gallery", "add", uri, str(path)]) == 0
    assert main(["gallery", "index", uri, "--queries", "20"]) == 0
    assert "of the 10 nearest (worst of 20 queries" in capsys.readouterr().out
    assert main(["search", "v:3", "--gallery", uri, "--no-exact"]) == 0


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two models of one architecture with other weights."""
    folder, args = tmp_path_factory.mktemp("models"), {"backbone": "test_resnet", "dim": 8, "num_heads": 2}
    made = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        made.append(str(denseil.save_pretrained(denseil.create_model("denseil", **args), folder / str(seed))))
    return made


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tracklets of three crops."""
    root = tmp_path_factory.mktemp("crops")
    for number in range(6):
        folder = root / str(number % 2)
        folder.mkdir(exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (64, 32, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return root


def test_vectors_of_another_model_are_refused(
    models: list[str], crops: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    files, uri = [str(tmp_path / f"{number}.safetensors") for number in (0, 1)], str(tmp_path / "g")
    for model, file in zip(models, files, strict=True):
        assert main(["embed", str(crops), "--model", model, "--output", file, "--no-progress", "--device", "cpu"]) == 0
    assert main(["gallery", "add", uri, files[0]]) == 0
    capsys.readouterr()
    for words in (
        ["gallery", "add", uri, files[1]],
        ["search", files[1], "--gallery", uri],
        ["search", str(crops), "--gallery", uri, "--model", models[1]],
    ):
        assert main(words) == 2
        err = capsys.readouterr().err
        assert "was filled by the model denseil " in err
        assert err.count("\n") == 1
    assert main(["gallery", "copy", uri, str(tmp_path / "other")]) == 0
    assert main(["gallery", "add", str(tmp_path / "other"), files[1]]) == 2
    assert main(["gallery", "info", uri]) == 0
    identity = load_features(files[0]).metadata["model_id"]
    assert features_model(files[0]).endswith(f" {identity}")
    assert features_model(files[0]) in capsys.readouterr().out
    with gallery.open(uri, model=identity) as held, pytest.raises(ValueError, match="by the model other"):
        gallery.copy(held, gallery.MemoryGallery(held.dim, "other " + "0" * 40))
    assert main(["evaluate", "--features", files[0], files[1]]) == 2
    err = capsys.readouterr().err
    assert "vectors of two models cannot be compared" in err
    assert err.count("\n") == 1


def test_attention_of_crops_on_the_page(
    models: list[str], crops: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file, uri, page = str(tmp_path / "v.safetensors"), str(tmp_path / "g"), tmp_path / "page.html"
    assert main(["embed", str(crops), "--model", models[0], "--output", file, "--no-progress", "--device", "cpu"]) == 0
    assert main(["gallery", "add", uri, file]) == 0
    ask = ["search", str(crops), "--gallery", uri, "--model", models[0], "--page", str(page)]
    assert main(ask) == 0
    assert "attention" not in page.read_text(encoding="utf-8").split("<main>")[1]
    assert main([*ask, "--attention"]) == 0
    html = page.read_text(encoding="utf-8")
    assert html.count('<table class="attention">') == 2
    assert html.count("data:image") == 6
    assert main(["search", str(crops / "1"), *ask[2:], "--attention"]) == 0
    assert page.read_text(encoding="utf-8").count('<table class="attention">') == 1
    capsys.readouterr()
    assert main(["search", "0", "--gallery", uri, "--page", str(page), "--attention"]) == 2
    assert "give a folder of crops as the query" in capsys.readouterr().err


def test_two_cameras_with_the_same_ids(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    files = [str(tmp_path / f"{camera}.safetensors") for camera in (1, 2)]
    people = unit(4, dim=8)
    known = [{"id": f"clip/{i}", "start": 10.0 * i, "end": 10.0 * i + 5} for i in range(4)]
    for camera, file in enumerate(files, 1):
        vectors = people + 0.1 * unit(4, seed=camera, dim=8)
        save_features(file, Embeddings(vectors, np.arange(4), np.full(4, camera)), records=known)
    uri = str(tmp_path / "g")
    assert main(["gallery", "add", uri, files[0]]) == 0
    assert main(["gallery", "add", uri, files[1]]) == 2
    err = capsys.readouterr().err
    assert "4 of 4 ids are held" in err
    assert "4 by camera, 4 by vector" in err
    # the other camera's tracks are asked for: tracks of the same name in this one are answers, not the query itself
    assert main(["search", files[1], "--gallery", uri, "--k", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["hits"][0]["record"]["id"] for one in found] == [f"clip/{i}" for i in range(4)]
    assert main(["search", files[0], "--gallery", uri, "--k", "4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert all(one["query"] not in {hit["record"]["id"] for hit in one["hits"]} for one in found)


def test_unknown_people_are_not_a_person(uri: str, capsys: pytest.CaptureFixture[str]):
    assert main(["gallery", "forget", uri, "--pid", "-1"]) == 2
    assert "'-1': it must be a whole number of at least 0" in capsys.readouterr().err
    with gallery.open(uri) as held:
        assert held.count() == 12


def test_names_decide_where_files_record_no_more_of_their_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    digest, paths, uri = "0123456789abcdef", {}, str(tmp_path / "g")
    for name, made in {
        "a": {"model": "net a"},
        "b": {"model": "net b"},
        "c": {"model": "net a", "weights": digest},
    }.items():
        paths[name] = str(tmp_path / f"{name}.safetensors")
        save_features(paths[name], Embeddings(unit(3), np.zeros(3, int), np.zeros(3, int)), metadata=made)
    assert main(["gallery", "add", uri, paths["a"]]) == 0
    assert main(["search", paths["c"], "--gallery", uri]) == 0
    capsys.readouterr()
    for words in (["gallery", "add", uri, paths["b"]], ["search", paths["b"], "--gallery", uri]):
        assert main(words) == 2
        assert "was filled by the model net a, not by net b: their vectors cannot" in capsys.readouterr().err
    assert main(["gallery", "add", str(tmp_path / "other"), paths["c"]]) == 0
    assert main(["search", paths["a"], "--gallery", str(tmp_path / "other")]) == 0
    assert main(["search", paths["b"], "--gallery", str(tmp_path / "other")]) == 2
    assert f"by the model net a {digest}, not by net b" in capsys.readouterr().err


def test_a_gallery_is_not_copied_into_itself(
    uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    folder = Path(uri)
    monkeypatch.chdir(folder.parent)
    Path("link").symlink_to(folder)
    for other in (uri, f"./{folder.name}/", f"x/../{folder.name}", "link"):
        for words in (["gallery", "copy", uri, other], ["gallery", "reembed", other, uri, "--model", "none"]):
            assert main(words) == 2
            error = capsys.readouterr().err
            assert "are one gallery; give another one as the target" in error
            assert error.count("\n") == 1
    with gallery.open(uri) as held, gallery.open("link") as same, pytest.raises(ValueError, match="are one gallery"):
        gallery.copy(held, same)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://h:1", "milvus://H:1/denseil/", True),
        ("http://h:1", "http://h:1/other", False),
        ("http://h:1/a", "http://h:1/A", False),
        ("http://h:1", "http://h:2", False),
        ("milvus:///a/b.db", "milvus:///a/../a/b.db", True),
        ("s3://bucket/people", "s3://bucket/people/", True),
        ("s3://bucket/people", "s3://bucket/People", False),
        ("memory://", "memory://", False),
    ],
)
def test_addresses_of_one_gallery(one: str, other: str, same: bool):
    with pytest.raises(ValueError, match="are one gallery") if same else nullcontext():
        check_two(one, other)


@pytest.mark.parametrize("before", ["1777617000000", "-5d", "9000-01-01T00:00:00+00:00"])
def test_nothing_expires_in_the_future(uri: str, before: str, capsys: pytest.CaptureFixture[str]):
    assert main(["gallery", "expire", uri, "--", before]) == 2
    assert f"'{before}' lies in the future, so that all records would be removed" in capsys.readouterr().err
    assert main(["gallery", "expire", uri, "0d", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["removed"] == 12


def test_a_file_is_no_place_for_a_gallery(features: Path, capsys: pytest.CaptureFixture[str]):
    for place in (features, features / "g"):
        assert main(["gallery", "add", str(place), str(features)]) == 2
        assert f"{features} is no folder; give the name of a folder" in capsys.readouterr().err
