"""From a tracklet to its vector: frames policy, clips, their embeddings, and the mean, in bounded memory.

`Embedder`, `evaluate`, `denseil embed` and exports all use this module, or `ClipEncoder` with the same clips.
`describe_policy` describes it for the metadata of files.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from denseil.common.arguments import checked, shown
from denseil.data import Tracklet, read_frame, sample_all, sample_even
from denseil.data.images import decode_buffer, empty_frames, resize_image
from denseil.embedding.clip_encoder import ClipEncoder, unit_embeddings
from denseil.models.interface import FramesPolicy as FramesPolicy
from denseil.models.interface import Preprocessing

Frame: TypeAlias = str | os.PathLike[str] | NDArray[np.uint8]


@checked
def embed_tracklets(
    model: nn.Module,
    tracklets: Iterable[Tracklet | Sequence[Frame]],
    *,
    preprocessing: Preprocessing | None = None,
    frames: FramesPolicy = "all",
    flip: bool = False,
    normalized: bool = False,
    on_corrupt: Literal["neighbour", "raise"] = "neighbour",
    dtype: torch.dtype | None = None,
    size: tuple[int, int] | None = None,
    budget: int = 256,
    chunk: int | None = None,
    threads: int = 2,
) -> Iterator[Tensor]:
    """Embed whole tracklets, lazily and in order.

    A tracklet is split into clips: with "all", interleaved ones with all its frames (`sample_all`), the last ones
    padded under a mask; with "even8", one clip of 8 frames (`sample_even`). The vector is the mean of the clips'
    embeddings. Each frame is encoded once. Clips of short tracklets are decoded together and those of a long one
    separately, so memory depends only on `budget`. The next batch is read while one is computed. The model is used in
    eval mode; its modes are restored.

    Args:
        model: A model made by `create_model`, or any module that implements `VideoEncoder`, on any device.
        tracklets: Tracklets, or sequences of frames: paths, or RGB arrays (H, W, 3) uint8 of any sizes; read about
            two batches ahead.
        preprocessing: Preprocessing of frames; None for the model's own.
        frames: The frames policy, "all" or "even8".
        flip: Whether to average a clip's embedding with that of its mirrored frames.
        normalized: Whether to scale vectors to length 1 (after the mean).
        on_corrupt: Handling of an unreadable file; see `denseil.data.read_frame`.
        dtype: The type to autocast to, such as `torch.bfloat16`; None computes in the model's own.
        size: Height and width to resize frames to; None for the model's own.
        budget: Maximum number of frames per batch. Two batches of pixels and one of tokens are in memory.
        chunk: Frames per call of the encoder; None for 16 on a CPU (more exceed its cache), 64 elsewhere.
        threads: Number of threads that read images.

    Yields:
        A vector (num_features,) for each tracklet, float32, on the CPU.

    Raises:
        ValueError: If an argument is out of its range, a tracklet has no frame, or its frames cannot be read.
        MemoryError: If `budget` frames do not fit into memory.
        TypeError: If a frame is neither a path nor an array.
    """
    if frames not in get_args(FramesPolicy):
        raise ValueError(f"frames must be one of {', '.join(get_args(FramesPolicy))}, got {shown(frames)}")
    encoder = ClipEncoder(model, preprocessing, dtype=dtype)
    clip_len = 8 if frames == "even8" else encoder.preprocessing.clip_len
    if on_corrupt not in ("neighbour", "raise"):
        raise ValueError(f"on_corrupt must be 'neighbour' or 'raise', got {shown(on_corrupt)}")
    if budget < clip_len or threads < 1 or (chunk is not None and chunk < 1):
        raise ValueError(
            f"budget must be at least one clip ({clip_len} frames), threads and chunk at least 1; "
            f"got budget={budget}, threads={threads}, chunk={chunk}"
        )
    height, width = size or encoder.preprocessing.size
    batches = _batches(_clips(tracklets, frames, clip_len), budget)
    total, clips_done = torch.zeros(encoder.num_features), 0
    with ThreadPoolExecutor(threads, thread_name_prefix="denseil-read") as pool:
        for clips, pixels in _read_ahead(batches, pool, (budget, height, width, 3), on_corrupt):
            vectors = _embed_clips(encoder, clips, pixels, chunk=chunk)
            if flip:
                vectors = (vectors + _embed_clips(encoder, clips, pixels.flip(-1), chunk=chunk)) / 2
            for clip, vector in zip(clips, vectors, strict=True):
                total, clips_done = total + vector, clips_done + 1
                if clip.last:
                    mean = total / clips_done
                    unit = unit_embeddings(mean[None], [f"tracklet {clip.name}"])[0]  # checked in any case
                    yield unit if normalized else mean
                    total, clips_done = torch.zeros_like(total), 0


def describe_policy(
    preprocessing: Preprocessing, frames: FramesPolicy, *, flip: bool = False, normalized: bool = True
) -> dict[str, Any]:
    """Describe how a tracklet becomes a vector, as plain data for the metadata of files."""
    clips = "interleaved: clip c of C takes frames c, c + C, c + 2C, ...; the last ones are padded under a mask"
    if frames == "even8":
        clips = "one: the middle frames of 8 equal chunks"
    return {
        "preprocessing": preprocessing.to_dict(),
        "frames": frames,
        "clip_len": 8 if frames == "even8" else preprocessing.clip_len,
        "clips": clips,
        "flip": flip,
        "vector": "mean of the clips' embeddings" + ", divided by its length" * normalized,
    }


@dataclass(frozen=True)
class _Clip:
    """A clip: frames of one tracklet that are decoded together.

    Attributes:
        source: The tracklet's frames.
        name: Name of the tracklet.
        positions: (U,) the distinct frames to encode.
        slots: (T,) index into `positions` of each frame of the clip.
        mask: (T,) True where a frame is real.
        last: Whether it is the last clip of its tracklet.
    """

    source: Sequence[Frame]
    name: str
    positions: NDArray[np.int64]
    slots: NDArray[np.int64]
    mask: NDArray[np.bool_]
    last: bool


def _clips(tracklets: Iterable[Tracklet | Sequence[Frame]], frames: FramesPolicy, clip_len: int) -> Iterator[_Clip]:
    """Yield the clips of all tracklets, in order."""
    for number, tracklet in enumerate(tracklets):
        if isinstance(tracklet, Tracklet):
            source: Sequence[Frame] = tracklet.frames
            name = f"{tracklet.name!r} (pid {tracklet.pid})"
        elif isinstance(tracklet, (str, bytes, os.PathLike)):
            raise TypeError(f"tracklet number {number} is {shown(tracklet)}; a tracklet is a sequence of frames")
        else:
            source, name = tracklet, f"number {number}"
        if not len(source):
            raise ValueError(f"tracklet {name} has no frames: leave it out")
        if frames == "all":
            rows, masks = sample_all(len(source), clip_len)
        else:
            rows = sample_even(len(source), clip_len)[None]
            masks = np.ones_like(rows, dtype=np.bool_)
        for index, (row, mask) in enumerate(zip(rows, masks, strict=True)):
            positions, slots = np.unique(row, return_inverse=True)
            yield _Clip(source, name, positions, slots, mask, last=index == len(rows) - 1)


def _batches(clips: Iterable[_Clip], budget: int) -> Iterator[list[_Clip]]:
    """Group consecutive clips with at most `budget` frames in total."""
    batch: list[_Clip] = []
    held = 0
    for clip in clips:
        if held + len(clip.positions) > budget:
            yield batch
            batch, held = [], 0
        batch.append(clip)
        held += len(clip.positions)
    if batch:
        yield batch


@dataclass
class _Reading:
    """A batch with pixels that are being read."""

    clips: list[_Clip]
    pixels: NDArray[np.uint8]
    jobs: list[Future[None]] = field(default_factory=list)

    def wait(self) -> tuple[list[_Clip], Tensor]:
        """Return the clips, and the pixels (N, 3, H, W) of their frames in order, channels last in memory."""
        for job in self.jobs:
            job.result()
        return self.clips, torch.from_numpy(self.pixels).movedim(-1, -3)


def _read_ahead(
    batches: Iterable[list[_Clip]],
    pool: ThreadPoolExecutor,
    shape: tuple[int, int, int, int],
    on_corrupt: Literal["neighbour", "raise"],
) -> Iterator[tuple[list[_Clip], Tensor]]:
    """Yield batches with their pixels; the next one is read into a second buffer while one is in use."""
    memory = [empty_frames(shape, fix="give a smaller budget") for _ in range(2)]
    ahead: _Reading | None = None
    try:
        for number, clips in enumerate(batches):
            reading = _Reading(clips, memory[number % 2][: sum(len(clip.positions) for clip in clips)])
            start = 0
            for clip in clips:
                target = reading.pixels[start : start + len(clip.positions)]
                reading.jobs.append(pool.submit(_read_clip, clip, target, on_corrupt))
                start += len(clip.positions)
            if ahead is not None:
                yield ahead.wait()
            ahead = reading
        if ahead is not None:
            yield ahead.wait()
    finally:
        pool.shutdown(cancel_futures=True)


def _read_clip(clip: _Clip, out: NDArray[np.uint8], on_corrupt: Literal["neighbour", "raise"]) -> None:
    scratch = decode_buffer(out.shape[1:])
    for position, target in zip(clip.positions.tolist(), out, strict=True):
        frame = clip.source[position]
        if isinstance(frame, np.ndarray):
            if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or not frame.size:
                raise ValueError(
                    f"frame {position} of tracklet {clip.name} is {frame.dtype} {frame.shape}; it must be uint8 RGB "
                    "(H, W, 3), and not empty"
                )
            image = frame
        elif not isinstance(frame, (str, os.PathLike)):
            raise TypeError(
                f"frame {position} of tracklet {clip.name} is a {type(frame).__name__}; give paths, or RGB arrays "
                "(denseil.Embedder takes PIL images and tensors too)"
            )
        else:
            paths: Sequence[str | os.PathLike[str]] = clip.source  # type: ignore[assignment]  # all of one kind
            image = read_frame(paths, position, name=clip.name, on_corrupt=on_corrupt, buffer=scratch)
        target[:] = resize_image(image, (out.shape[1], out.shape[2]))


def _embed_clips(encoder: ClipEncoder, clips: list[_Clip], pixels: Tensor, *, chunk: int | None) -> Tensor:
    """Compute embeddings (B, num_features) of clips from the pixels (N, 3, H, W) of their frames, in order."""
    offsets = np.cumsum([0, *(len(clip.positions) for clip in clips)])
    slots = torch.from_numpy(np.stack([clip.slots + start for clip, start in zip(clips, offsets, strict=False)]))
    mask = torch.from_numpy(np.stack([clip.mask for clip in clips]))
    tokens = encoder.encode(pixels, chunk=chunk)
    return encoder.decode(tokens[slots.to(tokens.device)], mask)
