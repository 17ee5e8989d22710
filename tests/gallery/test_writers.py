"""Several processes that write to one Milvus server at once."""

from __future__ import annotations

import numpy as np
import pytest

from denseil import gallery
from tests.forked import context
from tests.gallery.conftest import DIM
from tests.gallery.test_kill import EACH, PEOPLE, people

pytestmark = pytest.mark.slow
WRITERS = 4


def write(uri: str, pids: list[int]) -> None:
    with gallery.open(uri, DIM) as held:
        for pid in pids:
            held.add(*people(pid))


def run(uri: str, shares: list[list[int]]) -> None:
    processes = [context().Process(target=write, args=(uri, pids)) for pids in shares]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * len(processes)


def check_each_once(uri: str) -> None:
    with gallery.open(uri) as held:
        assert held.count() == sum(len(block) for block in held.scan()) == PEOPLE * EACH
        for pid in range(PEOPLE):
            records, vectors = people(pid)
            found = held.get([record.id for record in records])
            assert [item.record for item in found] == records
            np.testing.assert_allclose(np.stack([item.vector for item in found]), vectors, atol=1e-6)
            assert len(held.search(vectors[:1], k=10)[0]) == 10
        assert held.forget(pid=0) == EACH
        assert held.count() == (PEOPLE - 1) * EACH


def test_each_its_own_people(milvus_server: str):
    uri = f"{milvus_server}/own_people"
    run(uri, [list(range(first, PEOPLE, WRITERS)) for first in range(WRITERS)])
    check_each_once(uri)


def test_all_the_same_people(milvus_server: str):
    """As when a cluster runs a task twice: none sees the records of the others yet."""
    uri = f"{milvus_server}/same_people"
    run(uri, [list(range(PEOPLE))] * WRITERS)
    check_each_once(uri)
