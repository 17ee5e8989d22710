"""What every gallery does, asked of each; the one in memory is compared with plain loops, the others with it."""

from __future__ import annotations

import dataclasses
from contextlib import suppress

import numpy as np
import pytest
import torch

from denseil import gallery
from denseil.gallery import Gallery, MemoryGallery, Record, Where, check_recall, copy
from denseil.gallery.checks import check_opened
from tests.gallery.conftest import DIM, KINDS, MODEL, names, records, unit

pytestmark = pytest.mark.parametrize("address", KINDS, indirect=True)

N = 120
FILTERS = [
    None,
    Where(),
    Where(camids=[1]),
    Where(not_camids=[0, 2]),
    Where(camids=[0, 1], not_camids=[1]),
    Where(pids=[2, 3]),
    Where(after=86_400.0),
    Where(before=86_400.0),
    Where(after=86_430.0),  # one record has begun by then and ends later
    Where(before=86_430.0),
    Where(camids=(0, 2), pids={1, 4}, after=1e5, before=2.5e5),
    Where(camids=[]),
    Where(pids=[99]),
]


def filled(gallery: Gallery) -> tuple[list[Record], np.ndarray]:
    assert gallery.add(records(N), unit(N) * 3) == N
    return records(N), unit(N)


def passes(record: Record, where: Where | None) -> bool:
    if where is None:
        return True
    if where.after is not None and record.until < where.after:
        return False
    if where.before is not None and record.start >= where.before:
        return False
    if record.camid in where.not_camids or (where.camids is not None and record.camid not in where.camids):
        return False
    return where.pids is None or record.pid in where.pids


@pytest.mark.parametrize("exact", [True, False])
def test_search_is_that_of_plain_loops(empty: Gallery, exact: bool):
    held, vectors = filled(empty)
    queries = unit(5, seed=1)
    for where in FILTERS:
        found = empty.search(queries * 7, k=8, where=where, exact=exact)
        for query, hits in zip(queries, found, strict=True):
            distances = {r.id: 1 - float(query @ v) for r, v in zip(held, vectors, strict=True) if passes(r, where)}
            nearest = sorted(distances, key=distances.__getitem__)[:8]
            assert names(hits) == nearest, where
            np.testing.assert_allclose([hit.distance for hit in hits], [distances[name] for name in nearest], atol=1e-5)
        assert empty.count(where) == sum(passes(record, where) for record in held)


def test_records_and_vectors_come_back_as_they_were(empty: Gallery):
    held, vectors = filled(empty)
    hits = empty.search(vectors[:20], k=1)
    assert [one[0].record for one in hits] == held[:20]
    assert max(one[0].distance for one in hits) < 1e-5
    some = [held[i].id for i in (7, 3, 99)]
    assert [item.record for item in empty.get(some)] == [held[i] for i in (7, 3, 99)]
    assert [item.record for item in empty.get(iter(some))] == [held[i] for i in (7, 3, 99)]  # type: ignore[arg-type]
    np.testing.assert_allclose([item.vector for item in empty.get(some)], vectors[[7, 3, 99]], atol=1e-6)
    everything = {item.record.id: item.record for block in empty.scan() for item in block}
    assert everything == {record.id: record for record in held}


def test_what_is_handed_out_changes_nothing(empty: Gallery):
    empty.add([Record("a", 1, 0.0), Record("b", 1, 0.0)], np.eye(2, empty.dim))
    empty.delete(["b"])
    for item in (*empty.get(["a"]), *empty.find(["a"]).values(), *(item for block in empty.scan() for item in block)):
        with suppress(ValueError):  # read-only
            item.vector[:] = 0.5
        np.testing.assert_array_equal(empty.get(["a"])[0].vector, np.eye(empty.dim)[0])


def test_what_is_held_stays(empty: Gallery):
    held, vectors = filled(empty)
    named = dataclasses.replace(held[3], pid=77, thumbnail="elsewhere.png", track="t")
    nearly = vectors[3] + 1e-4 * unit(1, seed=3)[0]  # embedded on another device
    assert empty.add([named, Record("new", camid=1)], np.stack([nearly, vectors[0]])) == 1
    assert empty.count() == N + 1
    assert empty.get([held[3].id])[0].record == held[3]
    assert empty.add([], np.empty((0, DIM))) == 0


def test_a_track_that_grew_takes_the_place_of_what_is_held(empty: Gallery):
    held, vectors = filled(empty)
    grown = [
        dataclasses.replace(held[2], pid=4, thumbnail="new"),
        dataclasses.replace(held[50], end=held[50].until + 2 * 86_400),  # in another day
        Record("of its own", camid=1, start=5.0),
    ]
    assert empty.add(grown, -vectors[:3], replace=True) == 1
    assert empty.add(grown, -vectors[:3], replace=True) == empty.add(grown, -vectors[:3]) == 0
    expected = {record.id: record for record in [*held, *grown]}
    assert empty.count() == len(expected) == N + 1
    found = [item for block in empty.scan() for item in block]
    assert sorted((item.record for item in found), key=str) == sorted(expected.values(), key=str)
    assert names(empty.search(-vectors[1], k=1)[0]) == [held[50].id]
    with pytest.raises(ValueError, match="zeros alone"):
        empty.add(grown, np.zeros((3, DIM)), replace=True)
    before = held[50].until + 1
    assert empty.expire(before) == sum(record.until < before for record in expected.values())
    assert empty.get([held[50].id])[0].record == grown[1]
    empty.expire(held[-1].until + 1e6)
    assert empty.count() == 0


def test_times_of_any_past(empty: Gallery):
    ends = [-1e300, -9e10, -8.7e10, -1.0, 5e-324, 0.0]
    old = [Record(f"{end}", camid=1, start=-1e300, end=end) for end in ends]
    assert empty.add(old, unit(len(old))) == len(old)
    assert empty.add(old, unit(len(old))) == 0
    assert empty.get(["-1e+300"])[0].record == old[0]
    for before, gone in ((-2e300, 0), (-8.8e10, 2), (0.0, 2), (1.0, 2)):
        if before > -1e300:
            assert empty.expire(before) == gone
        assert empty.count() == len(old) - sum(record.until < before for record in old)


def test_another_tracklet_of_the_same_id_is_refused_and_counted(empty: Gallery):
    held, vectors = filled(empty)
    others = [
        Record("new", camid=1),
        held[0],
        dataclasses.replace(held[3], camid=77),
        dataclasses.replace(held[4], start=held[4].start - 1),
        dataclasses.replace(held[5], end=held[5].until + 1),
        held[6],
    ]
    rows = vectors[[1, 0, 3, 4, 5, 6]].copy()
    rows[-1] += 0.02 * unit(1, seed=3)[0]
    text = r"4 of 6 ids are held in .* by other tracklets .*1 by camera, 2 by time, 1 by vector"
    with pytest.raises(ValueError, match=text) as refused:
        empty.add(others, rows)
    assert "\n" not in str(refused.value)
    assert empty.count() == N
    source = MemoryGallery(DIM)
    source.add(others, rows)
    with pytest.raises(ValueError, match=text):
        copy(source, empty)
    assert empty.count() == N
    assert [item.record for item in empty.get([record.id for record in held])] == held


def test_many_neighbours(empty: Gallery):
    _, vectors = filled(empty)
    for k in (N, 5_000, 10**9):
        assert len(empty.search(vectors[:2], k=k)[1]) == N
    assert [len(hits) for hits in empty.search(vectors[:2], k=10**9, where=Where(camids=[1]))] == [N // 3] * 2


def test_taking_out(empty: Gallery):
    held, _ = filled(empty)
    left = {record.id: record for record in held}

    def same(gone: int, condition: list[str]) -> None:
        assert gone == len(condition)
        for name in condition:
            del left[name]
        assert {item.record.id for block in empty.scan() for item in block} == set(left)

    same(empty.delete([held[5].id, "nobody", held[11].id, held[5].id]), [held[5].id, held[11].id])
    same(empty.forget(pid=2), [r.id for r in left.values() if r.pid == 2])
    track = held[13].track
    same(empty.forget(track=track), [r.id for r in left.values() if r.track == track])
    same(empty.expire(100_000.5), [r.id for r in left.values() if r.until < 100_000.5])
    same(empty.expire(100_000.5), [])
    empty.optimize()
    assert empty.count() == len(left)
    assert empty.add([held[5]], unit(1)) == 1
    assert names(empty.search(unit(1), k=1)[0]) == [held[5].id]
    empty.expire(1e10)
    empty.optimize()
    assert empty.count() == 0
    assert empty.search(unit(2)) == [[], []]


def test_vectors_may_be_tensors_integers_or_one_row(empty: Gallery):
    empty.add(records(2), torch.eye(DIM)[:2].requires_grad_())
    assert names(empty.search(np.eye(DIM, dtype=np.int64)[1], k=1)[0]) == [records(2)[1].id]


NAN = np.full((1, DIM), np.nan)
WRONG = {
    "wide": (lambda g: g.add(records(1), unit(1, dim=DIM + 1)), "17 wide, the gallery is 16 wide"),
    "nan": (lambda g: g.add(records(2), np.concatenate([unit(1), NAN])), "row 1 holds NaN"),
    "infinity": (lambda g: g.add(records(1), NAN * 0 + np.inf), "row 0 holds NaN or infinity"),
    "zero": (lambda g: g.add(records(1), np.zeros((1, DIM))), "zeros alone"),
    "number": (lambda g: g.add(records(2), unit(3)), "2 records and 3 vectors"),
    "twice": (lambda g: g.add([records(1)[0]] * 2, unit(2)), "two records are called"),
    "query": (lambda g: g.search(NAN), "queries: row 0"),
    "query's width": (lambda g: g.search(unit(1, dim=3)), "queries are 3 wide"),
    "k": (lambda g: g.search(unit(1), k=0), "k is 0"),
    "forget nobody": (lambda g: g.forget(), "one person or one track"),
    "forget two": (lambda g: g.forget(pid=1, track="a"), "one person or one track"),
    "forget no track": (lambda g: g.forget(track=""), "one person or one track"),
    "forget unknown": (lambda g: g.forget(pid=-1), "pid is -1; it must be an integer >= 0"),
    "milliseconds": (lambda g: g.add([Record("x", 1, 1_764_000_000_000)], unit(1)), "'x' is 1764000000000, .*divide"),
    "searched in milliseconds": (lambda g: g.search(unit(1), where=Where(after=1.764e12)), "after is 1764000000000"),
    "forget in milliseconds": (lambda g: g.expire(1_764_000_000_000), "before is 1764000000000"),
    "forget ever": (lambda g: g.expire(float("inf")), "before is inf; it must be finite"),
    "unknown persons": (lambda g: g.count(Where(pids=[-1])), "an item of pids is -1"),
}


WRONG_TYPES = {
    "a condition": (lambda g: g.forget(pid="0 or true"), "pid is '0 or true'; it must be an integer"),
    "a truth": (lambda g: g.forget(pid=True), "pid is True"),
    "a float": (lambda g: g.count(Where(camids=[1.7])), "an item of camids is 1.7"),
    "one text": (lambda g: g.delete("there"), "ids is 'there'; it must be a collection of texts"),
    "a number": (lambda g: g.get([1]), "an id is 1; it must be text"),
    "k": (lambda g: g.search(unit(1), k=2.5), r"k=2\.5 is of type float; it must be int"),
}


def test_bad_input_is_refused_and_changes_nothing(empty: Gallery):
    empty.add([Record("there", camid=1)], unit(1))
    for act, text in WRONG.values():
        with pytest.raises(ValueError, match=text):
            act(empty)
    with pytest.raises(TypeError, match="real numbers"):
        empty.add(records(1), np.array([["a"] * DIM]))
    with pytest.raises(TypeError, match="not a denseil"):
        empty.add(["a"], unit(1))  # type: ignore[list-item]
    for act, text in WRONG_TYPES.values():
        with pytest.raises(TypeError, match=text):
            act(empty)
    with pytest.raises(KeyError, match=r"no record 'elsewhere' in .*: take an id"):
        empty.get(["there", "elsewhere"])
    assert empty.count() == 1


def test_copies_and_recall_of_exact_search(empty: Gallery):
    held, vectors = filled(empty)
    other = MemoryGallery(DIM)
    assert copy(empty, other) == N
    assert copy(empty, other) == 0
    assert other.get([held[9].id])[0].record == held[9]
    assert (other.get([held[9].id])[0].vector == empty.get([held[9].id])[0].vector).all()
    np.testing.assert_allclose(other.get([held[9].id])[0].vector, vectors[9], atol=1e-6)
    report = check_recall(empty, queries=20)
    assert (report.recall, report.worst, report.queries) == (1.0, 1.0, 20)


def test_another_model_is_refused(empty: Gallery, address: str):
    assert empty.model == MODEL
    if address == "memory://":
        return  # opened once only
    for model in ("", MODEL):
        with gallery.open(address, DIM, model) as again:
            assert again.model == MODEL
    with pytest.raises(ValueError, match=f"was filled by the model {MODEL}, not by other 5678") as caught:
        gallery.open(address, DIM, "other 5678")
    assert "\n" not in str(caught.value)


def test_the_identity_decides_where_both_names_have_one(address: str):
    same, other = "a" * 40, "b" * 40
    with gallery.open(address, DIM, f"net 1234 {same}") as held:
        for name in (same, f"renamed {same}", "net 1234", ""):
            check_opened(held, DIM, name)
        for name in (other, f"net 1234 {other}", "net 5678"):
            with pytest.raises(ValueError, match="was filled by the model net 1234"):
                check_opened(held, DIM, name)


def test_who_names_no_model_is_not_asked_for_one(address: str):
    with gallery.open(address, DIM) as one:
        assert one.model == ""
        one.add(records(1), unit(1))
        if address != "memory://":
            with gallery.open(address, DIM, MODEL) as other:
                assert (other.model, other.count()) == ("", 1)
