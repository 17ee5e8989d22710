"""Galleries of all kinds give the same answer to any filter and any input, or refuse it with the same error."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings

from denseil import gallery
from denseil.gallery import Gallery, MemoryGallery, Record, Where
from tests.gallery.conftest import DIM, records, unit

pytest.importorskip("lancedb")
N = 60
some = settings(max_examples=60, suppress_health_check=list(HealthCheck))
few = settings(some, max_examples=12)


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Gallery]]:
    """One gallery of each kind that can be opened here, with the same records; the first is in memory."""
    folder = tmp_path_factory.mktemp("galleries")
    opened: list[Gallery] = [MemoryGallery(DIM), gallery.open(str(folder / "lance"), DIM)]
    try:
        import fcntl  # Milvus Lite locks its file with it

        import milvus_lite
        import pymilvus
    except ImportError:
        pass
    else:
        assert fcntl
        assert milvus_lite
        assert pymilvus
        opened.append(gallery.open(f"milvus://{folder}/lite.db", DIM))
    for held in opened:
        assert held.add(records(N), unit(N)) == N
    yield opened
    for held in opened:
        held.close()


starts, ends = [r.start for r in records(N)], [r.until for r in records(N)]
near = st.sampled_from([*starts, *ends]).flatmap(
    lambda at: st.sampled_from([at, math.nextafter(at, -math.inf), math.nextafter(at, math.inf), at + 30])
)
times = (
    st.none() | near | st.floats(max_value=9e10, allow_nan=False, allow_infinity=False) | st.integers(-(10**6), 10**6)
)
labels = st.lists(st.integers(0, 6) | st.integers(0, 2**63 - 1), max_size=4)
cameras = st.lists(
    st.integers(-1, 4) | st.sampled_from([-(2**63), 2**63 - 1]) | st.integers(-(2**63), 2**63 - 1), max_size=4
)
wheres = st.builds(
    Where,
    camids=st.none() | cameras,
    not_camids=cameras,
    pids=st.none() | labels,
    after=times,
    before=times,
)


@some
@given(where=wheres)
def test_any_filter_passes_the_same_records(kinds: list[Gallery], where: Where):
    passing = {record.id for record in records(N) if where.passes(record)}
    for held in kinds:
        assert held.count(where) == len(passing), held.uri
        assert {hit.record.id for hit in held.search(unit(1), k=N, where=where)[0]} == passing, held.uri


hostile = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=4)
    | st.binary(max_size=3)
    | st.lists(st.integers(-3, 3) | st.booleans() | st.floats() | st.text(max_size=2) | st.none(), max_size=3)
    | st.sampled_from(["0 or true", "1) or (true", np.int64(2), np.True_, np.array([1]), torch.tensor(1), {1: 2}, len])
)


def outcome(act: Callable[[], object]) -> object:
    try:
        return act()
    except (TypeError, ValueError, KeyError) as error:
        return type(error) if "\n" not in str(error) else "an error of several lines"


@some
@given(value=hostile)
def test_any_input_has_the_same_outcome(kinds: list[Gallery], value: object):
    calls: list[Callable[[Gallery], object]] = [
        lambda g: g.search(unit(1), k=value) and None,  # type: ignore[arg-type]
        lambda g: sorted(g.find(value)),  # type: ignore[arg-type]
        lambda g: len(g.get(value)),  # type: ignore[arg-type]
    ]
    for call in calls:
        assert len({str(outcome(lambda g=g, call=call: call(g))) for g in kinds}) == 1  # type: ignore[misc]


@few
@given(value=hostile, data=st.data())
def test_any_removal_takes_the_same_records(kinds: list[Gallery], value: object, data: st.DataObject):
    call = data.draw(
        st.sampled_from(
            [
                lambda g: g.forget(pid=value),
                lambda g: g.forget(track=value),
                lambda g: g.delete(value),
                lambda g: g.expire(value),
            ]
        )
    )
    found = [outcome(lambda g=g: call(g)) for g in kinds]  # type: ignore[misc]
    assert len(set(map(str, found))) == 1, found
    left = [{item.record.id for block in g.scan() for item in block} for g in kinds]
    assert all(one == left[0] for one in left)
    for held in kinds:
        held.add(records(N), unit(N))


characters = st.characters(codec="utf-8", exclude_characters="\0")
made = st.builds(
    Record,
    id=st.text(characters, min_size=1, max_size=20),
    camid=st.integers(-(2**63), 2**63 - 1),
    start=st.floats(-1e9, 0),
    end=st.none() | st.floats(0, 1e9),
    track=st.text(characters, max_size=10),
    pid=st.none() | st.integers(0, 2**63 - 1),
)


@few
@given(new=st.lists(made, min_size=1, max_size=5, unique_by=lambda record: record.id))
def test_any_record_is_kept_found_by_its_labels_and_forgotten(kinds: list[Gallery], new: list[Record]):
    one = new[0]
    for held in kinds:
        held.delete([record.id for record in new])
        assert held.add(new, unit(len(new), seed=5)) == len(new)
        assert held.add(new, unit(len(new), seed=5)) == 0
        assert [item.record for item in held.get([record.id for record in new])] == new
        assert held.count(Where(camids=[one.camid], after=one.until)) >= 1
        if one.pid is not None:
            assert held.count(Where(pids=[one.pid])) >= 1
    taken = [held.forget(track=one.track) if one.track else held.delete([one.id]) for held in kinds]
    assert len(set(taken)) == 1
    for held in kinds:
        assert one.id not in held.find([one.id])
        held.delete([record.id for record in new])
        held.add(records(N), unit(N))
        assert held.count() == N
