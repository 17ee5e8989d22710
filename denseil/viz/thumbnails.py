"""Thumbnails embedded in a page, each stored once."""

from __future__ import annotations

import base64
import io
import warnings

from PIL import Image

from denseil.common.arguments import checked
from denseil.data.images import FORMATS, pillow_rgb, read_bounded

SIZE = (64, 128)  # maximum width and height in pixels
QUALITY = 70


class Thumbnails:
    """Thumbnails of a page, numbered in the order of their first use.

    Attributes:
        pictures: Each thumbnail as a `data:` URL.
    """

    def __init__(self) -> None:
        self.pictures: list[str] = []
        self._number: dict[tuple[str, bool], int | None] = {}

    @checked
    def number(self, path: str, *, large: bool = False) -> int | None:
        """Return the number of a picture, or None if it cannot be read (its place then stays empty).

        Args:
            path: The picture; "" for none.
            large: Whether its width and height may be twice those of a thumbnail.
        """
        key = path, large
        if key not in self._number:
            picture = _picture(path, (2 * SIZE[0], 2 * SIZE[1]) if large else SIZE) if path else None
            self._number[key] = None if picture is None else len(self.pictures)
            self.pictures += [] if picture is None else [picture]
        return self._number[key]


def _picture(path: str, size: tuple[int, int]) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(read_bounded(path)), formats=FORMATS) as image:
                image.draft("RGB", size)
                small = Image.fromarray(pillow_rgb(image))
        small.thumbnail(size)
    # Records may hold any path; an unreadable one must not abort the page.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None
    file = io.BytesIO()
    small.save(file, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
