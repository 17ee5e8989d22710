"""Modules of one's own, saved and opened by a registered name, or saved alone."""

import json
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

import denseil
from denseil.models import Preprocessing, _registry, load_weights, model_id, read_config, read_weights, update_config

FRAMES = Preprocessing(size=(32, 16), mean=(0.1, 0.2, 0.3), std=(1.0, 1.0, 1.0), clip_len=2)


class MeanColour(nn.Module):
    def __init__(self, num_classes: int = 0, width: int = 8) -> None:
        super().__init__()
        self.num_features = width
        self.project = nn.Linear(3, width)
        self.classifier = nn.Linear(width, num_classes) if num_classes else None

    def forward(self, clips, mask=None):
        features = self.project(clips.mean((1, 3, 4)))
        return (self.classifier(features) if self.classifier else None, features) if self.training else features


@pytest.fixture
def name(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(_registry, "_factories", dict(_registry._factories))

    def mean_colour(pretrained=False, num_classes=0, width=8):
        assert not pretrained
        return MeanColour(num_classes, width)

    if timm.is_model("mean_colour"):
        _registry._factories["mean_colour"] = mean_colour
    else:
        denseil.register_model(mean_colour)
    return "mean_colour"


def test_a_registered_module_is_saved_and_opened(name: str, tmp_path: Path):
    model = denseil.create_model(name, num_classes=5, width=4).eval()
    model.preprocessing = FRAMES
    denseil.save_pretrained(torch.compile(model), tmp_path / "model", card={"data": "None."})
    loaded = denseil.create_model(tmp_path / "model", pretrained=True).eval()
    assert isinstance(loaded, MeanColour)
    assert loaded.preprocessing == FRAMES
    assert loaded.classifier.out_features == 5
    clips = torch.rand(2, 3, 3, 32, 16)
    assert torch.equal(loaded(clips), model(clips))
    saved = json.loads((tmp_path / "model" / "config.json").read_text())
    assert saved["denseil"]["model_id"] == model_id(loaded) == model_id(model)
    assert "frames of 32 x 16 pixels" in (tmp_path / "model" / "README.md").read_text()
    update_config(tmp_path / "model", {"thresholds": {"eer": {"threshold": 0.3}}})
    assert (
        denseil.create_model(tmp_path / "model", pretrained=True).denseil_cfg["thresholds"]["eer"]["threshold"] == 0.3
    )
    assert denseil.create_model(tmp_path / "model").project.out_features == 4
    denseil.save_pretrained(loaded, tmp_path / "again")
    assert torch.equal(denseil.create_model(tmp_path / "again", pretrained=True).eval()(clips), model(clips))


def test_damage_and_weights_that_are_not_finite(name: str, tmp_path: Path):
    model = denseil.create_model(name)
    model.preprocessing = FRAMES
    folder = denseil.save_pretrained(model, tmp_path / "model")
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="is damaged"):
        denseil.create_model(folder, pretrained=True)
    model.project.weight.data[0] = float("inf")
    with pytest.raises(ValueError, match=r"project\.weight has values that are not finite"):
        denseil.save_pretrained(model, tmp_path / "other")


def test_a_module_without_a_name_is_saved_too(tmp_path: Path):
    model = MeanColour()
    with pytest.raises(TypeError, match="does not say how its frames are prepared"):
        denseil.save_pretrained(model, tmp_path / "model")
    folder = denseil.save_pretrained(model, tmp_path / "model", preprocessing=FRAMES)
    assert read_config(folder).preprocessing == FRAMES
    assert read_config(folder).model_id == model_id(model, FRAMES)
    with pytest.raises(KeyError, match=r"holds a '.*MeanColour', which is not registered"):
        denseil.create_model(folder, pretrained=True)
    again = MeanColour()
    load_weights(again, read_weights(folder / "model.safetensors"), origin=str(folder))
    assert torch.equal(again.project.weight, model.project.weight)


class Fixed(MeanColour):
    @property
    def preprocessing(self) -> Preprocessing:
        return Preprocessing()


def test_a_saved_preprocessing_is_never_left_out(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Neither beside weights of another file, nor where the module has another that cannot be set."""
    model = denseil.create_model(name)
    model.preprocessing = FRAMES
    folder = denseil.save_pretrained(model, tmp_path / "model")
    assert denseil.create_model(folder, checkpoint_path=folder / "model.safetensors").preprocessing == FRAMES
    monkeypatch.setitem(globals(), "MeanColour", Fixed)
    with pytest.raises(
        ValueError, match=r"Fixed\.preprocessing is another and cannot be set: give its property a setter"
    ):
        denseil.create_model(folder, pretrained=True)


def test_thresholds_of_a_saved_module_are_those_of_its_weights(name: str, tmp_path: Path):
    model = denseil.create_model(name).eval()
    model.preprocessing = FRAMES
    folder = denseil.save_pretrained(model, tmp_path / "model")
    update_config(folder, {"thresholds": {"eer": {"threshold": 0.3}}})
    loaded = denseil.create_model(folder, pretrained=True)
    assert denseil.Embedder(loaded, device="cpu").threshold() == 0.3
    for other in (
        denseil.create_model(folder),
        denseil.create_model(folder, checkpoint_path=folder / "model.safetensors"),
    ):
        with pytest.raises(ValueError, match="has no thresholds"):
            denseil.Embedder(other, device="cpu").threshold()
    loaded.project.weight.data += 1
    with pytest.raises(ValueError, match="measured with other weights"):
        denseil.Embedder(loaded, device="cpu").threshold()


def test_thresholds_stay_where_only_the_class_has_moved(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A script saves `__main__.Model`, and the command line opens `my_project.Model`."""
    model = denseil.create_model(name).eval()
    model.preprocessing = FRAMES
    folder = denseil.save_pretrained(model, tmp_path / "model")
    update_config(folder, {"thresholds": {"eer": {"threshold": 0.3}}})
    monkeypatch.setattr(MeanColour, "__module__", "__main__")
    assert denseil.Embedder(denseil.create_model(folder, pretrained=True), device="cpu").threshold() == 0.3
