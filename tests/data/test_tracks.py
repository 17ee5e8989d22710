import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from denseil.data import crop_box, read_tracks
from tests.data.videos import PETS_TRACKS


def test_the_real_file():
    tracks = read_tracks(PETS_TRACKS)
    expected = np.loadtxt(PETS_TRACKS, delimiter=",")
    assert len(tracks) == 1223
    np.testing.assert_array_equal(tracks.boxes, expected[:, 2:6])
    assert sorted(set(tracks.ids.tolist())) == [9, 11, 12, 13, 15, 16, 17, 19]


boxes = st.dictionaries(
    st.tuples(st.integers(1, 2**40), st.integers(0, 2**63 - 1)),
    st.tuples(st.floats(2, 1e6), *[st.floats(-1e6, 1e6)] * 3),
    min_size=1,
    max_size=20,
)


@given(boxes)
def test_any_order_of_lines_gives_the_order_of_frames(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("t") / "tracks.txt"
    path.write_text("".join(f"{f},{i},{','.join(map(repr, box))},1,-1,-1,-1\n" for (f, i), box in rows.items()))
    tracks = read_tracks(path)
    assert list(zip(tracks.frames.tolist(), tracks.ids.tolist(), strict=True)) == sorted(rows)
    assert [tuple(box) for box in tracks.boxes.tolist()] == [rows[key] for key in sorted(rows)]


def test_whole_numbers_written_with_a_point_blank_lines_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "tracks.txt"
    path.write_bytes(b"\xef\xbb\xbf1.0, 7.0 ,1,2,3,4\r\n\r\n")
    tracks = read_tracks(path)
    assert (tracks.frames.tolist(), tracks.ids.tolist(), tracks.boxes.tolist()) == ([1], [7], [[1, 2, 3, 4]])


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("2,7,one,2,3,4", "line 2: left must be a number, got 'one'"),
        ("two,7,1,2,3,4", "line 2: frame must be a number, got 'two'"),
        ("2,7.5,1,2,3,4", "line 2: track id must be a whole number, got '7.5'"),
        ("2,7,1,2,nan,4", "line 2: width must be a number, got 'nan'"),
        ("2,7,1,2,inf,4", "line 2: width must be a number, got 'inf'"),
        ("2,7,1,2,3", "line 2: 5 fields, a box has at least 6"),
        ("2 7 1 2 3", "line 2: 5 fields"),
        ("2,\u0667,1,2,3,4", "line 2: track id must be a number"),
        ("2,0001_02,1,2,3,4", "line 2: track id must be a number, got '0001_02'"),
        ("0,7,1,2,3,4", "line 2: frame 0; frames are counted from 1: add 1 to all"),
        (f"2,{2**63},1,2,3,4", "line 2: track id 9223372036854775808 does not fit into 64 bits"),
        ("1,7,1,2,3,4", "lines 1 and 2: track 7 has two boxes in frame 1"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path, line, text):
    path = tmp_path / "tracks.txt"
    path.write_text(f"1,7,0,0,5,5\n{line}\n")
    with pytest.raises(ValueError, match=text):
        read_tracks(path)


def test_no_file_no_boxes_no_text(tmp_path):
    path = tmp_path / "tracks.txt"
    with pytest.raises(FileNotFoundError, match="no tracks file"):
        read_tracks(path)
    with pytest.raises(ValueError, match="is a folder: give one file with the boxes of all frames"):
        read_tracks(tmp_path)  # such as the labels of ultralytics
    path.write_text("\n\n")
    with pytest.raises(ValueError, match="holds no boxes"):
        read_tracks(path)
    path.write_bytes(b"\xff\xfe\x00\x00")
    with pytest.raises(ValueError, match="not a text file"):
        read_tracks(path)


def write(path, *lines):
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("mark", [",", ", ", ";", " ; ", "\t", " ", "   "])
def test_what_stands_between_the_fields(tmp_path, mark):
    tracks = read_tracks(
        write(tmp_path / "t.txt", *(mark.join(map(str, (f, 7, 10.5, 20, 30, 60, 0.9))) for f in (2, 1)))
    )
    assert (tracks.frames.tolist(), tracks.ids.tolist(), tracks.boxes[0].tolist()) == (
        [1, 2],
        [7, 7],
        [10.5, 20, 30, 60],
    )


def test_a_header_names_the_columns(tmp_path):
    tracks = read_tracks(write(tmp_path / "t.csv", "frame,track_id,conf,x,y,w,h", "3,7,0.5,1,2,30,40"))
    assert (tracks.frames.tolist(), tracks.ids.tolist(), tracks.boxes.tolist()) == ([3], [7], [[1, 2, 30, 40]])
    with pytest.raises(ValueError, match="names no column for width, height"):
        read_tracks(write(tmp_path / "t.csv", "frame,id,x1,y1,x2,y2", "3,7,1,2,30,40"))


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("frame,id,bb_left,bb_top,bb_width,bb_height,conf,x,y,z", "3,7,1,2,30,40,0.9,-1,-1,-1"),  # MOT Challenge
        ("id,frame,track_id,x,y,w,h", "912,3,7,1,2,30,40"),  # an id of the row
        ("frame,track_id,x,y,w,h,x1,y1", "3,7,16,22,30,40,1,2"),  # the centre, too
    ],
)
def test_a_header_with_two_columns_for_a_field(tmp_path, header, row):
    tracks = read_tracks(write(tmp_path / "t.csv", header, row))
    assert (tracks.frames.tolist(), tracks.ids.tolist(), tracks.boxes.tolist()) == ([3], [7], [[1, 2, 30, 40]])


@pytest.mark.parametrize("end", ["{},{},1", "{}.0,{}.0,1.0", "{},{},1,"])
def test_ground_truth_in_the_hand_of_others(tmp_path, end):
    rows = [
        f"1,{track},600,400,30,60,{end.format(flag, kind)}" for track, flag, kind in ((1, 0, 1), (2, 1, 1), (3, 1, 3))
    ]
    tracks = read_tracks(write(tmp_path / "gt.txt", *rows))
    assert (tracks.ids.tolist(), sum(tracks.left_out.values())) == ([2], 2)


@pytest.mark.parametrize(("labels", "ids"), [("car\nPerson\n", [2]), ("person\ncar\n", [1]), ("worker\n", [1])])
def test_ground_truth_of_cvat_has_the_classes_of_its_labels(tmp_path, labels, ids):
    (tmp_path / "labels.txt").write_text(labels)
    path = write(tmp_path / "gt.txt", "1,1,600.0,400.0,30.0,60.0,1.0,1,1.0", "1,2,600.0,400.0,30.0,60.0,1.0,2,1.0")
    assert read_tracks(path).ids.tolist() == ids
    (tmp_path / "labels.txt").write_text("car\nworker\n")
    with pytest.raises(ValueError, match=r"labels.txt names no class pedestrian or person or people: call that of"):
        read_tracks(path)


@pytest.mark.parametrize("end", ["0,1", "-1,-1"])  # annotations, and results of a tracker
def test_annotations_of_visdrone(tmp_path, end):
    kinds = ((0, 0), (1, 1), (1, 2), (1, 4))  # ignored, a pedestrian, a person on a bicycle, a car
    rows = [f"1,{track},600,400,30,60,{score},{kind},{end}" for track, (score, kind) in enumerate(kinds)]
    tracks = read_tracks(write(tmp_path / "uav.txt", *rows))
    assert (tracks.ids.tolist(), sum(tracks.left_out.values())) == ([1, 2], 2)


@pytest.mark.parametrize("end", ["-1,-1,-1", "0,0,0", "5,1,7"])
def test_ten_fields_of_a_tracker_have_no_class(tmp_path, end):
    assert read_tracks(write(tmp_path / "t.txt", f"1,5,600,400,30,60,1,{end}")).ids.tolist() == [5]


def test_ground_truth_of_the_mot_challenge(tmp_path):
    path = write(
        tmp_path / "gt.txt",
        "1,1,912,484,97,109,0,7,1",  # a car, ignored
        "1,2,600,400,30,60,1,1,0.8",
        "1,3,700,400,30,60,1,3,1",  # a car
        "2,2,602,400,30,60,1,1,0.5",
    )
    tracks = read_tracks(path)
    assert (tracks.frames.tolist(), tracks.ids.tolist()) == ([1, 2], [2, 2])
    assert tracks.left_out == {
        "boxes that the ground truth flags as ignored": 1,
        "boxes of other classes than pedestrians": 1,
    }


def test_labels_of_kitti(tmp_path):
    rest = "-1 -1 -10 {} -1 -1 -1 -1000 -1000 -1000 -10"
    path = write(
        tmp_path / "0000.txt",
        f"0 -1 DontCare {rest.format('219.3 188.4 245.5 218.5')}",
        f"0 2 Pedestrian {rest.format('1106.1 166.5 1204.4 323.8')}",
        f"1 0 Van {rest.format('296.7 161.7 455.2 292.3')}",
    )
    tracks = read_tracks(path)
    assert (tracks.frames.tolist(), tracks.ids.tolist()) == ([1], [2])
    np.testing.assert_allclose(tracks.boxes, [[1106.1, 166.5, 98.3, 157.3]])
    assert tracks.left_out == {"boxes of other classes than pedestrians": 2}


def test_detections_are_no_tracks(tmp_path):
    with pytest.raises(ValueError, match=r"no track of a person: 2 boxes without a track .*run a tracker"):
        read_tracks(write(tmp_path / "det.txt", "1,-1,10,20,30,60,0.9,-1,-1,-1", "1,-1,50,20,30,60,0.9,-1,-1,-1"))


def test_boxes_that_are_not_confirmed_are_counted(tmp_path):
    tracks = read_tracks(write(tmp_path / "t.txt", "1,-1,10,20,30,60", "1,4,50,20,30,60", "1,-1,90,20,30,60"))
    assert (tracks.ids.tolist(), tracks.left_out) == ([4], {"boxes without a track (id below 0)": 2})


@pytest.mark.parametrize("left", ["0.51", "1.003", "-0.02"])  # a tracker predicts boxes past the border
def test_shares_of_the_picture_are_refused(tmp_path, left):
    with pytest.raises(ValueError, match="no box reaches as far as pixel 2, so they are fractions of the picture"):
        read_tracks(write(tmp_path / "t.txt", "1,1,0.5,0.25,0.1,0.3", f"2,1,{left},0.25,0.1,0.3"))


@pytest.mark.parametrize("box", [(float("nan"), 0, 2, 2), (0, 0, 2, float("inf"))])
def test_a_box_that_is_not_finite_is_refused(box):
    with pytest.raises(ValueError, match=r"the box \(.*\) is not finite: give pixels"):
        crop_box(np.zeros((4, 4, 3), np.uint8), *box)
