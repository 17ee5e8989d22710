"""Rendered walks: visits and tracks obey their rules, and the folder says what is true."""

import csv
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from denseil.data import read_dataset
from denseil.synth import walks
from denseil.synth.walks import Visit, _write_info, plan_tracks, plan_visits

CAMERAS, MINUTES, FRAMES = 4, 20, 8


def plan(seed: int, people: int = 300):
    rng = np.random.default_rng(seed)
    visits = plan_visits(people, CAMERAS, MINUTES, rng)
    return visits, plan_tracks(visits, FRAMES, rng)


def test_people_come_one_to_six_times_and_are_in_one_place_at_a_time():
    visits, _ = plan(0)
    assert {visit.camid for visit in visits} == set(range(1, CAMERAS + 1))
    counts = []
    for pid in range(1, 301):
        own = [visit for visit in visits if visit.pid == pid]
        counts.append(len(own))
        assert [visit.number for visit in own] == list(range(1, len(own) + 1))
        assert all(one.end + 8 <= other.start for one, other in itertools.pairwise(own))
        assert all(6 <= round(visit.end - visit.start, 2) <= 14 for visit in own)
        assert all(visit.end <= 60 * MINUTES for visit in own)
    assert set(counts) == {1, 2, 3, 4, 5, 6}
    assert counts.count(1) >= 0.2 * 300


def test_tracks_are_parts_of_visits_and_few_swap_person():
    visits, tracks = plan(1)
    for visit in visits:
        own = [track for track in tracks if (track.pid, track.visit) == (visit.pid, visit.number)]
        assert sum(track.frames for track in own) == FRAMES
        assert own[0].start == visit.start
        assert own[-1].end == visit.end
        assert all(one.end < other.start for one, other in itertools.pairwise(own))
    assert len({track.name for track in tracks}) == len(tracks)
    assert 0.15 < len(tracks) / len(visits) - 1 < 0.35
    where = {(visit.pid, visit.number): visit.camid for visit in visits}
    swapped = [track for track in tracks if track.swapped[0]]
    assert 0.01 < len(swapped) / len(tracks) < 0.06
    assert all(track.swapped[0] != track.pid and where[track.swapped] == track.camid for track in swapped)


def test_a_seed_is_a_plan():
    assert plan(2, 20) == plan(2, 20)
    assert plan(2, 20) != plan(3, 20)


@pytest.mark.slow
def test_the_folder_holds_the_frames_of_the_tracks_with_the_times_of_its_frames(tmp_path: Path):
    seen: list[tuple[int, int]] = []
    walks(tmp_path, 3, 2, minutes=2, frames=2, progress=lambda *done: seen.append(done))
    told = json.loads((tmp_path / "walks.json").read_text())
    assert seen == [(place, len(told)) for place in range(1, len(told) + 1)]
    with (tmp_path / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["tracklet"] for row in rows] == [track["name"] for track in told for _ in range(track["frames"])]
    for track in told:
        times = [float(row["time"]) for row in rows if row["tracklet"] == track["name"]]
        assert (times[0], times[-1]) == (track["start"], track["end"] if len(times) > 1 else track["start"])
    assert all((tmp_path / row["frame"]).is_file() for row in rows)
    frame = tmp_path / rows[0]["frame"]
    before = frame.stat().st_mtime_ns
    walks(tmp_path, 3, 2, minutes=2, frames=2)
    assert frame.stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="another recipe"):
        walks(tmp_path, 3, 2, minutes=2, frames=2, seed=1)


def test_walks_without_a_query_say_where_to_read(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    _write_info(tmp_path, plan_tracks([Visit(1, 1, 1, 0.0, 8.0)], 2, np.random.default_rng(0)))
    assert "nobody passes two cameras, so that MARS's files have no query; read its manifest.csv" in caplog.text


def test_the_folder_is_read_as_mars_without_a_train_part(tmp_path: Path):
    visits = [Visit(1, 1, 1, 0.0, 8.0), Visit(2, 2, 1, 3.0, 9.0), Visit(1, 2, 2, 20.0, 30.0)]
    tracks = plan_tracks(visits, 2, np.random.default_rng(0))
    (tmp_path / "bbox_test").mkdir()
    _write_info(tmp_path, tracks)
    found = read_dataset("mars", tmp_path)
    assert found.train == []
    assert [(one.pid, one.camid) for one in found.query] == [(1, 1)]
    assert sorted((one.pid, one.camid) for one in found.gallery) == [(1, 2), (2, 2)]


@pytest.mark.parametrize("wrong", [{"minutes": 0}, {"minutes": float("nan")}, {"frames": 1}])
def test_arguments_out_of_range_are_refused(tmp_path: Path, wrong: dict):
    with pytest.raises(ValueError, match="give up to 10,000 minutes and at least 2 frames"):
        walks(tmp_path / "new", 3, 2, **wrong)
    assert not (tmp_path / "new").exists()
