from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from denseil.data import Tracklet, VideoReIDDataset, check_dataset, read_dataset, write_manifest
from tests.data.trees import mars_tree

TEXT = """tracklet,frame,pid,camid,split,note
b,x/10.jpg,7,2,train,
b,x/9.jpg,7,2,train,later
a,y/1.jpg,3,1,query,
c,z/é.jpg,3,2,gallery,
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "manifest.csv"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_rows_keep_their_order(path):
    dataset = read_dataset("manifest", path)
    (train,) = dataset.train
    assert (train.name, train.pid, train.camid) == ("b", 7, 2)
    assert list(train.frames) == [str(path.parent / "x/10.jpg"), str(path.parent / "x/9.jpg")]
    assert list(dataset.gallery[0].frames) == [str(path.parent / "z/é.jpg")]
    assert read_dataset("manifest", path.parent) == dataset


def test_windows_line_ends_and_byte_order_mark(path):
    before = read_dataset("manifest", path)
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    assert read_dataset("manifest", path) == before


@pytest.mark.parametrize("separator", [";", "\t", ", ", "; "])
def test_what_stands_between_the_columns(path, separator):
    before = read_dataset("manifest", path)
    path.write_text(TEXT.replace(",", separator), encoding="utf-8")
    assert read_dataset("manifest", path) == before


def test_parquet_is_the_same(path):
    columns = [line.split(",") for line in TEXT.splitlines()]
    table = {name: [row[i] for row in columns[1:]] for i, name in enumerate(columns[0])}
    table["pid"] = [int(pid) for pid in table["pid"]]
    target = path.with_suffix(".parquet")
    pyarrow.parquet.write_table(pa.table(table), target)
    assert read_dataset("manifest", target) == read_dataset("manifest", path)


def test_any_dataset_can_become_one(tmp_path):
    mars = read_dataset("mars", mars_tree(tmp_path / "mars"))
    again = read_dataset("manifest", write_manifest(mars, tmp_path / "manifest.csv"))
    for split in ("train", "query", "gallery"):
        assert [(list(t.frames), t.pid, t.camid) for t in getattr(again, split)] == [
            (list(t.frames), t.pid, t.camid) for t in getattr(mars, split)
        ]
    assert "bbox_train/0001" in (tmp_path / "manifest.csv").read_text().splitlines()[1]


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("pid,camid,split,note", "pid,camid,split,time", "time must be a number of seconds, got 'later'"),
        ("split,note", "split,pid", r"the columns \['pid'\] more than once"),
        ("camid", "camera", r"lacks the columns \['camid'\]"),
        ("7,2,train,later", "8,2,train,later", "two identities"),
        ("7,2,train,later", "7,1,train,later", "two identities, cameras"),
        ("3,1,query", "3,1,test", "split 'test', expected one of"),
        ("3,1,query", "three,1,query", "pid must be a whole number from -1 to 2147483647, got 'three'"),
        ("a,y/1.jpg,3,1,query,", "a,y/1.jpg", "line 4: fewer fields"),
        ("a,y/1.jpg", ",y/1.jpg", "row 3: tracklet '', frame 'y/1.jpg'; give each row both"),
        ("a,y/1.jpg", "a, ", "row 3: tracklet 'a', frame ' '; give each row both"),
    ],
)
def test_what_is_wrong_is_said(path, old, new, text):
    path.write_text(TEXT.replace(old, new), encoding="utf-8")
    with pytest.raises(ValueError, match=text):
        read_dataset("manifest", path)


def test_no_rows_no_text_no_parquet(path):
    path.write_text(TEXT.splitlines()[0] + "\n")
    with pytest.raises(ValueError, match="no rows"):
        read_dataset("manifest", path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="not a UTF-8 text table"):
        read_dataset("manifest", path)
    target = path.with_suffix(".parquet")
    target.write_bytes(b"PAR1 but no more")
    with pytest.raises(ValueError, match="not a readable Parquet"):
        read_dataset("manifest", target)


def test_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"manifest\.csv"):
        read_dataset("manifest", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"none\.csv"):
        read_dataset("manifest", tmp_path / "none.csv")


def test_problems_of_all_tracklets_are_listed(path):
    path.write_text(
        TEXT.replace("3,1,query", "3,1,test").replace("7,2,train,later", "8,2,train,later"), encoding="utf-8"
    )
    assert len(check_dataset("manifest", path, images=False).problems) == 2


def test_frames_are_checked(path: Path):
    report = check_dataset("manifest", path)
    assert "b: 2 of 2 frames missing" in report.problems[0]
    assert len(report.problems) == 3


def test_times_make_start_and_end_and_survive_writing(path):
    path.write_text(TEXT.replace("note", "time").replace("train,later", "train,2.5").replace("query,", "query,-1"))
    dataset = read_dataset("manifest", path)
    times = [(t.start, t.end) for t in (*dataset.train, *dataset.query, *dataset.gallery)]
    assert times == [(2.5, 2.5), (-1, -1), (None, None)]
    path.write_text(path.read_text().replace("x/10.jpg,7,2,train,", "x/10.jpg,7,2,train,0.25"))
    again = read_dataset("manifest", write_manifest(read_dataset("manifest", path), path.with_name("again.csv")))
    assert (again.train[0].start, again.train[0].end) == (0.25, 2.5)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"start": 1, "end": 5}, "of 1 frames is from 1 to 5: a manifest has one time for a frame"),
        ({"frames": ["a.jpg", "b.jpg"], "start": 5}, "from 5 to None"),
        ({"frames": ["a.jpg", "b.jpg", "a.jpg"]}, "'a' has a frame twice, which a manifest holds once"),
        ({"frames": ["a\udcff.jpg"]}, r"'a\\udcff.jpg' is not UTF-8, as a manifest is: rename it"),
        ({"pid": 2**31}, "has pid 2147483648 and camid 1: a manifest holds numbers up to 2147483647"),
    ],
)
def test_what_a_manifest_cannot_hold_is_refused_and_the_earlier_one_kept(tmp_path, values, text):
    path = tmp_path / "manifest.csv"
    path.write_text(TEXT, encoding="utf-8")
    tracklet = Tracklet(**{"frames": ["a.jpg"], "pid": 1, "camid": 1, "name": "a", **values})
    with pytest.raises(ValueError, match=text):
        write_manifest(VideoReIDDataset([tracklet], [], []), path)
    assert path.read_text(encoding="utf-8") == TEXT


def test_times_of_a_tracklet_that_go_back_are_a_problem(path):
    """As those of two videos of one name in one table do."""
    path.write_text(TEXT.replace("note", "time").replace("train,\n", "train,2.5\n").replace("train,later", "train,2.4"))
    with pytest.raises(ValueError, match="the times of 1 of 3 tracklets go back, first of 'b'"):
        read_dataset("manifest", path)
