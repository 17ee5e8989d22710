"""`Embedder`: vectors of whole tracklets, given as folders, paths, arrays, tensors or PIL images."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from denseil.common.arguments import checked, checked_class, shown
from denseil.common.progress import progress_bar
from denseil.common.vectors import unit_vectors
from denseil.data import Tracklet, read_folder
from denseil.embedding.clip_encoder import ClipEncoder
from denseil.embedding.exported import open_network
from denseil.embedding.inputs import Pixels, is_path, open_model, to_rgb
from denseil.embedding.pixels import ColorOrder, check_color_order
from denseil.embedding.runtimes import Precision
from denseil.embedding.thresholds import threshold_at
from denseil.embedding.tracklet_vectors import Frame, FramesPolicy, embed_tracklets
from denseil.models import unwrap
from denseil.models.identity import OTHER, stale_thresholds
from denseil.models.interface import Preprocessing

TrackletLike: TypeAlias = Tracklet | str | os.PathLike[str] | Iterable[str | os.PathLike[str] | Pixels]
"""A `Tracklet`, a folder of images, or frames in time order: all paths, or all pixels."""

Vector: TypeAlias = Tensor | NDArray[np.floating[Any]]


@checked_class
class Embedder:
    """Embed tracklets: any number of a person's frames in, one vector of length 1 out.

    Frames are resized and normalised by the model's preprocessing. Every frame is used, and is encoded once
    (`denseil.embedding.embed_tracklets`, as in an evaluation), so memory does not depend on a tracklet's length.

    Args:
        model: A model made by `create_model`, or any module that implements `denseil.models.VideoEncoder`, moved to
            the device; the name of a model with weights; a folder that `save_pretrained` wrote; or a file that
            `denseil.export` wrote. With `preprocessing`, also the .onnx or OpenVINO .xml of any image network from
            crops (N, 3, H, W) to vectors (N, D): the vectors of a tracklet's frames are averaged.
        preprocessing: Preprocessing of frames; None for the model's own.
        device: Device to compute on; None for an accelerator if torch finds one, else the CPU.
        dtype: The type to autocast to, such as `torch.bfloat16`; None computes in the model's own.
        color_order: Channel order of arrays and tensors: "RGB", or "BGR" as from OpenCV. PIL images and files are RGB.
        frames: "all", or "even8" for 8 frames of each tracklet; None for that of the preprocessing.
        flip: Whether to average the vectors of frames and of mirrored frames, at twice the cost.
        budget: Maximum number of frames per batch.

    Attributes:
        model: The model, in eval mode.
        preprocessing: Preprocessing of frames.
        num_features: Width D of the vectors.

    Raises:
        ValueError: If an argument is out of its range.

    Examples:
        >>> import denseil
        >>> model = denseil.create_model("denseil", backbone="test_resnet", dim=64, num_heads=4)
        >>> embedder = Embedder(model)
        >>> embedder(torch.randint(0, 256, (5, 3, 120, 50), dtype=torch.uint8)).shape  # five crops of one person
        torch.Size([64])
    """

    def __init__(
        self,
        model: nn.Module | str | os.PathLike[str],
        *,
        preprocessing: Preprocessing | None = None,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
        color_order: ColorOrder = "RGB",
        frames: FramesPolicy | None = None,
        flip: bool = False,
        budget: int = 256,
    ) -> None:
        check_color_order(color_order)
        self.model = open_model(model, device, preprocessing)
        encoder = ClipEncoder(self.model, preprocessing)
        self.preprocessing, self.num_features = encoder.preprocessing, encoder.num_features
        self.color_order: ColorOrder = color_order
        self.frames: FramesPolicy = frames or self.preprocessing.frames
        self.dtype, self.budget, self.flip = dtype, budget, flip
        next(self.stream([]), None)  # the arguments are checked here, not at first use

    @classmethod
    @checked
    def from_exported(
        cls,
        path: str | os.PathLike[str],
        *,
        precision: Precision = "float32",
        color_order: ColorOrder = "RGB",
        frames: FramesPolicy | None = None,
        budget: int = 256,
    ) -> Embedder:
        """Open an exported model as an embedder: the same vectors, by another runtime, without the model's code.

        Args:
            path: The file of a whole model, or the folder of a frame encoder and a decoder.
            precision: "float32", or for OpenVINO "bfloat16".
            color_order: As above.
            frames: As above.
            budget: As above.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is damaged, or the precision is not available.
            ModuleNotFoundError: If the runtime is not installed; the message says what to install.
        """
        model = open_network(os.fspath(path), precision=precision)
        return cls(model, color_order=color_order, frames=frames, budget=budget)

    @checked
    def __call__(self, tracklet: TrackletLike) -> Tensor:
        """Embed one tracklet: (D,), float32, on the CPU; errors as for `stream`."""
        return next(self.stream([tracklet]))

    @checked
    def embed(self, tracklets: Iterable[TrackletLike], *, progress: bool = False) -> Tensor:
        """Embed many tracklets: (N, D), in order.

        Args:
            tracklets: A list, an iterator or a generator.
            progress: Show a bar.
        """
        total = len(tracklets) if isinstance(tracklets, Sized) else None
        vectors = []
        with progress_bar(total, unit="tracklet", show=progress) as bar:
            for vector in self.stream(tracklets):
                vectors.append(vector)
                bar.update()
        return torch.stack(vectors) if vectors else torch.empty(0, self.num_features)

    @checked
    def stream(self, tracklets: Iterable[TrackletLike]) -> Iterator[Tensor]:
        """Yield the vectors (D,) of many tracklets, in order, for more than memory holds.

        Tracklets are read about two batches ahead.

        Raises:
            TypeError: If a frame is neither a path nor uint8 pixels, or paths and pixels are mixed.
            ValueError: If a tracklet has no frame, a frame is empty or of a wrong shape, no file can be read, or a
                folder holds several tracklets.
            FileNotFoundError: If a folder has no images.
        """
        if isinstance(tracklets, (str, os.PathLike)):
            raise TypeError(f"{tracklets} is one path, not a list of tracklets: call embedder(folder) for one")
        prepared = (self._prepare(tracklet, number) for number, tracklet in enumerate(tracklets))
        return embed_tracklets(
            self.model,
            prepared,
            preprocessing=self.preprocessing,
            frames=self.frames,
            flip=self.flip,
            normalized=True,
            dtype=self.dtype,
            budget=self.budget,
        )

    @checked
    def same(self, a: TrackletLike | Vector, b: TrackletLike | Vector, *, far: float | None = None) -> bool:
        """Decide whether two tracklets show the same person, using the model's calibrated thresholds.

        Args:
            a: A vector (D,) of this model, or a tracklet. A bare vector does not record its model: keep vectors in
                features files or galleries, which refuse those of another model.
            b: The same.
            far: False-accept rate, one of those calibrated; None for the threshold of equal error rates.

        Raises:
            ValueError: If the model has no thresholds, none for this rate, or those of vectors made otherwise (with
                other weights, another preprocessing, `frames` or `flip`), or a vector is zero, not finite or of another
                width.
        """
        threshold = self.threshold(far=far)
        first, second = (self._vector(value, name) for name, value in (("a", a), ("b", b)))
        return float(first @ second) >= threshold

    @checked
    def threshold(self, *, far: float | None = None) -> float:
        """Return the lowest cosine similarity at which `same` is True; argument and errors as there."""
        if self._stale:
            raise ValueError(f"the model's thresholds were measured with {OTHER}: calibrate it again")
        model = unwrap(self.model)
        own = getattr(model, "preprocessing", None)
        return threshold_at(
            getattr(model, "denseil_cfg", {}).get("thresholds", {}),
            far,
            made={**self.preprocessing.to_dict(), "frames": self.frames, "flip": self.flip},
            own=own.to_dict() if isinstance(own, Preprocessing) else None,
        )

    @functools.cached_property
    def _stale(self) -> bool:
        return stale_thresholds(self.model)

    def _vector(self, value: TrackletLike | Vector, name: str) -> Tensor:
        if isinstance(value, (Tensor, np.ndarray)) and value.ndim == 1:
            if len(value) != self.num_features:
                raise ValueError(
                    f"a vector is {len(value)} wide, those of this model are {self.num_features} wide: it was made by "
                    "another model; embed both tracklets with this one"
                )
            return torch.from_numpy(unit_vectors(value, what=name)[0])
        return self(value)

    def _prepare(self, tracklet: TrackletLike, number: int) -> Tracklet | Sequence[Frame]:
        """Convert a tracklet to a form that `embed_tracklets` takes: a `Tracklet`, paths, or RGB arrays."""
        if isinstance(tracklet, Tracklet):
            return tracklet
        if isinstance(tracklet, (str, os.PathLike)):
            found = read_folder(os.fspath(tracklet))
            if len(found) > 1:
                raise ValueError(f"{tracklet} holds {len(found)} tracklets: use embed(denseil.data.read_folder(...))")
            return found[0]
        if not isinstance(tracklet, Iterable):
            raise TypeError(f"tracklet {number} is {shown(tracklet)}: give a Tracklet, a folder, or frames")
        drawn = not isinstance(tracklet, (Sequence, np.ndarray, Tensor))  # it may draw each frame into the same memory
        frames: list[Any] = []
        frame: Any
        for place, frame in enumerate(tracklet):
            if frames and is_path(frame) != is_path(frames[0]):
                raise TypeError(f"tracklet {number} mixes paths and pixels: give one kind")
            if is_path(frame):
                frames.append(frame)
            else:
                pixels = to_rgb(frame, self.color_order, name=f"frame {place} of tracklet {number}")
                frames.append(pixels.copy() if drawn else pixels)
        return frames
