"""Whole tracklets to vectors, without torch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from denseil.common.vectors import unit_vectors
from denseil.data.images import read_frame
from denseil.data.sampling import sample_even
from denseil.embedding.pixels import ColorOrder, check_color_order
from denseil.embedding.runtimes import Precision
from denseil.embedding.thresholds import threshold_at
from denseil.models.interface import FramesPolicy
from denseil.runtime.network import CHUNK, Array, Network

Frames: TypeAlias = Sequence[str | os.PathLike[str]] | Sequence[NDArray[np.uint8] | Image.Image]
"""A tracklet's frames in time order: paths of images, or arrays (H, W, 3) uint8 and PIL images."""


class Embedder:
    """Embed tracklets with an exported model: `denseil.Embedder.from_exported`, in numpy.

    Args:
        path: The file of an export, or the folder of an encoder and a decoder.
        precision: "float32", or for OpenVINO "bfloat16".
        color_order: Channel order of arrays: "RGB", or "BGR" as from OpenCV. Files and PIL images are RGB.
        frames: "all", or "even8" for 8 frames of each tracklet; None for what the model says.

    Attributes:
        network: The model.
        num_features: Width D of the vectors.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, or an argument is out of its range.
        ModuleNotFoundError: If the runtime is not installed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        precision: Precision = "float32",
        color_order: ColorOrder = "RGB",
        frames: FramesPolicy | None = None,
    ) -> None:
        check_color_order(color_order)
        if frames not in (None, "all", "even8"):
            raise ValueError(f"frames={frames!r}: give 'all' or 'even8'")
        self.network = Network(path, precision=precision)
        self.num_features = self.network.num_features
        self.color_order: ColorOrder = color_order
        self.frames: FramesPolicy = frames or self.network.preprocessing.frames

    @classmethod
    def from_exported(cls, path: str | os.PathLike[str], **options: Any) -> Embedder:
        """Same as the constructor, under the name that the full package has for it.

        Args:
            path: As above.
            options: As above.
        """
        return cls(path, **options)

    def __call__(self, tracklet: Frames) -> Array:
        """Compute the vector (D,) of one tracklet, of length 1.

        Unreadable files are replaced by the nearest readable one, with a warning.

        Raises:
            TypeError: If a frame is neither a path nor uint8 pixels.
            ValueError: If there is no frame, or none that can be read.
        """
        if isinstance(tracklet, (str, os.PathLike)) or not len(tracklet):
            raise ValueError(f"{tracklet!r}: give a tracklet's frames, at least one")
        count = len(tracklet)
        places = range(count) if self.frames == "all" else np.unique(sample_even(count, 8)).tolist()
        tokens = [
            self.network.encode(self.network.prepare([self._read(tracklet, at) for at in part], self.color_order))
            for part in (places[at : at + CHUNK] for at in range(0, len(places), CHUNK))
        ]
        found = np.concatenate(tokens)
        if self.frames == "even8":
            found = found[np.searchsorted(places, sample_even(count, 8))]
        return self.network.embed(found, self.frames)

    def embed(self, tracklets: Iterable[Frames]) -> Array:
        """Compute the vectors (N, D) of many tracklets, in order."""
        vectors = [self(tracklet) for tracklet in tracklets]
        return np.stack(vectors) if vectors else np.empty((0, self.num_features), np.float32)

    def threshold(self, *, far: float | None = None) -> float:
        """Return the cosine similarity from which on `same` says yes.

        Args:
            far: A calibrated false-accept rate; None for the threshold at which both errors are equally frequent.

        Raises:
            ValueError: If the model has no thresholds, none for this rate, or those of other `frames` or with flip.
        """
        return threshold_at(self.network.thresholds, far, made={"frames": self.frames, "flip": False})

    def same(self, a: Frames | Array, b: Frames | Array, *, far: float | None = None) -> bool:
        """Decide whether two tracklets, or vectors (D,), show the same person; errors as for `threshold`."""
        threshold = self.threshold(far=far)
        first, second = self._vector(a), self._vector(b)
        return float(first @ second) >= threshold

    def _vector(self, value: Any) -> Array:
        """Return a vector scaled to length 1, or that of a tracklet."""
        return unit_vectors(value)[0] if isinstance(value, np.ndarray) and value.ndim == 1 else self(value)

    def _read(self, tracklet: Any, place: int) -> Any:
        """Decode a frame that is a path, to the colour order of arrays."""
        frame = tracklet[place]
        if not isinstance(frame, (str, os.PathLike)):
            return frame
        pixels = read_frame(tracklet, place)  # RGB
        return pixels if self.color_order == "RGB" else pixels[..., ::-1]
