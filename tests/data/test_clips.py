import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from denseil.data import (
    ClipDataset,
    ClipTransform,
    Frames,
    PKSampler,
    Tracklet,
    clip_loader,
    decode_image,
    label_map,
    read_dataset,
    sample_even,
)

SMALL = (32, 16)
TINY = Path(__file__).parent / "mars_tiny"


@pytest.fixture(scope="module")
def train():
    return read_dataset("mars", TINY).train


@pytest.fixture
def broken(tmp_path):
    """Five frames, of which 1, 2 and 4 cannot be read: empty, no image, missing."""
    names = [f"{i}.jpg" for i in range(5)]
    for name, source in zip(names, sorted(TINY.rglob("*.jpg"))[::9], strict=False):
        shutil.copy(source, tmp_path / name)
    (tmp_path / "1.jpg").write_bytes(b"")
    (tmp_path / "2.jpg").write_bytes(b"not an image")
    (tmp_path / "4.jpg").unlink()
    return Tracklet(Frames(tmp_path, names), 1, 1, "broken")


def test_shapes_and_types_of_a_batch(train):
    dataset = ClipDataset(train, clip_len=4, transform=ClipTransform((256, 128)), labels=label_map(train))
    batch = dataset[5]
    assert batch.clips.shape == (1, 4, 3, 256, 128)
    assert batch.clips.dtype == torch.uint8
    assert batch.clips[0].is_contiguous(memory_format=torch.channels_last)
    assert (batch.labels.tolist(), batch.camids.tolist(), batch.owner.tolist()) == ([1], [1], [5])
    assert batch.labels.dtype == batch.camids.dtype == batch.owner.dtype == torch.int64
    assert batch.mask.dtype == torch.bool
    assert batch.mask.all()


def test_the_default_device_of_torch_changes_nothing(train):
    def batch():
        return ClipDataset(train, clip_len=2, transform=ClipTransform((16, 8)))[3]

    expected = batch()
    with torch.device("meta"):
        found = batch()
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_a_negative_index_counts_from_the_end(train):
    dataset = ClipDataset(train, clip_len=2, transform=ClipTransform((16, 8)))
    assert dataset[-1].owner.tolist() == [len(train) - 1]
    assert torch.equal(dataset[-1].clips, dataset[len(train) - 1].clips)
    with pytest.raises(IndexError):
        dataset[len(train)]


def test_pixels_are_the_files_pixels(train):
    transform = ClipTransform((128, 64))
    (clip,) = ClipDataset(train, clip_len=3, sampling="even", transform=transform)[2].clips
    expected = [decode_image(train[2].frames[i]) for i in sample_even(8, 3)]
    assert np.array_equal(clip.movedim(1, -1).numpy(), np.stack(expected))


def test_all_frames_come_with_their_owner_and_mask(train):
    dataset = ClipDataset(train, clip_len=3, sampling="all", transform=ClipTransform(SMALL))
    (batch,) = clip_loader(dataset, 8)
    assert batch.clips.shape == (24, 3, 3, *SMALL)
    assert batch.owner.tolist() == [i for i in range(8) for _ in range(3)]
    assert batch.mask.sum().item() == 64
    assert torch.equal(batch.labels, torch.tensor([train[i].pid for i in batch.owner]))


def test_labels_are_sorted_identities():
    tracklets = [Tracklet(["x"], pid, 1) for pid in (90, 7, 90, 1501)]
    assert label_map(tracklets) == {7: 0, 90: 1, 1501: 2}
    with pytest.raises(KeyError, match="1 identity not in the label map"):
        ClipDataset(tracklets, transform=ClipTransform(SMALL), labels={7: 0, 90: 1})


def run(train, workers: int, epochs: int, seed: int = 0, **options) -> list[torch.Tensor]:
    dataset = ClipDataset(train, clip_len=2, transform=ClipTransform(SMALL, flip=0.5, pad=4, erase=0.5), seed=seed)
    sampler = PKSampler(train, 2, 3)
    loader = clip_loader(dataset, 6, sampler=sampler, num_workers=workers, **options)
    batches = []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        dataset.set_epoch(epoch)
        batches += [batch.clips.clone() for batch in loader]
    return batches


def test_workers_change_nothing_and_hear_of_the_epoch(train):
    here = run(train, 0, 3)
    there = run(train, 2, 3, persistent_workers=True)
    assert all(torch.equal(a, b) for a, b in zip(here, there, strict=True))
    assert not torch.equal(here[0], run(train, 0, 1, seed=1)[0])


def test_epochs_draw_other_frames(train):
    dataset = ClipDataset(train, clip_len=2, transform=ClipTransform(SMALL))
    first = dataset[0].clips
    assert torch.equal(first, dataset[0].clips)
    seen = []
    for epoch in range(8):
        dataset.set_epoch(epoch)
        seen.append(dataset[0].clips)
    assert any(not torch.equal(first, clip) for clip in seen)


def test_a_tracklet_drawn_twice_in_a_batch_gives_other_frames(train):
    clips = ClipDataset(train, clip_len=2, transform=ClipTransform(SMALL)).__getitems__([0] * 8).clips
    assert any(not torch.equal(clips[0], clip) for clip in clips)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_reused_memory_is_good_for_one_batch_ahead(train, workers):
    """As Accelerate does, the next batch is taken before this one is used."""
    dataset = ClipDataset(train, clip_len=2, transform=ClipTransform(SMALL))
    fresh = [batch.clips for batch in clip_loader(dataset, 1, num_workers=workers)]
    assert len({clips.data_ptr() for clips in fresh}) == len(fresh) == 8
    used, before = [], None
    for batch in clip_loader(dataset, 1, num_workers=workers, reuse=True):
        if before is not None:
            used.append(before.clips.clone())
        before = batch
    assert all(torch.equal(a, b) for a, b in zip(fresh, [*used, before.clips], strict=True))
    if workers == 0:
        assert len({batch.clips.data_ptr() for batch in clip_loader(dataset, 1, reuse=True)}) == 2


def test_spawned_workers(train):
    here, there = run(train, 0, 1), run(train, 1, 1, multiprocessing_context="spawn")
    assert all(torch.equal(a, b) for a, b in zip(here, there, strict=True))


def test_a_corrupt_frame_becomes_its_neighbour_and_is_named(broken, caplog):
    dataset = ClipDataset([broken], clip_len=5, sampling="even", transform=ClipTransform((128, 64)))
    with caplog.at_level(logging.WARNING):
        (clip,) = dataset[0].clips
    expected = [decode_image(broken.frames[i]) for i in (0, 0, 3, 3, 3)]
    assert np.array_equal(clip.movedim(1, -1).numpy(), np.stack(expected))
    messages = [record.getMessage() for record in caplog.records]
    assert [name for name in ("1.jpg", "2.jpg", "4.jpg") for text in messages if name in text.split(";")[0]] == [
        "1.jpg",
        "2.jpg",
        "4.jpg",
    ]


def test_or_it_raises(broken):
    dataset = ClipDataset([broken], clip_len=5, sampling="even", transform=ClipTransform(SMALL), on_corrupt="raise")
    with pytest.raises(ValueError, match=r"1\.jpg is empty"):
        dataset[0]


def test_a_tracklet_without_a_readable_frame_ends(tmp_path):
    tracklet = Tracklet(Frames(tmp_path, [f"{i}.jpg" for i in range(50)]), 4, 1, "lost")
    with pytest.raises(ValueError, match=r"no frame of tracklet 'lost' .pid 4. can be read"):
        ClipDataset([tracklet], transform=ClipTransform(SMALL))[0]


@pytest.mark.parametrize("bad", [{"clip_len": 0}, {"sampling": "some"}, {"on_corrupt": "skip"}])
def test_impossible_settings(train, bad):
    with pytest.raises(ValueError, match=str(next(iter(bad.values())))):
        ClipDataset(train, transform=ClipTransform(SMALL), **bad)
