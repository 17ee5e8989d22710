"""The contract of a model, which any `nn.Module` can implement.

`VideoEncoder` is enough for embedding, evaluation, training, export and linking. `FrameTokenEncoder` adds two methods
that let a frame be encoded once and used in many clips. `Preprocessing` describes how frames are prepared: models of
this library have it as `model.preprocessing`; for other models it is passed as an argument.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, get_args, runtime_checkable

from denseil.common import imagenet
from denseil.common.arguments import checked, checked_class, shown

if TYPE_CHECKING:
    from torch import Tensor, nn

FramesPolicy: TypeAlias = Literal["all", "even8"]
"""Frames of a tracklet that its vector is computed from: all, or the middle ones of 8 equal chunks."""

ColorOrder: TypeAlias = Literal["RGB", "BGR"]

RESIZE = {"interpolation": "bilinear", "crop_pct": 1.0, "crop_mode": "squash"}
"""How frames are resized, in the words of timm's cfg: all of their pixels are kept."""


@checked_class
@dataclass(frozen=True)
class Preprocessing:
    """Preprocessing of a tracklet's frames for a model.

    Args:
        size: Height and width of a frame in pixels.
        mean: Mean of each channel, of pixels in [0, 1] (divide one of 0..255 by 255), in the order of `color_order`.
        std: Standard deviation of each channel, likewise.
        clip_len: T, frames of a clip; a longer tracklet becomes several clips.
        frames: "all" frames of a tracklet, or "even8" for 8 evenly spaced ones.
        color_order: Order of the channels that the model expects, "RGB" or "BGR".

    Raises:
        ValueError: If a value is out of its range.
    """

    size: tuple[int, int] = (256, 128)
    mean: tuple[float, ...] = imagenet.MEAN
    std: tuple[float, ...] = imagenet.STD
    clip_len: int = 8
    frames: FramesPolicy = "all"
    color_order: ColorOrder = "RGB"

    def __post_init__(self) -> None:
        for name in ("size", "mean", "std"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if len(self.size) != 2 or not all(isinstance(n, int) and 1 <= n <= 4096 for n in self.size):
            raise ValueError(f"size={shown(self.size)}: give height and width in pixels, 1 to 4096 each")
        if len(self.mean) != 3 or len(self.std) != 3 or not all(0 < value < math.inf for value in self.std):
            raise ValueError(f"mean={shown(self.mean)}, std={shown(self.std)}: give three numbers each, std above 0")
        if not all(0 <= value <= 1 for value in self.mean):
            raise ValueError(f"mean={shown(self.mean)}: pixels are in 0..1; divide a mean and std of 0..255 by 255")
        if isinstance(self.clip_len, bool) or not isinstance(self.clip_len, int) or not 1 <= self.clip_len <= 4096:
            raise ValueError(f"clip_len={shown(self.clip_len)}: give the number of frames of a clip, 1 to 4096")
        if self.frames not in get_args(FramesPolicy):
            raise ValueError(f"frames={shown(self.frames)}: choose one of {', '.join(get_args(FramesPolicy))}")
        if self.color_order not in get_args(ColorOrder):
            raise ValueError(f"color_order={shown(self.color_order)}: choose 'RGB' or 'BGR' (what OpenCV reads)")

    @checked
    def normalize(self, pixels: Tensor) -> Tensor:
        """Normalise pixels for the model, on their device: its channel order, then (pixel / 255 - mean) / std.

        Args:
            pixels: (..., 3, H, W) uint8, RGB.

        Returns:
            Float32 of the same shape.

        Raises:
            TypeError: If the pixels are not uint8.
        """
        from denseil.data.transforms import normalize  # this file is also read without torch

        return normalize(pixels.flip(-3) if self.color_order == "BGR" else pixels, self.mean, self.std)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Preprocessing:
        """Build from the output of `to_dict`; other keys are ignored.

        Raises:
            ValueError: If a value is missing or out of its range.
        """
        names = [field.name for field in fields(cls)]
        if missing := [name for name in names if name not in data]:
            raise ValueError(f"preprocessing has no {missing[0]!r}; it needs {', '.join(names)}")
        values: dict[str, Any] = {name: data[name] for name in names}
        return cls(**values)

    @classmethod
    def from_cfg(cls, cfg: Mapping[str, Any], block: Mapping[str, Any]) -> Preprocessing:
        """Build from timm's cfg of a model and the `denseil` block beside it."""
        return cls.from_dict({**block, "size": cfg["input_size"][1:], "mean": cfg["mean"], "std": cfg["std"]})


@runtime_checkable
class VideoEncoder(Protocol):
    """A module that turns clips into embeddings.

    Called as `model(clips, mask=None)` with clips (B, T, 3, H, W), float and normalised, and a bool mask (B, T), True
    where a frame is real. While training it returns `(logits, features)`, logits (B, identities) or None and features
    (B, D); in eval mode the embedding (B, num_features).

    Attributes:
        num_features: Width of the embedding.
    """

    @property
    def num_features(self) -> int:
        """Width of the embedding."""

    def __call__(self, clips: Tensor, mask: Tensor | None = None) -> Any:
        """Embed clips."""


@runtime_checkable
class FrameTokenEncoder(VideoEncoder, Protocol):
    """A `VideoEncoder` that encodes frames separately: `decode(encode_frames(...))` gives the embedding."""

    def encode_frames(self, frames: Tensor) -> Tensor:
        """Compute tokens (N, ...) of frames (N, 3, H, W)."""

    def decode(self, tokens: Tensor, mask: Tensor | None = None) -> Any:
        """Return what calling the model returns, from tokens (B, T, ...) and a bool mask (B, T)."""


def preprocessing_of(model: nn.Module, given: Preprocessing | None = None) -> Preprocessing:
    """Return the given preprocessing, or else that of the model.

    Raises:
        TypeError: If there is neither.
    """
    if given is not None:
        if not isinstance(given, Preprocessing):
            raise TypeError(f"preprocessing={shown(given)}: give a denseil.Preprocessing(size=..., mean=..., std=...)")
        return given
    own = getattr(model, "preprocessing", None)
    if not isinstance(own, Preprocessing):
        raise TypeError(
            f"{type(model).__name__} does not say how its frames are prepared: pass "
            "preprocessing=denseil.Preprocessing(size=(256, 128), mean=..., std=..., clip_len=...), or set it as "
            "model.preprocessing"
        )
    return own


def num_features_of(model: nn.Module) -> int:
    """Return the width of a model's embedding.

    Raises:
        TypeError: If the model does not say it.
        ValueError: If it is not a positive number.
    """
    width = getattr(model, "num_features", None)
    if width is None:
        raise TypeError(
            f"{type(model).__name__} has no num_features: set it to the width of the embedding that it returns in eval "
            "mode"
        )
    if isinstance(width, bool) or not isinstance(width, int) or width < 1:
        raise ValueError(f"{type(model).__name__}.num_features={shown(width)}: it must be an int of at least 1")
    return width
