"""One frame of a video, and what a source of frames is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from denseil.data.images import decode_image

USUAL_RATE = 25.0  # frames per second, if nothing says another


class Frame(NamedTuple):
    """One frame; its pixels are converted on access.

    Attributes:
        number: Number of the frame, from 1; frames that could not be decoded have numbers too.
        time: Seconds since the first frame.
        damaged: Whether the decoder marks it as damaged.
        content: A frame of PyAV, or the path of an image.
    """

    number: int
    time: float
    damaged: bool
    content: Any

    def image(self) -> NDArray[np.uint8]:
        """Return RGB (H, W, 3), upright.

        Raises:
            FileNotFoundError, ValueError: If the frame is an image file that cannot be read.
        """
        if isinstance(self.content, Path):
            return decode_image(self.content)
        pixels: NDArray[np.uint8] = self.content.to_ndarray(format="rgb24")
        return np.rot90(pixels, round(self.content.rotation / 90))


class FrameSource(Protocol):
    """Source of frames: a video or a sequence of images.

    Attributes:
        name: Name of the source, for ids.
        doubts: Reasons to doubt the numbers of the frames.
        lost: Number of packets, among those read so far, that could not be decoded.
        error: Type of the error that ends the iteration too early.
    """

    name: str
    doubts: list[str]
    lost: int
    error: type[Exception]

    def __iter__(self) -> Iterator[Frame]: ...
