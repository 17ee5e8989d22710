import pytest

from denseil.cli import main
from denseil.data import check_dataset, read_dataset
from tests.data.test_mars import TINY
from tests.data.trees import ilids_tree, mars_tree


@pytest.fixture
def root(tmp_path):
    return mars_tree(tmp_path)


def test_a_sound_dataset_has_counts_and_no_problem(root):
    report = check_dataset("mars", root, counts="none")
    assert report.ok
    assert {count.what: count.found for count in report.counts} == {
        "train identities": 2,
        "train tracklets": 3,
        "train frames": 9,
        "test tracklets": 6,
        "test frames": 17,
        "junk tracklets (pid -1)": 1,
        "distractor tracklets (pid 0)": 1,
        "query tracklets": 2,
        "gallery tracklets without queries": 3,
        "gallery tracklets with queries": 5,
        "cameras": 4,
    }


def test_every_bad_image_is_named_and_missing_ones_counted(root):
    folder = root / "bbox_train" / "0005"
    (folder / "0005C1T0001F002.jpg").unlink()
    (folder / "0005C1T0001F003.jpg").unlink()
    (folder / "0005C1T0001F004.jpg").write_bytes(b"\xff\xd8 no")
    (root / "bbox_test" / "0002" / "0002C2T0002F001.jpg").write_bytes(b"")
    report = check_dataset("mars", root, counts="none")
    missing, damaged, empty = report.problems
    assert "2 of 4 frames missing, the first" in missing
    assert "0005C1T0001F002.jpg" in missing
    assert "0005C1T0001F004.jpg" in damaged
    assert "0002C2T0002F001.jpg" in empty
    assert not report.ok
    assert check_dataset("mars", root, counts="none", images=False).ok


def test_what_cannot_be_read_is_a_problem(root):
    (root / "info" / "query_IDX.mat").write_bytes(b"")
    (problem,) = check_dataset("mars", root).problems
    assert "query_IDX.mat" in problem


def test_counts_are_compared(root):
    report = check_dataset("mars", root, images=False)
    assert not report.ok
    assert not report.problems
    assert all(count.differs for count in report.counts)


def test_arguments(root):
    with pytest.raises(KeyError, match="did you mean 'mars'"):
        read_dataset("marss", root)
    with pytest.raises(ValueError, match="'published' or 'none', got 'all'"):
        check_dataset("mars", root, counts="all")
    with pytest.raises(TypeError, match="splitt"):
        read_dataset("ilids_vid", root, splitt=1)


def test_command_on_real_tracklets(capsys):
    assert main(["data", "check", "mars", str(TINY)]) == 1
    out = capsys.readouterr().out
    assert "train tracklets" in out
    assert "8,298  differs" in out
    assert main(["data", "check", "mars", str(TINY), "--counts", "none"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("ok")


def test_command_without_images(root, capsys):
    (root / "bbox_test" / "0002" / "0002C2T0002F001.jpg").unlink()
    assert main(["data", "check", "mars", str(root), "--counts=none"]) == 1
    assert "1 of 2 frames missing" in capsys.readouterr().out
    assert main(["data", "check", "mars", str(root), "--counts=none", "--no-images"]) == 0


def test_command_for_those_who_may_use_duke(tmp_path, capsys):
    from tests.data.trees import duke_tree

    arguments = ["data", "check", "dukemtmc_videoreid", str(duke_tree(tmp_path)), "--counts", "none"]
    assert main(arguments) == 1
    assert "withdrawn" in capsys.readouterr().out
    assert main([*arguments, "--i-have-the-right-to-use-this"]) == 0


def test_an_option_that_the_reader_has_not_is_named(root, capsys):
    assert main(["data", "check", "mars", str(root), "--split", "1"]) == 2
    assert "the reader of mars has no option 'split': it has none" in capsys.readouterr().err
    with pytest.raises(TypeError, match="no option 'splits': it has split, split_file"):
        read_dataset("ilids_vid", root, splits=1)


def test_command_that_could_not_run(capsys):
    assert main(["data", "check", "nothing", "nowhere"]) == 2
    assert "unknown dataset 'nothing'" in capsys.readouterr().err


def test_command_makes_and_shows_splits(tmp_path, capsys):
    root = ilids_tree(tmp_path / "root")
    assert main(["data", "splits", "ilids_vid", str(root)]) == 0
    assert capsys.readouterr().out.count("2 train") == 2
    output = tmp_path / "new.json"
    assert main(["data", "splits", "ilids_vid", str(root), "--output", str(output), "--seed", "5"]) == 0
    assert capsys.readouterr().out.count("2 train") == 10
    assert len(read_dataset("ilids_vid", root, split=9, split_file=output).query) == 2
