"""The training step: what waits for the device, what has no gradient, and the compiled step."""

import traceback
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from denseil.synth import sample
from denseil.training import TrainConfig, train
from denseil.training.progress import read_metrics
from denseil.training.setup import set_up
from denseil.training.train import training_step
from tests.training.test_resume import config_for, weights

WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal"}


class Waiting(TorchDispatchMode):
    """Collects the operations for whose result a program on a GPU would have to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.overloadpacket.__name__
        by_mask = name.startswith("index") and any(
            isinstance(each, torch.Tensor) and each.dtype == torch.bool
            for each in (args[1] if len(args) > 1 and isinstance(args[1], (list, tuple)) else ())
        )
        if name in WAITS or by_mask:
            self.found.append(name + "".join(traceback.format_stack(limit=6)))
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "fields",
    [
        {"clip_grad": 5.0},
        {"triplet_weight": 0.0, "contrastive_weight": 1.0, "standardize": True, "optimizer": "adamw", "margin": None},
        {"precision": "bf16", "accumulate": 1, "distance": "cosine"},
    ],
)
def test_a_step_never_waits_for_the_device(tmp_path: Path, fields: dict[str, Any]):
    training = set_up(config_for(tmp_path / "run", **fields))
    training.start_epoch(0)
    batch = next(iter(training.loader))
    training_step(training, batch)  # the optimizer makes its state
    with Waiting() as waiting:
        training_step(training, batch)
    assert not waiting.found
    with Waiting() as waiting:
        float(batch.clips.float().mean())
    assert waiting.found


def test_a_frozen_encoder_has_no_gradient_and_stays(tmp_path: Path):
    config = config_for(tmp_path / "run", encoder_lr=0, freeze_bn="encoder", clip_grad=1.0)
    training = set_up(config)
    training.start_epoch(0)
    before = {name: value.clone() for name, value in training.model.state_dict().items()}
    training.optimizer.zero_grad = lambda: None
    training_step(training, next(iter(training.loader)))
    for name, parameter in training.model.named_parameters():
        assert (parameter.grad is None) == name.startswith("encoder.") or name == "neck.bn.bias", name
    train(config)
    for name, value in weights(config).items():
        if name.startswith("encoder."):
            assert torch.equal(value, before[name]), name
    assert not torch.equal(weights(config)["neck.classifier.weight"], before["neck.classifier.weight"])


@pytest.mark.slow
def test_the_compiled_step_has_the_loss_curve_of_eager(tmp_path: Path):
    """52 steps in float32 without dropout, whose random numbers torch.compile takes elsewhere.

    Adam divides by the size of past gradients, so differences in rounding grow with the learning rate.
    """
    curves = []
    small = {"backbone": "test_resnet", "dim": 64, "depth": 2, "num_heads": 4, "ffn_dim": 64, "drop": 0.0}
    own = {"root": str(sample()), "model": "denseil", "model_args": small, "init": "random", "height": 64, "width": 32}
    steps = {"num_ids": 12, "epochs": 13, "lr": 5e-5, "log_every": 1, "workers": 0, "cache": "ram"}
    quiet = {"validate_every": 0, "test_frames": "none", "save_every": 13, "device": "cpu"}
    for mode in ("none", "default"):
        output = str(tmp_path / mode)
        train(TrainConfig.from_recipe("people", **own, **steps, **quiet, output=output, compile=mode))
        curves.append([line["loss"] for line in read_metrics(output) if line["kind"] == "train"])
    assert len(curves[0]) == 52
    assert curves[0][-1] < curves[0][0] - 0.5
    assert curves[1] == pytest.approx(curves[0], abs=1e-3)
