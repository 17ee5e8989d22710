"""Frames decoded once and augmented as tensors: the loader's clips for the same seed, within Pillow's rounding."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from denseil.data import Appearance, CachedClips, ClipDataset, ClipTransform, Tracklet, read_dataset
from denseil.data.resampling import blur_matrix, resize_matrix
from tests.data.test_mars import TINY

SIZE = (64, 32)
LOOKS: dict[str, tuple[dict[str, float], int]] = {
    "mirrored, moved, erased": ({}, 0),
    "cropped": ({"crop": 0.3}, 2),
    "low resolution": ({"low_res": 0.7}, 3),
    "blurred": ({"blur": 0.7}, 4),
    "tinted": ({"jitter": 0.35, "gray": 0.3}, 4),
    "all": ({"crop": 0.12, "low_res": 0.3, "blur": 0.3, "jitter": 0.35, "gray": 0.1}, 6),
}
"""By name: the appearance, and the largest difference from the loader in levels of 255."""


@pytest.fixture(scope="module")
def tracklets(tmp_path_factory: pytest.TempPathFactory) -> list[Tracklet]:
    """Tracklets whose files are of the training's size."""
    folder = tmp_path_factory.mktemp("frames")
    made = []
    for number, each in enumerate(read_dataset("mars", TINY).train):
        paths = []
        for place, path in enumerate(each.frames):
            paths.append(str(folder / f"{number}-{place}.png"))
            Image.open(path).convert("RGB").resize(SIZE[::-1]).save(paths[-1])
        made.append(Tracklet(paths, each.pid, each.camid))
    return made


def both(tracklets: list[Tracklet], appearance: dict[str, float], seed: int = 3) -> tuple[ClipDataset, CachedClips]:
    transform = ClipTransform(SIZE, flip=0.5, pad=4, erase=0.5, appearance=Appearance(**appearance))
    settings = {"clip_len": 4, "transform": transform, "seed": seed}
    return ClipDataset(tracklets, **settings), CachedClips(tracklets, **settings)


@pytest.mark.parametrize("name", LOOKS)
def test_equals_the_loader(tracklets: list[Tracklet], name: str):
    appearance, most = LOOKS[name]
    loaded, cached = both(tracklets, appearance)
    indices = [*range(len(tracklets)), *range(5), 0]  # more than are augmented at a time
    for epoch in range(3):
        loaded.set_epoch(epoch)
        cached.set_epoch(epoch)
        expected, found = loaded.__getitems__(indices), cached.__getitems__(indices)
        assert found.clips.stride() == expected.clips.stride()
        assert all(torch.equal(a, b) for a, b in zip(expected[1:], found[1:], strict=True))
        difference = (found.clips.int() - expected.clips.int()).abs()
        assert difference.max() <= most
        assert difference.float().mean() <= 0.25 * most


def test_moments_of_the_distribution(tracklets: list[Tracklet]):
    """Other seeds, so other clips: means and deviations of pixels agree within what 384 clips can show."""
    samples = []
    for dataset in (both(tracklets, LOOKS["all"][0], seed=1)[0], both(tracklets, LOOKS["all"][0], seed=2)[1]):
        clips = []
        for epoch in range(48):
            dataset.set_epoch(epoch)
            clips.append(dataset.__getitems__(range(len(tracklets))).clips.float())
        samples.append(torch.cat(clips))
    for moment in (torch.mean, torch.std):
        for dims, most in (((0, 1, 3, 4), 4), ((0, 1, 2), 6)):  # by channel, by place
            one, two = (moment(sample, dim=dims) for sample in samples)
            assert (one - two).abs().mean() < most


def test_frames_are_shared_and_checked(tracklets: list[Tracklet]):
    first = both(tracklets, {})[1]
    settings = {"clip_len": 4, "transform": first.transform, "seed": 3}
    again = CachedClips(tracklets, frames=first.frames, **settings)
    assert again.frames.data_ptr() == first.frames.data_ptr()
    assert torch.equal(again[0].clips, first[0].clips)
    with pytest.raises(ValueError, match="give those of the same tracklets and size"):
        CachedClips(tracklets[1:], frames=first.frames, **settings)
    for device in ("nope", "meta", None):
        with pytest.raises(ValueError, match=f"device '{device}'"):
            CachedClips(tracklets, device=device, frames=first.frames, **settings)


def test_an_unreadable_frame_is_its_neighbour(tracklets: list[Tracklet], tmp_path: Path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    frames = [*list(tracklets[0].frames)[:2], str(tmp_path / "bad.png")]
    cached = CachedClips([Tracklet(frames, 1, 1)], clip_len=2, transform=ClipTransform(SIZE))
    assert torch.equal(cached.frames[2], cached.frames[1])
    with pytest.raises(ValueError, match="can be read"):
        CachedClips([Tracklet(frames[2:], 1, 1)], clip_len=2, transform=ClipTransform(SIZE))


@pytest.mark.parametrize("length", [40, 17, 3])
def test_matrices_are_pillows(length: int):
    rng = np.random.default_rng(length)
    line = rng.integers(0, 256, (1, 40), dtype=np.uint8)
    part = Image.fromarray(line[:, 2 : 2 + min(length, 38)])
    n = part.width
    for out in (40, 11):
        matrix = resize_matrix(torch.tensor([2]), torch.tensor([n]), torch.tensor([out]), rows=40, columns=40)[0]
        expected = np.asarray(part.resize((out, 1), Image.Resampling.BILINEAR))[0]
        found = matrix.numpy() @ line[0]
        assert np.abs(found[:out] - expected).max() <= 0.51
        assert not found[out:].any()
    for sigma in (0.3, 1.0, 1.5, 4.0):
        expected = np.asarray(Image.fromarray(np.repeat(line, 40, 0)).filter(ImageFilter.GaussianBlur(sigma)))[20]
        found = blur_matrix(torch.tensor([sigma]), 40)[0].numpy() @ line[0]
        assert np.abs(found - expected).max() <= 2
