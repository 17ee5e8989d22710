from pathlib import Path

import pytest
from scipy.io import savemat

from denseil.data import check_dataset, read_dataset
from tests.data.trees import ls_vid_tree


def test_lists_labels_and_queries(tmp_path):
    dataset = read_dataset("ls_vid", ls_vid_tree(tmp_path))
    assert [(t.pid, t.camid) for t in dataset.train] == [(3, 4), (3, 15)]
    assert [(t.pid, t.camid) for t in dataset.query] == [(6, 9)]
    assert [(t.pid, t.camid) for t in dataset.gallery] == [(6, 2), (8, 2)]
    names = [Path(frame).name for frame in dataset.train[0].frames]
    assert names == [f"0003_0001_04_{i:07d}.jpg" for i in (98, 99, 100)]  # and none of sequence 0010
    assert Path(dataset.train[0].frames[0]).is_file()


def test_info_folder_and_classic_mat(tmp_path):
    root = ls_vid_tree(tmp_path)
    (root / "info" / "data").mkdir(parents=True)
    (root / "list_sequence").rename(root / "info" / "list_sequence")
    (root / "test" / "data" / "info_test.mat").unlink()
    savemat(root / "info" / "data" / "info_test.mat", {"query": [[2], [3]]})
    assert [t.pid for t in read_dataset("ls_vid", root).query] == [6, 8]


def test_truncated_hdf5(tmp_path):
    root = ls_vid_tree(tmp_path)
    path = root / "test" / "data" / "info_test.mat"
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(ValueError, match=r"info_test.mat is not a readable MATLAB file"):
        read_dataset("ls_vid", root)


def test_missing_and_mixed_tracklets_are_all_listed(tmp_path):
    root = ls_vid_tree(tmp_path)
    with (root / "list_sequence" / "list_seq_train.txt").open("a") as file:
        file.write("tracklet_train/0009/0009_0001 9\n")
    folder = root / "tracklet_test" / "0008"
    (folder / "0008_0001_02_0000099.jpg").rename(folder / "0008_0001_03_0000099.jpg")
    report = check_dataset("ls_vid", root, counts="none")
    assert ["no frames of" in report.problems[0], "two identities or cameras" in report.problems[1]] == [True, True]
    assert len(report.problems) == 2


def test_a_line_that_is_not_one(tmp_path):
    root = ls_vid_tree(tmp_path)
    (root / "list_sequence" / "list_seq_train.txt").write_text("tracklet_train/0003/0003_0001\n")
    with pytest.raises(ValueError, match="beginning-of-path identity"):
        read_dataset("ls_vid", root)
