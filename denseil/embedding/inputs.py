"""Inputs of embedders: models by name, and frames as paths, arrays, tensors or PIL images."""

from __future__ import annotations

import os
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from denseil.common.arguments import shown
from denseil.common.processes import choose_device
from denseil.embedding.exported import ExportedModel, open_network
from denseil.embedding.image_network import ImageNetwork
from denseil.embedding.pixels import PIXELS, ColorOrder, array_to_rgb
from denseil.embedding.runtimes import SUFFIXES
from denseil.models import ClipModel, create_model, unwrap
from denseil.models.denseil import check_made
from denseil.models.interface import Preprocessing

Pixels: TypeAlias = NDArray[np.uint8] | Image.Image | Tensor
"""An array (H, W, 3) uint8, a PIL image, or a tensor (3, H, W) uint8; of any size."""


def open_model(
    model: nn.Module | str | os.PathLike[str],
    device: str | torch.device | None,
    preprocessing: Preprocessing | None = None,
) -> nn.Module:
    """Return a model in eval mode on its device, an accelerator if there is one; names and paths are opened.

    Raises:
        TypeError: If it is neither a module nor a name, or a model of this library that `create_model` did not make.
        ValueError: If an exported file cannot be opened, or torch knows no such device.
    """
    if isinstance(model, (str, os.PathLike)) and os.fspath(model).endswith(SUFFIXES):
        model = open_network(os.fspath(model), preprocessing)
    if isinstance(model, (ExportedModel, ImageNetwork)):
        return model.eval()  # it computes where its runtime does
    if not isinstance(model, nn.Module):
        if not isinstance(model, (str, os.PathLike)):
            raise TypeError(
                f"model={shown(model)}: give a torch.nn.Module, the name of a model with weights, or a folder"
            )
        folder = os.path.isdir(model)  # noqa: PTH112 (a str or a path)
        model = create_model(f"local-dir:{os.fspath(model)}" if folder else os.fspath(model), pretrained=True)
    inner = unwrap(model)
    if isinstance(inner, ClipModel) and preprocessing is None:
        check_made(inner)
    return model.to(choose_device("auto" if device is None else device)).eval()


def is_path(frame: object) -> bool:
    """Whether a frame is the path of an image."""
    return isinstance(frame, (str, os.PathLike))


def to_rgb(frame: Pixels, color_order: ColorOrder, *, name: str) -> NDArray[np.uint8]:
    """Convert pixels of any kind to RGB (H, W, 3), without a copy if possible.

    Args:
        frame: The pixels.
        color_order: Channel order of arrays and tensors.
        name: Name of the frame in errors.

    Raises:
        TypeError: If they are not uint8 pixels.
        ValueError: If their shape is wrong, or they are empty, damaged or of a mode without a conversion.
    """
    if isinstance(frame, Tensor):
        if frame.dim() != 3 or frame.shape[0] != 3:
            raise ValueError(f"{name} is a tensor of shape {tuple(frame.shape)}; it must be (3, H, W)")
        if frame.dtype != torch.uint8 or frame.is_meta or frame.layout != torch.strided:
            raise TypeError(f"{name} is of {frame.dtype} on {frame.device}; {PIXELS}")
        frame = frame.movedim(0, -1).cpu().numpy()
    return array_to_rgb(frame, color_order, name=name)
