import csv
import re
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from denseil.cli import main
from denseil.common.text import counted
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
    assert [doubt[:26] for doubt in report.doubts] == ["the video ends before its "]


def test_a_video_that_was_copied_in_part_is_said(tmp_path, capsys):
    """A Matroska file that ends early is no error to ffmpeg."""
    video = write_video(tmp_path / "gate.mkv", [step / 10 for step in range(40)], codec="ffv1")
    content = video.read_bytes()
    boxes = str(tracks(tmp_path, *(f"{frame},7,8,4,16,32" for frame in range(1, 41))))
    assert main(["tracklets", str(video), boxes, str(tmp_path / "whole")]) == 0
    video.write_bytes(content[: len(content) // 2])
    assert main(["tracklets", str(video), boxes, str(tmp_path / "out")]) == 1
    said = capsys.readouterr().out
    assert re.search(r"skipped: \d+ boxes of frames after the last, \d+\n", said)
    assert "check: the video ends before its boxes; is it a whole copy" in said


def test_boxes_that_do_not_fit_the_picture_are_said(tmp_path, video):
    """Boxes of a larger picture; and left, top, right, bottom in place of left, top, width, height."""
    report, _ = cut(tmp_path, video, "1,1,640,40,16,30", "2,1,640,40,16,30", "3,1,20,10,16,30")
    assert [doubt[:35] for doubt in report.doubts] == ["most boxes lie outside of the pictu"]
    shutil.rmtree(tmp_path / "out")
    report, _ = cut(tmp_path, video, *(f"{1 + n % 4},{n},{4 * n},8,{4 * n + 12},40" for n in range(1, 13)))
    assert [doubt[:40] for doubt in report.doubts] == ["many boxes reach past the picture, and n"]
    shutil.rmtree(tmp_path / "out")
    report, _ = cut(tmp_path, video, *(f"{1 + n % 4},{n},{4 * n},8,12,32" for n in range(1, 13)))
    assert report.doubts == []


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


def test_a_source_tells_videos_of_one_camera_and_name_apart(tmp_path):
    """Without a start, nothing else does; the gallery refuses the second, with a count, until it has a source."""
    from denseil.gallery import MemoryGallery, Record

    held = MemoryGallery(2)
    for number, (folder, source) in enumerate([("a", None), ("b", None), ("b/again", "b/clip.mov")]):
        (tmp_path / folder).mkdir()
        video = write_video(tmp_path / folder / "clip.mov", [0.0, 0.1])
        _, found = cut(tmp_path / folder, video, "1,7,0,0,9,9", "2,8,0,0,9,9", source=source)
        records = [Record(str(one.key), one.camid, start=one.start, end=one.end) for one in found]
        if number == 1:
            with pytest.raises(ValueError, match=r"2 of 2 ids are held .* --source"):
                held.add(records, [[0, 1], [0, 1]])
        else:
            held.add(records, [[1, number], [1, number]])
    assert held.count() == 4
    assert [record.id for record in records] == ["c1/b/clip.mov/7@0", "c1/b/clip.mov/8@0.1"]
    with pytest.raises(ValueError, match="is not a name"):
        cut(tmp_path / "b", video, "1,7,0,0,9,9", source="/")


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


def damage(video, *frames):
    """Overwrite packets (counted from 1) of a video of PNG pictures."""
    whole = video.read_bytes()
    packets = [place for place in range(len(whole)) if whole.startswith(b"\x89PNG", place)]
    for frame in frames:
        start = packets[frame - 1]
        whole = whole[:start] + bytes(40) + whole[start + 40 :]
    video.write_bytes(whole)


@pytest.mark.parametrize("lost", [(3,), (1,), (6,), (1, 2, 4), (2, 5, 6)])
def test_damaged_packets_are_passed_over_and_counted(tmp_path, capsys, lost):
    seconds = [0.0, 0.1, 0.25, 0.3, 0.8, 0.9]
    video = write_video(tmp_path / "gate.mov", seconds)
    damage(video, *lost)
    boxes = tracks(tmp_path, *[f"{frame},7,0,0,9,9" for frame in range(1, 7)])
    assert main(["tracklets", str(video), str(boxes), str(tmp_path / "out")]) == 1
    assert f"damaged: {counted(len(lost), 'frame')}, the first is {lost[0]}" in capsys.readouterr().out
    (found,) = read_dataset("manifest", tmp_path / "out").gallery
    kept = [number for number in range(1, 7) if number not in lost]
    assert [int(Path(frame).stem) for frame in found.frames] == kept
    for number, frame in zip(kept, found.frames, strict=True):
        assert_shows(frame, picture(number - 1)[:9, :9])
    assert found.end - found.start == pytest.approx(seconds[kept[-1] - 1] - seconds[kept[0] - 1])
    report = cut_tracklets(video, boxes, tmp_path / "again")
    assert report.damaged == list(lost)
    assert report.frames == len(kept)


def test_a_video_of_damaged_packets_alone_is_an_error(tmp_path, video):
    damage(video, 1, 2, 3, 4)
    with pytest.raises(ValueError, match=r"no frame of .* can be decoded"):
        cut(tmp_path, video, "1,7,0,0,9,9")
    assert not list((tmp_path / "out").iterdir())


def test_a_colon_in_the_name_of_a_video(tmp_path, monkeypatch):
    write_video(tmp_path / "gate.mov", [0.0]).rename(tmp_path / "gate:2026-05-01T08:30.mov")
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("gate:2026-05-01T08:30.mov", tmp_path / "gate:2026-05-01T08:30.mov")):
        cut_tracklets(name, tracks(tmp_path, "1,7,0,0,9,9"), tmp_path / f"out{number}")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("gate.mp4", "ffconcat version 1.0\nfile other.mov\n"),
        ("gate.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nother.mov\n#EXT-X-ENDLIST\n"),
    ],
)
def test_a_list_of_other_files_is_no_video(tmp_path, name, content):
    write_video(tmp_path / "other.mov", [0.0])
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=f"{name} cannot be read as video"):
        cut_tracklets(tmp_path / name, tracks(tmp_path, "1,7,0,0,9,9"), tmp_path / "out")


def test_frames_of_absurd_size_are_refused(tmp_path, video, monkeypatch):
    monkeypatch.setattr("denseil.data.video_frames.MAX_PIXELS", 64 * 48 - 1)
    with pytest.raises(ValueError, match="has frames of 64 x 48, more than 3,071 pixels"):
        cut_tracklets(video, tracks(tmp_path, "1,7,0,0,9,9"), tmp_path / "out")


def sequence(folder, numbers, name="{:06}.png"):
    (folder / "img1").mkdir(parents=True)
    for number in numbers:
        Image.fromarray(picture(number)).save(folder / "img1" / name.format(number))
    return folder / "img1"


@pytest.mark.parametrize("given", ["img1", "img1/%06d.png"])
def test_a_sequence_of_images_is_a_video(tmp_path, given):
    sequence(tmp_path / "MOT17-02", [1, 2, 4, 10])  # the third is missing
    (tmp_path / "MOT17-02" / "seqinfo.ini").write_text("[Sequence]\nname=MOT17-02\nframeRate=10\n")
    lines = [f"{number},7,0,0,9,9" for number in (1, 2, 3, 4, 10)]
    report, (found,) = cut(tmp_path, tmp_path / "MOT17-02" / given, *lines)
    assert found.name == "c1/MOT17-02/img1/7@0"
    assert (found.start, found.end) == (0, 0.9)
    for number, frame in zip((1, 2, 4, 10), found.frames, strict=True):
        assert_shows(frame, picture(number)[:9, :9])
    assert report.damaged == [3, 5, 6, 7, 8, 9]
    assert report.skipped == {"boxes of damaged frames": 1}


@pytest.mark.parametrize(
    ("seqinfo", "numbers", "missing", "doubts"),
    [
        ("[Sequence]\nframeRate=10\n", [2, 3], [1], 0),
        ("[Sequence]\nimStart=3\n", [4, 5], [1], 0),
        ("", [2, 3], [], 1),
        ("", [0, 1], [], 0),
        ("[Sequence]\n", [0, 1], [], 0),
    ],
)
def test_a_missing_first_image_shifts_no_frame_or_is_a_doubt(tmp_path, seqinfo, numbers, missing, doubts):
    images = sequence(tmp_path / "MOT17-02", numbers)
    if seqinfo:
        (tmp_path / "MOT17-02" / "seqinfo.ini").write_text(seqinfo)
    report, (found,) = cut(tmp_path, images, *[f"{number},7,0,0,9,9" for number in (1, 2, 3)])
    first = len(missing) + 1
    assert [Path(frame).stem for frame in found.frames] == [f"{first:06}", f"{first + 1:06}"]
    assert report.damaged == missing
    assert [doubt.partition(";")[0] for doubt in report.doubts if "video ends" not in doubt] == [
        "000002.png is taken for frame 1"
    ] * doubts


def test_images_that_are_not_numbered_one_by_one_are_counted(tmp_path):
    images = sequence(tmp_path, [0, 5, 10], "frame{}.png")
    (images / "frame5.png").write_bytes(b"no image")
    report, (found,) = cut(tmp_path, images, *[f"{number},7,0,0,9,9" for number in (1, 2, 3)], fps=2)
    assert_shows(found.frames[-1], picture(10)[:9, :9])
    assert (found.end, report.damaged) == (1.0, [2])
    with pytest.raises(ValueError, match="fps"):
        cut(tmp_path, images, "1,7,0,0,9,9", fps=0)
    video = write_video(tmp_path / "v.avi", [0, 0.1])
    with pytest.raises(ValueError, match=r"fps=5 is for a sequence of images: .*v\.avi is a video"):
        cut(tmp_path, video, "1,7,0,0,9,9", fps=5)
    (tmp_path / "none").mkdir()
    with pytest.raises(FileNotFoundError, match="no frames in"):
        cut_tracklets(tmp_path / "none", tracks(tmp_path, "1,7,0,0,9,9"), tmp_path / "out2")


def test_every_second_image_beside_a_seqinfo_keeps_its_number(tmp_path):
    images = sequence(tmp_path / "MOT17-02", [1, 3, 5])
    (tmp_path / "MOT17-02" / "seqinfo.ini").write_text("[Sequence]\nframeRate=10\n")
    report, (found,) = cut(tmp_path, images, *[f"{number},7,0,0,9,9" for number in (1, 3, 5)])
    for number, frame in zip((1, 3, 5), found.frames, strict=True):
        assert_shows(frame, picture(number)[:9, :9])
    assert (report.damaged, report.doubts) == ([2, 4], [])


@pytest.mark.parametrize(
    "names", [("1.png", "1_mask.png", "2.png", "2_mask.png"), ("a_1.png", "a_2.png", "b_1.png", "b_2.png")]
)
def test_images_of_two_kinds_in_one_folder_are_a_doubt(tmp_path, names):
    images = sequence(tmp_path, range(1, 5))
    for number, name in enumerate(names, start=1):
        (images / f"{number:06}.png").rename(images / name)
    report, _ = cut(tmp_path, images, "1,7,0,0,9,9")
    assert [doubt for doubt in report.doubts if "do not always rise" in doubt]


def test_a_number_that_is_no_frames_is_refused(tmp_path):
    images = sequence(tmp_path, [1, 2, 20261128120000], "{}.png")
    with pytest.raises(ValueError, match=r"20261128120000.png would be frame 20,261,128,120,000, after 2.png: move it"):
        cut(tmp_path, images, "1,7,0,0,9,9")
    assert not (tmp_path / "out").exists()


def test_times_that_begin_again_go_on(tmp_path):
    one = write_video(tmp_path / "one.ts", [0.0, 0.5, 1.0, 1.5], codec="libx264")
    (tmp_path / "two.ts").write_bytes(2 * one.read_bytes())  # joined as with cat
    report, (found,) = cut(tmp_path, tmp_path / "two.ts", *[f"{number},7,0,0,9,9" for number in range(1, 9)])
    assert len(found.frames) == 8
    assert found.end == pytest.approx(3.5)  # the second recording starts a frame's time after the first
    assert [doubt.partition(",")[0] for doubt in report.doubts] == ["the times of the video begin again at frame 5"]


def test_packets_without_a_picture_to_show_are_no_frames(tmp_path):
    """The alternate references of VP8 are packets of their own, which no player shows."""
    whole = write_video(tmp_path / "whole.webm", [0.1 * number for number in range(10)], codec="libvpx")
    with av.open(str(whole)) as given, av.open(str(tmp_path / "hidden.webm"), "w") as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        for number, packet in enumerate(each for each in given.demux(video=0) if each.size):
            if number in (3, 6):
                content = bytes(packet)
                hidden = av.Packet(bytes([content[0] & ~0x10]) + content[1:])
                hidden.pts = hidden.dts = packet.pts - 3
                hidden.stream, hidden.time_base = stream, packet.time_base
                made.mux(hidden)
            packet.stream = stream
            made.mux(packet)
    report, (found,) = cut(tmp_path, tmp_path / "hidden.webm", *[f"{number},7,0,0,9,9" for number in range(1, 13)])
    assert (len(found.frames), report.frames, report.damaged) == (10, 10, [])
    assert report.skipped == {"boxes of frames after the last, 10": 2}


@pytest.mark.parametrize("name", ["street.mp4", "street.AVI"])
def test_a_video_given_to_embed_says_what_to_do(tmp_path, name, capsys):
    (tmp_path / name).write_bytes(b"\0")
    assert main(["embed", str(tmp_path / name), "--model", "denseil_mobilenetv2", "-o", str(tmp_path / "v")]) == 2
    assert "is a video: cut tracklets out of it first, with `denseil tracklets`" in capsys.readouterr().err


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
    with pytest.raises(ValueError, match=r"such as 2026-05-01T00:00:00\+02:00"):
        cut(tmp_path, video, "1,7,0,0,9,9", start="2026-05-01")
    with pytest.raises(ValueError, match="start 'noon' is not a time: write 2026-05-01T08:30:00"):
        cut(tmp_path, video, "1,7,0,0,9,9", start="noon")
    with pytest.raises(ValueError, match="max_gap"):
        cut(tmp_path, video, "1,7,0,0,9,9", max_gap=0)
    for camid in (-3, 2**31):  # no manifest holds these
        with pytest.raises(ValueError, match=r"camid=-?\d+: a camera of a manifest is a whole number from 0"):
            cut(tmp_path, video, "1,7,0,0,9,9", camid=camid)
    with pytest.raises(FileNotFoundError, match="no video"):
        cut(tmp_path, tmp_path / "none.mov", "1,7,0,0,9,9")
    with pytest.raises(ValueError, match=r"no box of .* lies in"):
        cut(tmp_path, video, "9,7,0,0,9,9")
    assert not list((tmp_path / "out").glob("*"))


def test_a_manifest_is_never_overwritten(tmp_path, video):
    cut(tmp_path, video, "1,7,0,0,9,9")
    with pytest.raises(FileExistsError, match=r"manifest.csv is there already"):
        cut(tmp_path, video, "1,8,0,0,9,9")


def test_crops_that_are_there_are_never_overwritten(tmp_path, video):
    own = tmp_path / "out" / "crops" / "7" / "000001.jpg"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"of another run, which may still be at work")
    with pytest.raises(FileExistsError, match=r"crops is there already, .*: give another folder, or remove it"):
        cut(tmp_path, video, "1,7,0,0,9,9")
    assert own.read_bytes().startswith(b"of another run")
    assert not (tmp_path / "out" / "manifest.csv").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_run_that_was_interrupted_can_be_run_again(tmp_path, video, error, monkeypatch):
    def fail(*_, **__):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", fail)
        with pytest.raises(error):
            cut(tmp_path, video, "1,7,0,0,9,9")
    assert not list((tmp_path / "out").iterdir())
    report, _ = cut(tmp_path, video, "1,7,0,0,9,9")
    assert report.crops == 1


@needs_pets
def test_damage_that_the_decoder_hides_is_named(tmp_path, capsys):
    content = bytearray(PETS_VIDEO.read_bytes())
    hole = len(content) // 5
    content[hole : hole + 200_000] = bytes(200_000)
    video = tmp_path / "hole.avi"
    video.write_bytes(content)
    assert main(["tracklets", str(video), str(PETS_TRACKS), str(tmp_path / "out")]) == 1
    assert re.search(
        r"skipped: \d+ box(es)? of damaged frames\ndamaged: \d+ frames?, the first is 1\d\d; if the",
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
