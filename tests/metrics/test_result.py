from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from denseil.metrics import Embeddings, RankingResult, mean_of_splits, rank
from denseil.metrics.splits import SplitResult


def a_result(match_at: int = 2, frames: str | None = "all") -> RankingResult:
    pids = [1 if place == match_at else 0 for place in range(1, 5)]
    gallery = Embeddings([[1.0], [2.0], [3.0], [4.0]], pids, [1] * 4)
    return rank(Embeddings([[0.0]], [1], [0]), gallery, metric="euclidean", frames=frames)


def test_prints_scores_and_record() -> None:
    text = str(a_result())
    lines = text.splitlines()
    assert lines[0] == "standard, euclidean distance, frames: all"
    assert lines[1].split() == ["mAP", "R-1", "R-5", "R-10", "R-20", "mINP"]
    assert lines[2].split() == ["50.00", "0.00", "100.00", "100.00", "100.00", "50.00"]
    assert "1 query, 1 with a match" in text
    assert "4 in the gallery, 0 of them junk, 3 distractors" in text


def test_json_round_trip(tmp_path: Path) -> None:
    result = a_result()
    assert RankingResult.from_json(result.to_json()).to_dict() == result.to_dict()
    result.save(tmp_path / "result.json")
    loaded = RankingResult.load(tmp_path / "result.json")
    assert loaded.to_dict() == result.to_dict()
    assert str(loaded) == str(result)
    assert loaded.cmc.shape == (20,)
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"mAP": 1}'])
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        RankingResult.from_json(text)


def test_json_of_other_ranks_is_refused() -> None:
    values = {**a_result().to_dict(), "cmc": [1.0]}
    with pytest.raises(ValueError, match="ranks 1 to 20"):
        RankingResult.from_json(json.dumps(values))


def test_nothing_is_written_into_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no folder"):
        a_result().save(tmp_path / "absent" / "result.json")


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_plot(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("matplotlib")
    figure = a_result().plot(tmp_path / f"cmc{suffix}")
    (line,) = figure.axes[0].lines
    assert line.get_ydata().tolist() == [0.0] + [100.0] * 19  # type: ignore[union-attr]
    assert (tmp_path / f"cmc{suffix}").stat().st_size > 1000


def test_mean_of_splits(tmp_path: Path) -> None:
    result = mean_of_splits([a_result(match_at=1), a_result(match_at=2), a_result(match_at=4)])
    # AP is 1, 1/2 and 1/4.
    assert result.mAP == pytest.approx(7 / 12)
    assert result.mAP_std == pytest.approx((((5 / 12) ** 2 + (1 / 12) ** 2 + (4 / 12) ** 2) / 2) ** 0.5)
    assert result.cmc[:4].tolist() == pytest.approx([1 / 3, 2 / 3, 2 / 3, 1])
    assert result.cmc_std[3:].tolist() == [0] * 17
    assert "3 splits" in str(result)
    assert "58.33" in str(result)
    result.save(tmp_path / "splits.json")
    assert SplitResult.load(tmp_path / "splits.json").to_json() == result.to_json()


def test_re_ranking_is_told_wherever_scores_are() -> None:
    result = replace(a_result(), rerank="k-reciprocal (k1=20)")
    lines = [str(what).splitlines()[0] for what in (result, mean_of_splits([result] * 3))]
    assert lines[0] == "standard, euclidean distance, frames: all, re-ranked: k-reciprocal (k1=20)"
    assert lines[1] == f"{lines[0]}, 3 splits"
    pytest.importorskip("matplotlib")
    assert result.plot().axes[0].get_title().startswith("standard, euclidean, re-ranked: mAP 50.0%")
    assert a_result().plot().axes[0].get_title().startswith("standard, euclidean: mAP 50.0%")


def test_splits_must_be_several_and_evaluated_alike() -> None:
    with pytest.raises(ValueError, match=r"1 split"):
        mean_of_splits([a_result()])
    with pytest.raises(ValueError, match=r"different ways.*frames 8.*frames all"):
        mean_of_splits([a_result(), a_result(frames="8")])


@pytest.mark.parametrize("text", ["[]", "{}", '{"splits": 3}'])
def test_json_without_splits_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="splits"):
        SplitResult.from_json(text)
