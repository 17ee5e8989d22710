"""Trackers with their real packages: Weights & Biases offline, and what is said when a package is missing."""

import sys
from pathlib import Path

import pytest

from denseil.training import train
from denseil.training.progress import read_metrics
from tests.training.test_own_parts import FRAMES, MeanColour
from tests.training.test_resume import config_for, interrupted


def test_weights_and_biases_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Every line of the metrics file is in the run's own file, with the config; a resumed run goes on."""
    pytest.importorskip("wandb")
    for name, value in {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    config = config_for(tmp_path / "run", tracker="wandb", channels_last=False, lr=0.05)
    own = {"preprocessing": FRAMES}
    interrupted(config, model=MeanColour(), **own)
    train(config, model=MeanColour(), resume=True, **own)
    written = b"".join(path.read_bytes() for path in sorted(tmp_path.glob("run/wandb/offline-run-*/*.wandb")))
    assert written.count(b"train/loss") >= 3
    for name in (b"train/lr", b"train/clips_per_second", b"model_args", b"test_resnet", b"denseil"):
        assert name in written


def test_a_resumed_run_shows_every_step_once_in_tensorboard(tmp_path: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = config_for(tmp_path / "run", channels_last=False)
    interrupted(config, model=MeanColour(), preprocessing=FRAMES)
    train(config, model=MeanColour(), preprocessing=FRAMES, resume=True)
    events = EventAccumulator(str(Path(config.output, "tensorboard"))).Reload()
    written = [(line["step"], line["loss"]) for line in read_metrics(config.output) if line["kind"] == "train"]
    assert [(event.step, pytest.approx(event.value)) for event in events.Scalars("train/loss")] == written


@pytest.mark.parametrize(
    ("tracker", "module", "extra"), [("tensorboard", "torch.utils.tensorboard", "train"), ("wandb", "wandb", "wandb")]
)
def test_a_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tracker: str, module: str, extra: str
):
    monkeypatch.setitem(sys.modules, module, None)
    config = config_for(tmp_path / "run", tracker=tracker, epochs=1, channels_last=False)
    with pytest.raises(ModuleNotFoundError, match=rf"set tracker=.*none.*denseil\[{extra}\]"):
        train(config, model=MeanColour(), preprocessing=FRAMES)
    train(
        config_for(tmp_path / "none", tracker="none", epochs=1, channels_last=False),
        model=MeanColour(),
        preprocessing=FRAMES,
    )
