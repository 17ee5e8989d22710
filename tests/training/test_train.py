"""Training on real tracklets: kills, damage, NaN, processes, the folder that it leaves."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import denseil
from denseil.cli import main
from denseil.data import read_dataset, write_manifest
from denseil.metrics import RankingResult
from denseil.training import TrainConfig, dry_run, train
from denseil.training.checkpoints import last_checkpoint
from denseil.training.progress import read_metrics
from tests.data.test_mars import TINY
from tests.forked import finish, free_port, launcher, start
from tests.training import global_batch

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each training tracklet of mars_tiny as a person of its own: eight, so that an epoch has four steps."""
    path = tmp_path_factory.mktemp("data") / "manifest.csv"
    dataset = read_dataset("mars", TINY)
    persons = [dataclasses.replace(tracklet, pid=pid) for pid, tracklet in enumerate(dataset.train, start=1)]
    write_manifest(dataclasses.replace(dataset, train=persons), path)
    return path


def config_in(folder: Path, manifest: Path) -> TrainConfig:
    return TrainConfig.from_recipe(
        "smoke",
        dataset="manifest",
        root=str(manifest),
        output=str(folder / "run"),
        device="cpu",
        epochs=6,
        save_every=2,
        validate_every=3,
        appearance={"jitter": 0.3, "crop": 0.1},
    )


@pytest.fixture
def config(manifest: Path, tmp_path: Path) -> TrainConfig:
    return config_in(tmp_path, manifest)


@pytest.fixture(scope="module")
def whole(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """A run that nothing interrupted; tests copy its folder."""
    config = config_in(tmp_path_factory.mktemp("whole"), manifest)
    train(config)
    return config


def weights(config: TrainConfig) -> dict[str, torch.Tensor]:
    return load_file(Path(config.output, "final", "model.safetensors"))


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


# The folder that it leaves


@pytest.fixture(scope="module")
def trained(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    config = TrainConfig.from_recipe(
        "smoke", root=str(TINY), output=str(tmp_path_factory.mktemp("trained") / "run"), device="cpu", epochs=3
    )
    train(config)
    return config


def test_final_folder_opens_and_says_how_it_was_made(trained: TrainConfig):
    final = Path(trained.output, "final")
    model = denseil.create_model(f"local-dir:{final}", pretrained=True).eval()
    assert tuple(model.pretrained_cfg["input_size"]) == (3, 64, 32)
    assert same(
        {**model.state_dict(), "neck.classifier.weight": weights(trained)["neck.classifier.weight"]}, weights(trained)
    )
    result = RankingResult.load(final / "result.json")
    again = denseil.embedding.evaluate(model, read_dataset("mars", TINY), protocol=trained.protocol)
    assert again.to_dict() == result.to_dict()
    card = (final / "README.md").read_text()
    assert "8 tracklets of 2 persons" in card
    assert "mars-official, cosine distance, frames: all" in card
    assert TrainConfig.load(final / "train.yaml") == trained
    assert json.loads((final / "environment.json").read_text())["torch"] == torch.__version__
    assert Path(trained.output, "best", "model.safetensors").exists()


def test_metrics_and_tensorboard_tell_the_losses(trained: TrainConfig):
    lines = read_metrics(trained.output)
    steps = [line for line in lines if line["kind"] == "train"]
    assert [line["step"] for line in steps] == [1, 2, 3]
    for line in steps:
        assert line["loss"] == pytest.approx(line["cross_entropy"] + line["triplet"], rel=1e-4)
        assert line["lr"] == 2e-4
    assert [line["epoch"] for line in lines if line["kind"] == "validation"] == [1, 2, 3]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(Path(trained.output, "tensorboard"))).Reload()
    values = [event.value for event in events.Scalars("train/loss")]
    assert values == pytest.approx([line["loss"] for line in steps])
    assert {"validation/mAP", "train/lr"} <= set(events.Tags()["scalars"])


def test_a_saved_model_is_fine_tuned(trained: TrainConfig, config: TrainConfig):
    source = f"local-dir:{Path(trained.output, 'final')}"
    tuned = dataclasses.replace(config, model=source, model_args={}, init="model", epochs=1, lr=1e-9, warmup=0)
    train(tuned)
    before, after = weights(trained), weights(tuned)
    assert after["neck.classifier.weight"].shape[0] == 8
    name = "decoder.interaction.blocks.0.ffn.0.weight"
    name = (
        name if name in before else next(key for key in before if key.startswith("decoder.") and before[key].ndim == 2)
    )
    torch.testing.assert_close(after[name], before[name], rtol=0, atol=1e-6)


def test_the_encoder_starts_from_a_file(config: TrainConfig, tmp_path: Path):
    import timm

    torch.manual_seed(7)
    net = timm.create_model("test_resnet")
    save_file(net.state_dict(), tmp_path / "backbone.safetensors")
    from denseil.training.model import build_model

    model = build_model(dataclasses.replace(config, init=str(tmp_path / "backbone.safetensors")), num_classes=3)
    for key, value in model.encoder.net.state_dict().items():
        assert torch.equal(value, net.state_dict()[key])


# Resuming


def test_resumed_after_the_end_gives_the_same_again(trained: TrainConfig):
    before = weights(trained)
    assert train(trained, resume=True).steps == 3
    assert same(before, weights(trained))


@pytest.mark.parametrize(
    "name", ["model.safetensors", pytest.param("optimizer.safetensors", marks=pytest.mark.slow), "state.json"]
)
def test_a_checkpoint_cut_in_half_is_passed_over(
    whole: TrainConfig, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
):
    config = dataclasses.replace(whole, output=str(tmp_path / "run"))
    shutil.copytree(whole.output, config.output)
    config.save(Path(config.output, "train.yaml"))
    folder = Path(config.output, "checkpoints")
    assert sorted(path.name for path in folder.iterdir()) == ["epoch-000004", "epoch-000006"]
    damaged = folder / "epoch-000006" / name
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    assert last_checkpoint(folder).state["epoch"] == 4
    assert "epoch-000006 is damaged" in caplog.text
    shutil.rmtree(Path(config.output, "final"))
    train(config, resume=True)
    assert same(weights(config), weights(whole))
    assert last_checkpoint(folder).state["epoch"] == 6


def test_another_config_is_not_resumed(trained: TrainConfig):
    with pytest.raises(ValueError, match=r"started with lr=0\.0002, not 0\.1"):
        train(dataclasses.replace(trained, lr=0.1), resume=True)
    with pytest.raises(FileExistsError, match="holds a run already"):
        train(trained)
    with pytest.raises(FileNotFoundError, match="no run to resume"):
        train(dataclasses.replace(trained, output=trained.output + "-none"), resume=True)


# What goes wrong


def test_nan_stops_and_keeps_the_last_good_state(config: TrainConfig, monkeypatch: pytest.MonkeyPatch):
    from denseil.losses import ReIDObjective

    forward = ReIDObjective.forward
    calls = 0

    def poisoned(self, logits, features, labels):
        nonlocal calls
        calls += 1
        losses = forward(self, logits, features, labels)
        return losses._replace(total=losses.total * float("nan")) if calls == 11 else losses

    monkeypatch.setattr(ReIDObjective, "forward", poisoned)
    with pytest.raises(RuntimeError, match="the loss became nan"):
        train(config)
    state = last_checkpoint(Path(config.output, "checkpoints"))
    assert state.state["epoch"] == 2
    assert all(value.isfinite().all() for value in state.tensors["model"].values())
    assert not Path(config.output, "final").exists()


def test_a_loss_that_diverges_stops(config: TrainConfig):
    with pytest.raises(RuntimeError, match=r"stopped\. Try a lower lr"):
        train(dataclasses.replace(config, lr=1e4, epochs=50, optimizer="adamw", weight_decay=0, validate_every=0))


def test_a_full_disk_keeps_what_was_saved(config: TrainConfig, tmp_path: Path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=11m", "tmpfs", str(small)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no right to mount a tmpfs")
    try:
        full = dataclasses.replace(
            config, output=str(small / "run"), save_every=1, validate_every=0, test_frames="none", epochs=4
        )
        with pytest.raises(OSError, match=r"cannot write checkpoint .*Make room, then --resume"):
            train(full)
        checkpoint = last_checkpoint(small / "run" / "checkpoints")
        assert checkpoint is not None
        assert not list((small / "run" / "checkpoints").glob(".saving-*"))
        moved = dataclasses.replace(full, output=str(tmp_path / "moved"))
        shutil.copytree(full.output, moved.output)
        train(moved, resume=True)
        train(dataclasses.replace(full, output=config.output))
        assert same(weights(moved), weights(dataclasses.replace(full, output=config.output)))
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_what_cannot_be_trained_says_so(config: TrainConfig):
    with pytest.raises(ValueError, match="num_ids=9 identities a batch, but the tracklets have only 8"):
        train(dataclasses.replace(config, num_ids=9))
    with pytest.raises(ValueError, match="an epoch has only 4 batches"):
        train(dataclasses.replace(config, accumulate=5))
    with pytest.raises(ValueError, match="GPUs only"):
        train(dataclasses.replace(config, sync_bn=True))
    with pytest.raises(FileNotFoundError, match=r"no weights at nothing\.safetensors"):
        train(dataclasses.replace(config, init="nothing.safetensors"))


# Precision, accumulation, processes


@pytest.mark.parametrize(
    "change",
    [
        {"precision": "bf16", "height": 128, "width": 64},
        {"accumulate": 2},
        {"grad_checkpointing": True},
        {"freeze_bn": "encoder"},
        {"channels_last": False, "workers": 1},
        {"optimizer": "adamw", "clip_grad": 1.0, "schedule": "cosine", "margin": None},
    ],
)
def test_options_train(config: TrainConfig, change: dict):
    config = dataclasses.replace(config, validate_every=0, test_frames="none", epochs=2, warmup=0.5, **change)
    result = train(config)
    assert result.steps == 2 * 4 // config.accumulate
    assert all(value.isfinite().all() for value in weights(config).values())


def test_accumulation_is_the_mean_of_its_batches(config: TrainConfig):
    """Two batches of one identity pair each, against autograd by hand."""
    from denseil.training.setup import set_up
    from denseil.training.train import training_step

    training = set_up(
        dataclasses.replace(config, accumulate=2, freeze_bn="all", model_args={**config.model_args, "drop": 0.0})
    )
    training.start_epoch(0)
    batches = [batch._replace(clips=batch.clips.clone()) for batch, _ in zip(training.loader, range(2), strict=False)]
    total = 0
    for batch in batches:
        clips, labels = training.to_device(batch)
        total = total + training.objective(*training.model(clips), labels).total / 2
    expected = torch.autograd.grad(total, training.model.decoder.parameters(), allow_unused=True)
    training.optimizer.step = lambda: None
    training.optimizer.zero_grad = lambda: None
    for batch in batches:
        training_step(training, batch)
    for parameter, gradient in zip(training.model.decoder.parameters(), expected, strict=True):
        if gradient is not None:
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_two_processes_equal_one(config: TrainConfig, tmp_path: Path):
    """The same global batch, twice: batch norms in eval mode, no dropout, the triplet over both shares."""
    children = []
    for world, port in ((1, free_port()), (2, free_port())):
        for rank in range(world):
            log, file = tmp_path / f"{world}-{rank}.log", str(tmp_path / f"{world}.safetensors")
            environment = launcher(rank, world, port) if world > 1 else {}
            children.append((start(global_batch.main, file, config.root, log=log, environment=environment), log))
    for child, log in children:
        finish(child, log)
    one, two = (load_file(tmp_path / f"{world}.safetensors") for world in (1, 2))
    torch.testing.assert_close(two["losses"], one["losses"], rtol=0, atol=1e-5)
    for name, value in one.items():
        apart = (two[name] - value).abs().float()
        # Adam divides a gradient by its own size: rounding in one near 0 moves its single weight by up to a step
        assert apart.max() <= 1e-5 if name.startswith("gradient") else apart.mean() <= 1e-6, name
    assert one["losses"][-1, 0] < one["losses"][0, 0]


@pytest.mark.slow
def test_a_whole_run_in_two_processes(config: TrainConfig):
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "denseil",
    ]
    path = Path(config.output).with_suffix(".yaml")
    dataclasses.replace(config, epochs=2).save(path)
    done = subprocess.run(
        [*launch, "train", "--recipe", str(path)], env=ENVIRONMENT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("the model is in") == 1
    assert len(read_metrics(config.output)) == 2 * 4 + 1
    assert denseil.create_model(f"local-dir:{config.output}/final", pretrained=True).num_features == 64


# The command


def test_dry_run_prints_the_plan_and_writes_nothing(config: TrainConfig, capsys: pytest.CaptureFixture[str]):
    plan = dry_run(config)
    assert (plan.steps_per_epoch, plan.batch, plan.identities) == (4, (2, 2, 8), 8)
    assert plan.peak_memory > 2**27
    path = Path(config.output).with_suffix(".yaml")
    config.save(path)
    capsys.readouterr()
    assert main(["train", "--recipe", str(path), "--dry-run", "--num-tracklets", "3"]) == 0
    out = capsys.readouterr().out
    assert "2 identities x 3 tracklets x 8 frames = 48 frames" in out
    assert "6 epochs x 4 = 24" in out
    assert not Path(config.output).exists()


def test_command_line_overrides_recipe_whatever_the_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = str(tmp_path / "run")
    assert (
        main(["train", "mars", str(TINY), "--epochs", "1", "--recipe", "smoke", "--output", out, "--device", "cpu"])
        == 0
    )
    assert "1 steps; the model is in" in capsys.readouterr().out
    assert TrainConfig.load(f"{out}/train.yaml").epochs == 1
    assert main(["train", f"--resume={out}"]) == 0
    assert main(["train", "--recipe", "smok"]) == 2
    assert "did you mean 'smoke'" in capsys.readouterr().err
    assert main(["train", "--resume", str(tmp_path)]) == 2
    assert "holds no run to resume" in capsys.readouterr().err
    assert main(["train", "--lr", "-1"]) == 2
    assert "lr=-1.0: it must be above 0" in capsys.readouterr().err
