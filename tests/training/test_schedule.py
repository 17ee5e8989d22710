"""The learning rate at every epoch, the optimizer's groups, the config's checks."""

import dataclasses
import math
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import torch

import denseil
from denseil.data import ClipDataset, PKSampler, clip_loader, read_dataset
from denseil.training import TrainConfig, recipes
from denseil.training.dry_run import dry_run
from denseil.training.model import build_model
from denseil.training.optimizer import make_optimizer, set_lr
from denseil.training.own_parts import fit_preprocessing
from denseil.training.schedule import lr_at
from tests.data.test_mars import TINY


def test_paper_recipe_equals_the_papers_schedule_at_each_epoch():
    """ "The initial learning rate is set to 0.0002 and is decayed by 10 every 100 epochs" (Section 4.2)."""
    config = TrainConfig.from_recipe("paper-mars")
    assert config.epochs == 800
    parameter = torch.nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.Adam([parameter], lr=2e-4)
    theirs = torch.optim.lr_scheduler.StepLR(optimizer, step_size=100, gamma=0.1)
    for epoch in range(800):
        for step in (0, 17, 39):
            assert lr_at(config, epoch * 40 + step, 40) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        theirs.step()


def test_cosine_after_warmup_equals_torch():
    config = TrainConfig(schedule="cosine", warmup=2, epochs=12, lr=0.1)
    rates = [lr_at(config, step, 5) for step in range(60)]
    assert rates[0] == pytest.approx(0.001)
    assert rates[:10] == sorted(rates[:10])
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=0.1)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50)
    for rate in rates[10:]:
        assert rate == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    assert math.isclose(lr_at(dataclasses.replace(config, schedule="constant"), 59, 5), 0.1)


def test_a_batch_of_the_paper_has_512_frames():
    config = TrainConfig.from_recipe("paper-mars")
    tracklets = read_dataset("mars", TINY).train
    persons = [dataclasses.replace(t, pid=16 * copy + i) for copy in range(2) for i, t in enumerate(2 * tracklets)]
    sampler = PKSampler(persons, config.num_ids, config.num_tracklets)
    clips = ClipDataset(persons, clip_len=config.clip_len, transform=config.transform())
    batch = next(iter(clip_loader(clips, config.num_ids * config.num_tracklets, sampler=sampler)))
    assert batch.clips.shape == (16 * 4, 8, 3, 256, 128)
    assert len(batch.labels.unique()) == 16
    assert (batch.labels.unique(return_counts=True)[1] == 4).all()


def test_groups_of_the_optimizer():
    config = TrainConfig(optimizer="adamw", lr=0.01, encoder_lr=0.1, weight_decay=0.05)
    model = denseil.create_model("denseil", backbone="test_resnet", dim=32, depth=1, num_heads=4, num_classes=3)
    optimizer = make_optimizer(model, config)
    set_lr(optimizer, 0.01)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    seen = set()
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            name = names[id(parameter)]
            seen.add(name)
            assert group["lr"] == pytest.approx(0.001 if name.startswith("encoder.") else 0.01)
            assert group["weight_decay"] == (0.05 if parameter.ndim > 1 else 0)
    assert seen == {name for name, parameter in model.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("recipe", recipes())
def test_recipes_load_and_build(recipe: str):
    config = TrainConfig.from_recipe(recipe, init="random")
    with torch.device("meta"):
        model = build_model(config, num_classes=7)
    assert fit_preprocessing(model, None, config, trained=False).size == (config.height, config.width)
    assert model.pretrained_cfg["input_size"] == (3, config.height, config.width)


def test_config_survives_its_file(tmp_path: Path):
    config = TrainConfig.from_recipe("small", root="x", margin=None, appearance={"jitter": 0.3}, lr=1e-5)
    own = {"path": Path("a/b"), "counts": (np.int64(2), np.float32(0.5)), "on": True, "more": {"none": None}}
    for each in (config, dataclasses.replace(config, objective="mine", objective_args=own)):
        each.save(tmp_path / "train.yaml")
        assert TrainConfig.load(tmp_path / "train.yaml") == each


def test_the_former_name_of_appearance_is_read():
    assert TrainConfig.from_dict({"looks": {"blur": 0.3}}) == TrainConfig(appearance={"blur": 0.3})
    assert TrainConfig.from_recipe("people").appearance["low_res"] == 0.3
    for path in Path(denseil.__file__).parent.glob("models/shipped/*/train.yaml"):
        assert TrainConfig.load(path).appearance["jitter"] > 0
    with pytest.raises(ValueError, match="both"):
        TrainConfig.from_dict({"looks": {}, "appearance": {}})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"lr": 0}, "lr=0: it must be above 0"),
        ({"epochs": 0}, "epochs=0: it must be at least 1"),
        ({"epochs": 3, "warmup": 3}, "warmup=3: it must be less than epochs=3"),
        ({"optimizer": "lion"}, "optimizer='lion': it must be adam or adamw"),
        ({"protocol": "mars"}, "no protocol is named 'mars'"),
        ({"appearance": {"hue": 1}}, "appearance has no 'hue'"),
        ({"margin": -1}, "margin=-1"),
        ({"erase": 2}, "probabilities"),
        ({"lr": float("inf")}, "lr=inf: it must be above 0 and finite"),
        ({"seed": 2**63}, "below 2\\^63"),
        ({"output": ""}, "output='': it must be the name of a folder"),
        ({"distance": np.zeros(3)}, "it must be euclidean or cosine"),
    ],
)
def test_bad_values_are_one_clear_error(fields: dict, message: str):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"lr": "fast"}, "lr='fast': it must be a number"),
        ({"epochs": True}, "epochs=True: it must be a whole number"),
        ({"epochs": 2.5}, "epochs=2.5: it must be a whole number"),
        ({"gather": 1}, "gather=1: it must be true or false"),
        ({"model": 3}, "model=3: it must be text"),
        ({"model_args": None}, "model_args=None: it must be a mapping"),
        ({"data_args": {"made_on": date(2026, 1, 1)}}, r"data_args\.made_on=.*plain data"),
        ({"model_args": {"levels": {2, 3}}}, r"model_args\.levels=.*plain data"),
        ({"objective_args": {"weights": torch.ones(2)}}, r"objective_args\.weights=.*plain data"),
        ({"appearance": {"jitter": "much"}}, r"appearance\.jitter='much': it must be a number"),
    ],
)
def test_types_are_checked(fields: dict, message: str):
    with pytest.raises(TypeError, match=message):
        TrainConfig(**fields)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"a: [1\nb: }", "is not a YAML file"),
        (b"output: caf\xe9", "is not a YAML file"),
        (b"output: !!python/object/apply:os.system ['true']", "is not a YAML file"),
        (b"epochs: 3\nepochs: 4", "the field 'epochs' stands twice"),
    ],
)
def test_a_recipe_that_is_no_yaml_is_one_line(tmp_path: Path, content: bytes, text: str):
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=text) as found:
        TrainConfig.from_recipe(str(path))
    assert "\n" not in str(found.value)


def test_numbers_as_yaml_1_1_reads_them(tmp_path: Path):
    path = tmp_path / "recipe.yaml"
    path.write_text("lr: 1e-4\nmargin: 2e-1\n")
    config = TrainConfig.from_recipe(str(path))
    assert (config.lr, config.margin) == (1e-4, 0.2)
    for text, found in (("", "is empty"), ("- lr", "holds a list")):
        path.write_text(text)
        with pytest.raises(ValueError, match=found):
            TrainConfig.from_recipe(str(path))


def test_devices(tmp_path: Path):
    for name in ("cuda", "cuda:1", "mps", "cpu", "auto"):
        assert TrainConfig(device=name).device == name
    with pytest.raises(ValueError, match="device='gpu': it must be auto or a torch device"):
        TrainConfig(device="gpu")
    if torch.accelerator.is_available():
        pytest.skip("has an accelerator")
    with pytest.raises(ValueError, match="torch finds no cuda here, only cpu"):
        dry_run(TrainConfig(device="cuda:1"))


def test_unknown_names_have_a_hint():
    with pytest.raises(KeyError, match="did you mean 'smoke'"):
        TrainConfig.from_recipe("smok")
    with pytest.raises(TypeError, match="did you mean 'epochs'"):
        TrainConfig.from_recipe("smoke", epoch=3)
