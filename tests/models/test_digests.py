"""A saved folder is what was saved, or it is not opened: damage, hand-made edits, and the identity of a model."""

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import denseil
from denseil.models import DenseIL, model_id, renew_digests, update_config, weights_digest

SMALL = {"backbone": "test_resnet", "depth": 0, "last_stride": None}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = denseil.create_model("denseil", **SMALL)
    model.denseil_cfg["thresholds"] = {"eer": {"threshold": 0.41}}
    return denseil.save_pretrained(model, tmp_path_factory.mktemp("saved") / "model")


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "model"))


def opened(folder: Path) -> DenseIL:
    return denseil.create_model(f"local-dir:{folder}", pretrained=True).eval()


def answer(model: DenseIL) -> tuple[list[float], object]:
    """The vector of a clip that is prepared as the model says, and what else users act on."""
    frames = model.preprocessing
    clip = torch.linspace(0, 1, 3 * 64 * 32).view(3, 64, 32)
    clip = (clip - torch.tensor(frames.mean)[:, None, None]) / torch.tensor(frames.std)[:, None, None]
    with torch.inference_mode():
        return model(clip.expand(1, 2, -1, -1, -1))[0].tolist(), (frames, model.denseil_cfg)


def test_200_single_damages_never_give_another_answer(folder: Path):
    files = {name: (folder / name).read_bytes() for name in ("config.json", "model.safetensors")}
    right = answer(opened(folder))
    rng = random.Random(7)
    refused = 0
    for _ in range(200):
        name = rng.choice(list(files))
        content = bytearray(files[name])
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        (folder / name).write_bytes(content)
        unnamed = False
        try:
            assert answer(opened(folder)) == right
        except (ValueError, KeyError) as error:
            refused += 1
            unnamed = str(folder) not in str(error)
        assert not unnamed
        (folder / name).write_bytes(files[name])
    assert refused > 120  # the rest hit texts and white space of the config
    assert answer(opened(folder)) == right


@pytest.mark.parametrize("key", ["denseil", "digests", "config"])
def test_a_damaged_key_does_not_pass_for_a_folder_without_digests(key: str, folder: Path):
    content = (folder / "config.json").read_text()
    assert f'"{key}"' in content
    (folder / "config.json").write_text(content.replace(f'"{key}":', f'"{key[:-1]}_":'))
    with pytest.raises(ValueError, match="is not the config of a saved model"):
        opened(folder)


def test_weights_of_another_folder_are_refused(folder: Path):
    other = denseil.create_model("denseil", **SMALL)
    save_file(other.state_dict(), folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged, or is not the file that its config\.json"):
        opened(folder)
    renew_digests(folder)
    assert weights_digest(opened(folder)) == weights_digest(other)


def test_an_edit_by_hand_is_refused_where_it_changes_vectors(folder: Path):
    config = json.loads((folder / "config.json").read_text())
    config["pretrained_cfg"]["license"] = "mit"
    (folder / "config.json").write_text(json.dumps(config))
    opened(folder)
    config["pretrained_cfg"]["mean"] = [0.4, 0.4, 0.4]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        ValueError, match=r"edited by hand; edit it by denseil\.models\.update_config, or, if you trust"
    ):
        opened(folder)
    renew_digests(folder)
    assert opened(folder).preprocessing.mean == (0.4, 0.4, 0.4)


def test_update_config_keeps_the_folder_whole(folder: Path):
    before = json.loads((folder / "config.json").read_text())["denseil"]
    update_config(folder, {"thresholds": {"eer": {"threshold": 0.5}}})
    own = model_id(opened(folder))
    assert opened(folder).denseil_cfg["thresholds"] == {"eer": {"threshold": 0.5}, "model_id": own}
    assert json.loads((folder / "config.json").read_text())["denseil"]["model_id"] == before["model_id"]
    update_config(folder, {"clip_len": 3})
    model = opened(folder)
    assert model.denseil_cfg["clip_len"] == 3
    assert json.loads((folder / "config.json").read_text())["denseil"]["model_id"] == model_id(model)
    with pytest.raises(ValueError, match="clip_len=0"):
        update_config(folder, {"clip_len": 0})
    with pytest.raises(ValueError, match="no entry 'clip_length' in the config of a model; did you mean 'clip_len'"):
        update_config(folder, {"clip_length": 4})
    assert opened(folder).denseil_cfg["clip_len"] == 3


def test_a_folder_without_digests_opens(folder: Path):
    """As commit 6022594 wrote it."""
    right = answer(opened(folder))
    config = json.loads((folder / "config.json").read_text())
    config["denseil"]["thresholds"]["model_id"] = config["denseil"]["model_id"]
    del config["denseil"]["digests"], config["denseil"]["model_id"]
    config["pretrained_cfg"]["crop_mode"] = "center"
    (folder / "config.json").write_text(json.dumps(config))
    assert answer(opened(folder)) == right
    assert opened(folder).pretrained_cfg["crop_mode"] == "squash"  # which is how frames are prepared


def test_identity_is_that_of_weights_arguments_and_preprocessing(folder: Path, tmp_path: Path):
    model = opened(folder)
    identity = model_id(model)
    assert json.loads((folder / "config.json").read_text())["denseil"]["model_id"] == identity
    assert model_id(opened(denseil.save_pretrained(model, tmp_path / "again"))) == identity
    assert model_id(torch.nn.DataParallel(model)) == identity
    assert model_id(denseil.create_model(f"local-dir:{folder}", pretrained=True, num_classes=7)) == identity
    same_function = {"backbone": "test_resnet", "depth": 0, "levels": (4, 2), "drop": 0.3, "backbone_args": {}}
    explicit = denseil.create_model("denseil", checkpoint_path=folder / "model.safetensors", **same_function)
    assert model_id(explicit) == identity
    last_stride = denseil.create_model(
        "denseil", checkpoint_path=folder / "model.safetensors", **(SMALL | {"last_stride": 1})
    )
    assert model_id(last_stride) != identity  # the same weights, another function
    own = model.preprocessing
    for change in ({"size": (64, 32)}, {"color_order": "BGR"}, {"clip_len": 2}, {"mean": (0.1, 0.2, 0.3)}):
        model.preprocessing = replace(own, **change)
        assert model_id(model) != identity
    model.preprocessing = replace(own, frames="even8")
    assert model_id(model) == identity
    with torch.no_grad():
        model.neck.bn.running_mean[3] += 1e-6
    assert model_id(model) != identity


def test_identity_survives_half_precision_on_disk(folder: Path):
    weights = load_file(folder / "model.safetensors")
    halves = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    save_file(halves, folder / "model.safetensors")
    renew_digests(folder)
    model = opened(folder)
    assert model.neck.bn.weight.dtype == torch.float32
    assert json.loads((folder / "config.json").read_text())["denseil"]["model_id"] == model_id(model)


def test_what_is_made_from_a_model_may_carry_its_identity(folder: Path):
    module = torch.nn.Linear(1, 1)
    assert model_id(module) != model_id(torch.nn.Linear(1, 1))
    module.model_id = "ab" * 20
    assert model_id(module) == "ab" * 20
