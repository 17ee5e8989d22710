"""An exported model in its own runtime, on arrays."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from denseil.data.images import resize_image
from denseil.data.sampling import sample_all, sample_even
from denseil.embedding.export_files import WHOLE_FRAMES, check_parts, find_parts, open_exported
from denseil.embedding.pixels import ColorOrder, array_to_rgb
from denseil.embedding.runtimes import Precision
from denseil.models.interface import FramesPolicy, Preprocessing

CHUNK = 16  # frames in one call of an encoder

Array = NDArray[np.float32]


class Network:
    """Network that `denseil.export` wrote: an encoder and a decoder, one for whole clips, or one for single crops.

    Args:
        path: The file, or the folder of an encoder and a decoder.
        precision: "float32", or for OpenVINO "bfloat16".

    Attributes:
        preprocessing: Preprocessing of frames.
        num_features: Width D of the vectors.
        thresholds: Calibrated thresholds; empty if there are none.
        model_id: Identity of the model, for galleries.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a file is damaged, or not an export of denseil.
        ModuleNotFoundError: If the runtime is not installed.
    """

    def __init__(self, path: str | os.PathLike[str], *, precision: Precision = "float32") -> None:
        path = os.fspath(path)
        opened = {part: open_exported(file, precision) for part, file in find_parts(path).items()}
        self._runs = {part: file.run for part, (file, _) in opened.items()}
        data = next(iter(opened.values()))[1]
        self._crops = data["part"] == "crops" and len(opened) == 1
        if self._crops:
            self.preprocessing: Preprocessing = replace(Preprocessing.from_dict(data["input"]), clip_len=1)
            blank = np.zeros((1, *self.preprocessing.size, 3), np.uint8)
            self.num_features: int = self.encode(blank).shape[1]
        else:
            data = check_parts(path, opened)
            self.preprocessing = Preprocessing.from_cfg(data["pretrained_cfg"], data["denseil_cfg"])
            self.num_features = data["num_features"]
        self._takes_mask: bool = data.get("takes_mask", True)
        self.thresholds: dict[str, Any] = data.get("denseil_cfg", {}).get("thresholds") or {}
        self.model_id: str = data.get("model_id", "")

    def encode(self, pixels: NDArray[np.uint8]) -> Array:
        """Compute the tokens (N, ...) of frames (N, H, W, 3), RGB uint8; normalised pixels for an export of clips."""
        prepared = self.preprocessing
        if prepared.color_order == "BGR":
            pixels = pixels[..., ::-1]
        mean, std = np.array(prepared.mean, np.float32), np.array(prepared.std, np.float32)
        frames = np.ascontiguousarray(((pixels / np.float32(255) - mean) / std).transpose(0, 3, 1, 2), np.float32)
        if "whole" in self._runs and not self._crops:
            return frames
        run = self._runs["whole" if self._crops else "encoder"]
        tokens = np.concatenate([run(frames[at : at + CHUNK]) for at in range(0, len(frames), CHUNK)])
        return tokens.reshape(len(tokens), -1) if self._crops else tokens

    def decode(self, tokens: Array, mask: NDArray[np.bool_]) -> Array:
        """Compute the embeddings (B, D) of clips of tokens (B, T, ...) under a mask (B, T)."""
        if self._crops:
            mean: Array = (tokens * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
            return mean
        if "decoder" in self._runs:
            return np.asarray(self._runs["decoder"](tokens, mask), np.float32)
        run = self._runs["whole"]
        if not self._takes_mask:
            return np.concatenate([run(clip[real][None]) for clip, real in zip(tokens, mask, strict=True)])
        step = max(1, WHOLE_FRAMES // tokens.shape[1])
        starts = range(0, len(tokens), step)
        return np.concatenate([run(tokens[at : at + step], mask[at : at + step]) for at in starts])

    def embed(self, tokens: Array, frames: FramesPolicy | None = None) -> Array:
        """Compute the vector (D,), of length 1, of a tracklet's tokens (T, ...) in time order.

        Args:
            tokens: Tokens of its frames.
            frames: "all" or "even8"; None for what the preprocessing says.
        """
        if (frames or self.preprocessing.frames) == "even8":
            rows = sample_even(len(tokens), 8)[None]
            mask = np.ones_like(rows, np.bool_)
        else:
            rows, mask = sample_all(len(tokens), self.preprocessing.clip_len)
        step = max(1, CHUNK // rows.shape[1])
        starts = range(0, len(rows), step)
        parts = [self.decode(tokens[rows[at : at + step]], mask[at : at + step]) for at in starts]
        mean = np.concatenate(parts).astype(np.float64).mean(0)
        length = float(np.linalg.norm(mean))
        if not 0 < length < float("inf"):
            raise RuntimeError("the model gives a vector of zeros, NaN or infinity: compute in float32")
        return np.asarray(mean / length, np.float32)

    def prepare(self, crops: Sequence[NDArray[np.uint8] | Image.Image], color_order: ColorOrder) -> NDArray[np.uint8]:
        """Resize crops to frames (N, H, W, 3), RGB.

        Raises:
            TypeError: If a crop is not uint8 pixels.
            ValueError: If one has a wrong shape, or no pixels.
        """
        found = np.empty((len(crops), *self.preprocessing.size, 3), np.uint8)
        for place, crop in enumerate(crops):
            found[place] = resize_image(array_to_rgb(crop, color_order, name=f"crop {place}"), self.preprocessing.size)
        return found
