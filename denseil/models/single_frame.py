"""A model as an image network: single frames in, embeddings out, with normalisation and resizing inside on request."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from denseil.common.arguments import checked, checked_class
from denseil.models._unwrap import unwrap
from denseil.models.interface import Preprocessing, num_features_of, preprocessing_of


@checked
def single_frame(
    model: nn.Module, preprocessing: Preprocessing | None = None, *, normalize: bool = False, resize: bool = False
) -> SingleFrame:
    """Wrap a model as an image network, for tools that embed single crops.

    Args:
        model: A model made by `create_model`, or any module that implements `VideoEncoder`.
        preprocessing: Preprocessing of frames; None for the model's own.
        normalize: Whether the network normalises its input: it then takes RGB in [0, 1] instead of normalised frames.
        resize: Whether the network resizes its input: it then takes frames of any size, and resizes them as
            `Embedder` does (bilinear with antialiasing), but without rounding to 8 bits.

    Returns:
        A module (N, 3, H, W) to (N, num_features): the embedding of each frame as a clip of one (T = 1), in eval mode.
        It shares the model's weights.

    Raises:
        TypeError: If the model is not a module, or has no preprocessing and none is given.
    """
    return SingleFrame(model, preprocessing, normalize=normalize, resize=resize)


@checked_class
class SingleFrame(nn.Module):
    """Embed single frames: (N, 3, H, W) to (N, num_features); see `single_frame`.

    Attributes:
        model: The model, without wrappers such as DDP.
        preprocessing: Preprocessing of frames; its size is that of the model's input.
        num_features: Width of the embedding.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, model: nn.Module, preprocessing: Preprocessing | None = None, *, normalize: bool, resize: bool
    ) -> None:
        super().__init__()
        inner = unwrap(model)
        self.model = inner
        self.preprocessing = preprocessing_of(inner, preprocessing)
        self.num_features = num_features_of(inner)
        self.normalize, self.resize = normalize, resize
        like = next(iter(inner.parameters()), torch.empty(0))
        for name in ("mean", "std"):
            values = torch.tensor(getattr(self.preprocessing, name), dtype=like.dtype, device=like.device)
            self.register_buffer(name, values[:, None, None], persistent=False)
        self.train(inner.training)

    def forward(self, frames: Tensor) -> Any:
        """Embed frames (N, 3, H, W), of the values and size that `normalize` and `resize` of `single_frame` imply."""
        if self.resize:
            frames = resize_antialiased(frames, self.preprocessing.size)
        if self.normalize:
            if self.preprocessing.color_order == "BGR":
                frames = frames.flip(1)
            frames = (frames - self.mean) / self.std
        return self.model(frames[:, None])  # (N, 1, 3, H, W)


def resize_antialiased(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize float frames (N, C, H, W) to `size`, bilinear with antialiasing, as Pillow does.

    It is two matrix products, which every runtime computes alike; not every runtime has an antialiased resize.
    """
    rows, columns = (_resize_matrix(frames, axis, target) for axis, target in ((2, size[0]), (3, size[1])))
    return rows @ frames @ columns.T


def _resize_matrix(frames: Tensor, axis: int, target: int) -> Tensor:
    """Weights (target, length of the axis): each output pixel is a triangle-weighted mean of its neighbourhood.

    Positions are computed in float32: half precision cannot tell pixels from 128, or 2,048, on apart.
    """
    line = frames[0, 0, :, 0] if axis == 2 else frames[0, 0, 0, :]
    source = torch.ones_like(line, dtype=torch.float32).cumsum(0) - 0.5  # pixel centres
    scale = source.shape[0] / target
    centres = (torch.arange(target, dtype=source.dtype, device=source.device) + 0.5) * scale
    width: Any = torch.sym_max(scale, 1.0)
    weights = torch.clamp(1 - (source[None] - centres[:, None]).abs() / width, min=0)
    return (weights / weights.sum(1, keepdim=True)).to(frames.dtype)
