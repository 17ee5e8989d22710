"""The weights in the wheel: whole, small, and loaded by the same route as any tag, without a network."""

import hashlib
import json
import socket
from pathlib import Path

import pytest
import timm
import torch

import denseil
from denseil.data import read_dataset
from denseil.embedding import evaluate
from denseil.models.variants import SHIPPED
from denseil.training import TrainConfig
from denseil.training.model import build_model, prepare_model

NAME, MEAN = "denseil_mobilenetv2.people_v1", "denseil_mobilenetv2_mean.people_v1"
STAGES = {NAME: {}, MEAN: {"model_args": {"depth": 0}}}  # the second one, beside the recipe
CONTINUED = {name.replace("v1", "v2"): name for name in STAGES}
ALL = [*STAGES, *CONTINUED]
TRACKLETS = Path(__file__).parents[1] / "data" / "mars_tiny"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch):
    def refuse(*args: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_every_folder_is_a_name_that_loads():
    assert sorted(folder.name for folder in SHIPPED.iterdir()) == denseil.list_pretrained()


@pytest.mark.parametrize("name", ALL)
def test_weights_are_the_published_ones_and_small(name: str):
    folder = SHIPPED / name
    expected = (folder / "SHA256SUMS").read_text().split()[0]
    assert hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest() == expected
    assert sum(path.stat().st_size for path in folder.iterdir()) < 8e6


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("name", ALL)
def test_they_load_without_a_network_through_timm_too(name: str):
    ours = denseil.create_model(name.removesuffix(".people_v2"), pretrained=True).eval()
    theirs = timm.create_model(name, pretrained=True).eval()
    clips = torch.randn(2, 3, 3, 128, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(ours(clips), theirs(clips))
    assert ours(clips).dtype == torch.float32
    assert ours.pretrained_cfg["input_size"] == (3, 128, 64)
    assert ours.denseil_cfg["clip_len"] == 4


@pytest.mark.usefixtures("offline")
def test_a_copy_holds_no_path_of_this_machine(tmp_path: Path):
    model = denseil.create_model(NAME, pretrained=True)
    denseil.save_pretrained(model, tmp_path / "copy")
    assert str(SHIPPED) not in (tmp_path / "copy" / "config.json").read_text()
    assert torch.equal(
        denseil.create_model(f"local-dir:{tmp_path / 'copy'}", pretrained=True).neck.bn.running_mean,
        model.neck.bn.running_mean,
    )


@pytest.mark.parametrize("name", STAGES)
def test_what_they_were_made_by_are_trainings_that_can_be_read(name: str):
    encoder, whole = (TrainConfig.load(SHIPPED / name / f"{prefix}train.yaml") for prefix in ("encoder_", ""))
    stage = {"model_args": {"depth": 0}, "clip_len": 2, "num_tracklets": 4, "epochs": 3, "output": "ENCODER"}
    assert encoder == TrainConfig.from_recipe("people", root="DATA", init="mobilenet_v2-b0353104.pth", **stage)
    init = "ENCODER/final/model.safetensors"
    assert whole == TrainConfig.from_recipe("people", root="DATA", init=init, **STAGES[name])
    for prefix in ("encoder_", ""):
        log = [json.loads(line) for line in (SHIPPED / name / f"{prefix}metrics.jsonl").read_text().splitlines()]
        losses = [line["loss"] for line in log if line["kind"] == "train"]
        assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", CONTINUED)
def test_weights_half_way_to_three_trainings_name_what_these_began_from(name: str):
    for seed in (1, 2, 3):
        config = TrainConfig.load(SHIPPED / name / f"seed_{seed}_train.yaml")
        assert config == TrainConfig.from_recipe(
            "people",
            root="DATA",
            model=CONTINUED[name],
            init="model",
            group_share=0.5,
            lr=3e-4,
            epochs=4,
            validate_every=4,
            workers=0,
            seed=seed,
            output=f"runs/seed_{seed}",
        )
        log = [json.loads(line) for line in (SHIPPED / name / f"seed_{seed}_metrics.jsonl").read_text().splitlines()]
        losses = [line["loss"] for line in log if line["kind"] == "train"]
        assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", ALL)
def test_the_returning_person_among_real_tracklets_is_found(name: str):
    """A smoke test: one person comes back."""
    dataset = read_dataset("mars", TRACKLETS)
    assert evaluate(denseil.create_model(name, pretrained=True), dataset).cmc[0] == 1


@pytest.mark.parametrize("name", [*(pytest.param(name, marks=pytest.mark.slow) for name in ALL if name != MEAN), MEAN])
def test_unseen_rendered_people_are_told_apart(name: str):
    people = read_dataset("mars", denseil.synth.sample())
    torch.manual_seed(0)
    trained, untrained = (denseil.create_model(name, pretrained=yes) for yes in (True, False))
    assert evaluate(trained, people).mAP > 0.8 > 0.3 > evaluate(untrained, people).mAP


@pytest.mark.parametrize("name", [*(pytest.param(name, marks=pytest.mark.slow) for name in ALL if name != MEAN), MEAN])
def test_same_answers_at_once_with_the_packaged_threshold(name: str, offline: None):
    """On rendered people who were neither trained on nor measured on, both kinds of error stay rare."""
    people = read_dataset("mars", denseil.synth.sample())
    embedder = denseil.Embedder(denseil.create_model(name, pretrained=True).eval(), device="cpu")
    low, high = embedder.model.denseil_cfg["thresholds"]["eer"]["interval"]
    assert low < embedder.threshold() < high < embedder.threshold(far=0.001)
    tracklets = [*people.query, *people.gallery]
    vectors = embedder.embed(tracklets)
    assert embedder.same(vectors[0], vectors[0])
    similar = torch.nn.functional.normalize(vectors) @ torch.nn.functional.normalize(vectors).T
    pids, camids = (torch.tensor([getattr(each, field) for each in tracklets]) for field in ("pid", "camid"))
    one_person, two_cameras = pids[:, None] == pids, camids[:, None] != camids
    said = similar >= embedder.threshold()
    assert said[~one_person & two_cameras].float().mean() < 0.07
    assert (~said)[one_person & two_cameras].float().mean() < 0.07


def test_a_training_that_starts_from_them_does_not_keep_their_thresholds():
    config = TrainConfig(model=MEAN, init="model", height=128, width=64)
    model = build_model(config, num_classes=3)
    assert "thresholds" in model.denseil_cfg
    prepare_model(model, config, torch.device("cpu"))
    assert "thresholds" not in model.denseil_cfg


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.bfloat16])
def test_low_precision_keeps_the_accuracy(dtype: torch.dtype):
    """On rendered people that came with the package; of 48 queries, one that changes its first place is a point."""
    people = read_dataset("mars", denseil.synth.sample())
    model = denseil.create_model(NAME, pretrained=True)
    assert evaluate(model, people, dtype=dtype).mAP == pytest.approx(evaluate(model, people).mAP, abs=0.02)
