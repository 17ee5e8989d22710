"""`optimize` against the original: exact in float32, near in bfloat16, refused where it is not."""

import copy
import dataclasses
import pickle
import sys
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

import denseil
from denseil.data import sample_all
from denseil.embedding import embed_tracklets
from denseil.models import DenseIL, FrameTokenEncoder, agreement, model_id
from denseil.models.optimized.fold import fold_batch_norms
from denseil.models.optimized.fused_decoder import POSITIONS

TINY = {"backbone": "test_resnet", "dim": 64, "num_heads": 4, "ffn_dim": 96, "depth": 2}
SIBLINGS = {
    "default": {},
    "baseline": {"depth": 0},
    "transenc": {"fusion": "none"},
    "transdec": {"levels": (4,), "attend_self": False},
    "without_z4": {"levels": (2, 3)},
    "sum": {"fusion": "sum"},
    "concat": {"fusion": "concat"},
    "factored": {"pos_formula": "factored"},
    "no_positions": {"pos_kind": "none"},
    "classes": {"num_classes": 5},
}


def build(**arguments: Any) -> DenseIL:
    torch.manual_seed(0)
    model = denseil.create_model("denseil", **(TINY | arguments))
    for module in model.modules():  # statistics and scales as training leaves them, not 0 and 1
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d | nn.LayerNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    model.preprocessing = dataclasses.replace(model.preprocessing, size=(128, 64))
    return model.eval()


def padded(batch: int, frames: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(batch + frames)
    mask = torch.rand(batch, frames) > 0.4
    mask[:, -1] = True  # padding first, too
    clips = torch.randn(batch, frames, 3, 128, 64)
    clips[~mask] = torch.nan
    return clips, mask


@pytest.mark.parametrize("sibling", SIBLINGS)
def test_float32_is_the_same_function(sibling: str):
    model = build(**SIBLINGS[sibling])
    fast = denseil.optimize(model, "float32", verbose=False)
    assert isinstance(fast, FrameTokenEncoder)
    assert fast.preprocessing == model.preprocessing
    assert fast.num_features == model.num_features
    for shape in ((1, 1), (3, 5), (2, POSITIONS + 1) if sibling == "default" else (2, 8)):
        clips, mask = padded(*shape)
        torch.testing.assert_close(fast(clips, mask), model(clips, mask), atol=1e-4, rtol=1e-4)
    clips = clips.nan_to_num()
    torch.testing.assert_close(fast(clips), model(clips), atol=1e-4, rtol=1e-4)
    tokens = model.encode_frames(clips[0])
    torch.testing.assert_close(fast.encode_frames(clips[0]), tokens, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(fast.decode(tokens[None]), model.decode(tokens[None]), atol=1e-4, rtol=1e-4)


def test_attention_maps_are_the_same():
    model, (clips, mask) = build(), padded(2, 4)
    found = denseil.optimize(model, "float32", verbose=False).attention_maps(clips, mask)
    for a, b in zip(found, model.attention_maps(clips, mask), strict=True):
        torch.testing.assert_close(a.weights, b.weights, atol=1e-5, rtol=1e-4)
        assert torch.equal(a.level, b.level)


def test_bfloat16_is_near_and_says_so(capsys: pytest.CaptureFixture[str]):
    fast = denseil.optimize(build(), "bfloat16")
    out = capsys.readouterr().out
    assert "in bfloat16" in out
    assert str(fast.agreement) in out
    assert 0.98 <= fast.agreement.mean_cosine < 1
    assert fast.encode_frames(torch.randn(2, 3, 128, 64)).dtype == torch.bfloat16
    assert fast(torch.randn(2, 3, 3, 128, 64)).dtype == torch.float32


def test_what_bfloat16_cannot_hold_is_refused_or_falls_back(monkeypatch: pytest.MonkeyPatch):
    model = build(depth=0)
    last = [module for module in model.encoder.modules() if isinstance(module, nn.BatchNorm2d)][-1]
    with torch.no_grad():
        last.bias += 3000  # neighbours in bfloat16 are 16 apart there: what tells clips apart is lost
    with pytest.raises(ValueError, match=r"bfloat16 was refused: centred cosine"):
        denseil.optimize(model, "bfloat16", verbose=False)
    monkeypatch.setattr(
        sys.modules[denseil.optimize.__module__], "_fast_bfloat16", lambda device: True
    )  # whatever this machine has
    fast = denseil.optimize(model, verbose=False)
    assert fast.dtype == torch.float32
    assert "bfloat16 was refused" in fast.steps[-1]


@pytest.mark.parametrize(("size", "tiny"), [((64, 32), True), ((128, 64), False)])
def test_auto_takes_float32_where_a_stride_sees_tiny_maps(size: tuple[int, int], tiny: bool, monkeypatch: Any):
    """The last stage of test_resnet halves maps of 4 x 2 or of 8 x 4 pixels."""
    monkeypatch.setattr(sys.modules[denseil.optimize.__module__], "_fast_bfloat16", lambda device: True)
    model = build()
    model.pretrained_cfg["input_size"] = (3, *size)
    fast = denseil.optimize(model, verbose=False)
    assert (fast.dtype == torch.float32) is tiny
    assert ("bfloat16 was not tried" in fast.steps[-1]) is tiny


def test_non_finite_embeddings_never_pass():
    vectors = torch.randn(4, 8)
    assert agreement(vectors, vectors).same_neighbour == 1
    broken = vectors.clone()
    broken[2, 3] = torch.nan
    assert agreement(vectors, broken).mean_cosine == 0
    with pytest.raises(ValueError, match="at least 3 clips"):
        agreement(vectors[:2], vectors[:2])


def test_a_common_part_does_not_hide_a_difference():
    vectors, other = torch.randn(2, 20, 16, generator=torch.Generator().manual_seed(0))
    assert agreement(vectors + 1000, other + 1000).mean_cosine < 0.5


@pytest.mark.parametrize(
    ("name", "at_least"),
    [("test_resnet", 5), ("test_efficientnet", 5), ("mobilenetv3_small_050", 30), ("densenet121", 50), ("test_vit", 0)],
)
def test_folding_any_backbone(name: str, at_least: int):
    torch.manual_seed(0)
    net = timm.create_model(name, num_classes=0).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.normal_(module.running_mean, std=0.1)
    image = torch.randn(2, *net.pretrained_cfg["input_size"])
    expected = net(image)
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in net.modules())
    folded = fold_batch_norms(net, lambda: net(image))
    assert folded >= at_least
    assert sum(isinstance(module, nn.BatchNorm2d) for module in net.modules()) == norms - folded
    torch.testing.assert_close(net(image), expected, atol=1e-4, rtol=1e-4)


def test_a_norm_that_follows_nothing_foldable_stays():
    class Reused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm, self.other = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.BatchNorm2d(3)

        def forward(self, x: Tensor) -> Tensor:
            return self.other(self.norm(self.conv(self.conv(x))) * 2)

    net = Reused().eval()
    assert fold_batch_norms(net, lambda: net(torch.randn(1, 3, 4, 4))) == 0


def test_the_original_is_left_as_it_was():
    model = build(num_classes=3).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    denseil.optimize(model, "bfloat16", verbose=False)
    assert model.training
    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad for name, parameter in model.named_parameters() if name != "neck.bn.bias")


def test_whole_tracklets_run_through_it():
    model = build()
    fast = denseil.optimize(model, "float32", verbose=False)
    pixels = torch.randint(0, 256, (11, 128, 64, 3), dtype=torch.uint8).numpy()
    tracklets = [list(pixels), list(pixels[:1])]
    found = torch.stack(list(embed_tracklets(fast, tracklets, size=(128, 64))))
    torch.testing.assert_close(
        found, torch.stack(list(embed_tracklets(model, tracklets, size=(128, 64)))), atol=1e-4, rtol=1e-4
    )
    assert len(sample_all(11, 8)[0]) == 2  # more than one clip was decoded


def test_it_stays_in_eval_mode_and_has_nothing_to_train():
    fast, clips = denseil.optimize(build(num_classes=5), "float32", verbose=False), torch.randn(2, 3, 3, 128, 64)
    expected = fast(clips)
    assert torch.equal(fast.train()(clips), expected)
    assert not any(module.training for module in fast.modules())
    assert not any(parameter.requires_grad for parameter in fast.parameters())


def test_what_it_is_not_for():
    fast = denseil.optimize(build(), "float32", verbose=False)
    with pytest.raises(TypeError, match=r"takes a DenseIL made by .*, not a Linear: .* torch.compile"):
        denseil.optimize(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="optimised already"):
        denseil.optimize(fast)
    with pytest.raises(ValueError, match="dtype='int4': choose"):
        denseil.optimize(build(), "int4")
    with pytest.raises(ValueError, match=r"in torch.float64: give it in float32"):
        denseil.optimize(build().double())
    with pytest.raises(TypeError, match=r"dtype torch.uint8; convert them to float"):
        fast.encode_frames(torch.zeros(1, 3, 128, 64, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"are required\. Compare"):
        denseil.optimize(build(), "float32", clips=torch.zeros(4, 2, 3, 128, 64))
    with pytest.raises(ValueError, match="only a model made by"):
        denseil.save_pretrained(fast, "nowhere")
    with pytest.raises(ValueError, match="profile the model that create_model made"):
        denseil.profile(fast)
    with pytest.raises(ValueError, match=r"keeps its types, torch.float32 here: choose with optimize\(dtype="):
        fast.half()


def test_gradients_of_frames_are_the_same():
    model, (clips, _) = build(), padded(2, 3)
    clips = clips.nan_to_num().requires_grad_()
    (expected,) = torch.autograd.grad(model(clips).square().sum(), clips)
    fast = denseil.optimize(model, "float32", verbose=False)
    (found,) = torch.autograd.grad(fast(clips).square().sum(), clips)
    torch.testing.assert_close(found, expected, atol=1e-3 * float(expected.abs().max()), rtol=1e-3)


def test_copies_compute_the_same():
    fast, (clips, _) = denseil.optimize(build(), "float32", verbose=False), padded(2, 3)
    clips = clips.nan_to_num()
    for other in (copy.deepcopy(fast), pickle.loads(pickle.dumps(fast)), fast.to("cpu").float()):
        assert torch.equal(other(clips), fast(clips))


def test_an_optimised_model_has_the_identity_of_the_original():
    model = build()
    assert denseil.models.model_id(denseil.optimize(model, dtype=torch.float32)) == denseil.models.model_id(model)


def test_identity_is_that_of_the_original_with_any_preprocessing():
    model = build(depth=0)
    fast = denseil.optimize(model, "float32", verbose=False)
    other = dataclasses.replace(model.preprocessing, mean=(0.1, 0.2, 0.3))
    assert model_id(fast) == fast.model_id == model_id(model)
    assert model_id(fast, other) == model_id(model, other) != model_id(model)
    fast.preprocessing = model.preprocessing = other
    assert model_id(copy.deepcopy(fast)) == model_id(model)


def test_a_batch_norm_is_not_folded_where_a_shortcut_reads_the_convolution():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
            self.conv, self.last = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

        def forward(self, images: Tensor) -> Tensor:
            x = self.stem(images)
            return x + self.last(self.conv(self.norm(x)))

    torch.manual_seed(0)
    net = Net().eval()
    for norm in (net.norm, net.last):
        nn.init.uniform_(norm.running_var, 0.5, 1.5)
        nn.init.normal_(norm.running_mean)
    images = torch.randn(2, 3, 8, 8)
    expected = net(images)
    assert fold_batch_norms(net, lambda: net(images)) == 1
    torch.testing.assert_close(net(images), expected)
