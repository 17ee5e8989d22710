"""The wrappers of docs/drop_in.md, by what each trainer's own loop does with their results."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

import denseil
from denseil.models import DenseIL

PAGE = Path(__file__).parent.parent.parent / "docs" / "drop_in.md"


@pytest.fixture
def model() -> DenseIL:
    torch.manual_seed(0)
    tiny = {"backbone": "test_resnet", "dim": 16, "num_heads": 2, "ffn_dim": 16, "depth": 1}
    return denseil.create_model("denseil", **tiny, num_classes=3)


def wrapper(name: str) -> Any:
    """A class that the page defines."""
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    (block,) = [block for block in blocks if f"class {name}(" in block]
    names: dict[str, Any] = {}
    exec(block, names)
    return names[name]


def test_ap3d_averages_axis_1_and_applies_bn(model: DenseIL):
    clips, wrapped = torch.randn(2, 4, 3, 64, 32), wrapper("ForAP3D")(model)
    logits, features = wrapped.train()(clips.transpose(1, 2))
    assert (logits.shape, features.shape) == ((2, 3), (2, 16))
    found = wrapped.bn(wrapped.eval()(clips.transpose(1, 2)).mean(1))
    assert torch.equal(found, model(clips))
    with pytest.raises(ValueError, match=r"clips have shape \(2, 3, 4, 64, 32\)"):
        model(clips.transpose(1, 2))


def test_sinet_averages_the_last_axis(model: DenseIL):
    clips, wrapped = torch.randn(2, 4, 3, 64, 32), wrapper("ForSINet")(model)
    logits, features = wrapped.train()(clips.transpose(1, 2))
    assert (logits.shape, features.shape) == ((2, 3), (2, 16))
    assert torch.equal(wrapped.eval()(clips.transpose(1, 2)).mean(-1), model(clips))


def test_psta_passes_labels_through(model: DenseIL):
    clips, wrapped = torch.randn(2, 4, 3, 64, 32), wrapper("ForPSTA")(model)
    logits, features = wrapped.train()(clips)
    assert (logits.shape, features.shape) == ((2, 3), (2, 16))
    found, pids, camids = wrapped.eval()(clips, [1, 2], [3, 4])
    assert torch.equal(found, model(clips))
    assert (pids, camids) == ([1, 2], [3, 4])


def test_ste_nvan_flattens_clips_and_wants_features_first(model: DenseIL):
    clips, wrapped = torch.randn(2, 4, 3, 64, 32), wrapper("ForSTENVAN")(model, 4)
    features, logits = wrapped.train()(clips.flatten(0, 1))
    assert (logits.shape, features.shape) == ((2, 3), (2, 16))
    assert torch.equal(wrapped.eval()(clips.flatten(0, 1)), model(clips))
