"""A training with a model, dataset, objective and callbacks of one's own."""

import dataclasses
import pickle
import sys
from itertools import count, cycle
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import prune

import denseil
from denseil.cli import main
from denseil.data import label_map, read_dataset
from denseil.models import Preprocessing
from denseil.training import TrainConfig, train
from denseil.training.progress import read_metrics
from denseil.training.setup import Training
from tests.data.test_mars import TINY
from tests.training.test_resume import config_for, interrupted

FRAMES = Preprocessing(size=(64, 32), mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))


class MeanColour(nn.Module):
    """The smallest video encoder: a linear map of each clip's mean colour."""

    num_features = 8

    def __init__(self, identities: int = 2) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Linear(3, 8)
        self.classifier = nn.Linear(8, identities)
        self.seen: list[Tensor] = []

    def forward(self, clips: Tensor, mask: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        self.seen.append(clips.detach())
        features = self.head(clips.mean((1, 3, 4)))
        return (self.classifier(features), features) if self.training else features


class Recorder:
    def __init__(self) -> None:
        self.events: list[tuple[str, object]] = []

    def on_step(self, training: object, step: int, losses: dict[str, Tensor]) -> None:
        self.events.append(("step", (step, sorted(losses))))

    def on_epoch(self, training: object, epoch: int) -> None:
        self.events.append(("epoch", epoch))

    def on_evaluate(self, training: object, result: object) -> None:
        self.events.append(("evaluate", result))

    def on_end(self, training: object, result: object) -> None:
        self.events.append(("end", result))


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    return config_for(tmp_path / "run", lr=0.05, channels_last=False)


def test_all_parts_can_be_ones_own(config: TrainConfig):
    model, recorder, whole = MeanColour(), Recorder(), read_dataset("mars", TINY)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    dataset = SimpleNamespace(train=whole.train, query=whole.query, gallery=whole.gallery)

    def objective(logits: Tensor, features: Tensor, labels: Tensor) -> dict[str, Tensor]:
        identity = F.cross_entropy(logits, labels)
        return {"total": identity + features.square().mean(), "identity": identity}

    done = train(
        dataclasses.replace(config, dataset="none", root="none"),
        model=model,
        dataset=dataset,
        objective=objective,
        callbacks=[recorder],
        preprocessing=FRAMES,
    )
    steps = [("step", (step, ["identity", "total"])) for step in (1, 2, 3)]
    assert recorder.events == [steps[0], ("epoch", 1), steps[1], ("epoch", 2), steps[2], ("epoch", 3), ("end", done)]
    assert all(not torch.equal(value, before[name]) for name, value in model.state_dict().items())
    saved = load_file(done.folder / "model.safetensors")
    assert all(torch.equal(value, saved[name]) for name, value in model.state_dict().items())


def test_frames_are_normalised_in_the_models_own_colours(config: TrainConfig):
    quiet = dataclasses.replace(config, epochs=1, erase=0.0, pad=0, flip=0.0)
    rgb, bgr = MeanColour(), MeanColour()
    train(quiet, model=rgb, preprocessing=FRAMES)
    other = dataclasses.replace(FRAMES, color_order="BGR", mean=FRAMES.mean[::-1], std=FRAMES.std[::-1])
    train(dataclasses.replace(quiet, output=config.output + "2"), model=bgr, preprocessing=other)
    assert torch.equal(rgb.seen[0], bgr.seen[0].flip(2))
    pixels = rgb.seen[0] * torch.tensor(FRAMES.std).view(3, 1, 1) + torch.tensor(FRAMES.mean).view(3, 1, 1)
    torch.testing.assert_close(pixels * 255, (pixels * 255).round(), rtol=0, atol=1e-3)
    assert rgb.preprocessing == FRAMES


class Centres(nn.Module):
    """A center loss: an objective with parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.zeros(2, 8))

    def forward(self, logits: Tensor, features: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels) + (features - self.centres[labels]).square().mean()


def test_an_objectives_parameters_are_trained_and_resumed(config: TrainConfig):
    whole, resumed = Centres(), Centres()
    train(config, model=MeanColour(), objective=whole, preprocessing=FRAMES)
    assert whole.centres.abs().min() > 0
    again = dataclasses.replace(config, output=config.output + "2")
    interrupted(again, model=MeanColour(), objective=Centres(), preprocessing=FRAMES)
    train(again, model=MeanColour(), objective=resumed, preprocessing=FRAMES, resume=True)
    assert torch.equal(whole.centres, resumed.centres)


def test_the_gradient_of_an_objectives_parameters_is_clipped_too(config: TrainConfig):
    norms: list[float] = []

    class Norms:
        def on_step(self, training: Training, step: int, losses: dict[str, Tensor]) -> None:
            if step == 1:
                training.optimizer.optimizer.register_step_pre_hook(lambda optimizer, *_: norms.append(norm(optimizer)))

    def norm(optimizer: torch.optim.Optimizer) -> float:
        grads = [one.grad for group in optimizer.param_groups for one in group["params"] if one.grad is not None]
        return float(torch.cat([grad.flatten() for grad in grads]).norm())

    clipped = dataclasses.replace(config, clip_grad=0.01)
    train(clipped, model=MeanColour(), objective=Centres(), preprocessing=FRAMES, callbacks=[Norms()])
    assert norms == [pytest.approx(0.01, rel=1e-3)] * 2


class Reordered(MeanColour):
    """`MeanColour` with two layers of one shape, registered in either order."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__()
        layers = {name: nn.Linear(8, 8) for name in ("first", "second")}
        for name in names:
            self.add_module(name, layers[name])

    def forward(self, clips: Tensor, mask: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        features = self.second(self.first(self.head(clips.mean((1, 3, 4)))))
        return (self.classifier(features), features) if self.training else features


def test_parameters_keep_their_moments_where_their_order_has_changed(config: TrainConfig):
    whole, begun = (Reordered(("first", "second")) for _ in range(2))
    train(config, model=whole, preprocessing=FRAMES)
    again = dataclasses.replace(config, output=config.output + "2")
    interrupted(again, model=begun, preprocessing=FRAMES)
    resumed = Reordered(("second", "first"))
    train(again, model=resumed, preprocessing=FRAMES, resume=True)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, rtol=1e-5, atol=1e-7)


def test_a_model_has_its_own_forward_back_when_training_ends(config: TrainConfig):
    model = MeanColour()
    train(dataclasses.replace(config, precision="bf16"), model=model, preprocessing=FRAMES)
    clips = torch.rand(2, 3, 3, 64, 32)
    assert torch.equal(model.eval()(clips), MeanColour.forward(model, clips))
    pickle.dumps(model)  # accelerate's wrapper refuses it


def test_an_objective_without_the_weights_of_the_run_is_refused(config: TrainConfig):
    interrupted(config, model=MeanColour(), objective=Centres(), preprocessing=FRAMES)
    with pytest.raises(ValueError, match="started with an objective with weights of its own"):
        train(config, model=MeanColour(), preprocessing=FRAMES, resume=True)
    other = dataclasses.replace(config, output=config.output + "2")
    interrupted(other, model=MeanColour(), preprocessing=FRAMES)
    with pytest.raises(ValueError, match="started with an objective without weights of its own"):
        train(other, model=MeanColour(), objective=Centres(), preprocessing=FRAMES, resume=True)


def entropy(logits: Tensor, features: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels)


def test_another_objective_or_preprocessing_is_not_resumed(config: TrainConfig):
    """Neither has weights that could tell; the run went on with the config's objective, as from the command line."""
    interrupted(config, model=MeanColour(), objective=entropy, preprocessing=FRAMES)
    with pytest.raises(ValueError, match="was started with objective entropy, not ReIDObjective: resume it with"):
        train(config, model=MeanColour(), preprocessing=FRAMES, resume=True)
    other = dataclasses.replace(FRAMES, color_order="BGR")
    with pytest.raises(ValueError, match=r"was started with preprocessing .*RGB.*, not .*BGR"):
        train(config, model=MeanColour(), objective=entropy, preprocessing=other, resume=True)
    train(config, model=MeanColour(), objective=entropy, preprocessing=FRAMES, resume=True)


def test_an_objective_of_length_0_is_an_objective(config: TrainConfig):
    class Mine(nn.ModuleDict):
        def forward(self, logits: Tensor, features: Tensor, labels: Tensor) -> dict[str, Tensor]:
            return {"total": F.cross_entropy(logits, labels), "mine": features.mean()}

    recorder = Recorder()
    train(config, model=MeanColour(), objective=Mine(), preprocessing=FRAMES, callbacks=[recorder])
    assert ("step", (1, ["mine", "total"])) in recorder.events


def test_a_step_reports_the_mean_over_its_micro_batches(config: TrainConfig):
    """Of two micro-batches with the losses 1 and 3, a step minimises 2."""
    values = cycle((1.0, 3.0))
    seen: list[float] = []

    class Watch:
        def on_step(self, training: object, step: int, losses: dict[str, Tensor]) -> None:
            seen.append(float(losses["total"]))

    def objective(logits: Tensor, features: Tensor, labels: Tensor) -> Tensor:
        return 0 * logits.sum() + next(values)

    short = dataclasses.replace(config, accumulate=2, epochs=1, num_ids=1)
    train(short, model=MeanColour(), objective=objective, preprocessing=FRAMES, callbacks=[Watch()])
    assert set(seen) == {2.0}


def test_a_registered_objective_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = (
        "import torch.nn.functional as F\nfrom denseil.losses import register_objective\n"
        "@register_objective('test-mine')\n"
        "def mine(scale):\n"
        "    return lambda logits, features, labels: scale * F.cross_entropy(logits, labels)\n"
    )
    (tmp_path / "my_losses_of_a_test.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    words = f"train mars {TINY} --recipe smoke --output run --epochs 1 --test-frames none --validate-every 0"
    more = ["--set", "objective=test-mine", "objective_args.scale=0", "--device", "cpu"]
    assert main(["--import", "my_losses_of_a_test", *words.split(), *more]) == 0
    assert read_metrics("run")[0]["loss"] == 0
    assert TrainConfig.load("run/final/train.yaml").objective_args == {"scale": 0}


def test_parts_that_do_not_fit_are_one_clear_error(config: TrainConfig):
    assert len(label_map(read_dataset("mars", TINY).train)) == 2
    for error, message, own, fields in (
        (TypeError, "num_features", {"model": nn.Linear(2, 2)}, {}),
        (TypeError, "pass preprocessing", {"model": MeanColour()}, {}),
        (ValueError, "logits of 5 identities", {"model": MeanColour(5), "preprocessing": FRAMES}, {}),
        (ValueError, "make them the same", {"model": MeanColour(), "preprocessing": Preprocessing()}, {}),
        (ValueError, "no part named encoder", {"model": MeanColour()}, {"freeze_bn": "encoder"}),
        (ValueError, "no part named encoder", {"model": MeanColour()}, {"encoder_lr": 0.1}),
        (
            ValueError,
            "set_grad_checkpointing",
            {"model": MeanColour(), "preprocessing": FRAMES},
            {"grad_checkpointing": True},
        ),
        (TypeError, r"its \.train", {"dataset": SimpleNamespace(train=["a"])}, {}),
        (TypeError, "has no method on_step", {"callbacks": [print]}, {}),
        (TypeError, r"is a class: give an instance, Recorder\(\)", {"callbacks": [Recorder]}, {}),
        (TypeError, "scalar", {"objective": lambda logits, features, labels: 3}, {}),
    ):
        output = Path(config.output, str(len(message)) + str(len(fields)) + type(next(iter(own.values()))).__name__)
        with pytest.raises(error, match=message):
            train(dataclasses.replace(config, output=str(output), **fields), **own)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a registered module that is no DenseIL."""

    def colour_of_a_test(pretrained: bool = False, num_classes: int = 0) -> MeanColour:
        model = MeanColour(num_classes)
        model.preprocessing = FRAMES
        return model

    denseil.register_model(colour_of_a_test)
    return "colour_of_a_test"


def test_a_registered_module_is_trained_by_its_name_and_fine_tuned(config: TrainConfig, registered: str):
    named = dataclasses.replace(config, model=registered, model_args={}, init="random", test_frames="even8")
    done = train(named)
    assert done.result is not None
    model = denseil.create_model(done.folder, pretrained=True)
    assert model.preprocessing == dataclasses.replace(FRAMES, clip_len=config.clip_len)
    tuned = dataclasses.replace(named, model=f"local-dir:{done.folder}", init="model", output=config.output + "2")
    assert train(tuned).result is not None
    for field, value in {"freeze_bn": "encoder", "encoder_lr": 0.5, "init": "timm", "grad_checkpointing": True}.items():
        with pytest.raises(ValueError, match=rf"^{field}="):
            train(dataclasses.replace(named, output=config.output + field, **{field: value}))
    weights = Path(config.output, "final", "model.safetensors")
    with pytest.raises(ValueError, match="is no DenseIL, whose encoder it would be: give init=random"):
        train(dataclasses.replace(named, output=config.output + "file", init=str(weights)))


def test_a_saved_model_whose_weights_are_not_used_is_told(config: TrainConfig, caplog: pytest.LogCaptureFixture):
    done = train(config)
    saved = dataclasses.replace(config, model=f"local-dir:{done.folder}", model_args={}, output=config.output + "2")
    train(saved)
    assert f"the weights of model=local-dir:{done.folder} are not used, because of init=random" in caplog.text
    caplog.clear()
    train(dataclasses.replace(saved, init="model", height=32, width=16, output=config.output + "3"))
    assert "are not used" not in caplog.text
    assert "frames of the model were 64 x 32 pixels; from now on they are 32 x 16" in caplog.text


def test_a_frozen_encoder_is_trained_by_the_next_training(config: TrainConfig):
    """Two stages in one process: the decoder alone first, then everything."""
    model = denseil.create_model("denseil", backbone="test_resnet", dim=32, depth=1, num_heads=4, num_classes=2)
    train(dataclasses.replace(config, encoder_lr=0), model=model)
    frozen = next(model.encoder.parameters()).clone()
    train(dataclasses.replace(config, output=config.output + "2"), model=model)
    assert not torch.equal(next(model.encoder.parameters()), frozen)


def test_a_given_model_is_left_with_its_own_settings(config: TrainConfig, monkeypatch: pytest.MonkeyPatch):
    """The next training of the model was compiled, and recomputed activations, whatever its config says."""
    monkeypatch.setattr(nn.Module, "compile", lambda self, **_: setattr(self, "_compiled_call_impl", self._call_impl))
    model = denseil.create_model("denseil", backbone="test_resnet", dim=32, depth=1, num_heads=4, num_classes=2)
    before = [(name, part.__dict__.get("grad_checkpointing")) for name, part in model.named_modules()]
    train(dataclasses.replace(config, epochs=1, grad_checkpointing=True, compile="default"), model=model)
    assert model._compiled_call_impl is None
    assert [(name, part.__dict__.get("grad_checkpointing")) for name, part in model.named_modules()] == before


def test_a_model_that_could_not_be_saved_is_refused_before_training(config: TrainConfig):
    pruned = denseil.create_model("denseil", backbone="test_resnet", dim=32, depth=1, num_heads=4, num_classes=2)
    prune.l1_unstructured(pruned.decoder.query_proj, "weight", 0.5)
    masked = MeanColour()
    masked.register_buffer("mask", torch.full((2,), -torch.inf))
    for model, error, message in (
        (pruned, ValueError, "Before saving, remove parametrisations"),
        (masked, ValueError, "mask has values that are not finite"),
        (MeanColour().bfloat16(), ValueError, r"head\.weight of MeanColour is torch\.bfloat16: train in float32"),
        (torch.compile(MeanColour()), TypeError, "wrapped in a OptimizedModule: give the module inside"),
    ):
        with pytest.raises(error, match=message):
            train(config, model=model, preprocessing=None if model is pruned else FRAMES)
        assert not Path(config.output, "train.yaml").exists()


def test_a_model_has_its_own_forward_back_if_its_run_is_not_resumed(config: TrainConfig):
    config = dataclasses.replace(config, precision="bf16")
    interrupted(config, model=MeanColour(), preprocessing=FRAMES)
    model = MeanColour()
    with pytest.raises(ValueError, match="started with an objective without"):
        train(config, model=model, objective=Centres(), preprocessing=FRAMES, resume=True)
    clips = torch.rand(2, 3, 3, 64, 32)
    assert torch.equal(model.eval()(clips), MeanColour.forward(model, clips))


def test_a_model_trained_in_bf16_is_evaluated_as_it_is_saved(config: TrainConfig):
    seen: set[bool] = set()

    class Watched(MeanColour):
        def forward(self, clips: Tensor, mask: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
            if not self.training:
                seen.add(torch.is_autocast_enabled("cpu"))
            return super().forward(clips, mask)

    bf16 = dataclasses.replace(config, precision="bf16", validate_every=1, test_frames="even8")
    train(bf16, model=Watched(), preprocessing=FRAMES)
    assert seen == {False}


def test_a_loss_that_only_some_batches_have_is_the_mean_of_those(config: TrainConfig):
    batches = count()

    def objective(logits: Tensor, features: Tensor, labels: Tensor) -> dict[str, Tensor]:
        total, batch = F.cross_entropy(logits, labels), next(batches)
        return {"total": total, "aux": total * 0 + batch} if batch % 2 else {"total": total}

    for accumulate in (2, 1):  # an epoch of two batches: one step, then two
        fields = {"accumulate": accumulate, "output": f"{config.output}{accumulate}", "log_every": 100}
        one = dataclasses.replace(config, epochs=1, num_ids=1, **fields)
        train(one, model=MeanColour(), objective=objective, preprocessing=FRAMES)
        (line,) = read_metrics(one.output)
        assert line["aux"] == (1 if accumulate == 2 else 3)


@pytest.mark.parametrize("name", ["loss", "lr", "epoch", "step", "kind"])
def test_a_loss_does_not_take_the_place_of_another_figure(config: TrainConfig, name: str):
    def objective(logits: Tensor, features: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return {"total": F.cross_entropy(logits, labels), name: features.mean()}

    with pytest.raises(ValueError, match=f"returned '{name}', a name that metrics.jsonl has for something else"):
        train(config, model=MeanColour(), objective=objective, preprocessing=FRAMES)


def test_an_objective_whose_weights_became_nan_is_not_saved(config: TrainConfig):
    class Breaking(Centres):
        def forward(self, logits: Tensor, features: Tensor, labels: Tensor) -> Tensor:
            self.centres.register_hook(lambda gradient: gradient * torch.nan)
            return super().forward(logits, features, labels)

    with pytest.raises(RuntimeError, match="weights became NaN"):
        train(config, model=MeanColour(), objective=Breaking(), preprocessing=FRAMES)
    assert not list(Path(config.output, "checkpoints").glob("epoch-*"))
