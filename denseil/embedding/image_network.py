"""An image re-ID network as a model of tracklets: frames are embedded one by one, and averaged."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from denseil.embedding.runtimes import Opened
from denseil.models.interface import Preprocessing

FRAMES = 64  # of one call


class ImageNetwork(nn.Module):
    """A network (N, 3, H, W) to (N, D), from `denseil.export(..., crops=True)` or another library, in its own runtime.

    The embedding of a tracklet is the mean of its frames' embeddings.

    Args:
        opened: The network's file.
        data: Our metadata; only `part` for other files.
        preprocessing: Preprocessing of crops; None for that of the metadata.
        name: Name of the network, if the metadata has none.
        digest: Identifies the file, if the metadata does not.

    Attributes:
        num_features: Width D of the embedding.
        preprocessing: Preprocessing of crops. A clip is one frame, so that all frames have equal weight.
        name: The registered name of the model that was exported, or the file's.
        denseil_cfg: As of the model that was exported, without its thresholds; empty for other files.
        model_id: Identity of the network: its vectors are not compared with those of another.

    Raises:
        ValueError: If the network does not take (N, 3, H, W) of the size in `preprocessing`, or its answer for one
            crop is not one vector.
    """

    def __init__(
        self, opened: Opened, data: Mapping[str, Any], preprocessing: Preprocessing | None, *, name: str, digest: str
    ) -> None:
        super().__init__()
        self._run = opened.run
        prepared = Preprocessing.from_dict(data["input"]) if preprocessing is None else preprocessing
        self.preprocessing = replace(prepared, clip_len=1)
        shape = opened.shape or (None, 3, *self.preprocessing.size)
        expected = (3, *self.preprocessing.size)
        if len(shape) != 4 or any(found not in (None, want) for found, want in zip(shape[1:], expected, strict=True)):
            raise ValueError(f"{name} takes {shape}; as an image network it must take (N, {expected})")
        self._batch = shape[0]  # fixed in some files
        self.name: str = data.get("name", name)
        self.denseil_cfg: dict[str, Any] = data.get("denseil_cfg", {})
        own = Preprocessing.from_dict(data["input"]) if "input" in data else prepared
        same = replace(own, clip_len=1, frames=prepared.frames) == self.preprocessing
        self.model_id: str = (data.get("model_id") if same else None) or _identity(digest, self.preprocessing)
        self._place = nn.Parameter(torch.empty(0), requires_grad=False)  # says that answers are on the CPU
        self.num_features: int = self.encode_frames(torch.zeros(1, *expected)).shape[1]

    def encode_frames(self, frames: Tensor) -> Tensor:
        """Compute the embeddings (N, D) of crops (N, 3, H, W), prepared as `preprocessing` says."""
        if not len(frames):
            return torch.empty(0, self.num_features)
        step = self._batch or FRAMES
        return torch.cat([self._run_part(part) for part in frames.float().cpu().split(step)])

    def _run_part(self, frames: Tensor) -> Tensor:
        count = len(frames)
        if self._batch and count < self._batch:
            frames = torch.cat([frames, frames[-1:].expand(self._batch - count, -1, -1, -1)])
        vectors = torch.from_numpy(self._run(frames.numpy(force=True)))
        shape = tuple(vectors.shape)
        if len(shape) < 2 or shape[0] != len(frames) or math.prod(shape[1:]) != max(shape[1:]):
            raise ValueError(
                f"{self.name} returned {shape} for {len(frames)} crops; it must return one vector each, (N, D)"
            )
        return vectors.flatten(1).float()[:count]

    def decode(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Average embeddings (B, T, D) over the frames that the bool mask (B, T) marks as real."""
        if mask is None:
            return tokens.mean(1)
        real = mask[..., None].to(tokens)
        return (tokens * real).sum(1) / real.sum(1)

    def forward(self, clips: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute embeddings (B, D) of clips (B, T, 3, H, W) under a bool mask (B, T)."""
        return self.decode(self.encode_frames(clips.flatten(0, 1)).unflatten(0, clips.shape[:2]), mask)


def _identity(digest: str, preprocessing: Preprocessing) -> str:
    text = json.dumps([digest, preprocessing.to_dict()], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=20).hexdigest()
