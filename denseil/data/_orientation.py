"""The EXIF orientation of pictures: read, and applied to their pixels."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image


def orientation_of(image: Image.Image) -> object:
    """Return the EXIF orientation, 1 to 8; 1 (upright) if it is missing or unreadable.

    Pillow's `getexif` takes that of XMP as well, which OpenCV and libjpeg-turbo do not know.
    """
    try:
        data = image.info.get("exif")
        if data is None and (profile := image.info.get("Raw profile type exif")):  # of PNG
            data = bytes.fromhex("".join(profile.split("\n")[3:]))
        exif = Image.Exif()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "corrupt EXIF data"
            exif.load(data or b"")
            return exif.get(ExifTags.Base.Orientation, 1)
    except Exception:  # Pillow raises many kinds for damaged EXIF, and the pixels are whole
        return 1


def turned(pixels: NDArray[np.uint8], orientation: object) -> NDArray[np.uint8]:
    """Rotate stored pixels (H, W, 3) upright; orientations 5 to 8 swap height and width."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):  # the stored rows begin below
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
