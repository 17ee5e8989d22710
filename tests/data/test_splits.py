import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from denseil.data import make_splits, read_splits, write_splits

PEOPLE = [f"person{i:03d}" for i in range(1, 11)]


@given(count=st.integers(2, 40), seed=st.integers(0, 2**32))
def test_a_split_is_two_halves_of_all(count, seed):
    people = [f"p{i}" for i in range(count)]
    for train, test in make_splits(people, num_splits=3, seed=seed):
        assert sorted(train + test) == sorted(people)
        assert len(test) == count // 2
        assert list(train) == sorted(train)


def test_seed_decides():
    assert make_splits(PEOPLE, seed=3) == make_splits(list(reversed(PEOPLE)), seed=3)
    assert make_splits(PEOPLE, seed=3) != make_splits(PEOPLE, seed=4)
    assert len(set(make_splits(PEOPLE))) > 1


@pytest.mark.parametrize("name", ["splits.json", "deep/er/splits.mat"])
def test_written_splits_read_back(tmp_path, name):
    splits = make_splits(PEOPLE)
    path = write_splits(splits, tmp_path / name)
    assert read_splits(path, PEOPLE) == splits
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # nothing partial stays


def test_json_is_the_format_in_circulation(tmp_path):
    path = write_splits(make_splits(PEOPLE, num_splits=1), tmp_path / "splits.json")
    (split,) = json.loads(path.read_text())
    assert sorted(split) == ["test", "train"]
    assert sorted(split["train"] + split["test"]) == PEOPLE


@pytest.mark.parametrize("content", ["", "{}", "[1]", '[{"train": ["a"]}]', "\x00"])
def test_damaged_json(tmp_path, content):
    path = tmp_path / "splits.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"splits.json"):
        read_splits(path, PEOPLE)


@pytest.mark.parametrize(
    ("train", "test", "text"),
    [
        (["person001"], ["person001"], "1 in both halves"),
        (["stranger"], ["person001"], "1 person not in"),
        ([], ["person001"], "0 train"),
        (["person001"], ["person002", "person002", "person003"], r"1 twice in one half \['person002'\]"),
    ],
)
def test_splits_that_do_not_fit(tmp_path, train, test, text):
    path = tmp_path / "splits.json"
    path.write_text(json.dumps([{"train": train, "test": test}]))
    with pytest.raises(ValueError, match=text):
        read_splits(path, PEOPLE)


@pytest.mark.parametrize("name", ["splits.mat", "splits.json"])
def test_nobody_cannot_be_split(tmp_path, name):
    path = write_splits(make_splits(PEOPLE), tmp_path / name)
    with pytest.raises(ValueError, match="there are no persons to split by"):
        read_splits(path, [])


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(ValueError, match=r"\.json or \.mat"):
        write_splits(make_splits(PEOPLE), tmp_path / "splits.txt")
    for name in ("splits.mat", "splits.json"):
        with pytest.raises(ValueError, match=f"there are no splits to write to .*{name}"):
            write_splits([], tmp_path / name)
    with pytest.raises(ValueError, match=r"write .json"):
        write_splits([*make_splits(PEOPLE), *make_splits(PEOPLE[:4])], tmp_path / "splits.mat")
    with pytest.raises(ValueError, match="at least two"):
        make_splits(["one", "one"])
    for number in (0, 2**31):
        with pytest.raises(ValueError, match=f"num_splits={number}: give a number from 1 to 1,000"):
            make_splits(PEOPLE, num_splits=number)
