"""One image file to one uint8 array, exactly as Pillow decodes it, only faster."""

from __future__ import annotations

import importlib
import io
import logging
import math
import os
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

logger = logging.getLogger(__name__)

_JPEG = b"\xff\xd8"
_FAST_COLOURS = ("YCbCr", "RGB", "Gray")  # CMYK comes out otherwise than from Pillow
_MODES = {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"}


def decode_image(path: str | os.PathLike[str], *, buffer: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """Decode an image file to RGB.

    JPEG goes through simplejpeg (libjpeg-turbo, about three times as fast as Pillow, the same pixels) where it is
    installed; all else, and JPEG that it refuses, through Pillow. Grey is repeated, transparency is dropped, CMYK is
    converted as Pillow does, 16-bit grey keeps its upper 8 bits.

    Args:
        path: The file.
        buffer: Memory to decode into if it is large enough, for callers that are done with one image before the next:
            fresh memory costs a fifth of the decoding.

    Returns:
        Array (H, W, 3), writable; maybe in `buffer`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a readable image; the path is in the text.
    """
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 (a third faster than Path.read_bytes)
            data = file.read()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"cannot read image {os.fspath(path)}: {error.strerror}") from error
    if not data:
        raise ValueError(f"image {os.fspath(path)} is empty (0 bytes)")
    fast = _fast_jpeg() if data.startswith(_JPEG) else None
    if fast is not None:
        with suppress(ValueError):  # of damage Pillow is the judge
            height, width, colours, _ = fast.decode_jpeg_header(data)
            if colours in _FAST_COLOURS:
                fits = buffer is not None and buffer.nbytes >= height * width * 3
                pixels: NDArray[np.uint8] = fast.decode_jpeg(data, "RGB", buffer=buffer if fits else None)
                return pixels
    try:
        return _decode_pillow(data)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"image {os.fspath(path)} is not readable: {error}") from error


def read_frame(
    frames: Sequence[str | os.PathLike[str]],
    position: int,
    *,
    name: str = "",
    on_corrupt: Literal["neighbour", "raise"] = "neighbour",
    buffer: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Decode one frame of a tracklet, or the readable one nearest to it in time.

    Args:
        frames: Paths of the tracklet's frames in time order.
        position: Which.
        name: What to call the tracklet in messages.
        on_corrupt: What is done about a frame that cannot be read: "neighbour" takes the nearest one that can, each
            tried once, and logs a warning that names it; "raise" raises.
        buffer: See `decode_image`.

    Returns:
        Array (H, W, 3), maybe in `buffer`.

    Raises:
        FileNotFoundError: If `on_corrupt` is "raise" and there is no such file.
        ValueError: If the frame, with "raise", or every frame, with "neighbour", is unreadable.
    """
    try:
        return decode_image(frames[position], buffer=buffer)
    except (FileNotFoundError, ValueError) as error:
        if on_corrupt == "raise":
            raise
        for other in sorted(range(len(frames)), key=lambda i: (abs(i - position), i))[1:]:
            with suppress(FileNotFoundError, ValueError):
                image = decode_image(frames[other])
                logger.warning("%s; the frame %+d away in time takes its place", error, other - position)
                return image
        raise ValueError(f"no frame of tracklet {name} can be read; {error}") from error


def decode_buffer(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Memory for `decode_image` that starts 16 bytes past a multiple of 32.

    Where rows are aligned to 32 bytes, libjpeg-turbo writes past the cache; reading the pixels again then costs a fifth
    to a third of the decoding.
    """
    memory = np.empty(math.prod(shape) + 31, dtype=np.uint8)
    start = (16 - memory.ctypes.data) % 32
    return memory[start : start + math.prod(shape)].reshape(shape)


def resize_image(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize (H, W, 3) to size (height, width), bilinear with antialiasing, as Pillow and published pipelines do."""
    if image.shape[:2] == size:
        return image
    height, width = size
    return np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


@lru_cache(maxsize=1)
def _fast_jpeg() -> Any:
    try:
        return importlib.import_module("simplejpeg")
    except ModuleNotFoundError:
        return None


def pillow_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """A Pillow image of any mode as RGB (H, W, 3), converted as `decode_image` says.

    Raises:
        ValueError: If it has no pixels, or its mode has no plain conversion.
        OSError: If its file is damaged.
    """
    if not image.width or not image.height:
        raise ValueError(f"it has no pixels, {image.width} x {image.height}")
    if image.mode in _MODES:
        return np.array(image.convert("RGB"))
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion would clip it to white
        grey = np.asarray(image).astype(np.int64)
        if grey.min() >= 0 and grey.max() <= 0xFFFF:
            return np.repeat((grey >> 8).astype(np.uint8)[..., None], 3, axis=2)
    raise ValueError(f"mode {image.mode} has no plain conversion to 8-bit RGB")


def _decode_pillow(data: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as image:
        return pillow_rgb(image)
