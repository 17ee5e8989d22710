"""Models of a project's own, by name."""

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

import denseil
from denseil.models import VideoEncoder, _registry


class MeanOfFrames(nn.Module):
    """No DenseIL: a convolution, the mean, a classifier."""

    def __init__(self, num_classes: int, width: int = 8) -> None:
        super().__init__()
        self.num_features = width
        self.conv = nn.Conv2d(3, width, 3)
        self.classifier = nn.Linear(width, num_classes) if num_classes else None

    def forward(self, clips, mask=None):
        features = self.conv(clips.flatten(0, 1)).mean((-2, -1)).unflatten(0, clips.shape[:2]).mean(1)
        return (self.classifier(features) if self.classifier else None, features) if self.training else features


@pytest.fixture
def name(monkeypatch):
    monkeypatch.setattr(_registry, "_factories", dict(_registry._factories))

    def my_mean_model(pretrained=False, num_classes=0, **model_args):
        return MeanOfFrames(num_classes, **model_args)

    if "my_mean_model" not in timm.list_models():
        denseil.register_model(my_mean_model)
    else:
        _registry._factories["my_mean_model"] = my_mean_model
    return "my_mean_model"


def test_a_registered_model_is_built_by_name(name, tmp_path):
    model = denseil.create_model(name, num_classes=5, width=4)
    assert isinstance(model, MeanOfFrames)
    assert isinstance(model, VideoEncoder)
    assert model(torch.zeros(2, 3, 3, 8, 8))[0].shape == (2, 5)
    assert isinstance(timm.create_model(name), MeanOfFrames)
    assert denseil.is_model(name)
    assert name in denseil.list_models()
    assert denseil.list_models("my_*") == [name]
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    loaded = denseil.create_model(name, num_classes=5, width=4, checkpoint_path=tmp_path / "weights.safetensors")
    assert torch.equal(loaded.conv.weight, model.conv.weight)


def test_names_near_it_and_names_that_are_taken(name):
    with pytest.raises(KeyError, match="did you mean 'my_mean_model'"):
        denseil.create_model("my_mean_mode")

    def resnet50():
        raise AssertionError

    with pytest.raises(ValueError, match="timm has a model 'resnet50' already"):
        denseil.register_model(resnet50)
