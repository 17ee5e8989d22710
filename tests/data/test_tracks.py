import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from denseil.data import read_tracks
from tests.data.videos import PETS_TRACKS


def test_the_real_file():
    tracks = read_tracks(PETS_TRACKS)
    expected = np.loadtxt(PETS_TRACKS, delimiter=",")
    assert len(tracks) == 1223
    np.testing.assert_array_equal(tracks.boxes, expected[:, 2:6])
    assert sorted(set(tracks.ids.tolist())) == [9, 11, 12, 13, 15, 16, 17, 19]


boxes = st.dictionaries(
    st.tuples(st.integers(1, 2**40), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(*[st.floats(-1e6, 1e6)] * 4),
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
        ("2,7,one,2,3,4", "line 2: left is a number, got 'one'"),
        ("two,7,1,2,3,4", "line 2: frame is a number, got 'two'"),
        ("2,7.5,1,2,3,4", "line 2: track id is a whole number, got '7.5'"),
        ("2,7,1,2,nan,4", "line 2: width is a number, got 'nan'"),
        ("2,7,1,2,inf,4", "line 2: width is a number, got 'inf'"),
        ("2,7,1,2,3", "line 2: 5 fields, a box has at least 6"),
        ("2 7 1 2 3 4", "line 2: 1 fields"),
        ("0,7,1,2,3,4", "line 2: frame 0; frames are counted from 1"),
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
    path.write_text("\n\n")
    with pytest.raises(ValueError, match="holds no boxes"):
        read_tracks(path)
    path.write_bytes(b"\xff\xfe\x00\x00")
    with pytest.raises(ValueError, match="not a text file"):
        read_tracks(path)
