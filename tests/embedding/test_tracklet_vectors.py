"""Whole-tracklet embedding against the plain way: every clip of every tracklet through `model(clips, mask)`."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import denseil
from denseil.data import Tracklet, decode_image, normalize, read_dataset, sample_all, sample_even
from denseil.data.images import resize_image
from denseil.embedding import embed_tracklets

ROOT = Path(__file__).parent.parent / "data" / "mars_tiny"
SIZE = (64, 32)


@pytest.fixture(scope="module")
def model() -> denseil.DenseIL:
    torch.manual_seed(0)
    model = denseil.create_model("denseil", backbone="test_resnet", dim=32, depth=2, num_heads=4, ffn_dim=32).eval()
    with torch.no_grad():  # statistics other than the identity's, so that padding that leaks is seen
        model.neck.bn.running_mean.normal_()
    return model


@pytest.fixture(scope="module")
def tracklets() -> list[Tracklet]:
    dataset = read_dataset("mars", ROOT)
    return [*dataset.train, *dataset.query, *dataset.gallery]


def plain(model: denseil.DenseIL, images: list[np.ndarray], policy: str) -> Tensor:
    """One tracklet, with padding in the batch and nothing shared."""
    if policy == "all":
        positions, mask = sample_all(len(images), model.denseil_cfg["clip_len"])
    else:
        positions = sample_even(len(images), 8)[None]
        mask = np.ones_like(positions, dtype=bool)
    pixels = torch.from_numpy(np.stack([resize_image(image, SIZE) for image in images])).permute(0, 3, 1, 2)
    cfg = model.pretrained_cfg
    clips = normalize(pixels, cfg["mean"], cfg["std"])[positions]
    with torch.inference_mode():
        return model(clips, torch.from_numpy(mask)).mean(0)


def embed(model: denseil.DenseIL, tracklets, **options) -> Tensor:
    return torch.stack(list(embed_tracklets(model, tracklets, size=SIZE, **options)))


@pytest.mark.parametrize("policy", ["all", "even8"])
def test_equals_the_plain_way_on_real_tracklets(model: denseil.DenseIL, tracklets: list[Tracklet], policy: str):
    expected = torch.stack([plain(model, [decode_image(p) for p in t.frames], policy) for t in tracklets])
    torch.testing.assert_close(embed(model, tracklets, frames=policy), expected, rtol=1e-4, atol=1e-5)


@settings(max_examples=12)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    policy=st.sampled_from(["all", "even8"]),
    budget=st.integers(8, 60),
    chunk=st.integers(1, 20),
)
def test_budget_and_chunk_change_nothing(lengths: list[int], policy: str, budget: int, chunk: int):
    torch.manual_seed(0)
    model = denseil.create_model("denseil", backbone="test_resnet", dim=16, depth=1, num_heads=2, ffn_dim=16)
    rng = np.random.default_rng(sum(lengths))
    arrays = [[rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8) for _ in range(n)] for n in lengths]
    expected = torch.stack([plain(model.eval(), images, policy) for images in arrays])
    actual = embed(model, arrays, frames=policy, budget=budget, chunk=chunk)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("policy", ["all", "even8"])
def test_each_frame_is_encoded_once_in_small_calls(
    model: denseil.DenseIL, monkeypatch: pytest.MonkeyPatch, policy: str
):
    rng = np.random.default_rng(0)
    arrays = [list(rng.integers(0, 256, (n, *SIZE, 3), dtype=np.uint8)) for n in (300, 3, 20)]
    calls: list[int] = []
    encode = model.encode_frames
    monkeypatch.setattr(model, "encode_frames", lambda frames: calls.append(len(frames)) or encode(frames))
    held: list[int] = []
    decode = model.decode
    monkeypatch.setattr(
        model, "decode", lambda tokens, mask: held.append(tokens[..., 0, 0].numel()) or decode(tokens, mask)
    )
    assert embed(model, arrays, frames=policy, budget=64).shape == (3, 32)
    assert sum(calls) == (323 if policy == "all" else 8 + 3 + 8)
    assert max(calls) <= 16
    assert max(held) <= 64 + 8  # one short clip may be padded


def test_tracklets_are_asked_for_as_needed(model: denseil.DenseIL):
    asked = 0

    def endless() -> Iterator[list[np.ndarray]]:
        nonlocal asked
        while True:
            asked += 1
            yield [np.zeros((*SIZE, 3), np.uint8)] * 8

    vectors = embed_tracklets(model, endless(), size=SIZE, budget=16)
    assert next(vectors).shape == (32,)
    assert asked <= 6
    vectors.close()


def test_model_is_left_as_it_was(model: denseil.DenseIL, tracklets: list[Tracklet]):
    expected = embed(model, tracklets[:2])
    model.train()
    model.neck.eval()
    torch.testing.assert_close(embed(model, tracklets[:2]), expected)
    assert model.training
    assert not model.neck.training
    model.eval()


def test_length_one_and_low_precision(model: denseil.DenseIL, tracklets: list[Tracklet]):
    vectors = embed(model, tracklets, normalized=True)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(len(tracklets)))
    # On smaller maps oneDNN's AMX bfloat16 convolution reads memory that nobody wrote (torch 2.14).
    high = torch.stack(list(embed_tracklets(model, tracklets[:4], normalized=True, size=(128, 64))))
    low = torch.stack(
        list(embed_tracklets(model, tracklets[:4], normalized=True, size=(128, 64), dtype=torch.bfloat16))
    )
    assert low.dtype == torch.float32
    assert (low * high).sum(1).min() > 0.99


def test_unreadable_frames(model: denseil.DenseIL, tracklets: list[Tracklet], tmp_path: Path, caplog):
    good = [str(path) for path in tracklets[0].frames]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8 not a JPEG")
    vectors = embed(model, [[*good[:3], str(broken)], [*good[:3], good[2]]])
    torch.testing.assert_close(vectors[0], vectors[1])
    assert "broken.jpg" in caplog.text
    with pytest.raises(ValueError, match=r"broken\.jpg"):
        embed(model, [[*good[:3], str(broken)]], on_corrupt="raise")
    with pytest.raises(ValueError, match="no frame of tracklet number 1 can be read"):
        embed(model, [good, [str(broken)]])


def test_bad_input_is_one_clear_error(model: denseil.DenseIL):
    black = np.zeros((*SIZE, 3), np.uint8)
    with pytest.raises(ValueError, match="all, even8, got 'some'"):
        embed(model, [[black]], frames="some")
    with pytest.raises(ValueError, match="at least one clip"):
        embed(model, [[black]], budget=4)
    with pytest.raises(ValueError, match="has no frames"):
        embed(model, [[]])
    with pytest.raises(ValueError, match="uint8 RGB"):
        embed(model, [[black.astype(np.float32)]])
    with pytest.raises(ValueError, match=r"frame 1 of tracklet number 0 is uint8 \(0, 32, 3\)"):
        embed(model, [[black, np.zeros((0, 32, 3), np.uint8)]])
    with pytest.raises(TypeError, match="frame 0 of tracklet number 0 is a Tensor; give paths"):
        embed(model, [[torch.zeros(3, 9, 9)]])
    with pytest.raises(TypeError, match="tracklet number 0 is 'f'; a tracklet is a sequence of frames"):
        embed(model, "folder")
    with pytest.raises(ValueError, match="on_corrupt must be 'neighbour' or 'raise', got 'skip'"):
        embed(model, [[black]], on_corrupt="skip")
