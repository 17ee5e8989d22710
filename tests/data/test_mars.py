from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from denseil.data import check_dataset, read_dataset
from tests.data.trees import mars_tree

TINY = Path(__file__).parent / "mars_tiny"


@pytest.fixture
def root(tmp_path):
    return mars_tree(tmp_path / "mars")


def test_labels_frames_and_queries_are_those_of_the_info_files(root):
    dataset = read_dataset("mars", root)
    assert [(t.pid, t.camid, len(t.frames), t.name) for t in dataset.train] == [
        (1, 1, 3, "0001C1T0001"),
        (1, 2, 2, "0001C2T0002"),
        (5, 1, 4, "0005C1T0001"),
    ]
    assert list(dataset.train[2].frames) == [str(root / f"bbox_train/0005/0005C1T0001F00{i}.jpg") for i in (1, 2, 3, 4)]
    assert [t.name for t in dataset.query] == ["0007C3T0001", "0002C1T0001"]  # in the order of query_IDX
    assert [t.pid for t in dataset.gallery] == [-1, 0, 2, 7]
    assert dataset.gallery[0].frames[0] == str(root / "bbox_test/00-1/00-1C1T0001F001.jpg")


def test_gallery_with_queries_says_where_they_are(root):
    dataset = read_dataset("mars", root)
    gallery, where = dataset.gallery_with_queries()
    assert len(gallery) == 6
    assert [gallery[i] for i in where] == dataset.query
    assert dataset.query_in_gallery


def test_every_frame_exists_and_pixels_are_not_touched(root, monkeypatch):
    monkeypatch.setattr("PIL.Image.open", lambda *_: pytest.fail("reading opened an image"))
    dataset = read_dataset("mars", root)
    assert all(Path(frame).is_file() for t in dataset.train + dataset.query + dataset.gallery for frame in t.frames)


def test_windows_line_ends_change_nothing(root):
    before = read_dataset("mars", root)
    names = root / "info" / "train_name.txt"
    names.write_bytes(names.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    assert read_dataset("mars", root).train == before.train


def test_a_path_that_is_not_ascii(tmp_path):
    dataset = read_dataset("mars", mars_tree(tmp_path / "données 数据"))
    assert Path(dataset.query[0].frames[0]).is_file()


def test_all_missing_files_are_named(root):
    (root / "info" / "query_IDX.mat").unlink()
    (root / "bbox_test").rename(root / "elsewhere")
    with pytest.raises(FileNotFoundError, match=r"query_IDX\.mat \(missing.*bbox_test \(missing"):
        read_dataset("mars", root)


def test_a_folder_where_a_file_should_be(root):
    (root / "info" / "train_name.txt").unlink()
    (root / "info" / "train_name.txt").mkdir()
    with pytest.raises(FileNotFoundError, match=r"train_name\.txt \(is a folder, a file is expected"):
        read_dataset("mars", root)


def test_an_empty_list_of_names(root):
    (root / "info" / "test_name.txt").write_text("\n\n")
    with pytest.raises(ValueError, match=r"test_name.txt holds no names"):
        read_dataset("mars", root)


@pytest.mark.parametrize("kept", [0, 4, 127, 130, 200])
def test_a_truncated_mat_file(root, kept):
    path = root / "info" / "tracks_train_info.mat"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"tracks_train_info.mat"):
        read_dataset("mars", root)


@pytest.mark.parametrize(
    "content", [{"other": [1]}, {"track_train_info": [[1, 2, 3]]}, {"track_train_info": ["text"]}], ids=str
)
def test_a_mat_file_of_something_else(root, content):
    savemat(root / "info" / "tracks_train_info.mat", content)
    with pytest.raises(ValueError, match="tracks_train_info"):
        read_dataset("mars", root)


@pytest.mark.parametrize("row", [(0, 3, 1, 1), (3, 2, 1, 1), (1, 99, 1, 1)])
def test_a_tracklet_outside_the_names(root, row):
    savemat(root / "info" / "tracks_train_info.mat", {"track_train_info": np.array([row])})
    with pytest.raises(ValueError, match=r"outside the 9 names of train_name.txt"):
        read_dataset("mars", root)


@pytest.mark.parametrize("queries", [[[0]], [[7]], [[3, 3]], [[]]])
def test_queries_that_are_not(root, queries):
    savemat(root / "info" / "query_IDX.mat", {"query_IDX": np.array(queries, dtype=float)})
    with pytest.raises(ValueError, match="different numbers of 1 to 6"):
        read_dataset("mars", root)


def test_a_tracklet_of_two_identities_or_cameras(root):
    savemat(
        root / "info" / "tracks_train_info.mat",
        {"track_train_info": np.array([(1, 5, 1, 1), (6, 9, 6, 1)])},  # 1C1 and 1C2 in one; 5 called 6
    )
    with pytest.raises(ValueError, match=r"2 problems[\s\S]*2 of 5 frames[\s\S]*0001C2T0002F001[\s\S]*4 of 4 frames"):
        read_dataset("mars", root)
    report = check_dataset("mars", root, counts="none", images=False)
    assert len(report.problems) == 2
    assert not report.ok


def test_real_tracklets_are_read():
    dataset = read_dataset("mars", TINY)
    assert [(t.pid, t.camid) for t in dataset.query] == [(3, 1), (3, 2)]
    assert (len(dataset.train), len(dataset.gallery)) == (8, 6)


@pytest.mark.slow
def test_full_size_takes_little_memory(tmp_path):
    """1.19 million names in well under 100 MB on top of the imports; time is left to the benchmark."""
    import tracemalloc

    from tests.benchmarks.mars_size import write_info

    write_info(tmp_path)
    tracemalloc.start()
    report = check_dataset("mars", tmp_path, images=False)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert report.ok, report
    assert peak < 400e6
