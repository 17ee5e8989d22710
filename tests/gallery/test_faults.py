"""Crashes, other processes, wrong addresses, a full disk: nothing acknowledged is lost, and one line says what is."""

from __future__ import annotations

import dataclasses
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import denseil
from denseil import gallery
from denseil.common.vectors import unit_vectors
from denseil.gallery import Gallery, Record
from tests.gallery.conftest import DIM, names, records, unit

pytest.importorskip("lancedb")

WRITER = """
import sys
import numpy as np
from denseil import gallery
from denseil.gallery import Record
g = gallery.open(sys.argv[1], 16)
at = int(sys.argv[2])
while True:
    vectors = np.random.default_rng(at).normal(size=(50, 16))
    g.add([Record(f"{at}-{i}", camid=1) for i in range(50)], vectors)
    print(at, flush=True)  # acknowledged
    at += 1
"""


def writer(uri: str, first: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, uri, str(first)]
    environment = {**os.environ, "PYTHONPATH": str(Path(denseil.__file__).parents[1])}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def acknowledged(process: subprocess.Popen[str]) -> int:
    """The number of the next batch that the writer says is in."""
    assert process.stdout is not None
    return int(process.stdout.readline())


@pytest.mark.parametrize("kills", [1, pytest.param(4, marks=pytest.mark.slow)])
def test_killed_writers_lose_nothing(tmp_path: Path, kills: int):
    uri, chance, done = str(tmp_path / "g"), random.Random(0), -1
    for _ in range(kills):
        process = writer(uri, done + 1)
        done = acknowledged(process)
        time.sleep(chance.uniform(0, 0.3))
        process.kill()
        rest = process.communicate()[0].split()
        done = int(rest[-1]) if rest else done
        with gallery.open(uri) as held:
            assert held.dim == DIM
            everything = {f"{at}-{i}" for at in range(done + 1) for i in range(50)}
            assert everything <= {item.record.id for block in held.scan() for item in block}
            assert held.count() in (len(everything), len(everything) + 50)  # one more may be in, not yet acknowledged
            query = np.random.default_rng(done).normal(size=(50, 16))[7]
            assert names(held.search(query, k=1)[0]) == [f"{done}-7"]
    with gallery.open(uri) as held:
        held.optimize(alone=True)
        assert held.count() >= 50 * (done + 1)


def test_a_second_process_reads_while_the_first_writes(tmp_path: Path):
    uri = str(tmp_path / "g")
    process = writer(uri)
    try:
        acknowledged(process)
        with gallery.open(uri) as reader:
            for _ in range(10):
                newest = acknowledged(process)
                assert reader.get([f"{newest}-49"])[0].record.id == f"{newest}-49"
                assert reader.count() >= 50 * (newest + 1)
    finally:
        process.kill()
        process.communicate()


def test_wrong_addresses(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="no gallery at"):
        gallery.open(str(tmp_path / "typo"))
    assert not (tmp_path / "typo").exists()
    for uri, text in [("milvsu://host:1", "did you mean milvus://"), ("ftp://x/y", "is not the address of a gallery")]:
        with pytest.raises(ValueError, match=text):
            gallery.open(uri, DIM)
    with pytest.raises(FileNotFoundError, match="always a new one"):
        gallery.open("memory://")
    with pytest.raises(ValueError, match="dim is 0"):
        gallery.open("memory://", 0)
    gallery.open(str(tmp_path / "g"), DIM).close()
    with pytest.raises(ValueError, match="is 16 wide, not 17"):
        gallery.open(str(tmp_path / "g"), DIM + 1)
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match="file"):
        gallery.open(str(tmp_path / "file"), DIM)


def test_folders_whose_names_look_like_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    windows = {"memory:x", "az:x", "shared-memory:x"}  # no names of folders there
    for uri in ("~/people", "~no such user", "a%20b", *(windows if os.name != "nt" else ())):
        with gallery.open(uri, DIM) as held:
            held.add(records(1), unit(1))
        place = tmp_path / "home" / "people" if uri == "~/people" else tmp_path / uri
        with gallery.open(uri) as again, gallery.open(str(place)) as same:  # Lance took some for stores in memory
            assert again.count() == same.count() == 1
    with gallery.open("people", DIM) as held:
        monkeypatch.chdir(tmp_path / "home")
        assert held.add(records(2), unit(2)) == 2
    assert (tmp_path / "people" / "records.lance").is_dir()


def test_ids_of_another_writer_are_told_with_what_was_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    vectors = unit(3)
    with gallery.open(str(tmp_path / "g"), DIM) as held:
        held.add(records(1), vectors[:1])
        found = held._held
        answers = iter([lambda *_: {}, found])  # added between the first look and the insertion
        monkeypatch.setattr(held, "_held", lambda *given: next(answers)(*given))
        with pytest.raises(ValueError, match=r"1 of 3 ids are held .*; 2 others were added: give each"):
            held.add(records(3), vectors[::-1])
        assert held.count() == 3


def test_a_table_that_is_no_gallery(tmp_path: Path):
    import lancedb

    lancedb.connect(tmp_path).create_table("records", [{"id": 1}])
    with pytest.raises(ValueError, match="is no gallery: it holds id"):
        gallery.open(str(tmp_path), DIM)


def test_a_folder_of_crops_does_not_become_a_gallery(tmp_path: Path):
    (tmp_path / "crops" / "0001").mkdir(parents=True)
    (tmp_path / "crops" / "0002.jpg").touch()
    with pytest.raises(ValueError, match=r"is no gallery: it holds 0001 and other files; give a new folder"):
        gallery.open(str(tmp_path / "crops"), DIM)
    assert sorted(path.name for path in (tmp_path / "crops").iterdir()) == ["0001", "0002.jpg"]
    (tmp_path / "empty").mkdir()
    gallery.open(str(tmp_path / "empty"), DIM).close()
    (tmp_path / "empty" / "notes.txt").touch()  # beside an existing gallery
    gallery.open(str(tmp_path / "empty"), DIM).close()


def test_nobody_answers():
    pytest.importorskip("pymilvus")
    began = time.monotonic()
    with pytest.raises(ConnectionError, match=r"gallery http://127.0.0.1:9: connecting failed, nothing was changed"):
        gallery.open("http://127.0.0.1:9")
    assert time.monotonic() - began < 60  # it ends; how fast is not asked here
    with pytest.raises(ValueError, match="no address of Milvus"):
        gallery.open("http://a b/c")


@pytest.fixture
def small_disk(tmp_path: Path):
    """A disk of 3 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk(small_disk: Path):
    with gallery.open(str(small_disk / "g"), 256) as held:
        held.add(records(100), unit(100, dim=256))
        more = [Record(f"more{i}", camid=1) for i in range(20_000)]
        with pytest.raises(OSError, match=r"adding failed, nothing was changed: .*No space left") as raised:
            held.add(more, unit(20_000, dim=256))
        assert "\n" not in str(raised.value)
        assert held.count() == 100
    with gallery.open(str(small_disk / "g")) as again:
        assert names(again.search(unit(100, dim=256)[5], k=1)[0]) == [records(100)[5].id]
        assert again.add(more[:10], unit(10, dim=256)) == 10


def holds(folder: Path, vector: np.ndarray) -> list[Path]:
    """Files that hold any four numbers of the vector: a file may break it where a block ends."""
    pieces = [vector[i : i + 4].tobytes() for i in range(0, len(vector), 4)]
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [path for path in files if any(piece in path.read_bytes() for piece in pieces)]


@pytest.mark.parametrize("index", [False, True])
@pytest.mark.parametrize("batches", [1, 3])
def test_forgotten_bytes_leave_the_files(tmp_path: Path, batches: int, index: bool):
    size = 600
    held = records(size)
    vectors = unit_vectors(unit(size))  # to the bit what is stored
    with gallery.open(str(tmp_path), DIM) as lance:
        for part in np.array_split(np.arange(size), batches):
            lance.add([held[i] for i in part], vectors[part])
        if index:
            lance.index()  # type: ignore[attr-defined]
        once = held[5]
        gone = [i for i, r in enumerate(held) if r.track == once.track or r.pid == 3 or r.until < 50_000]
        assert all(holds(tmp_path, vectors[i]) for i in gone)
        assert lance.forget(track=once.track) == 1
        lance.optimize()
        assert not holds(tmp_path, vectors[5])  # one row of many: Lance by itself would leave it
        lance.forget(pid=3)
        lance.expire(50_000)
        lance.optimize()
        assert not any(holds(tmp_path, vectors[i]) for i in gone)
        kept = sorted(set(range(size)) - set(gone))
        assert lance.count() == len(kept)
        assert all(holds(tmp_path, vectors[i]) for i in kept[:5])
        assert names(lance.search(vectors[kept[-1]], k=1, exact=False)[0]) == [held[kept[-1]].id]


@pytest.mark.parametrize("others", ["none", "in another file", "gone too"])
def test_forgotten_names_leave_the_files(tmp_path: Path, others: str):
    person = Record("c1/anna@5", camid=1, start=5.0, track="Anna", thumbnail="anna.jpg")
    with gallery.open(str(tmp_path), DIM) as lance:
        lance.add(records(20), unit(20))
        lance.add([person], unit(1, seed=1))
        if others != "in another file":
            lance.delete([record.id for record in records(20)])
        if others == "gone too":
            lance.add([dataclasses.replace(person, id="c1/anna@9")], unit(1, seed=2))
        assert lance.forget(track="Anna") == 1 + (others == "gone too")
        lance.optimize()
        assert lance.count() == (20 if others == "in another file" else 0)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if re.search(b"(?i)anna", path.read_bytes())]


def test_milvus_answers_in_parts_of_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("milvus_lite")
    pytest.importorskip("fcntl", reason="Milvus Lite locks its file with fcntl")
    from denseil.gallery import milvus

    monkeypatch.setattr(milvus, "HITS", 60)
    with gallery.open(f"milvus://{tmp_path}/g.db", DIM) as lite:
        lite.add(records(50), unit(50))
        asked: list[int] = []
        search = lite._client.search  # type: ignore[attr-defined]

        def counted(*args: object, data: list[object], limit: int, **rest: object) -> object:
            asked.append(len(data) * limit)
            return search(*args, data=data, limit=limit, **rest)

        monkeypatch.setattr(lite._client, "search", counted)  # type: ignore[attr-defined]
        found = lite.search(unit(50), k=20)
        assert [hits[0].record.id for hits in found] == [record.id for record in records(50)]
        assert max(asked) <= 60
        assert len(lite.search(unit(2), k=100)[0]) == 50  # one query has more


def test_milvus_forgets_by_day(tmp_path: Path):
    pytest.importorskip("milvus_lite")
    pytest.importorskip("fcntl", reason="Milvus Lite locks its file with fcntl")
    held, vectors = records(600), unit_vectors(unit(600))
    with gallery.open(f"milvus://{tmp_path}/g.db", DIM) as lite:
        lite.add(held, vectors)
        lite.optimize()
        assert holds(tmp_path, vectors[0])
        assert lite.expire(2 * 86_400) > 0
        lite.optimize()
        old = [i for i, record in enumerate(held) if record.until < 2 * 86_400]
        assert not any(holds(tmp_path, vectors[i]) for i in old[:-1])
        assert holds(tmp_path, vectors[-1])


@pytest.mark.slow
def test_a_server_that_goes_away(tmp_path: Path):
    milvus = pytest.importorskip("milvus", reason="no Milvus server: pip install milvus==2.3.5 (Linux, x86-64)")
    from tests.gallery.conftest import run_milvus

    with run_milvus(tmp_path) as uri:
        opened: Gallery = gallery.open(f"{uri}/gone", DIM)
        opened.add(records(10), unit(10))
    assert milvus
    for act in (lambda: opened.search(unit(1)), lambda: opened.add(records(11), unit(11)), opened.count):
        with pytest.raises(ConnectionError, match="failed, ") as raised:
            act()
        assert "\n" not in str(raised.value)
    with run_milvus(tmp_path) as uri:  # the same data
        assert gallery.open(f"{uri}/gone").count() == 10


@pytest.mark.slow
def test_a_server_killed_while_records_are_added(tmp_path: Path):
    pytest.importorskip("milvus", reason="no Milvus server: pip install milvus==2.3.5 (Linux, x86-64)")
    from tests.gallery.conftest import run_milvus

    batch, size = 50, 10_000
    held, vectors, acknowledged = records(size), unit(size), 0
    errors: list[Exception] = []

    def add() -> None:
        nonlocal acknowledged
        try:
            for start in range(0, size, batch):
                opened.add(held[start : start + batch], vectors[start : start + batch])
                acknowledged = start + batch
        except Exception as error:
            errors.append(error)

    with run_milvus(tmp_path, killed=True) as uri:
        opened = gallery.open(f"{uri}/killed", DIM)
        adding = threading.Thread(target=add, daemon=True)
        adding.start()
        while acknowledged < 10 * batch and adding.is_alive():
            time.sleep(0.01)
    adding.join(120)
    assert [type(error) for error in errors] == [ConnectionError]  # and it does not hang
    assert re.search(r"^gallery http.*/killed: .*(nothing was changed|add them all again)", str(errors[0]))
    with run_milvus(tmp_path) as uri:  # the same data
        again = gallery.open(f"{uri}/killed")
        assert acknowledged <= again.count() <= acknowledged + batch
        kept = again.get([record.id for record in held[:acknowledged]])
        found = np.stack([stored.vector for stored in kept])
        np.testing.assert_allclose(found, unit_vectors(vectors[:acknowledged]), atol=1e-6)


def test_a_gallery_whose_maker_was_killed_at_once(tmp_path: Path):
    (tmp_path / "records.lance" / "data").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="no gallery at"):
        gallery.open(str(tmp_path))
    with gallery.open(str(tmp_path), DIM) as held:
        assert held.add(records(5), unit(5)) == 5
    with gallery.open(str(tmp_path)) as again:
        assert again.count() == 5
