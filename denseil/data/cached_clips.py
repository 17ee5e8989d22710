"""Clips of tracklets whose frames are decoded once and kept: batches are sampled and augmented as tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from denseil.common.arguments import checked_class
from denseil.common.processes import choose_device
from denseil.common.progress import progress_bar
from denseil.data.batch_augmentation import augment_batch, put
from denseil.data.clips import ClipDataset, Plan
from denseil.data.images import empty_frames, resize_image
from denseil.data.tracklet import Tracklet
from denseil.data.transforms import ClipTransform

THREADS = 4  # decoders leave Python's lock


@checked_class
class CachedClips(ClipDataset):
    """A `ClipDataset` that keeps all frames, resized to the transform's size, in memory or on a device.

    It samples the same clips as a `ClipDataset` of the same seed, and augments whole batches on the device of the
    frames. Frames are resized before they are cropped, which makes no difference if they are stored in the size of
    training.

    Args:
        tracklets: Tracklets to sample clips from.
        clip_len: T, frames of a clip.
        transform: Augmentation of the frames, and their size.
        labels: Class label of each identity.
        seed: Random seed.
        device: Device on which the frames are kept.
        frames: The `frames` of another `CachedClips` of the same tracklets and size, which are then not decoded again.
        progress: Show a bar while decoding.

    Raises:
        ValueError: If a tracklet has no readable frame, or the device cannot be used.
        MemoryError: If the frames do not fit into memory.
    """

    def __init__(
        self,
        tracklets: Sequence[Tracklet],
        *,
        clip_len: int,
        transform: ClipTransform,
        labels: Mapping[int, int] | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
        frames: Tensor | None = None,
        progress: bool = False,
    ) -> None:
        device = choose_device(device)
        super().__init__(tracklets, clip_len=clip_len, transform=transform, labels=labels, seed=seed)
        lengths = [len(tracklet.frames) for tracklet in tracklets]
        self._starts = np.cumsum([0, *lengths])
        if frames is None:
            frames = self._decode(int(self._starts[-1]), progress=progress)
        elif frames.shape != (self._starts[-1], 3, *transform.size):
            raise ValueError(f"frames have shape {tuple(frames.shape)}: give those of the same tracklets and size")
        self.frames = frames.to(device)  # (F, 3, H, W) uint8

    def _decode(self, count: int, *, progress: bool) -> Tensor:
        """Decode and resize all frames."""
        frames = torch.from_numpy(empty_frames((count, 3, *self.transform.size), fix="train with cache=none"))

        def decode(index: int) -> None:
            tracklet, start = self.tracklets[index], int(self._starts[index])
            for position in range(len(tracklet.frames)):
                image = resize_image(self._frame(tracklet, position, None), self.transform.size)
                frames[start + position] = torch.from_numpy(image).movedim(-1, 0)

        total = len(self.tracklets)
        with (
            ThreadPoolExecutor(THREADS) as pool,
            progress_bar(total, unit="tracklet", show=progress, desc="cache") as bar,
        ):
            for _ in pool.map(decode, range(total)):
                bar.update()
        return frames

    def _render(self, plan: Plan, rng: np.random.Generator) -> Tensor:
        """Gather and augment the clips of a plan; (N, T, 3, H, W) uint8 on the device of the frames."""
        places = np.stack([self._starts[index] + positions for index, positions, _ in plan])
        chosen = [self.transform.sample(self.clip_len, rng) for _ in plan]
        index = put(torch.from_numpy(places.ravel()), self.frames.device)
        clips = self.frames.index_select(0, index).view(*places.shape, *self.frames.shape[1:])
        return augment_batch(clips, chosen, self.transform.fill)
