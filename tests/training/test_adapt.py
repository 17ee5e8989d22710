"""Adapting to unlabelled tracklets: it helps where it can, never touches the model given, and never does harm."""

from __future__ import annotations

import copy
import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image
from tqdm import tqdm

import denseil
from denseil.data import Tracklet
from denseil.models import model_id
from denseil.training import AdaptResult, adapt, adapt_clusters, adapt_stages
from denseil.training.adapt_clusters import sure_clusters, well_separated
from denseil.training.adapt_criterion import Criterion, Score, helped
from denseil.training.adapt_evidence import NoEvidenceError, co_visible, thirds
from denseil.training.adapt_norms import batch_norms, blend, recipe_for, share_of
from denseil.training.train import training_step

SIZE = (32, 16)
STEPS = 8  # of each of the two trainings, to save time
PERSONS, CAMERAS, FRAMES = 16, 2, 6


def write_tracklets(root: Path, *, light: float, noise: float = 6.0, seed: int = 0) -> list[Tracklet]:
    """Persons of two colours each, before two cameras; of each camera eight are seen at once."""
    rng = np.random.default_rng(seed)
    colours = rng.integers(40, 255, (PERSONS, 2, 3))
    found = []
    for pid in range(PERSONS):
        for camid in range(1, CAMERAS + 1):
            folder = root / f"{pid}-{camid}"
            folder.mkdir(parents=True)
            paths = []
            for number in range(FRAMES):
                picture = np.repeat(colours[pid], SIZE[0] // 2, axis=0)[:, None].repeat(SIZE[1], 1).astype(float)
                picture = light * picture + rng.normal(0, noise, picture.shape)
                paths.append(str(folder / f"{number}.png"))
                Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(paths[-1])
            start = 20.0 * (pid // 8) + pid % 8
            found.append(Tracklet(paths, pid, camid, folder.name, start, start + 10.0))
    return found


@pytest.fixture(scope="module")
def bright(tmp_path_factory: pytest.TempPathFactory) -> list[Tracklet]:
    return write_tracklets(tmp_path_factory.mktemp("bright"), light=1.0, seed=1)


@pytest.fixture(scope="module")
def dark(tmp_path_factory: pytest.TempPathFactory) -> list[Tracklet]:
    return write_tracklets(tmp_path_factory.mktemp("dark"), light=0.12)


@pytest.fixture(scope="module")
def model(bright: list[Tracklet]) -> torch.nn.Module:
    """A random encoder whose batch norms know bright pictures."""
    torch.manual_seed(0)
    model = denseil.create_model("denseil", backbone="test_resnet", dim=32, depth=1, num_heads=2, ffn_dim=32).eval()
    model.preprocessing = dataclasses.replace(model.preprocessing, size=SIZE, clip_len=2)
    blend(model, bright, 1.0)
    return model


@pytest.fixture(scope="module", autouse=True)
def few_steps() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adapt_clusters, "STEPS", STEPS)
        yield


def state(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# The whole


@pytest.fixture(scope="module")
def adapted(model: torch.nn.Module, dark: list[Tracklet], tmp_path_factory: pytest.TempPathFactory) -> AdaptResult:
    root = tmp_path_factory.mktemp("adapted")
    given = denseil.save_pretrained(model, root / "given")
    before = {path: path.read_bytes() for path in given.iterdir()}
    result = adapt(given, dark, output=root / "out", device="cpu")
    assert {path: path.read_bytes() for path in given.iterdir()} == before
    return result


def test_it_adapts_to_the_dark(model: torch.nn.Module, adapted: AdaptResult):
    result = adapted
    assert result.adapted, str(result)
    assert result.stages[0].kept
    assert result.after is not None
    assert result.before is not None
    assert result.after.conflicts < 0.9 * result.before.conflicts
    opened = denseil.create_model(f"local-dir:{result.folder}", pretrained=True)
    assert model_id(opened) == result.model_id != result.source_id == model_id(model)
    assert opened.denseil_cfg["thresholds"]["eer"]["threshold"] == result.threshold
    report = json.loads((result.folder / "adapt.json").read_text())
    assert report["adapted"] is True
    assert report["stages"][0]["name"] == "batch norm"
    assert sorted(path.name for path in result.folder.parent.iterdir()) == ["given", "out"]
    assert "unlabelled tracklets" in (result.folder / "README.md").read_text()


def test_killed_and_resumed_it_ends_in_the_same_weights_without_labels(
    model: torch.nn.Module, dark: list[Tracklet], adapted: AdaptResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    unlabelled = [dataclasses.replace(each, pid=-1) for each in dark]
    before = state(model)
    steps = 0

    def killed(*arguments: object) -> dict[str, torch.Tensor]:
        nonlocal steps
        steps += 1
        if steps == STEPS + 5:
            raise KeyboardInterrupt
        return training_step(*arguments)

    monkeypatch.setattr(sys.modules["denseil.training.train"], "training_step", killed)
    with pytest.raises(KeyboardInterrupt):
        adapt(model.train(), unlabelled, output=tmp_path / "out", device="cpu")
    assert model.training
    assert same(state(model.eval()), before)
    monkeypatch.undo()
    assert list((tmp_path / "out.parts" / "round-1" / "run-2" / "checkpoints").iterdir())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.json").write_text("left by a run that was killed while it saved")
    result = adapt(model, unlabelled, output=tmp_path / "out", device="cpu")
    assert result.model_id == adapted.model_id
    learned, again = adapted.stages[1].score, result.stages[1].score  # compared whether the stage is kept or not
    assert learned is not None
    assert again is not None
    np.testing.assert_array_equal(again.conflict, learned.conflict)
    assert not np.array_equal(learned.conflict, adapted.stages[1].before.conflict, equal_nan=True)


def test_killed_before_its_parts_are_removed_it_is_continued(
    model: torch.nn.Module, dark: list[Tracklet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    module = sys.modules["denseil.training.adapt"]
    monkeypatch.setattr(module, "shutil", SimpleNamespace(rmtree=killed))
    with pytest.raises(KeyboardInterrupt):
        adapt(model, dark, output=tmp_path / "out", device="cpu", minutes=1e-9)
    assert (tmp_path / "out" / "adapt.json").exists()
    monkeypatch.undo()
    adapt(model, dark, output=tmp_path / "out", device="cpu", minutes=1e-9)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    with pytest.raises(FileExistsError, match="is there already"):
        adapt(model, dark, output=tmp_path / "out", device="cpu", minutes=1e-9)


def test_a_second_adaptation_into_the_same_folder_is_refused(
    model: torch.nn.Module, dark: list[Tracklet], tmp_path: Path
):
    (tmp_path / "out.parts").mkdir()
    with FileLock(tmp_path / "out.parts" / ".lock"), pytest.raises(FileExistsError, match="is writing to"):
        adapt(model, dark, output=tmp_path / "out", device="cpu", minutes=1e-9)


def test_a_model_with_a_classifier_learns_from_clusters(
    model: torch.nn.Module, dark: list[Tracklet], adapted: AdaptResult, tmp_path: Path
):
    """The classifier knows other identities than the clusters, and stays as it was."""
    arguments = {"backbone": "test_resnet", "dim": 32, "depth": 1, "num_heads": 2, "ffn_dim": 32}
    torch.manual_seed(1)
    other = denseil.create_model("denseil", num_classes=5, **arguments).eval()
    other.load_state_dict(model.state_dict(), strict=False)
    other.preprocessing = model.preprocessing
    result = adapt(other, dark, output=tmp_path / "out", device="cpu")
    assert result.stages[1].score is not None
    np.testing.assert_allclose(result.stages[1].score.conflict, adapted.stages[1].score.conflict, rtol=0.01)
    opened = denseil.create_model(f"local-dir:{result.folder}", pretrained=True, num_classes=5)
    assert torch.equal(opened.neck.classifier.weight, other.neck.classifier.weight)


@pytest.mark.parametrize(
    ("answers", "rounds"), [(["", "no"], 2), pytest.param(["", "", "", ""], 3, marks=pytest.mark.slow)]
)
def test_clusters_are_found_again_as_long_as_that_helps(
    model: torch.nn.Module,
    dark: list[Tracklet],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answers: list[str],
    rounds: int,
):
    given = iter(["no", *answers])
    monkeypatch.setattr(adapt_stages, "helped", lambda *scores, **arguments: next(given))
    result = adapt(model, dark, output=tmp_path / "out", device="cpu")
    assert [stage.kept for stage in result.stages] == [False, *(not answer for answer in answers)][: 1 + rounds]
    assert result.learned >= sum(len(cluster.tracklets) for cluster in result.clusters) > 0
    assert [stage.name for stage in result.stages[1:]] == ["clusters", "clusters, round 2", "clusters, round 3"][
        :rounds
    ]


@pytest.mark.parametrize(("until", "late"), [(299, True), (300, False)])
def test_a_stage_is_not_started_if_one_as_long_as_the_longest_would_end_late(
    until: float, late: bool, model: torch.nn.Module, dark: list[Tracklet], tmp_path: Path, monkeypatch
):
    clock = iter(range(0, 2000, 100))  # read when a stage begins and ends, so each takes 100 seconds
    monkeypatch.setattr(adapt_stages, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    run = adapt_stages.Run(dark, tmp_path / "out", seed=0, device="cpu", until=until)
    run.open("")
    with tqdm(disable=True) as bar:
        adapt_stages.try_stages(run, model, bar)
    assert run.stages[0].score is not None
    assert (run.stages[1].reason == "too little time was left for it") is late


def test_a_model_that_nothing_helps_is_left_as_it_was(model: torch.nn.Module, bright: list[Tracklet], tmp_path: Path):
    result = adapt(model, bright, output=tmp_path / "out", device="cpu", minutes=1e-9)
    assert not result.adapted
    assert result.stages[0].reason == "too little time was left for it"
    assert "too little time was left for it" in result.reason
    assert result.model_id == result.source_id
    opened = denseil.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True)
    assert same(state(opened), state(model))


@pytest.mark.parametrize("case", ["one camera", "all at once", "one person", "one person, with times"])
def test_without_evidence_the_model_is_left_as_it_was(
    case: str, model: torch.nn.Module, dark: list[Tracklet], tmp_path: Path
):
    if case == "one camera":
        own = [dataclasses.replace(each, camid=1, start=None, end=None) for each in dark]
    elif case == "all at once":  # as if each track lasted as long as the video
        own = [dataclasses.replace(each, camid=1, start=0.0, end=60.0) for each in dark]
    else:
        one = [each for each in dark if each.pid == 0]
        own = [dataclasses.replace(one[n % 2], name=str(n), start=20.0 * n, end=20.0 * n + 9) for n in range(24)]
        if case == "one person":
            own = [dataclasses.replace(each, start=None, end=None) for each in own]
    result = adapt(model, own, output=tmp_path / "out", device="cpu")
    assert not result.adapted
    assert result.before is None
    assert ("persons" if "person" in case else "only one camera") in result.reason
    opened = denseil.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True)
    assert same(state(opened), state(model))


def test_what_cannot_be_adapted_is_refused(model: torch.nn.Module, dark: list[Tracklet], tmp_path: Path):
    with pytest.raises(ValueError, match="19 tracklets: adapting needs at least 20"):
        adapt(model, dark[:19], output=tmp_path / "out")
    with pytest.raises(ValueError, match="above 0"):
        adapt(model, dark, output=tmp_path / "out", minutes=0)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(FileExistsError, match="is there already"):
        adapt(model, dark, output=tmp_path / "full")
    parts = tmp_path / "out.parts"
    parts.mkdir()
    (parts / "plan.txt").write_text("another")
    with pytest.raises(ValueError, match="intermediate files of another run"):
        adapt(model, dark, output=tmp_path / "out", device="cpu")


# Its parts


def test_surely_two_are_seen_at_once_by_one_camera():
    def track(camid: int, start: float | None, end: float | None) -> Tracklet:
        return Tracklet(["a.jpg"], -1, camid, "", start, end)

    tracks = [track(1, 0, 4), track(1, 3, 9), track(1, 4, 9), track(2, 0, 9), track(1, None, None)]
    expected = torch.zeros(5, 5, dtype=torch.bool)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        expected[first, second] = expected[second, first] = True
    assert torch.equal(co_visible(tracks), expected)


def test_thirds_lie_apart():
    ends = thirds(Tracklet([str(n) for n in range(7)], -1, 1))
    assert [list(end.frames) for end in ends] == [["0", "1"], ["5", "6"]]
    assert [list(end.frames) for end in thirds(Tracklet(["0"], -1, 1))] == [["0"], ["0"]]


def test_clusters_hold_no_two_tracklets_that_were_seen_at_once(model: torch.nn.Module, bright: list[Tracklet]):
    found = sure_clusters(model, bright)
    at_once = co_visible(bright)
    assert len(found.places) >= 8
    assert len(set(found.learned)) == len(found.learned)
    for group in found.places:
        assert len(group) > 1
        assert not at_once[group][:, group].any()
    one_person = [len({bright[place].pid for place in group}) == 1 for group in found.places]
    assert np.mean(one_person) > 0.6  # the weights are random
    with pytest.raises(NoEvidenceError, match="known to be seen at once"):
        sure_clusters(model, [dataclasses.replace(each, start=None, end=None) for each in bright])
    with pytest.raises(NoEvidenceError, match="clusters are well separated, with"):
        sure_clusters(model, bright[:6])


def test_a_cluster_with_a_near_neighbour_does_not_stand_apart():
    similarity = torch.eye(4)
    for a, b, value in ((0, 1, 0.9), (0, 2, 0.8), (1, 2, 0.7), (2, 3, 0.76)):
        similarity[a, b] = similarity[b, a] = value
    assert not well_separated(similarity, [0, 1, 2])  # 2 is 0.75 alike to 0 and 1, and 0.76 to 3
    similarity[2, 3] = similarity[3, 2] = 0.74
    assert well_separated(similarity, [0, 1, 2])
    assert not well_separated(similarity, [0, 1, 3])
    assert well_separated(similarity, [0, 1, 2, 3])  # nothing is outside


def test_statistics_are_blended(bright: list[Tracklet], model: torch.nn.Module):
    norm = batch_norms(model)[0]
    bright_mean = norm.running_mean.clone()
    half, whole = copy.deepcopy(model), copy.deepcopy(model)
    shifted = [norm for other in (half, whole) for norm in batch_norms(other)]
    for each in shifted:
        each.running_mean.zero_()
    blend(half, bright, 0.5)
    blend(whole, bright, 1.0)
    torch.testing.assert_close(batch_norms(whole)[0].running_mean, bright_mean)
    torch.testing.assert_close(batch_norms(half)[0].running_mean, bright_mean / 2)
    assert share_of(48) == 0.5


def test_statistics_are_those_of_augmented_clips(model: torch.nn.Module, bright: list[Tracklet]):
    def means(clips: torch.Tensor) -> torch.Tensor:
        own = copy.deepcopy(model).train()
        norm = batch_norms(own)[0]
        norm.momentum = 1.0
        own(denseil.data.normalize(clips, model.preprocessing.mean, model.preprocessing.std))
        return norm.running_mean

    def clips(transform: denseil.data.ClipTransform) -> torch.Tensor:
        return denseil.data.ClipDataset(bright, clip_len=2, transform=transform).__getitems__(range(len(bright))).clips

    recipe = recipe_for(model.preprocessing)
    assert recipe.appearance == denseil.training.TrainConfig.from_recipe("people").appearance != {}
    augmented, plain = means(clips(recipe.transform())), means(clips(denseil.data.ClipTransform(SIZE)))
    blended = copy.deepcopy(model)
    blend(blended, bright, 1.0, seed=5)
    found = batch_norms(blended)[0].running_mean
    assert (found - augmented).norm() < 0.5 * (found - plain).norm()


def score(conflict: list[list[float]], agreement: float = 0.5) -> Score:
    values = np.array(conflict, np.float32)
    return Score(values, agreement, np.full(3, 0.8), np.full(4, 0.2))


def test_conflicts_must_fall_surely_and_agreement_must_not():
    values = np.random.default_rng(0).uniform(0.1, 1, (30, 30))
    np.fill_diagonal(values, np.nan)
    before = score(values.tolist())
    better = values * 0.8
    assert helped(before, score(better.tolist()), drop=0.1) == ""
    assert "must fall by 10%, and became" in helped(before, score((values * 0.95).tolist()), drop=0.1)
    lucky = values.copy()
    lucky[0] = -15.0  # a single tracklet makes the gain
    assert "resamples" in helped(before, score((lucky + 0.1).tolist()), drop=0.1)
    assert "agreement" in helped(before, score(better.tolist(), agreement=0.3), drop=0.1)
    overfitted = values * 1.1
    overfitted[:20, :20] = 0.5 * values[:20, :20]
    assert helped(before, score(overfitted.tolist()), drop=0.1) == ""
    assert "not learned from rose" in helped(before, score(overfitted.tolist()), drop=0.1, learned=range(20))


def test_a_conflict_is_two_persons_choice_of_one_tracklet_of_another_camera(
    model: torch.nn.Module, bright: list[Tracklet]
):
    criterion = Criterion(bright, model)
    count = len(bright)
    camids, pids = (np.array([getattr(each, name) for each in bright]) for name in ("camid", "pid"))
    right = torch.nn.functional.one_hot(torch.from_numpy(pids)).float()  # each is alike to the other one of its person
    assert np.nanmax(criterion._conflicts(right).numpy()) < 0.01
    alike = torch.ones(count, 1)  # knows nothing
    np.testing.assert_allclose(criterion._conflicts(alike)[criterion.pairs], 1, rtol=1e-5)
    wrong = right.clone()
    wrong[pids == 1] = right[pids == 0][0]  # persons 0 and 1 look the same
    conflict = criterion._conflicts(wrong).numpy()
    confused = np.isin(pids[:, None], (0, 1)) & np.isin(pids, (0, 1)) & ~np.isnan(conflict)
    assert confused.any()
    np.testing.assert_allclose(conflict[confused], (camids == 1).sum() / 2, rtol=0.01)


def test_tracklets_that_change_person_do_not_count(model: torch.nn.Module, bright: list[Tracklet]):
    whole = Criterion(bright, model)
    swapped = list(bright)
    other = next(n for n, each in enumerate(bright) if each.pid == 5 and each.camid == 1)
    mixed = [*bright[0].frames[:3], *bright[other].frames[3:]]
    swapped[0] = dataclasses.replace(bright[0], frames=mixed)
    assert whole.counted[0]
    assert not Criterion(swapped, model).counted[0]
