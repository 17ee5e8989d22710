"""Anybody's module in `Embedder`, `evaluate` and `TrackletEmbedder`: padding never changes a vector."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import denseil
from denseil import Preprocessing
from denseil.data import read_dataset, sample_all

TINY = "tests/data/mars_tiny"
PREPARED = Preprocessing(size=(32, 16), clip_len=4, mean=(0.2, 0.4, 0.6), std=(0.5, 0.25, 0.125))


class Frames(nn.Module):
    """A convolution over time and space, and the mean over frames: the order and the number of frames count."""

    num_features = 12

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv3d(3, self.num_features, (3, 4, 4), (1, 4, 4), padding=(1, 0, 0))

    def features(self, clips: Tensor) -> Tensor:
        return self.conv(clips.transpose(1, 2)).amax((-1, -2)).tanh()  # (B, D, T)


class WithoutMask(Frames):
    def forward(self, clips: Tensor) -> Tensor:
        return self.features(clips).mean(-1)


class Pair(Frames):
    def forward(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        return clips, clips


class IgnoresMask(Frames):
    def forward(self, clips: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.features(clips).mean(-1)


class HonoursMask(Frames):
    def forward(self, clips: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None:
            return self.features(clips).mean(-1)
        clips = torch.where(mask[..., None, None, None], clips, 0.0)
        found = torch.where(mask[:, None], self.features(clips), 0.0)
        return found.sum(-1) / mask.sum(1, keepdim=True)


def by_hand(model: nn.Module, frames: np.ndarray) -> Tensor:
    """The definition, one clip of real frames after another."""
    pixels = torch.from_numpy(frames).movedim(-1, 1).float() / 255
    pixels = (pixels - torch.tensor(PREPARED.mean)[:, None, None]) / torch.tensor(PREPARED.std)[:, None, None]
    rows, masks = sample_all(len(frames), PREPARED.clip_len)
    with torch.no_grad():
        clips = [model(pixels[row[mask]][None])[0] for row, mask in zip(rows, masks, strict=True)]
    return F.normalize(torch.stack(clips).mean(0), dim=0)


@pytest.mark.parametrize("kind", [WithoutMask, IgnoresMask, HonoursMask])
@pytest.mark.parametrize("count", [1, 3, 4, 6, 9])
def test_vectors_are_those_of_real_frames(kind: type[Frames], count: int):
    model = kind().eval()
    frames = np.random.default_rng(count).integers(0, 256, (count, 32, 16, 3), dtype=np.uint8)
    embedder = denseil.Embedder(model, preprocessing=PREPARED)
    torch.testing.assert_close(embedder(list(frames)), by_hand(model, frames), rtol=0, atol=1e-5)
    tracks = denseil.TrackletEmbedder(model, preprocessing=PREPARED, max_frames=16)
    for frame in frames:
        tracks.update([7], [frame])
    torch.testing.assert_close(tracks.embedding(7), embedder(list(frames)), rtol=0, atol=1e-6)


def test_bgr_models_and_flips():
    frames = np.random.default_rng(0).integers(0, 256, (3, 32, 16, 3), dtype=np.uint8)
    model = WithoutMask().eval()
    bgr = Preprocessing(**{**PREPARED.to_dict(), "color_order": "BGR"})
    swapped = denseil.Embedder(model, preprocessing=bgr)(list(frames[..., ::-1].copy()))
    straight = denseil.Embedder(model, preprocessing=PREPARED)
    torch.testing.assert_close(swapped, straight(list(frames)))
    mirrored = frames[:, :, ::-1].copy()
    both = denseil.Embedder(model, preprocessing=PREPARED, flip=True)
    torch.testing.assert_close(both(list(frames)), both(list(mirrored)))
    assert not torch.allclose(straight(list(frames)), straight(list(mirrored)), atol=1e-4)


def test_evaluate_takes_any_module():
    result = denseil.evaluate(WithoutMask(), read_dataset("mars", TINY), preprocessing=PREPARED)
    assert result.num_query == 2
    assert 0 < result.mAP <= 1


def test_what_is_missing_is_said():
    with pytest.raises(TypeError, match=r"does not say how its frames are prepared: pass preprocessing="):
        denseil.Embedder(WithoutMask())
    with pytest.raises(TypeError, match="no num_features: set it"):
        denseil.Embedder(nn.Flatten(), preprocessing=PREPARED)
    pair = denseil.Embedder(Pair(), preprocessing=PREPARED)
    with pytest.raises(TypeError, match=r"returned a tuple in eval mode for 1 clips; it must return"):
        pair([np.zeros((32, 16, 3), np.uint8)])
    with pytest.raises(ValueError, match="device 'nope' cannot be used"):
        denseil.Embedder(WithoutMask(), preprocessing=PREPARED, device="nope")


def test_a_vector_without_direction_is_refused():
    model = WithoutMask()
    nn.init.zeros_(model.conv.weight)
    nn.init.zeros_(model.conv.bias)
    with pytest.raises(RuntimeError, match="an all-zero vector for tracklet number 0"):
        denseil.Embedder(model, preprocessing=PREPARED)([np.zeros((32, 16, 3), np.uint8)])


@pytest.mark.parametrize("make", [torch.tensor, np.array, lambda ids: [torch.tensor(one) for one in ids], list])
def test_ids_count_by_value(make):
    tracks = denseil.TrackletEmbedder(WithoutMask(), preprocessing=PREPARED)
    crop = np.zeros((20, 10, 3), np.uint8)
    for _ in range(3):
        tracks.update(make([4, 5, -1]), [crop] * 3)
    assert len(tracks) == 2
    assert 4 in tracks
    assert tracks.kept(5) == [0, 1, 2]
    assert tracks.unconfirmed == 3
    tracks.update(None, [crop])
    with pytest.raises(ValueError, match="track id 6 occurs twice"):
        tracks.update(make([6, 6]), [crop] * 2)
    assert 6 not in tracks
    for wrong, text in (
        ([None], "track id None"),
        ([True], "track id True"),
        ([[1]], r"track id \[1\]"),
        ("1", "track ids are '1'"),
    ):
        with pytest.raises(TypeError, match=text):
            tracks.update(wrong, [crop])
