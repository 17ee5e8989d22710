"""The torch dataset of clips, and its loader."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from denseil.common.arguments import check_seed, checked, checked_class, shown
from denseil.common.text import counted
from denseil.data.images import decode_buffer, read_frame
from denseil.data.sampling import sample_all, sample_even, sample_random
from denseil.data.tracklet import Tracklet
from denseil.data.transforms import ClipTransform

Plan: TypeAlias = "list[tuple[int, NDArray[np.int64], NDArray[np.bool_]]]"
"""For each clip of a batch: its tracklet, and positions and mask (T,) of its frames."""


class ClipBatch(NamedTuple):
    """A batch of N clips with their labels.

    Attributes:
        clips: (N, T, 3, H, W) uint8, each frame channels-last in memory; `normalize` makes them a model's input.
        labels: (N,) int64, class labels, or identities if the dataset has no label map.
        camids: (N,) int64.
        mask: (N, T) bool, True where a frame is real.
        owner: (N,) int64, index of each clip's tracklet in `ClipDataset.tracklets`.
    """

    clips: Tensor
    labels: Tensor
    camids: Tensor
    mask: Tensor
    owner: Tensor


@checked_class
class ClipDataset(Dataset[ClipBatch]):
    """Clips of tracklets, decoded and augmented in uint8.

    `dataset[i]` is the batch of tracklet i's clips: one clip, or several if `sampling` is "all". `clip_loader` makes a
    whole batch in one block of memory, which is faster.

    Random choices depend only on (seed, epoch, the batch's tracklets), not on the number of workers. Call `set_epoch`
    before each epoch; persistent workers receive it too.

    Args:
        tracklets: Tracklets to sample clips from.
        clip_len: T, frames of a clip.
        sampling: "random" (restricted random sampling, for training), "even" or "all"; see `denseil.data.sampling`.
        transform: Augmentation of the frames, and their size.
        labels: Class label of each identity, from `label_map(dataset.train)`. None keeps identities.
        on_corrupt: Handling of an unreadable frame: "neighbour" takes the nearest readable frame in time and logs a
            warning; "raise" raises an error.
        seed: Random seed.

    Raises:
        KeyError: If `labels` lacks an identity.
    """

    def __init__(
        self,
        tracklets: Sequence[Tracklet],
        *,
        clip_len: int = 8,
        sampling: Literal["random", "even", "all"] = "random",
        transform: ClipTransform,
        labels: Mapping[int, int] | None = None,
        on_corrupt: Literal["neighbour", "raise"] = "neighbour",
        seed: int = 0,
    ) -> None:
        if clip_len < 1:
            raise ValueError(f"clip_len must be at least 1, got {clip_len}")
        check_seed(seed)
        if sampling not in ("random", "even", "all"):
            raise ValueError(f"sampling must be 'random', 'even' or 'all', got {shown(sampling)}")
        if on_corrupt not in ("neighbour", "raise"):
            raise ValueError(f"on_corrupt must be 'neighbour' or 'raise', got {shown(on_corrupt)}")
        unknown = [] if labels is None else sorted({tracklet.pid for tracklet in tracklets} - set(labels))
        if unknown:
            raise KeyError(
                f"{counted(len(unknown), 'identity', 'identities')} not in the label map, such as {unknown[:3]}"
            )
        self.tracklets, self.labels = tracklets, labels
        self.clip_len, self.sampling, self.on_corrupt, self.seed = clip_len, sampling, on_corrupt, seed
        self.transform = transform
        self._epoch = torch.zeros((), dtype=torch.int64, device="cpu").share_memory_()  # shared with workers
        self._ring: deque[Tensor] = deque(maxlen=0)

    def reuse_memory(self, batches: int) -> None:
        """Reuse memory after the given number of batches, for `clip_loader(reuse=True)`; 0 disables it."""
        self._ring = deque(maxlen=batches)

    def __len__(self) -> int:
        return len(self.tracklets)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_ring": deque(maxlen=self._ring.maxlen)}  # each process writes to its own memory

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, from 0, before iterating over it."""
        self._epoch.fill_(epoch)

    def __getitem__(self, index: int) -> ClipBatch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> ClipBatch:
        """Return the batch of several tracklets' clips; DataLoader calls this with the indices of a batch."""
        indices = [range(len(self))[index] for index in indices]  # from the end if negative
        rng = np.random.default_rng((self.seed, int(self._epoch), *indices))
        plan = [(index, *rows) for index in indices for rows in zip(*self._sample(index, rng), strict=True)]
        clips = self._render(plan, rng)
        owners = [self.tracklets[index] for index, *_ in plan]
        return ClipBatch(
            clips,
            _numbers([tracklet.pid if self.labels is None else self.labels[tracklet.pid] for tracklet in owners]),
            _numbers([tracklet.camid for tracklet in owners]),
            torch.from_numpy(np.stack([mask for *_, mask in plan])),
            _numbers([index for index, *_ in plan]),
        )

    def _render(self, plan: Plan, rng: np.random.Generator) -> Tensor:
        """Decode and augment the clips of a plan; (N, T, 3, H, W) uint8, channels last in memory."""
        clips = self._pixels((len(plan), self.clip_len, *self.transform.size, 3))
        scratch = decode_buffer((*self.transform.size, 3))
        for (index, positions, _), out in zip(plan, clips.numpy(), strict=True):
            tracklet = self.tracklets[index]
            self.transform((self._frame(tracklet, position, scratch) for position in positions.tolist()), rng, out)
        return clips.movedim(-1, -3)

    def _sample(self, index: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Sample positions and mask of a tracklet's clips, both (C, T)."""
        num_frames = len(self.tracklets[index].frames)
        if self.sampling == "all":
            return sample_all(num_frames, self.clip_len)
        if self.sampling == "even":
            positions = sample_even(num_frames, self.clip_len)
        else:
            positions = sample_random(num_frames, self.clip_len, rng)
        return positions[None], np.ones((1, self.clip_len), dtype=np.bool_)

    def _pixels(self, shape: tuple[int, ...]) -> Tensor:
        """Return uint8 memory for a batch: that of the oldest batch once the ring is full, else new memory."""
        if self._ring and len(self._ring) == self._ring.maxlen and self._ring[0].shape == shape:
            self._ring.rotate(-1)
            return self._ring[-1]
        pixels = _fresh_pixels(shape)
        self._ring.append(pixels)
        return pixels

    def _frame(self, tracklet: Tracklet, position: int, scratch: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
        name = f"{tracklet.name!r} (pid {tracklet.pid})"
        return read_frame(tracklet.frames, position, name=name, on_corrupt=self.on_corrupt, buffer=scratch)


@checked
def clip_loader(
    dataset: ClipDataset,
    batch_size: int,
    *,
    sampler: Sampler[int] | None = None,
    num_workers: int = 0,
    reuse: bool = False,
    **options: Any,
) -> DataLoader[ClipBatch]:
    """Build a DataLoader with batches of type `ClipBatch`.

    Args:
        dataset: The dataset.
        batch_size: Tracklets per batch: P x K with a `PKSampler`. With sampling "all" a batch has more clips.
        sampler: The order; None for the order of the tracklets.
        num_workers: Worker processes that decode; 0 decodes in this process.
        reuse: Write batches alternately into the same memory, which is faster. A batch is then valid until the second
            next one is requested: clone batches to keep them. Only one loader per dataset may do so at a time.
        **options: Other arguments of `DataLoader`, such as `drop_last=True`.

    Raises:
        ValueError: If batch_size is below 1 or num_workers below 0.
    """
    if batch_size < 1 or num_workers < 0:
        raise ValueError(
            f"batch_size must be at least 1 and num_workers at least 0, got {batch_size} and {num_workers}"
        )
    ahead = (options.get("prefetch_factor") or 2) if num_workers else 0  # batches that a worker prepares in advance
    dataset.reuse_memory(ahead + 2 if reuse else 0)
    return DataLoader(dataset, batch_size, sampler=sampler, num_workers=num_workers, collate_fn=_keep, **options)


def _keep(batch: Any) -> Any:
    """Return the batch made by `__getitems__`; nothing is left to collate."""
    return batch


def _numbers(values: list[int]) -> Tensor:
    """Return int64 in main memory, whatever torch's default device is."""
    return torch.tensor(values, dtype=torch.int64, device="cpu")


def _fresh_pixels(shape: tuple[int, ...]) -> Tensor:
    """Allocate uint8 memory; shared in a worker process, so that a batch moves to the main process without a copy."""
    if get_worker_info() is None:
        return torch.empty(shape, dtype=torch.uint8, device="cpu")
    storage = torch.UntypedStorage._new_shared(math.prod(shape))
    return torch.empty(0, dtype=torch.uint8, device="cpu").set_(storage).view(shape)
