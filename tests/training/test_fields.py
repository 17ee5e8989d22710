"""Each field of a training's config changes what it says: one row a field, and none may be missing."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from timm.optim import param_groups_layer_decay
from torch import Tensor, nn

from denseil.data import CachedClips, read_dataset
from denseil.losses import ReIDObjective, register_objective
from denseil.metrics import RankingResult
from denseil.synth import sample
from denseil.training import TrainConfig, tables, train
from denseil.training.progress import read_metrics
from denseil.training.setup import Training, set_up
from denseil.training.train import training_step
from tests.training.test_own_parts import FRAMES, MeanColour
from tests.training.test_resume import config_for

Check = Callable[[Path], None]
FIELDS: dict[str, Check] = {}


def row(*names: str) -> Callable[[Check], Check]:
    def add(check: Check) -> Check:
        FIELDS.update(dict.fromkeys(names, check))
        return check

    return add


def build(folder: Path, **fields: object) -> Training:
    return set_up(config_for(folder / "run", **fields))


def one_batch(training: Training):
    training.start_epoch(0)
    return next(iter(training.loader))


class Watch:
    """Collects the learning rates and results of a training."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.results: list[object] = []

    def on_step(self, training: Training, step: int, losses: object) -> None:
        self.rates.append(training.optimizer.param_groups[-1]["lr"])

    def on_evaluate(self, training: Training, result: object) -> None:
        self.results.append(result)


def run(folder: Path, **fields: object) -> Watch:
    """Train the smallest model."""
    watch = Watch()
    train(
        config_for(folder, **{"channels_last": False, **fields}),
        model=MeanColour(),
        preprocessing=FRAMES,
        callbacks=[watch],
    )
    return watch


# Data


@row("dataset", "root", "data_args", "model", "init", "sync_bn", "device")
def refused_values(folder: Path) -> None:
    for fields, error, message in (
        ({"dataset": "nothing"}, KeyError, "nothing"),
        ({"root": str(folder / "nowhere")}, FileNotFoundError, "nowhere"),
        ({"data_args": {"nothing": 3}}, TypeError, "nothing"),
        ({"model": "nothing"}, KeyError, "nothing"),
        ({"init": "nothing.safetensors"}, FileNotFoundError, r"nothing\.safetensors"),
        ({"sync_bn": True}, ValueError, "GPUs only"),
        ({"device": "meta"}, ValueError, "torch finds no meta"),
    ):
        with pytest.raises(error, match=message):
            build(folder, **fields)


@row("height", "width", "clip_len", "num_ids", "num_tracklets", "workers")
def batches(folder: Path) -> None:
    training = build(folder, height=48, width=24, clip_len=3, num_ids=2, num_tracklets=3, workers=1)
    batch = one_batch(training)
    assert batch.clips.shape == (6, 3, 3, 48, 24)
    assert batch.labels.unique(return_counts=True)[1].tolist() == [3, 3]
    assert training.loader.num_workers == 1
    assert (training.model.preprocessing.size, training.model.preprocessing.clip_len) == ((48, 24), 3)


@row("cache")
def cached_frames(folder: Path) -> None:
    plain, ram, device = (build(folder, cache=place, workers=1) for place in ("none", "ram", "device"))
    assert not isinstance(plain.clips, CachedClips)
    for training in (ram, device):
        assert isinstance(training.clips, CachedClips)
        assert training.loader.num_workers == 0
        batches = [one_batch(training), one_batch(plain)]
        assert torch.equal(*(batch.labels for batch in batches))
        difference = (batches[0].clips.float() - batches[1].clips.float()).abs()
        assert difference.mean() < 1  # files of other sizes are resized before, not after, they are cropped


@row("compile")
def compiled(folder: Path) -> None:
    assert build(folder).model._compiled_call_impl is None
    assert build(folder, compile="default").model._compiled_call_impl is not None


@row("group_share")
def threes_of_a_group(folder: Path) -> None:
    dataset = read_dataset("mars", sample())
    pids = sorted({tracklet.pid for tracklet in dataset.train})[:3]
    people = [{"pid": pid, "family": 5, "detail": "wardrobe"} for pid in pids]
    root = folder / "mars"
    shutil.copytree(sample(), root)
    with pytest.raises(ValueError, match="no wardrobe groups"):
        build(folder, root=str(root), group_share=1.0, num_ids=3)
    (root / "manifest.json").write_text(json.dumps({"people": [*people, {"pid": -5, "family": 5, "detail": "bag"}]}))
    training = build(folder, root=str(root), group_share=1.0, num_ids=3)
    training.start_epoch(0)
    first = [training.clips.tracklets[i].pid for i in training.sampler][: 3 * training.config.num_tracklets]
    assert set(first) == set(pids)


@row("flip", "pad", "erase", "appearance")
def augmentation(folder: Path) -> None:
    config = config_for(folder / "run", flip=0.25, pad=2, erase=0.75, appearance={"blur": 0.5})
    transform = set_up(config, model=MeanColour(), preprocessing=FRAMES).clips.transform
    assert (transform.flip, transform.pad, transform.erase, transform.appearance.blur) == (0.25, 2, 0.75, 0.5)
    assert transform.fill == (102, 128, 153)  # the model's mean colour


@row("model_args", "seed", "channels_last")
def model(folder: Path) -> None:
    first = build(folder).model
    assert (
        build(folder, model_args={"backbone": "test_resnet", "dim": 32, "depth": 1, "num_heads": 4}).model.num_features
        == 32
    )
    again, other = build(folder).model, build(folder, seed=1, channels_last=False).model
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))
    for net, expected in ((first, True), (other, False)):
        kernels = [p for p in net.parameters() if p.ndim == 4 and p.shape[1] > 1 and p.shape[2] > 1]
        assert all(p.is_contiguous(memory_format=torch.channels_last) == expected for p in kernels)


# Losses and optimizer


@row(
    *("margin", "distance", "label_smoothing", "triplet_weight", "contrastive_weight", "temperature", "gather"),
    "standardize",
)
def losses(folder: Path) -> None:
    torch.manual_seed(0)
    logits, features, labels = torch.randn(8, 4), torch.randn(8, 16), torch.arange(4).repeat(2)
    for fields in (
        {"margin": None},
        {"margin": 0.7},
        {"distance": "cosine"},
        {"label_smoothing": 0.2},
        {"triplet_weight": 0.5},
        {"contrastive_weight": 0.5},
        {"contrastive_weight": 0.5, "temperature": 0.7},
        {"standardize": True},
    ):
        total = TrainConfig(**fields).make_objective()(logits, features, labels).total
        assert total == ReIDObjective(**fields)(logits, features, labels).total
        before = dict(list(fields.items())[:-1])
        assert total != ReIDObjective(**before)(logits, features, labels).total
    for gather in (True, False):
        assert TrainConfig(gather=gather).make_objective().triplet.gather == gather


@row("optimizer", "encoder_lr", "weight_decay")
def groups(folder: Path) -> None:
    for name, kind in (("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)):
        optimizer = build(folder, optimizer=name, encoder_lr=0.25, weight_decay=0.125).optimizer
        assert type(optimizer.optimizer) is kind
        assert {group["lr_factor"] for group in optimizer.param_groups} == {0.25, 1.0}
        assert {group["weight_decay"] for group in optimizer.param_groups} == {0.125, 0.0}


@row("layer_decay")
def groups_by_layer(folder: Path) -> None:
    """The neck at the full rate, then one factor more for each layer before it, as timm's own groups have it."""
    training = build(folder, layer_decay=0.5, encoder_lr=0.25)
    factors = {id(p): group["lr_factor"] for group in training.optimizer.param_groups for p in group["params"]}
    found = {name: factors[id(p)] for name, p in training.model.named_parameters() if p.requires_grad}
    assert found["neck.classifier.weight"] == 1
    blocks = {name: f for name, f in found.items() if name.startswith("decoder.interaction.blocks.0.")}
    assert set(blocks.values()) == {0.25}
    theirs = param_groups_layer_decay(training.model, layer_decay=0.5)
    expected = {id(p): group["lr_scale"] for group in theirs for p in group["params"]}
    for name, p in training.model.named_parameters():
        if p.requires_grad:
            assert found[name] == expected[id(p)] * (0.25 if name.startswith("encoder.") else 1), name
    with pytest.raises(ValueError, match="MeanColour has no group_matcher"):
        set_up(
            config_for(folder / "own", layer_decay=0.5, channels_last=False), model=MeanColour(), preprocessing=FRAMES
        )


@register_objective("test-scaled")
class Scaled(nn.Module):
    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, logits: Tensor, features: Tensor, labels: Tensor) -> Tensor:
        return self.scale * nn.functional.cross_entropy(logits, labels)


@row("objective", "objective_args")
def own_objective(folder: Path) -> None:
    training = build(folder, objective="test-scaled", objective_args={"scale": 3.0})
    assert (type(training.objective), training.objective.scale) == (Scaled, 3.0)
    with pytest.raises(KeyError, match="did you mean 'test-scaled'"):
        build(folder, objective="test-scale")
    with pytest.raises(ValueError, match=r"objective_args=\{'margin': 1\}: objective=reid takes its arguments from"):
        TrainConfig(objective_args={"margin": 1})


@row("lr", "epochs", "schedule", "step_every", "gamma", "warmup")
def rates(folder: Path) -> None:
    for place, (fields, expected) in enumerate(
        (
            ({"schedule": "step", "step_every": 2, "gamma": 0.5}, [0.1, 0.1, 0.05, 0.05]),
            ({"schedule": "constant", "warmup": 2}, [0.001, 0.0505, 0.1, 0.1]),
            ({"schedule": "cosine"}, [0.1, 0.0853553, 0.05, 0.0146447]),
        )
    ):
        assert run(folder / str(place), lr=0.1, epochs=4, **fields).rates == pytest.approx(expected, rel=1e-4)


@row("clip_grad")
def gradient_norm(folder: Path) -> None:
    norms = []
    for limit in (None, 1e-3):
        training = build(folder, clip_grad=limit)
        batch = one_batch(training)
        training.optimizer.zero_grad = lambda: None
        training_step(training, batch)
        gradients = [p.grad for p in training.model.parameters() if p.grad is not None]
        norms.append(float(torch.nn.utils.get_total_norm(gradients)))
    assert norms[0] > 1e-2
    assert norms[1] == pytest.approx(1e-3, rel=1e-2)


@row("freeze_bn")
def frozen_statistics(folder: Path) -> None:
    for freeze, expected in (
        ("none", {True: True, False: True}),
        ("encoder", {True: False, False: True}),
        ("all", {True: False, False: False}),
    ):
        training = build(folder, freeze_bn=freeze)
        norms = {n: m for n, m in training.model.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)}
        before = {name: norm.running_mean.clone() for name, norm in norms.items()}
        training_step(training, one_batch(training))
        for name, norm in norms.items():
            assert (not torch.equal(norm.running_mean, before[name])) == expected[name.startswith("encoder.")], name


@row("accumulate")
def accumulation(folder: Path) -> None:
    training = build(folder, num_ids=1, accumulate=2)
    assert (training.steps_per_epoch, training.accelerator.gradient_accumulation_steps) == (1, 2)


@row("grad_checkpointing", "precision")
def forward_passes(folder: Path) -> None:
    seen: list[torch.dtype] = []
    counts = []
    for fields in ({}, {"grad_checkpointing": True}, {"precision": "bf16"}):
        training = build(folder, **fields)
        convolutions = [module for module in training.model.encoder.modules() if isinstance(module, nn.Conv2d)]
        for module in convolutions:
            module.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
        seen.clear()
        training_step(training, one_batch(training))
        counts.append((len(seen) / len(convolutions) > 1, set(seen)))
    assert counts == [(False, {torch.float32}), (True, {torch.float32}), (False, {torch.bfloat16})]


# Folder and evaluation


@row("output", "save_every", "log_every")
def folder_of_a_run(folder: Path) -> None:
    run(folder / "here", epochs=5, save_every=3, log_every=5)
    assert sorted(path.name for path in (folder / "here" / "checkpoints").iterdir()) == ["epoch-000003", "epoch-000005"]
    run(folder / "num_ids", epochs=2, num_ids=1, triplet_weight=0.0, log_every=2)
    assert [line["step"] for line in read_metrics(folder / "num_ids")] == [2, 4]


@row("tracker")
def trackers(folder: Path) -> None:
    for name, expected in (("none", False), ("tensorboard", True)):
        run(folder / name, epochs=1, tracker=name)
        assert bool(list(folder.glob(f"{name}/tensorboard/events.out.*"))) == expected


@row("validate_every", "protocol", "test_frames")
def evaluations(folder: Path) -> None:
    watch = Watch()
    fields = {"validate_every": 2, "protocol": "standard", "test_frames": "all", "epochs": 4, "lr": 0.05}
    done = train(config_for(folder / "run", **fields), callbacks=[watch])
    assert [result.frames for result in watch.results] == ["even8", "even8", "all"]
    assert {result.protocol for result in watch.results} == {"standard"}
    assert done.result is watch.results[-1]
    best = RankingResult.load(folder / "run" / "best" / "result.json")
    assert best.mAP == max(result.mAP for result in watch.results[:2])
    lines = [line for line in read_metrics(folder / "run") if line["kind"] == "validation"]
    assert [(line["epoch"], line["mAP"]) for line in lines] == [(2, watch.results[0].mAP), (4, watch.results[1].mAP)]


def test_every_field_has_a_row():
    assert FIELDS.keys() == {field.name for field in dataclasses.fields(TrainConfig)}


@pytest.mark.parametrize(
    "check", sorted(set(FIELDS.values()), key=lambda check: check.__name__), ids=lambda c: c.__name__
)
def test_field(check: Check, tmp_path: Path):
    check(tmp_path)


def test_rows_of_table_1d_are_the_levels_that_they_name():
    for each in tables()["1d"][1]:
        levels = [int(part[1]) for part in each.name.split("(")[0].split(" + ") if part.startswith("Z")]
        assert sorted(each.model.get("levels", [2, 3, 4])) == sorted(levels)
        assert each.model.get("attend_self", True) == ("+ H" in each.name)
