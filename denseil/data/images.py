"""Decoding of untrusted image files to upright uint8 arrays: bounded in size, with the pixels of Pillow but faster."""

from __future__ import annotations

import importlib
import io
import logging
import math
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from denseil.common.arguments import checked
from denseil.data._orientation import orientation_of, turned

logger = logging.getLogger(__name__)

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "PPM", "GIF")
"""What Pillow may open. Others are left out, as some start a program: Ghostscript for EPS."""
MAX_PIXELS = 2**26
MAX_BYTES = 2**28
# Without O_NONBLOCK, opening a pipe would wait for its other end.
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_JPEG, _EXIF = b"\xff\xd8", b"Exif\x00\x00"
_FAST_COLOURS = ("YCbCr", "RGB", "Gray")  # CMYK differs from Pillow's
_MODES = {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"}


@checked
def decode_image(path: str | os.PathLike[str], *, buffer: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """Decode an image file to RGB, upright.

    It is rotated by its EXIF orientation, as in OpenCV and viewers. JPEG is decoded by simplejpeg if it is installed
    (libjpeg-turbo, about three times as fast as Pillow, with the same pixels); other formats, and JPEG that it refuses,
    by Pillow. Grey is repeated, transparency is dropped, CMYK is converted as in Pillow, and 16-bit grey keeps its
    upper 8 bits; 32-bit grey is refused.

    Args:
        path: A regular file: JPEG, PNG, BMP, WebP, TIFF, PPM or GIF (its first frame).
        buffer: Memory to decode into if it is large enough, for callers that use one image at a time; new memory costs
            a fifth of the decoding.

    Returns:
        Array (H, W, 3), writable; possibly in `buffer`.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If it is not a readable image, not a regular file (a folder, a pipe, a device), or has more than
            `MAX_PIXELS` pixels or `MAX_BYTES` bytes; the message names the path.
    """
    data = read_bounded(path)
    try:
        pixels = _decode_fast(data, buffer) if data.startswith(_JPEG) else None
        return _decode_pillow(data) if pixels is None else pixels
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"image {os.fspath(path)} is not readable: {error}") from error
    except MemoryError as error:
        raise ValueError(f"image {os.fspath(path)} is not readable: it does not fit into memory") from error


def read_bounded(path: str | os.PathLike[str]) -> bytes:
    """Read a regular file of bounded size, without waiting for a pipe or a device; errors as for `decode_image`."""
    name = os.fspath(path)
    try:
        file = os.open(name, _READ)  # a third faster than Path.read_bytes
    except FileNotFoundError as error:
        raise FileNotFoundError(error.errno, error.strerror, name) from error
    except OSError as error:
        raise ValueError(f"cannot read image {name}: {error.strerror}") from error
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError(f"cannot read image {name}: it is not a regular file")
        if found.st_size > MAX_BYTES:
            raise ValueError(f"image {name} has {found.st_size:,} bytes; an image has at most {MAX_BYTES:,}")
        data = os.read(file, found.st_size)
    except OSError as error:
        raise ValueError(f"cannot read image {name}: {error.strerror}") from error
    finally:
        os.close(file)
    if not data:
        raise ValueError(f"image {name} is empty (0 bytes)")
    return data


def _decode_fast(data: bytes, buffer: NDArray[np.uint8] | None) -> NDArray[np.uint8] | None:
    """Decode a JPEG with simplejpeg; None if only Pillow decodes it, or simplejpeg is not installed."""
    fast = _fast_jpeg()
    if fast is None:
        return None
    try:
        height, width, colours, _ = fast.decode_jpeg_header(data)
    except ValueError:  # Pillow decides whether it is damaged
        return None
    _check_size(width, height)
    if colours not in _FAST_COLOURS:
        return None
    fits = buffer is not None and buffer.nbytes >= height * width * 3
    with suppress(ValueError):
        pixels: NDArray[np.uint8] = fast.decode_jpeg(data, "RGB", buffer=buffer if fits else None)
        if _EXIF in data:
            with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:  # reads only the header
                return turned(pixels, orientation_of(image))
        return pixels
    return None


def _check_size(width: int, height: int) -> None:
    """Raise a ValueError if a header promises too many pixels; nothing is decoded yet."""
    if width * height > MAX_PIXELS:
        raise ValueError(f"it is {width} x {height}, {width * height:,} pixels; an image has at most {MAX_PIXELS:,}")


@checked
def read_frame(
    frames: Sequence[str | os.PathLike[str]],
    position: int,
    *,
    name: str = "",
    on_corrupt: Literal["neighbour", "raise"] = "neighbour",
    buffer: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Decode one frame of a tracklet, or the nearest readable frame in time.

    Args:
        frames: Paths of the tracklet's frames in time order.
        position: Index of the frame.
        name: Name of the tracklet in messages.
        on_corrupt: Handling of an unreadable frame: "neighbour" takes the nearest readable one, trying each once, and
            logs a warning; "raise" raises an error.
        buffer: See `decode_image`.

    Returns:
        Array (H, W, 3), possibly in `buffer`.

    Raises:
        FileNotFoundError: If `on_corrupt` is "raise" and the file does not exist.
        ValueError: If there is no such position, or if the frame, with "raise", or every frame, with "neighbour", is
            unreadable.
    """
    if not 0 <= position < len(frames):
        raise ValueError(f"position={position}: the tracklet has {len(frames)} frames, numbered from 0")
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


def empty_frames(shape: tuple[int, ...], *, fix: str) -> NDArray[np.uint8]:
    """Allocate memory for frames, of any shape.

    Raises:
        MemoryError: If there is not enough; the message ends with `fix`.
    """
    try:
        return np.empty(shape, np.uint8)
    except (MemoryError, ValueError) as error:
        size = math.prod(shape) / 2**30
        raise MemoryError(f"frames of shape {shape} need {size:,.1f} GiB, more than there is: {fix}") from error


def decode_buffer(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Allocate memory for `decode_image` that starts 16 bytes past a multiple of 32.

    Where rows are aligned to 32 bytes, libjpeg-turbo writes past the cache; reading the pixels again then costs a fifth
    to a third of the decoding.
    """
    memory = np.empty(math.prod(shape) + 31, dtype=np.uint8)
    start = (16 - memory.ctypes.data) % 32
    return memory[start : start + math.prod(shape)].reshape(shape)


def resize_image(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize (H, W, 3) to (height, width), bilinear with antialiasing, as Pillow and published pipelines do."""
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
    """Convert a Pillow image of any mode to upright RGB (H, W, 3), as `decode_image` does.

    Raises:
        ValueError: If it has no pixels, or its mode has no plain conversion.
        OSError: If its file is damaged.
    """
    if not image.width or not image.height:
        raise ValueError(f"it has no pixels, {image.width} x {image.height}")
    _check_size(image.width, image.height)
    image.load()  # a TIFF is turned by this already
    orientation = orientation_of(image)
    if image.mode in _MODES:
        return turned(np.array(image.convert("RGB")), orientation)
    # 16-bit grey, "I" in some formats; Pillow's own conversion would clip it to white. Other 32-bit grey has any range.
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        grey = np.asarray(image).astype(np.int64)
        if grey.min() >= 0 and grey.max() <= 0xFFFF:
            return turned(np.repeat((grey >> 8).astype(np.uint8)[..., None], 3, axis=2), orientation)
    raise ValueError(f"mode {image.mode} has no plain conversion to 8-bit RGB")


def _decode_pillow(data: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        return pillow_rgb(image)
