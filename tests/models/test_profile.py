"""Costs, against a count by hand and against the paper's design numbers."""

import pytest
import torch
from torch import nn

import denseil


def test_linear_part_by_hand():
    model = denseil.create_model(
        "denseil", backbone="test_resnet", dim=64, depth=2, num_heads=4, ffn_dim=48, num_parts=2, last_stride=1
    )
    frames, parts, levels = 5, 2, 3
    tokens = frames * parts
    keys = tokens * (levels + 1)
    d, ffn = 64, 48
    per_block = (
        tokens * 4 * d * d  # self-attention's projections
        + 2 * tokens * tokens * d  # its scores and sums
        + 2 * tokens * d * d  # W_q and the output of Dense Attention
        + 2 * keys * d * d  # its W_k and W_v
        + 2 * tokens * keys * d
        + 2 * tokens * d * ffn
    )
    once = tokens * (sum(model.encoder.channels) + model.encoder.channels[-1]) * d
    cost = denseil.profile(model, frames=frames, size=(64, 32))
    assert cost.decoder_macs == 2 * per_block + once
    assert cost.macs == cost.encoder_macs + cost.decoder_macs
    assert cost.params == sum(p.numel() for p in model.parameters())


def test_resnet50_encoder_is_16_21_gmacs_for_4_frames():
    with torch.device("meta"):
        model = denseil.create_model("denseil_r50", depth=0)
    cost = denseil.profile(model, frames=4)
    assert cost.encoder_macs / 1e9 == pytest.approx(16.21, abs=0.01)
    assert cost.frames == 4
    assert "T = 4 frames of 256 x 128" in str(cost)


def test_frames_scale_the_encoder_and_the_model_is_left_alone():
    model = denseil.create_model("denseil", backbone="test_resnet", dim=32, num_heads=4).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    one, four = (denseil.profile(model, frames=t, size=(64, 32)) for t in (1, 4))
    assert four.encoder_macs == 4 * one.encoder_macs
    assert model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    for frames in (0, 2**31):
        with pytest.raises(ValueError, match=f"frames={frames}: a clip has from 1 to"):
            denseil.profile(model, frames=frames)
    for size in ((0, 32), (64, 2**31)):
        with pytest.raises(ValueError, match=rf"size=\({size[0]}, {size[1]}\): height and width are from 32 to"):
            denseil.profile(model, size=size)


class Pooled(nn.Module):
    """A VideoEncoder of somebody else's: a convolution over space and time, and the mean."""

    num_features = 8

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(3, 8, 3, padding=1)

    def forward(self, clips, mask=None):
        return self.conv(clips.transpose(1, 2)).mean((2, 3, 4))


class Masked(Pooled):
    """With a buffer that no state dict has, as timm's Swin."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.ones(8), persistent=False)

    def forward(self, clips, mask=None):
        return super().forward(clips) * self.window


class Peeking(Pooled):
    def forward(self, clips, mask=None):
        return super().forward(clips) if clips.sum().item() > 0 else clips


def test_any_video_encoder_is_counted_whole():
    cost = denseil.profile(Pooled(), frames=5, size=(64, 32))
    assert cost.macs == 5 * 64 * 32 * 8 * 3 * 27
    assert cost.params == 8 * 3 * 27 + 8
    assert denseil.profile(Masked(), frames=5, size=(64, 32)).macs == cost.macs
    assert (cost.encoder_params, cost.encoder_macs, cost.decoder_macs) == (None, None, None)
    assert str(cost) == "0.0 M parameters; 0.01 GMACs for T = 5 frames of 64 x 32"
    with pytest.raises(ValueError, match="Peeking cannot be profiled, since it reads the values"):
        denseil.profile(Peeking())
