"""Frames as arrays and PIL images, read without torch."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from denseil.common.arguments import shown
from denseil.data.images import pillow_rgb
from denseil.models.interface import ColorOrder as ColorOrder

PIXELS = "give uint8 pixels, 0 to 255 and not normalised: the embedder does that"


def check_color_order(color_order: str) -> None:
    """Raise a ValueError unless it is RGB or BGR."""
    if color_order not in get_args(ColorOrder):
        raise ValueError(f"color_order is 'RGB' or 'BGR' (what OpenCV reads), got {shown(color_order)}")


def has_pixels(crop: Any) -> bool:
    """Whether a crop is not empty; True for objects that `array_to_rgb` refuses."""
    return 0 not in (crop.size if isinstance(crop, Image.Image) else getattr(crop, "shape", ()))


def array_to_rgb(frame: Any, color_order: ColorOrder, *, name: str) -> NDArray[np.uint8]:
    """Convert an array (H, W, 3) or a PIL image to RGB (H, W, 3), without a copy if possible.

    Args:
        frame: The pixels.
        color_order: Channel order of arrays.
        name: Name of the frame in errors.

    Raises:
        TypeError: If they are not uint8 pixels.
        ValueError: If their shape is wrong, or they are empty, damaged or of a mode without a conversion.
    """
    if isinstance(frame, Image.Image):
        try:
            return pillow_rgb(frame)  # PIL knows its own colour order
        except (OSError, ValueError) as error:
            raise ValueError(f"{name}, a PIL image, is not usable: {error}") from error
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8:
        kind = f"of {frame.dtype}" if isinstance(frame, np.ndarray) else f"a {type(frame).__name__}"
        raise TypeError(f"{name} is {kind}; {PIXELS}")
    if frame.ndim != 3 or frame.shape[2] != 3:
        raise ValueError(f"{name} has shape {frame.shape}; it must be (H, W, 3)")
    if not frame.size:
        raise ValueError(f"{name} has no pixels, shape {frame.shape}: its box lies outside of the picture")
    return frame if color_order == "RGB" else frame[..., ::-1]
