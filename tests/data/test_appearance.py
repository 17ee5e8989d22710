"""Appearance augmentation of a clip, against Pillow's own enhancers and by laws."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from denseil.data import Appearance, ClipTransform, decode_image, read_dataset
from denseil.data.appearance import ClipAppearance
from tests.data.test_mars import TINY


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    return np.stack([decode_image(path) for path in read_dataset("mars", TINY).train[0].frames[:4]])


def look(brightness: float = 1, contrast: float = 1, saturation: float = 1, **options) -> ClipAppearance:
    gains = np.array([brightness, contrast, saturation, 1, 1, 1], np.float32)
    return ClipAppearance(**({"sides": (0, 0, 0, 0), "scale": 1.0, "blur": 0.0, "gains": gains} | options))


@pytest.mark.parametrize(
    ("enhance", "name"),
    [(ImageEnhance.Brightness, "brightness"), (ImageEnhance.Color, "saturation"), (ImageEnhance.Contrast, "contrast")],
)
@pytest.mark.parametrize("factor", [0.0, 0.6, 1.3])
def test_colour_equals_pillow(clip: np.ndarray, enhance: type, name: str, factor: float):
    for frame in clip:
        expected = np.asarray(enhance(Image.fromarray(frame)).enhance(factor)).astype(int)
        tinted = frame[None].copy()
        look(**{name: factor}).tint(tinted)
        # Pillow rounds the mean and the grey image to whole levels; our mean is over every 7th pixel.
        assert np.abs(tinted[0].astype(int) - expected).max() <= (3 if name == "contrast" else 2)


def test_all_frames_change_alike_and_chance_is_the_generators(clip: np.ndarray):
    appearance = Appearance(crop=0.2, low_res=0.5, blur=0.5, jitter=0.5, gray=0.2)
    transform = ClipTransform(size=(64, 32), appearance=appearance)
    outs = []
    for seed in (1, 1, 2):
        out = np.empty((4, 64, 32, 3), np.uint8)
        transform([clip[0]] * 4, np.random.default_rng(seed), out)
        assert (out == out[0]).all()
        outs.append(out)
    assert (outs[0] == outs[1]).all()
    assert (outs[0] != outs[2]).any()


def test_no_augmentation_uses_no_chance(clip: np.ndarray):
    rng = np.random.default_rng(0)
    drawn = Appearance().sample(rng)
    assert rng.random() == np.random.default_rng(0).random()
    before = clip.copy()
    drawn.tint(clip)
    assert (clip == before).all()
    frame = clip[0]
    assert drawn.crop(frame).shape == frame.shape
    assert drawn.degrade(frame) is frame


def test_each_part_does_its_own(clip: np.ndarray):
    rng = np.random.default_rng(0)
    gray = clip.copy()
    Appearance(gray=1).sample(rng).tint(gray)
    assert np.ptp(gray.astype(int), axis=-1).max() <= 1
    for augmentation in (Appearance(low_res=1), Appearance(blur=1)):
        image = augmentation.sample(rng).degrade(clip[0])
        assert image.shape == clip[0].shape
        assert np.abs(np.diff(image.astype(int), axis=0)).mean() < np.abs(np.diff(clip[0].astype(int), axis=0)).mean()
    cut = look(sides=(0.25, 0, 0, 0.5)).crop(clip[0])
    height, width = clip[0].shape[:2]
    assert (cut == clip[0][height // 4 :, : width // 2]).all()


@pytest.mark.parametrize("bad", [{"crop": 0.5}, {"blur": 1.1}, {"jitter": -0.1}])
def test_bad_values(bad: dict):
    with pytest.raises(ValueError, match=r"crop is 0 to below 0\.5"):
        Appearance(**bad)
