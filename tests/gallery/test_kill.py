"""kill -9 in `add`, also with `replace`, `forget`, `optimize` and `copy`: nothing is lost, nothing forgotten is left.

The process killed is the one that writes: the server of milvus-lite is a part of it, and that of Milvus goes on.
DENSEIL_KILL_SEEDS=8 tries eight times as many moments.
"""

from __future__ import annotations

import importlib
import itertools
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from denseil import gallery
from denseil.gallery import Record, copy
from tests.forked import context
from tests.gallery.conftest import DIM, unit
from tests.gallery.test_faults import holds

pytestmark = pytest.mark.slow
PEOPLE, EACH = 12, 50  # persons, and records of each


def people(pid: int) -> tuple[list[Record], np.ndarray]:
    """The records of one person with their vectors."""
    return [Record(f"{pid}/{i}", camid=i % 3, start=i, pid=pid) for i in range(EACH)], unit(EACH, seed=pid)


def work(said: Connection, what: str, uri: str, other: str) -> None:
    """Do something to a gallery in a process of its own, and say what is done."""
    held = gallery.open(uri)
    said.send("ready")
    if what == "add":
        for pid in range(100, 200):
            held.add(*people(pid))
            said.send(pid)
    elif what == "forget":
        for pid in range(6):
            held.forget(pid=pid)
            said.send(pid)
            held.optimize()
    elif what == "optimize":
        while True:
            held.optimize()
    elif what == "replace":
        for at in itertools.count():
            held.add(*people(at % PEOPLE), replace=True)
    elif what == "copy":
        copy(held, gallery.open(other, held.dim))
        said.send("done")


def kill(moment: float, *words: str) -> list[int | str]:
    """Start the work, kill its process, and return what it has said."""
    heard, said = context().Pipe(duplex=False)
    process = context().Process(target=work, args=(said, *words))
    process.start()
    said.close()
    assert heard.recv() == "ready"
    time.sleep(moment)
    process.kill()
    process.join()
    found: list[int | str] = []
    with heard, suppress(EOFError):
        while True:
            found.append(heard.recv())
    return found


@contextmanager
def opened(uri: str, dim: int | None = None) -> Iterator[gallery.Gallery]:
    """A gallery that other processes can open afterwards: milvus-lite locks its file until its server ends."""
    try:
        with gallery.open(uri, dim) as held:
            yield held
    finally:
        if uri.endswith(".db"):
            importlib.import_module("milvus_lite.server_manager").server_manager_instance.release_all()


def check_whole(uri: str, pids: set[int], gone: set[int]) -> None:
    """Check that all records of some persons are held, with their vectors, and none of others."""
    with opened(uri) as held:
        for pid in sorted(pids):
            records, vectors = people(pid)
            found = held.get([record.id for record in records])
            assert [item.record for item in found] == records
            np.testing.assert_allclose(np.stack([item.vector for item in found]), vectors, atol=1e-6)
        for pid in gone:
            assert not held.find([record.id for record in people(pid)[0]])


def addresses(kind: str, what: str, folder: Path, request: pytest.FixtureRequest) -> tuple[str, str]:
    """Two galleries that do not exist yet."""
    if kind == "lance":
        pytest.importorskip("lancedb")
        return str(folder / "g"), str(folder / "other")
    pytest.importorskip("pymilvus")
    if kind == "milvus-lite":
        pytest.importorskip("milvus_lite")
        return f"milvus://{folder}/g.db", f"milvus://{folder}/other.db"
    server, name = request.getfixturevalue("milvus_server"), f"{what}{folder.name.replace('-', '_')}"
    return f"{server}/{name}", f"{server}/{name}other"


@pytest.mark.parametrize("seed", range(int(os.environ.get("DENSEIL_KILL_SEEDS", "1"))))
@pytest.mark.parametrize("what", ["add", "replace", "forget", "optimize", "copy"])
@pytest.mark.parametrize("kind", ["lance", "milvus-lite", "milvus"])
def test_killed(kind: str, what: str, seed: int, tmp_path: Path, request: pytest.FixtureRequest):
    chance = random.Random(f"{what} {seed}")
    uri, other = addresses(kind, what, tmp_path, request)
    held_by_now, gone = set(range(PEOPLE)), set()
    with opened(uri, DIM) as held:
        for pid in range(PEOPLE):
            held.add(*people(pid))
        if what == "optimize":
            assert held.forget(pid=11) == EACH
            held_by_now.remove(11)
            gone.add(11)
        stored = {pid: np.stack([item.vector for item in held.get([r.id for r in people(pid)[0]])]) for pid in (0, 10)}
        stored[11] = people(11)[1] / np.linalg.norm(people(11)[1], axis=1, keepdims=True)
    for _ in range(3):
        said = kill(chance.uniform(0, 0.4), what, uri, other)
        if what == "add":
            held_by_now |= {int(pid) for pid in said}
        elif what == "forget":
            gone |= {int(pid) for pid in said}
            held_by_now -= set(range(max(gone, default=-1) + 2))  # the next may be gone, not yet acknowledged
        check_whole(uri, held_by_now, gone)
        if what == "copy" and "done" in said:
            check_whole(other, held_by_now, set())
    with opened(uri) as held:
        for pid in gone:
            assert held.forget(pid=pid) == 0
        held.optimize(alone=True)
        if what == "copy":
            with gallery.open(other, DIM) as target:
                copy(held, target)
                assert target.count() == held.count() == PEOPLE * EACH
    check_whole(uri, held_by_now, gone)
    if what == "copy":
        check_whole(other, held_by_now, set())
    if kind != "lance":  # Milvus erases with a day's partition
        return
    for pid in gone & stored.keys():
        assert not any(holds(tmp_path / "g", vector) for vector in stored[pid])
    kept = 10
    assert all(holds(tmp_path / "g", vector) for vector in stored[kept][:3])
