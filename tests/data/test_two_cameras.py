from pathlib import Path

import pytest
from scipy.io import savemat

from denseil.cli import main
from denseil.data import check_dataset, read_dataset, write_splits
from denseil.data.datasets import dataset_splits
from tests.data.trees import ilids_tree, prid_tree


def test_ilids_first_half_of_a_row_tests(tmp_path):
    dataset = read_dataset("ilids_vid", ilids_tree(tmp_path), split=0)  # row: 4 3 | 2 1 of persons 1, 2, 5, 9
    assert [(t.pid, t.camid) for t in dataset.train] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert [(t.pid, t.camid) for t in dataset.query] == [(5, 1), (9, 1)]
    assert [(t.pid, t.camid) for t in dataset.gallery] == [(5, 2), (9, 2)]
    assert [Path(f).name for f in dataset.query[0].frames] == [f"cam1_person005_{i:05d}.png" for i in (7, 8, 9, 10, 11)]
    assert not dataset.query_in_gallery


def test_ilids_splits_differ_and_end(tmp_path):
    root = ilids_tree(tmp_path)
    assert [t.pid for t in read_dataset("ilids_vid", root, split=1).query] == [1, 9]
    with pytest.raises(ValueError, match=r"split 2 of .*: it has 2"):
        read_dataset("ilids_vid", root, split=2)


def test_ilids_counts_at_full_size(tmp_path):
    report = check_dataset("ilids_vid", ilids_tree(tmp_path, persons=range(1, 301)), images=False)
    assert report.ok, report


def test_ilids_frame_of_another_person(tmp_path):
    root = ilids_tree(tmp_path)
    folder = root / "i-LIDS-VID" / "sequences" / "cam1" / "person005"
    (folder / "cam1_person005_00009.png").rename(folder / "cam1_person002_00009.png")
    report = check_dataset("ilids_vid", root, counts="none", images=False)
    assert [p for p in report.problems if "two identities" in p and "cam1_person002_00009.png" in p]


def test_ilids_without_a_split_file(tmp_path):
    root = ilids_tree(tmp_path)
    (root / "train-test people splits" / "train_test_splits_ilidsvid.mat").unlink()
    with pytest.raises(FileNotFoundError, match="denseil data splits"):
        read_dataset("ilids_vid", root)


@pytest.mark.parametrize("option", [{"split": "0"}, {"split": True}, {"split": 1.5}])
def test_an_option_of_the_wrong_type_is_named(tmp_path, option):
    with pytest.raises(TypeError, match=r"read_ilids_vid: split=.* it must be int"):
        read_dataset("ilids_vid", ilids_tree(tmp_path), **option)


@pytest.mark.parametrize("words", [["--seed", "3"], ["--num-splits", "5"]])
def test_options_of_new_splits_without_an_output_are_refused(tmp_path, words, capsys):
    assert main(["data", "splits", "ilids_vid", str(ilids_tree(tmp_path)), *words]) == 2
    assert f"{words[0]} would change nothing" in capsys.readouterr().err


def test_splits_that_are_there_are_kept(tmp_path, capsys):
    root, output = str(ilids_tree(tmp_path)), tmp_path / "mine.json"
    assert main(["data", "splits", "ilids_vid", root, "--output", str(output)]) == 0
    before = output.read_bytes()
    assert main(["data", "splits", "ilids_vid", root, "--output", str(output), "--seed", "1"]) == 2
    assert "mine.json is there already" in capsys.readouterr().err
    assert output.read_bytes() == before


def test_ilids_splits_of_other_persons(tmp_path):
    root = ilids_tree(tmp_path)
    path = root / "train-test people splits" / "train_test_splits_ilidsvid.mat"
    savemat(path, {"ls_set": [[1.0, 2.0, 3.0]]})
    with pytest.raises(ValueError, match="expected numbers"):
        read_dataset("ilids_vid", root)
    savemat(path, {"ls_set": [[1.0, 2.0, 3.0, 3.0]]})
    with pytest.raises(ValueError, match="each number of 1 to 4 once"):
        read_dataset("ilids_vid", root)


def test_prid_persons_are_shared_and_long_enough(tmp_path):
    root = prid_tree(tmp_path)
    write_splits(dataset_splits("prid2011", root, new=10), root / "splits_prid2011.json")
    dataset = read_dataset("prid2011", root, split=9)
    assert {t.pid for t in dataset.train + dataset.query} == {1, 2, 3, 200}
    assert {t.camid for t in dataset.query} == {1}
    assert {t.camid for t in dataset.gallery} == {2}
    assert [t.pid for t in dataset.query] == [t.pid for t in dataset.gallery]
    assert [Path(f).name for f in dataset.query[0].frames][:3] == ["0001.png", "0002.png", "0003.png"]


def test_prid_min_frames(tmp_path):
    root = prid_tree(tmp_path)
    write_splits(dataset_splits("prid2011", root, new=1), root / "splits_prid2011.json")
    with pytest.raises(ValueError, match="no persons to split"):
        read_dataset("prid2011", root, min_frames=28)


@pytest.mark.parametrize("name", ["PRID-2011", "prid_2011", "Prid2011"])
def test_published_names_are_known(tmp_path, name):
    root = prid_tree(tmp_path)
    write_splits(dataset_splits(name, root, new=1), root / "splits_prid2011.json")
    assert read_dataset(name, root) == read_dataset("prid2011", root)


def test_missing_camera_folder(tmp_path):
    root = prid_tree(tmp_path)
    (root / "prid_2011" / "multi_shot" / "cam_b").rename(root / "away")
    with pytest.raises(FileNotFoundError, match=r"cam_b \(missing"):
        read_dataset("prid2011", root)
    with pytest.raises(FileNotFoundError, match="looked for 'prid_2011/multi_shot', 'multi_shot'"):
        read_dataset("prid2011", root / "away")
