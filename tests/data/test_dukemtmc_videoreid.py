from pathlib import Path

import pytest

from denseil.data import check_dataset, read_dataset
from tests.data.trees import duke_tree

RIGHT = {"i_have_the_right_to_use_this": True}


def test_a_plain_notice_and_no_link(tmp_path):
    with pytest.raises(ValueError, match="withdrawn by its authors in 2019") as caught:
        read_dataset("dukemtmc_videoreid", duke_tree(tmp_path))
    assert "http" not in str(caught.value)
    assert "i_have_the_right_to_use_this=True" in str(caught.value)


def test_a_right_is_yes_or_no(tmp_path):
    with pytest.raises(TypeError, match="i_have_the_right_to_use_this='no' is of type str; it must be bool"):
        read_dataset("dukemtmc_videoreid", duke_tree(tmp_path), i_have_the_right_to_use_this="no")


@pytest.mark.parametrize("old_names", [False, True])
def test_both_ways_it_was_laid_out(tmp_path, old_names):
    dataset = read_dataset("DukeMTMC-VideoReID", duke_tree(tmp_path, old_names=old_names), **RIGHT)
    assert [(t.pid, t.camid, t.name) for t in dataset.train] == [(1, 6, "0001/0003")]
    assert [(t.pid, t.camid) for t in dataset.query] == [(5, 1)]
    assert [(t.pid, t.camid) for t in dataset.gallery] == [(5, 8), (7, 2)]  # the query's copy is left out
    gap = "" if old_names else "_"
    assert [Path(f).name for f in dataset.train[0].frames] == [
        f"0001{gap}C6{gap}F000{i}{gap}X900{i}.jpg" for i in (1, 2, 3)
    ]


def test_a_tracklet_of_two_cameras(tmp_path):
    root = duke_tree(tmp_path)
    folder = root / "gallery" / "0007" / "0001"
    (folder / "0007_C2_F0002_X9002.jpg").rename(folder / "0007_C3_F0002_X9002.jpg")
    report = check_dataset("dukemtmc_videoreid", root, counts="none", **RIGHT)
    assert len(report.problems) == 1
    assert "two identities or cameras" in report.problems[0]
