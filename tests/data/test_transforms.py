import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms import v2

from denseil.data import ClipDataset, ClipTransform, normalize, transforms
from denseil.data.images import resize_image

SIZE = (40, 20)


def frames(count: int, height: int = 40, width: int = 20) -> np.ndarray:
    """No pixel is black or of the fill colour, and no two columns are equal."""
    return np.random.default_rng(0).integers(1, 100, (count, height, width, 3), dtype=np.uint8)


def apply(transform: ClipTransform, clip, seed: int = 0) -> np.ndarray:
    out = np.full((len(clip), *transform.size, 3), 77, dtype=np.uint8)
    transform(iter(clip), np.random.default_rng(seed), out)
    return out


def test_the_default_only_resizes():
    clip = frames(3)
    assert np.array_equal(apply(ClipTransform(SIZE), clip), clip)
    odd = [*frames(1, 50, 30), *frames(1, 20, 10)]
    assert np.array_equal(apply(ClipTransform(SIZE), odd), np.stack([resize_image(frame, SIZE) for frame in odd]))


def test_each_frame_is_mirrored_or_not_for_itself():
    clip = frames(64)
    out = apply(ClipTransform(SIZE, flip=0.5), clip)
    mirrored = [np.array_equal(o, f[:, ::-1]) for o, f in zip(out, clip, strict=True)]
    kept = [np.array_equal(o, f) for o, f in zip(out, clip, strict=True)]
    assert all(m != k for m, k in zip(mirrored, kept, strict=True))
    assert 15 < sum(mirrored) < 50


@given(seed=st.integers(0, 2**32), pad=st.integers(1, 12))
def test_pad_and_crop_is_torchvisions_at_one_place_for_the_clip(seed, pad):
    clip = frames(2)
    out = apply(ClipTransform(SIZE, pad=pad), clip, seed)
    padded = v2.functional.pad(torch.from_numpy(clip).movedim(-1, 1), [pad])
    windows = padded.unfold(2, SIZE[0], 1).unfold(3, SIZE[1], 1)  # (2, 3, places, places, H, W)
    equal = (windows == torch.from_numpy(out).movedim(-1, 1)[:, :, None, None]).all(dim=(0, 1, 4, 5))
    assert equal.any()


def test_every_shift_is_drawn():
    marked = np.zeros((1, *SIZE, 3), dtype=np.uint8)
    marked[0, 20, 10] = 255
    places = {tuple(np.argwhere(apply(ClipTransform(SIZE, pad=2), marked, seed)[0, :, :, 0])[0]) for seed in range(400)}
    assert places == {(20 + down, 10 + right) for down in range(-2, 3) for right in range(-2, 3)}


def test_one_box_for_the_clip():
    fill = (200, 210, 220)
    shares = []
    for seed in range(50):
        out = apply(ClipTransform(SIZE, erase=1.0, fill=fill), frames(4), seed)
        erased = (out == fill).all(-1)
        assert (erased == erased[0]).all()
        rows, columns = np.flatnonzero(erased[0].any(1)), np.flatnonzero(erased[0].any(0))
        assert erased[0].sum() == len(rows) * len(columns)
        assert len(rows) == rows[-1] - rows[0] + 1
        shares.append(erased[0].mean())
    assert 0.01 < min(shares) < 0.1
    assert 0.3 < max(shares) < 0.45


def test_probabilities_of_zero_and_the_generator():
    clip = frames(2)
    assert not (apply(ClipTransform(SIZE, erase=0.0, flip=0.0), clip) != clip).any()
    transform = ClipTransform(SIZE, flip=0.5, pad=5, erase=0.5)
    assert np.array_equal(apply(transform, clip, 3), apply(transform, clip, 3))
    assert not np.array_equal(apply(transform, clip, 3), apply(transform, clip, 4))


def test_training_is_the_papers():
    assert ClipTransform.training((256, 128)) == ClipTransform(
        (256, 128), flip=0.5, pad=10, erase=0.5, fill=(124, 116, 104)
    )
    assert ClipTransform.training((256, 128), mean=(0.5, 0.5, 0.5)).fill == (128, 128, 128)


def test_there_is_no_default_size():
    for make in (ClipTransform, ClipTransform.training):
        with pytest.raises(TypeError, match="size"):
            make()
    with pytest.raises(TypeError, match="transform"):
        ClipDataset([], clip_len=2)


@pytest.mark.parametrize("bad", [{"flip": 1.5}, {"erase": -0.1}, {"pad": -1}, {"size": (0, 4)}])
def test_impossible_settings(bad):
    with pytest.raises(ValueError, match="probabilities"):
        ClipTransform(**{"size": (8, 4), **bad})
    with pytest.raises(ValueError, match=r"fill=\(31365, 29580, 26520\): a colour is 0 to 255"):
        ClipTransform.training((8, 4), mean=(123, 116, 104))  # a mean in 0 to 255


@pytest.mark.parametrize("channels_last", [False, True])
def test_normalize_is_torchvisions(channels_last):
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    clips = torch.from_numpy(frames(6)).view(2, 3, *SIZE, 3).movedim(-1, -3)
    clips = clips if channels_last else clips.contiguous()
    expected = v2.functional.normalize(clips.float() / 255, mean, std)
    out = normalize(clips, mean, std)
    torch.testing.assert_close(out, expected, atol=2e-6, rtol=0)
    assert out.stride() == clips.stride()


@pytest.mark.parametrize("default", [torch.float64, torch.float16])
def test_normalize_gives_float32_whatever_the_default_is(default):
    pixels = torch.arange(48, dtype=torch.uint8).view(1, 3, 4, 4)
    expected = normalize(pixels, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    transforms._affine.cache_clear()
    torch.set_default_dtype(default)
    try:
        found = normalize(pixels, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    finally:
        torch.set_default_dtype(torch.float32)
        transforms._affine.cache_clear()
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_normalize_twice():
    clips = torch.zeros(1, 3, 4, 4)
    with pytest.raises(TypeError, match=r"uint8 pixels, got torch.float32"):
        normalize(clips, [0.5] * 3, [0.5] * 3)
