"""Who may ask, and what may be sent: sizes and counts are bounded before anything is decoded."""

from __future__ import annotations

import io
import secrets
from collections.abc import Sequence
from typing import NamedTuple

from fastapi import HTTPException, UploadFile
from PIL import Image
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Limits(NamedTuple):
    """Bounds of a request.

    Attributes:
        request_bytes: Of the whole body.
        frames: Crops in a tracklet.
        pixels: Width times height of a crop.
        all_pixels: The same of all crops of a request: some kilobytes of PNG can hold millions.
    """

    request_bytes: int = 16 * 2**20
    frames: int = 256
    pixels: int = 2**21
    all_pixels: int = 2**24


LIMITS = Limits()
OPEN = ("/healthz", "/metrics", "/docs", "/openapi.json")  # paths without a token
CLOSE = {"Connection": "close"}  # otherwise the server reads, and drops, what the client goes on to send


class RequireToken:
    """Middleware that answers 401 without `Authorization: Bearer TOKEN`, before it reads the body.

    Only the paths of `OPEN` need no token, whatever prefix the service is mounted under.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app, self.expected = app, f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Compare in constant time."""
        inside = scope["path"].removeprefix(scope.get("root_path", "")) if scope["type"] == "http" else ""
        if scope["type"] == "http" and inside not in OPEN:
            given = Headers(scope=scope).get("authorization", "").encode()
            if not secrets.compare_digest(given, self.expected):
                headers = {"WWW-Authenticate": "Bearer", **CLOSE}
                answer = JSONResponse({"detail": "no token, or a wrong one"}, 401, headers)
                await answer(scope, receive, send)
                return
        await self.app(scope, receive, send)


class BoundedBody:
    """Middleware that ends a request whose body is too long, whether it says its length or not."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app, self.limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the bytes as they come."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.limit:
                detail = f"the body is longer than {self.limit:,} bytes: send fewer or smaller crops"
                raise HTTPException(413, detail, CLOSE)
            return message

        await self.app(scope, counted, send)


async def read_crops(files: Sequence[UploadFile], limits: Limits) -> list[Image.Image]:
    """Decode uploaded crops, JPEG or PNG.

    Raises:
        HTTPException: 413 if there are too many or one is too large, 422 if one cannot be read.
    """
    if len(files) > limits.frames:
        raise HTTPException(
            413, f"{len(files)} crops: send at most {limits.frames}, evenly spaced ones of a longer track"
        )
    return await run_in_threadpool(_decode_all, [await file.read() for file in files], limits)


def _decode_all(files: list[bytes], limits: Limits) -> list[Image.Image]:
    images: list[Image.Image] = []
    left = limits.all_pixels
    for number, data in enumerate(files):
        images.append(_decode(data, number, limits._replace(pixels=min(left, limits.pixels))))
        left -= images[-1].width * images[-1].height
    return images


def _decode(data: bytes, number: int, limits: Limits) -> Image.Image:
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
            if image.width * image.height > limits.pixels:  # the header says so; nothing is decoded yet
                raise HTTPException(
                    413,
                    f"crop {number} is {image.width} x {image.height}: send at most {limits.pixels:,} pixels (that "
                    "is what is left of a request's)",
                )
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise HTTPException(422, f"crop {number} is no readable JPEG or PNG") from error
