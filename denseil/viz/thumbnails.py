"""Small pictures inside the page, each once however often it is shown."""

from __future__ import annotations

import base64
import io
import warnings

from PIL import Image

SIZE = (64, 128)  # pixels, width and height at most
QUALITY = 70


class Thumbnails:
    """Pictures of a page, numbered as they come.

    Attributes:
        pictures: what the page holds of each: a `data:` address.
    """

    def __init__(self) -> None:
        self.pictures: list[str] = []
        self._number: dict[str, int | None] = {"": None}

    def number(self, path: str) -> int | None:
        """The number of a picture; None for one that cannot be read, which leaves its place empty."""
        if path not in self._number:
            picture = _picture(path)
            self._number[path] = None if picture is None else len(self.pictures)
            self.pictures += [] if picture is None else [picture]
        return self._number[path]


def _picture(path: str) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                image.draft("RGB", SIZE)
                small = image.convert("RGB")
        small.thumbnail(SIZE)
    # A page is made from whatever paths records hold: none of them may stop it.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None
    file = io.BytesIO()
    small.save(file, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
