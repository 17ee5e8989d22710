"""A run that is resumed: the same weights for any number of workers, the same data, one process at a time."""

import dataclasses
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file, save_file

from denseil.cli import main
from denseil.data import Tracklet, VideoReIDDataset, read_dataset
from denseil.models import create_model
from denseil.training import TrainConfig, checkpoints, train
from denseil.training.checkpoints import last_checkpoint, save_checkpoint
from tests.data.test_mars import TINY


class Interrupt:
    """Stops a training after an epoch, as a signal would."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_epoch(self, training: object, epoch: int) -> None:
        if epoch == self.epoch:
            raise KeyboardInterrupt


def config_for(output: Path, **fields: object) -> TrainConfig:
    quiet = {"validate_every": 0, "test_frames": "none", "device": "cpu", "epochs": 3}
    return TrainConfig.from_recipe("smoke", output=str(output), **{"root": str(TINY), **quiet, **fields})


def weights(config: TrainConfig) -> dict[str, torch.Tensor]:
    return load_file(Path(config.output, "final", "model.safetensors"))


def interrupted(config: TrainConfig, epoch: int = 1, **own: object) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(config, callbacks=[Interrupt(epoch)], **own)


def rewrite_state(config: TrainConfig, change: Callable[[dict[str, object]], object]) -> None:
    path = last_checkpoint(Path(config.output, "checkpoints")).path / "state.json"
    content = json.loads(json.loads(path.read_text())["content"])
    change(content["state"])
    text = json.dumps(content)
    path.write_text(json.dumps({"digest": checkpoints._text_digest(text), "content": text}))


def test_workers_and_resuming_do_not_change_the_weights(tmp_path: Path):
    reference = config_for(tmp_path / "0", workers=0)
    train(reference)
    for workers in (0, 2):
        config = config_for(tmp_path / f"resumed{workers}", workers=workers)
        interrupted(config)
        train(config, resume=True)
        for name, value in weights(reference).items():
            assert torch.equal(weights(config)[name], value), (workers, name)


def test_cached_frames_are_resumed_to_the_bit(tmp_path: Path):
    augmented = {"cache": "ram", "appearance": {"crop": 0.2, "blur": 0.5, "jitter": 0.3}}
    whole, resumed = (config_for(tmp_path / name, **augmented) for name in ("whole", "resumed"))
    train(whole)
    interrupted(resumed)
    train(resumed, resume=True)
    assert all(torch.equal(value, weights(resumed)[name]) for name, value in weights(whole).items())


def test_a_second_training_in_the_same_folder_is_refused(tmp_path: Path):
    config = config_for(tmp_path / "run", epochs=1)
    Path(config.output).mkdir()
    with FileLock(Path(config.output, ".lock")), pytest.raises(FileExistsError, match="another training is writing"):
        train(config)
    train(config)
    with FileLock(Path(config.output, ".lock")), pytest.raises(FileExistsError, match="another training is writing"):
        train(config, resume=True)


@pytest.mark.parametrize("change", ["pids", "frames", "pictures"])
def test_other_data_are_not_resumed(tmp_path: Path, change: str):
    shutil.copytree(TINY, tmp_path / "data")
    config = config_for(tmp_path / "run", root=str(tmp_path / "data"))
    interrupted(config)
    dataset = read_dataset("mars", tmp_path / "data")
    if change == "pids":
        pids = [each.pid for each in reversed(dataset.train)]
        other = [dataclasses.replace(each, pid=pid) for each, pid in zip(dataset.train, pids, strict=True)]
    elif change == "frames":
        other = [dataclasses.replace(each, frames=list(each.frames)[::2]) for each in dataset.train]
    else:
        frame = Path(next(iter(dataset.train[0].frames)))
        frame.write_bytes(frame.read_bytes() + b"\0")
        other = dataset.train
    with pytest.raises(ValueError, match="started with other training tracklets"):
        train(config, dataset=dataclasses.replace(dataset, train=other), resume=True)


def test_moved_data_and_old_checkpoints_are_resumed(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    config = config_for(tmp_path / "run")
    interrupted(config)
    shutil.copytree(TINY, tmp_path / "moved")
    moved = dataclasses.replace(config, root=str(tmp_path / "moved"))
    interrupted(moved, 2, resume=True)
    rewrite_state(config, lambda state: state.pop("data"))
    with caplog.at_level(logging.INFO, logger="denseil"):
        train(moved, resume=True)
    assert "has no fingerprint" in caplog.text


def test_what_is_left_of_kills_is_removed_and_train_yaml_comes_back(tmp_path: Path):
    config = config_for(tmp_path / "run")

    class Mischief:
        def on_step(self, training: object, step: int, losses: object) -> None:
            Path(config.output, "train.yaml").unlink(missing_ok=True)
            Path(config.output, "checkpoints", f".saving-{step}").mkdir(parents=True)

    train(config, callbacks=[Mischief()])
    assert TrainConfig.load(Path(config.output, "train.yaml")) == config
    assert not list(Path(config.output).rglob(".saving-*"))


def test_checkpoints_that_number_the_parameters_are_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole, resumed = config_for(tmp_path / "whole"), config_for(tmp_path / "resumed")
    train(whole)

    def by_place(optimizer: torch.optim.Optimizer, parameters: object) -> dict[str, torch.Tensor]:
        state = optimizer.state_dict()["state"]
        return {f"{place}.{name}": value for place, values in state.items() for name, value in values.items()}

    with monkeypatch.context() as patch:
        patch.setattr("denseil.training.resume.optimizer_tensors", by_place)
        interrupted(resumed)
    train(resumed, resume=True)
    assert all(torch.equal(value, weights(resumed)[name]) for name, value in weights(whole).items())


@pytest.mark.parametrize("text", ["[]", "{}", '{"content": [], "digest": ""}', "null", '"text"'])
def test_a_state_of_the_wrong_shape_is_damage(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture):
    (tmp_path / "epoch-000001").mkdir()
    (tmp_path / "epoch-000001" / "state.json").write_text(text)
    assert last_checkpoint(tmp_path) is None
    assert "is damaged" in caplog.text


def test_a_checkpoint_outlives_those_that_only_have_a_higher_number(tmp_path: Path):
    """Where the later ones are damaged, a run goes back and writes earlier ones again."""
    for epoch in (790, 800):
        (tmp_path / f"epoch-{epoch:06d}").mkdir()
    state, tensors = {"epoch": 10, "best": -1.0, "scaler": None}, {"model": {}, "optimizer": {}}
    for epoch, left in ((10, [10]), (20, [10, 20]), (30, [20, 30])):
        save_checkpoint(tmp_path, epoch, {**state, "epoch": epoch}, tensors)
        assert sorted(path.name for path in tmp_path.iterdir()) == [f"epoch-{each:06d}" for each in left]
    assert last_checkpoint(tmp_path).state["epoch"] == 30


def test_checkpoints_without_train_yaml_are_not_mixed_with_a_new_run(tmp_path: Path):
    config = config_for(tmp_path / "run")
    interrupted(config)
    Path(config.output, "train.yaml").unlink()
    with pytest.raises(FileExistsError, match=r"holds checkpoints of a run without its train\.yaml"):
        train(dataclasses.replace(config, lr=1e-3))


def test_another_model_is_not_resumed(tmp_path: Path):
    config = config_for(tmp_path / "run")
    interrupted(config)
    other = create_model("denseil", backbone="test_resnet", dim=32, num_heads=4, num_classes=2)
    with pytest.raises(ValueError, match=r"was started with another model or objective \(.*resume it with the same"):
        train(config, model=other, resume=True)


def test_initial_weights_are_not_needed_to_resume(tmp_path: Path):
    """Neither a file that is gone, nor the Hub, nor the model that is fine-tuned."""
    encoder = tmp_path / "encoder.safetensors"
    model = create_model("denseil", backbone="test_resnet", dim=32, num_heads=4, depth=1)
    save_file(model.encoder.net.state_dict(), encoder)
    config = config_for(tmp_path / "run", init=str(encoder))
    interrupted(config)
    shutil.copytree(config.output, tmp_path / "other")
    train(config, resume=True)
    encoder.unlink()
    other = dataclasses.replace(config, output=str(tmp_path / "other"))
    train(other, resume=True)
    assert all(torch.equal(value, weights(other)[name]) for name, value in weights(config).items())
    for folder in Path(other.output, "checkpoints").iterdir():
        (folder / "state.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match="no weights at"):  # from the start
        train(other, resume=True)


def test_another_number_of_processes_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    config = config_for(tmp_path / "run")
    interrupted(config)
    rewrite_state(config, lambda state: state.update(processes=2))
    train(config, resume=True)
    assert "was trained by 2 processes so far, and goes on with 1" in caplog.text


# Checks before the first step


def tiny(**parts: list[Tracklet]) -> VideoReIDDataset:
    return dataclasses.replace(read_dataset("mars", TINY), **parts)


def test_a_dataset_that_cannot_be_evaluated_is_refused_first(tmp_path: Path):
    whole = tiny()
    one_camera = [dataclasses.replace(each, camid=1) for each in whole.gallery]
    query = [dataclasses.replace(each, camid=1) for each in whole.query]
    gone = [dataclasses.replace(whole.query[0], frames=[str(tmp_path / "gone.jpg")]), *whole.query[1:]]
    for dataset, error, message in (
        (tiny(query=[]), ValueError, "0 queries"),
        (tiny(gallery=one_camera, query=query), ValueError, "its cameras: 1"),
        (tiny(query=gone), FileNotFoundError, r"gone\.jpg"),
    ):
        config = config_for(tmp_path / "run", test_frames="even8", protocol="standard")
        with pytest.raises(error, match=message):
            train(config, dataset=dataset)
        assert not Path(config.output, "train.yaml").exists()


def test_final_is_saved_before_it_is_evaluated(tmp_path: Path):
    shutil.copytree(TINY, tmp_path / "data")
    config = config_for(tmp_path / "run", root=str(tmp_path / "data"), test_frames="even8", epochs=1)
    pictures = {Path(path): Path(path).read_bytes() for path in read_dataset("mars", config.root).query[0].frames}
    for path in pictures:
        path.write_bytes(b"no picture")
    with pytest.raises(ValueError, match="readable"):
        train(config)
    before = weights(config)
    assert not Path(config.output, "final", "result.json").exists()
    for path, picture in pictures.items():
        path.write_bytes(picture)
    assert train(dataclasses.replace(config, test_frames="all"), resume=True).result is not None
    assert Path(config.output, "final", "result.json").exists()
    assert all(torch.equal(value, before[name]) for name, value in weights(config).items())


def test_a_run_keeps_the_config_of_its_checkpoints(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A train.yaml that was edited meanwhile is compared with itself, so the checkpoint has to know better."""
    config = config_for(tmp_path / "run")
    interrupted(config)
    dataclasses.replace(config, epochs=5, workers=1).save(Path(config.output, "train.yaml"))
    assert main(["train", "--resume", config.output]) == 2
    assert "train.yaml has epochs=5, but the run was started with 3: change it back" in capsys.readouterr().err
    dataclasses.replace(config, workers=1).save(Path(config.output, "train.yaml"))
    assert main(["train", "--resume", config.output]) == 0


def test_resuming_one_run_never_writes_into_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for name in ("a", "b"):
        interrupted(config_for(tmp_path / name))
    assert main(["train", "--resume", str(tmp_path / "a"), "--set", f"output={tmp_path / 'b'}"]) == 2
    assert "leave out --output" in capsys.readouterr().err
    assert not (tmp_path / "b" / "final").exists()


def test_copies_of_checkpoints_under_other_names_are_left_alone(tmp_path: Path):
    config = config_for(tmp_path / "run", epochs=4)
    interrupted(config, 2)
    checkpoints_of = Path(config.output, "checkpoints")
    shutil.copytree(checkpoints_of / "epoch-000001", checkpoints_of / "epoch-000001-keep")
    (checkpoints_of / "epoch-notes.txt").write_text("the first was the best")
    train(config, resume=True)
    left = ["epoch-000001-keep", "epoch-000003", "epoch-000004", "epoch-notes.txt"]
    assert sorted(path.name for path in checkpoints_of.iterdir()) == left
