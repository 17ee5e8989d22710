import csv
import re
from pathlib import Path

import numpy as np
import pytest

from denseil.cli import main
from denseil.data import cut_tracklets, decode_image, read_dataset
from tests.data.videos import PETS_TRACKS, PETS_VIDEO, needs_pets, picture, write_video


@pytest.fixture
def video(tmp_path):
    return write_video(tmp_path / "gate.mov", [0.0, 0.1, 0.2, 0.3])


def tracks(tmp_path, *lines):
    path = tmp_path / "tracks.txt"
    path.write_text("\n".join(lines))
    return path


def cut(tmp_path, video, *lines, **options):
    report = cut_tracklets(video, tracks(tmp_path, *lines), tmp_path / "out", **options)
    return report, read_dataset("manifest", tmp_path / "out").gallery


def assert_shows(path, expected):
    """A crop, which JPEG has blurred a little."""
    crop = decode_image(path)
    assert crop.shape == expected.shape
    assert np.abs(crop.astype(int) - expected).mean() < 4


def test_crops_are_the_boxes_of_their_frames(tmp_path, video):
    report, found = cut(tmp_path, video, "2,7,8,4,16,32,1,-1,-1,-1", "3,7,9.5,4.2,16.1,32,1,-1,-1,-1", "1,9,0,0,64,48")
    assert [(t.name, t.pid, t.camid, len(t.frames)) for t in found] == [
        ("c1/gate.mov/9@0", -1, 1, 1),
        ("c1/gate.mov/7@0.1", -1, 1, 2),
    ]
    assert_shows(found[1].frames[0], picture(1)[4:36, 8:24])
    assert_shows(found[1].frames[1], picture(2)[4:37, 9:26])  # rounded outwards
    assert_shows(found[0].frames[0], picture(0))
    assert (report.crops, report.tracklets, report.skipped.total()) == (3, 2, 0)


def test_boxes_past_the_border_of_no_area_outside_and_after_the_end(tmp_path, video):
    report, found = cut(
        tmp_path,
        video,
        "1,1,-8,-4,16,16",
        "1,2,56,40,100,100",
        "1,3,10,10,0,5",
        "1,4,10,10,5,-1",
        "1,5,64,0,9,9",
        "1,6,0,-30,9,9",
        f"1,{2**31 + 5},0,0,9,9",
        "5,1,0,0,9,9",
    )
    assert_shows(found[0].frames[0], picture(0)[:12, :8])
    assert_shows(found[1].frames[0], picture(0)[40:, 56:])
    assert found[2].name == f"c1/gate.mov/{2**31 + 5}@0"
    assert report.skipped == {
        "boxes of no area": 2,
        "boxes outside of the picture": 2,
        "boxes of frames after the last, 4": 1,
    }
    assert "skipped: 2 boxes of no area" in str(report)


def test_times_are_those_of_a_variable_frame_rate(tmp_path):
    video = write_video(tmp_path / "phone.mov", [0.0, 0.04, 1.0, 1.5])
    _, (found,) = cut(tmp_path, video, "2,7,0,0,9,9", "4,7,0,0,9,9", start="1970-01-01T02:00:00+01:00")
    assert (found.start, found.end) == (3600.04, 3601.5)
    assert_shows(found.frames[1], picture(3)[:9, :9])


def test_a_track_that_pauses_stays_one_until_told(tmp_path):
    video = write_video(tmp_path / "gate.mov", [0.0, 1.0, 2.0, 9.0, 10.0])
    lines = ["1,7,0,0,9,9", "2,7,0,0,9,9", "4,7,0,0,9,9", "5,7,0,0,9,9"]
    _, (whole,) = cut(tmp_path, video, *lines)
    assert (whole.start, whole.end, len(whole.frames)) == (0, 10, 4)
    _, pieces = cut(tmp_path / "out", video, *lines, max_gap=5)
    assert [(t.name, t.start, t.end) for t in pieces] == [
        ("c1/gate.mov/7@0", 0, 1),
        ("c1/gate.mov/7-2@9", 9, 10),
    ]


def test_videos_of_one_name_share_no_ids(tmp_path):
    """Two cameras, two suffixes, two days."""
    ids = set()
    for folder, name, options in (
        ("a", "clip.mov", {"camid": 1}),
        ("b", "clip.mov", {"camid": 2}),
        ("c", "clip.avi", {"camid": 1}),
        ("d", "clip.mov", {"camid": 1, "start": "2026-05-01T08:30:00Z"}),
        ("e", "clip.mov", {"camid": 1, "start": "2026-05-02T08:30:00Z"}),
    ):
        (tmp_path / folder).mkdir()
        video = write_video(tmp_path / folder / name, [0.0, 0.1])
        _, found = cut(tmp_path / folder, video, "1,7,0,0,9,9", "2,8,0,0,9,9", **options)
        assert [str(tracklet.key) for tracklet in found] == [tracklet.name for tracklet in found]
        ids |= {str(tracklet.key) for tracklet in found}
    assert len(ids) == 10


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_a_video_to_be_shown_turned_is_turned_as_opencv_does(tmp_path, rotation):
    video = write_video(tmp_path / "phone.mov", [0.0, 0.1], rotation=rotation)
    turned = np.rot90(picture(0), rotation // 90)
    height, width = turned.shape[:2]
    _, (found,) = cut(tmp_path, video, f"1,7,0,0,{width},{height}")
    assert_shows(found.frames[0], turned)
    cv2 = pytest.importorskip("cv2")
    seen, frame = cv2.VideoCapture(str(video)).read()
    assert seen
    np.testing.assert_array_equal(frame[..., ::-1], turned)


def test_damage_in_the_middle_keeps_what_came_before(tmp_path, video):
    whole = video.read_bytes()
    third = [place for place in range(len(whole)) if whole.startswith(b"\x89PNG", place)][2]
    video.write_bytes(whole[:third] + bytes(200) + whole[third + 200 :])
    with pytest.raises(ValueError, match=r"damaged after frame 2 .*2 crops of 1 tracklets"):
        cut(tmp_path, video, *[f"{frame},7,0,0,9,9" for frame in (1, 2, 3, 4)])
    (found,) = read_dataset("manifest", tmp_path / "out").gallery
    assert_shows(found.frames[1], picture(1)[:9, :9])


def test_a_file_that_is_no_video_or_ends_early(tmp_path, video):
    whole = video.read_bytes()
    for content in (b"", b"not a video at all" * 100, whole[: len(whole) // 2]):
        video.write_bytes(content)
        with pytest.raises(ValueError, match=r"gate.mov (cannot be read as video|has no pictures)"):
            cut(tmp_path, video, "1,7,0,0,9,9")
    assert not (tmp_path / "out").exists()


def test_wrong_arguments_write_nothing(tmp_path, video):
    with pytest.raises(ValueError, match="has no time zone"):
        cut(tmp_path, video, "1,7,0,0,9,9", start="2026-05-01T08:30:00")
    with pytest.raises(ValueError, match="start is a time such as"):
        cut(tmp_path, video, "1,7,0,0,9,9", start="noon")
    with pytest.raises(ValueError, match="max_gap"):
        cut(tmp_path, video, "1,7,0,0,9,9", max_gap=0)
    with pytest.raises(FileNotFoundError, match="no video"):
        cut(tmp_path, tmp_path / "none.mov", "1,7,0,0,9,9")
    with pytest.raises(ValueError, match=r"no box of .* lies in"):
        cut(tmp_path, video, "9,7,0,0,9,9")
    assert not list((tmp_path / "out").glob("*"))


def test_a_manifest_is_never_overwritten(tmp_path, video):
    cut(tmp_path, video, "1,7,0,0,9,9")
    with pytest.raises(FileExistsError, match=r"manifest.csv is there already"):
        cut(tmp_path, video, "1,8,0,0,9,9")


@needs_pets
def test_damage_that_the_decoder_hides_is_named(tmp_path, capsys):
    content = bytearray(PETS_VIDEO.read_bytes())
    hole = len(content) // 5
    content[hole : hole + 200_000] = bytes(200_000)
    video = tmp_path / "hole.avi"
    video.write_bytes(content)
    assert main(["tracklets", str(video), str(PETS_TRACKS), str(tmp_path / "out")]) == 1
    assert re.search(
        r"skipped: \d+ boxes of damaged frames\ndamaged: \d+ frames, the first is 1\d\d; if the",
        capsys.readouterr().out,
    )
    frames = [frame for t in read_dataset("manifest", tmp_path / "out").gallery for frame in t.frames]
    assert len(frames) < 1223
    cut_tracklets(PETS_VIDEO, PETS_TRACKS, tmp_path / "whole")
    before = [frame for frame in frames if int(frame[-10:-4]) < 150]
    assert all(Path(f).read_bytes() == Path(f.replace("/out/", "/whole/")).read_bytes() for f in before)


@needs_pets
def test_the_real_video(tmp_path, capsys):
    assert main(["tracklets", str(PETS_VIDEO), str(PETS_TRACKS), str(tmp_path), "--camid", "4"]) == 0
    assert "1,223 crops of 8 tracklets from 200 frames" in capsys.readouterr().out
    found = {t.name: t for t in read_dataset("manifest", tmp_path).gallery}
    nine = found["c4/vtest.avi/9@0"]
    assert (len(nine.frames), nine.camid, nine.start, nine.end) == (200, 4, 0.0, 19.9)
    assert decode_image(nine.frames[0]).shape == (76, 32, 3)  # 499.20..530.23 x 157.69..232.86
    with (tmp_path / "manifest.csv").open(newline="") as file:
        assert sum(1 for _ in csv.reader(file)) == 1224
