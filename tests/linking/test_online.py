"""`OnlineLinker`: laws on any input, mergers and splits as events, a gallery across restarts, agreement with `link`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import denseil.gallery
from denseil.gallery import MemoryGallery, Record
from denseil.linking import OnlineLinker, link
from denseil.linking.threshold import MEASURED
from tests.linking.test_link import people, together


def play(linker: OnlineLinker, vectors, camids, start, end, rng: np.random.Generator | None = None) -> None:
    """Feed tracks in time order, each at its start, at random times and at its end."""
    calls = []
    for row in range(len(vectors)):
        moments = [start[row], *(rng.uniform(start[row], end[row], 2) if rng else []), end[row]]
        calls += [(float(moment), row) for moment in moments]
    for time, row in sorted(calls):
        noise = rng.normal(scale=0.3, size=vectors.shape[1]) if rng and time < end[row] else 0
        linker.update(int(camids[row]), row, vectors[row] + noise, time)


def laws(examples: int) -> Callable[[], None]:
    """Check on random cases that nobody is in two places of one camera."""

    @settings(max_examples=examples, deadline=None)
    @given(
        st.integers(0, 2**32 - 1),
        st.integers(1, 30),
        st.floats(-0.5, 0.95) | st.just("auto"),
        st.sampled_from([None, 20]),
        st.booleans(),
    )
    def check(seed, tracks, threshold, expire, equal):
        vectors, _, camids, start, end = people(seed, 3, tracks)
        if equal:
            vectors[:] = 1
        start, end = start.round(), end.round()  # many at the same instant
        linker = OnlineLinker(threshold=threshold, expire=expire, gap=0, model_id=MEASURED[0])
        play(linker, vectors, camids, start, np.maximum(start, end), np.random.default_rng(seed))
        kept = [row for row in range(tracks) if (int(camids[row]), row) in linker._tracks]
        for a in kept:
            for b in kept:
                at_once = camids[a] == camids[b] and start[a] <= end[b] and start[b] <= end[a]
                if a != b and at_once:
                    assert linker.person(int(camids[a]), a) != linker.person(int(camids[b]), b)
        assert linker.num_persons == len({linker.person(int(camids[row]), row) for row in kept})

    return check


def test_tracks_seen_at_once_are_never_one_person():
    laws(80)()


@pytest.mark.slow
def test_the_laws_hold_in_thousands_of_cases():
    laws(3000)()


def test_live_and_offline_agree_on_well_separated_people():
    vectors, _, camids, start, end = people(3, 12, 150, noise=0.3, dim=64)
    start, end = 40 * start, 40 * start + (end - start)
    linker = OnlineLinker(threshold=0.6)
    play(linker, vectors, camids, start, end, np.random.default_rng(0))
    live = np.array([linker.person(int(camids[row]), row) for row in range(len(vectors))])
    offline = link(vectors, camids=camids, start=start, end=end, threshold=0.6).person
    upper = np.triu_indices(len(live), 1)
    a, b = together(live)[upper], together(offline)[upper]
    assert (a & b).sum() / (a | b).sum() >= 0.9


def test_a_late_merger_is_an_event():
    linker = OnlineLinker(threshold=0.8)
    assert linker.update(1, "a", [1, 0], 0) == 1
    assert linker.update(2, "a", [0, 1], 50) == 2
    assert linker.events() == []
    assert linker.update(2, "a", [1, 0.2], 52) == 1
    assert [str(event) for event in linker.events()] == ["merged 2 into 1"]
    assert linker.events() == []
    assert linker.num_persons == 1


def test_a_track_that_returns_splits_off_the_one_that_took_its_person():
    linker = OnlineLinker(threshold=0.8, gap=1)
    linker.update(1, "a", [1, 0], 0)
    assert linker.update(1, "b", [1, 0], 5) == 1  # a has been away for 5 s
    assert linker.update(1, "a", [1, 0], 6) == 1
    assert linker.person(1, "b") == 2
    assert [str(event) for event in linker.events()] == ["split 1 into 2: track 'b' of camera 1"]


@pytest.mark.parametrize(("time", "person"), [(10.1, 2), (12.0, 1)])
def test_an_update_of_another_camera_merges_no_tracks_that_may_be_in_one_picture(time: float, person: int):
    linker = OnlineLinker(threshold=0.7, gap=1)
    assert linker.update(1, "a", [1, 0], 0.0) == linker.update(2, "z", [1, 0.05], 5.0) == 1
    linker.update(1, "a", [1, 0], 9.5)
    assert linker.update(1, "b", [1, 0.02], 10.0) == 2  # a may still be in the picture
    if time > 11:
        linker.update(1, "c", [0, 1], time)  # a and b are gone
    linker.update(2, "z", [1, 0.01], time)
    assert linker.person(1, "b") == person


def test_a_forgotten_track_is_gone_from_its_person_as_after_a_restart():
    rng = np.random.default_rng(0)
    gallery = MemoryGallery(4)
    linker = OnlineLinker(gallery, threshold=0.7, expire=100)
    linker.update(1, 1, [1, 0, 0, 0], 0.0)
    assert linker.update(2, 1, [1, 0.9, 0, 0], 90.0) == 1
    linker.update(2, 1, [1, 0.9, 0, 0], 150.0)  # the first track expires
    linker.save()
    again = OnlineLinker(gallery, threshold=0.7, expire=100)
    assert again._pool.mean(1) == pytest.approx(linker._pool.mean(1), abs=1e-6)
    for track in range(20):
        vector = [1, rng.uniform(-1, 1), 0, 0]
        assert again.update(3, track, vector, 151.0) == linker.update(3, track, vector, 151.0)


def test_two_processes_do_not_mix_their_persons_in_one_gallery(tmp_path):
    for gallery in (MemoryGallery(2), denseil.gallery.open(str(tmp_path / "gallery"), dim=2)):
        one, other = (OnlineLinker(gallery, threshold=0.8) for _ in range(2))
        one.update(1, 5, [1, 0], 0.0)
        other.update(2, 5, [0, 1], 0.0)
        one.save()
        for _ in range(2):
            with pytest.raises(ValueError, match="another process has given numbers from 1 on to persons in the gal"):
                other.save()
        assert gallery.count() == 1
        one.update(1, 6, [0, 1], 9.0)
        one.update(1, 5, [1, 0.1], 9.0)
        one.save()
        assert OnlineLinker(gallery, threshold=0.8).num_persons == 2


def test_numbers_that_were_given_out_are_not_given_again():
    gallery = MemoryGallery(2)
    linker = OnlineLinker(gallery, threshold=0.8)
    linker.update(1, "a", [1, 0], 0)
    assert linker.update(2, "a", [0, 1], 50) == 2
    linker.update(2, "a", [1, 0.1], 52)  # merged into 1
    linker.save()
    assert OnlineLinker(gallery, threshold=0.8, first=3).update(3, "a", [0, 1], 60) == 3
    assert OnlineLinker(threshold=0.8, first=7).update(3, "a", [0, 1], 60) == 7


def test_a_gallery_keeps_persons_across_restarts():
    gallery = MemoryGallery(2)
    first = OnlineLinker(gallery, threshold=0.8, expire=100)
    first.update(1, 7, [1, 0], 0)
    first.update(1, 8, [0, 1], 1)
    first.save()
    first.update(2, 7, [1, 0.1], 30)
    first.save()
    assert sorted((item.camid, item.track, item.pid) for block in gallery.scan() for item, _ in block) == [
        (1, "7", 1),
        (1, "8", 2),
        (2, "7", 1),
    ]
    second = OnlineLinker(gallery, threshold=0.8, expire=100)
    assert second.num_persons == 2
    assert second.update(3, 7, [0.1, 1], 60) == 2
    assert second.update(3, 9, [-1, 0], 61) == 3
    second.update(3, 9, [-1, 0], 120)  # the first two tracks expire
    second.save()
    assert {item.track for block in gallery.scan() for item, _ in block} == {"7", "9"}


def test_a_forgotten_person_is_not_written_again():
    gallery = MemoryGallery(2)
    linker = OnlineLinker(gallery, threshold=0.9)
    person, other = (linker.update(1, track, vector, time=0) for track, vector in ((5, [1, 0]), (6, [0, 1])))
    linker.update(2, 7, [1, 0.01], time=30)
    linker.save()
    linker.forget(person)
    assert linker.num_persons == 1
    assert linker.update(1, 5, [1, 0], time=60) > other, "a track that goes on is a new one"
    linker.forget(linker.person(1, 5))
    linker.save()
    assert [item.record.pid for block in gallery.scan() for item in block] == [other]
    with pytest.raises(KeyError, match=f"no person {person}: never given out, merged into another one, or forgotten"):
        linker.forget(person)


def test_a_restored_track_keeps_its_record():
    gallery = MemoryGallery(2)
    records = [
        Record(f"c1/door.mp4/{track}@{start}", 1, start, start + 4, str(track), pid, f"{track}.jpg")
        for track, start, pid in ((5, 0.0, 1), (6, 9.0, 2))
    ]
    gallery.add(records, [[1, 0], [0.6, 0.8]])
    linker = OnlineLinker(gallery, threshold=0.65)
    assert linker.update(2, 7, [0.9, 0.436], 20.0) == 1  # and the two are near enough with it
    linker.save()
    assert [item.record for item in gallery.get([one.id for one in records])] == [
        records[0],
        replace(records[1], pid=1),
    ]
    assert gallery.forget(track="6") == 1


def test_tracks_of_a_process_whose_times_begin_again_have_ids_of_their_own():
    gallery = MemoryGallery(2)
    for vectors in ({5: [1, 0]}, {5: [0, 1]}, {5: [-1, 0], "5": [0, -1]}):
        linker = OnlineLinker(gallery, threshold=0.8)
        for time in (0.0, 2.0):
            for name, vector in vectors.items():
                linker.update(1, name, vector, time)
            linker.save()
    found = {item.id: (item.pid, item.until) for block in gallery.scan() for item, _ in block}
    assert found == {f"c1/live{end}/5@0": (pid, 2.0) for pid, end in enumerate(("", "-2", "-3", "-4"), start=1)}


@pytest.mark.parametrize("again", [3.0, 49.5, 60.0])
def test_a_restart_goes_on_with_the_same_numbers_though_its_times_begin_again(again: float):
    gallery = MemoryGallery(2)
    first = OnlineLinker(gallery, threshold=0.8)
    for time in (0.0, 50.0):
        assert first.update(1, 5, [1, 0], time) == 1
    first.save()
    second = OnlineLinker(gallery, expire=100, model_id=MEASURED[0])
    for time in (again, again + 1, 60.0 + again):  # also beyond the times of before
        assert second.update(1, 9, [1, 0], time) == 1
    assert second.events() == []
    assert (second.threshold.pairs, second.threshold.left_out) == (0, 0)
    assert second.update(1, 10, [1, 0], 60.0 + again) == 2  # seen at once with 9
    second.update(1, 11, [0, 1], 170.0 + again)  # all others expire
    assert second.num_persons == 1


def test_an_error_of_save_loses_no_record(monkeypatch: pytest.MonkeyPatch):
    gallery = MemoryGallery(2)
    linker = OnlineLinker(gallery, threshold=0.8)
    linker.update(1, 5, [1, 0], 0.0)
    linker.save()
    linker.update(1, 5, [1, 0], 1.0)
    linker.update(1, "x" * 3000, [0, 1], 1.0)  # longer than a name in a gallery
    with pytest.raises(ValueError, match="bytes"):
        linker.save()
    assert gallery.count() == 1
    wide = OnlineLinker(MemoryGallery(3), threshold=0.8)
    with pytest.raises(ValueError, match="vector has 2 components, those of the gallery 3"):
        wide.update(1, 5, [1, 0], 0.0)
    again = OnlineLinker(gallery, threshold=0.8)
    again.update(2, 5, [1, 0], 9.0)

    def fail(*_: object, **__: object) -> None:
        raise OSError("the server is gone")

    with monkeypatch.context() as patch:
        patch.setattr(gallery, "add", fail)
        with pytest.raises(OSError, match="is gone"):
            again.save()
    again.save()
    assert gallery.count() == 2


@pytest.mark.parametrize("step", ["add", "delete"])
def test_a_save_that_is_ended_loses_no_record(monkeypatch: pytest.MonkeyPatch, step: str):
    gallery = MemoryGallery(2)
    linker = OnlineLinker(gallery, threshold=0.8, expire=60)
    linker.update(1, 5, [1, 0], 0.0)
    linker.update(1, 6, [0, 1], 50.0)
    linker.save()
    linker.update(1, 6, [0, 1], 80.0)  # grows, and the other one expires

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(gallery, step, killed)
        with pytest.raises(KeyboardInterrupt):
            linker.save()
    assert gallery.count() == 2
    linker.save()
    assert [item.record.end for block in gallery.scan() for item in block] == [80.0]


def test_a_gallery_of_another_model_is_refused():
    one, other = "a" * 40, "b" * 40
    gallery = MemoryGallery(2, f"denseil {one}")
    with pytest.raises(ValueError, match=r"was filled by the model denseil a+, not by b+: their vectors cannot be"):
        OnlineLinker(gallery, threshold=0.8, model_id=other)
    for known in (gallery, MemoryGallery(2)):
        assert OnlineLinker(known, threshold=0.8, model_id=one).num_persons == 0
    assert OnlineLinker(gallery, threshold=0.8).num_persons == 0  # unknown


def test_the_automatic_threshold_rests_on_tracks_seen_at_once():
    rng = np.random.default_rng(0)
    linker = OnlineLinker()
    before = linker.threshold.value
    for time in range(20):
        for track in range(4):
            linker.update(1, (time, track), rng.normal(size=32) + 1.5, float(3 * time))
    assert linker.threshold.pairs == 20 * 6
    assert linker.threshold.value > before
    assert (
        str(linker.threshold)
        == f"threshold {linker.threshold.value:.3f} for 1 % false links, from 120 pairs seen at once"
    )


@pytest.mark.parametrize(("newest_first", "twice"), [(False, False), (True, False), (False, True), (True, True)])
def test_pairs_seen_at_once_count_once_in_any_order_within_a_frame(newest_first: bool, twice: bool):
    vectors = np.random.default_rng(0).normal(size=(20, 32))
    linker = OnlineLinker(model_id=MEASURED[0])
    for frame in range(20):
        tracks = range(max(0, frame - 3), frame + 1)  # one comes, one goes
        for track in (*(reversed(tracks) if newest_first else tracks), *[frame] * twice):
            linker.update(1, track, vectors[track], float(frame))
    assert linker.threshold.pairs == 1 + 2 + 3 * 17


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((1, "a", [0, 0], 1), "vector: row 0 holds NaN or infinity, or zeros alone"),
        ((1, "a", [1, 0, 0], 1), "vector has 3 components, those before 2"),
        ((1, "a", [1, 0], -1), "time=-1 of track 'a'"),
        ((1, "b", [1, 0], float("nan")), "time=nan of track 'b'"),
        ((1, "b", [1, 0], np.float32(1.7e9)), "time of track 'b' is of type float32, whose numbers are 128 s apart"),
        ((1, "b", [1, 0], -1), "time=-1 of track 'b', camera 1: give finite seconds, none going back"),
    ],
)
def test_bad_input_is_one_line(arguments, words: str):
    linker = OnlineLinker(threshold=0.5)
    linker.update(1, "a", [1, 0], 0)
    with pytest.raises(ValueError, match=words):
        linker.update(*arguments)
    with pytest.raises(ValueError, match="has no gallery"):
        linker.save()
    with pytest.raises(KeyError, match="no track 'z' of camera 1"):
        linker.person(1, "z")


@pytest.mark.parametrize(
    "arguments",
    [{"threshold": 2}, {"threshold": "best"}, {"expire": 0}, {"gap": -1}, {"first": 0}, {"threshold": 0.5, "far": 0.1}],
)
def test_arguments_out_of_range_are_refused(arguments: dict):
    with pytest.raises(ValueError, match="give"):
        OnlineLinker(**arguments)


def test_ids_are_compared_by_value_and_must_be_confirmed():
    linker = OnlineLinker(threshold=0.5)
    vector = np.array([1.0, 0])
    assert [linker.update(1, torch.tensor(5), vector, 0.0), linker.update(1, 5.0, vector, 1.0)] == [1, 1]
    assert linker.person(1, np.int64(5)) == 1
    assert len(linker._tracks) == 1
    with pytest.raises(ValueError, match="has not confirmed it"):
        linker.update(1, -1, vector, 2.0)
    with pytest.raises(TypeError, match=r"camera=1\.5"):
        linker.update(1.5, 5, vector, 2.0)
