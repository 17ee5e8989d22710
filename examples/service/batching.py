"""Requests that wait for the model are embedded together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from PIL import Image
from torch import Tensor

from denseil import Embedder


class BusyError(Exception):
    """Too many tracklets wait already."""


class _Waiting(NamedTuple):
    frames: Sequence[Image.Image]
    answer: asyncio.Future[Tensor]


class Batcher:
    """A bounded queue of tracklets before one embedder, which takes all that wait at once.

    Args:
        embedder: What computes the vectors; it runs in a thread, one batch at a time.
        waiting: Most tracklets that may wait.
        batch: Most tracklets in a batch.
    """

    def __init__(self, embedder: Embedder, *, waiting: int = 64, batch: int = 16) -> None:
        self.embedder, self.batch = embedder, batch
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue(waiting)
        self._task: asyncio.Task[None] | None = None
        self.sizes: list[int] = []  # of the last batches

    @property
    def waiting(self) -> int:
        """How many tracklets wait."""
        return self._queue.qsize()

    async def embed(self, frames: Sequence[Image.Image]) -> Tensor:
        """Compute the vector (D,) of a tracklet.

        Raises:
            BusyError: If the queue is full.
            ValueError: What the embedder says of this tracklet.
        """
        entry = _Waiting(frames, asyncio.get_running_loop().create_future())
        try:
            self._queue.put_nowait(entry)
        except asyncio.QueueFull:
            raise BusyError from None
        return await entry.answer

    async def __aenter__(self) -> Batcher:
        self._task = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _work(self) -> None:
        while True:
            entries = [await self._queue.get()]
            while len(entries) < self.batch and not self._queue.empty():
                entries.append(self._queue.get_nowait())
            self.sizes = [*self.sizes[-99:], len(entries)]
            try:
                vectors = await asyncio.to_thread(self.embedder.embed, [entry.frames for entry in entries])
            except Exception:  # one of them is at fault: each by itself, to tell which
                for entry in entries:
                    await self._alone(entry)
                continue
            for entry, vector in zip(entries, vectors, strict=True):
                if not entry.answer.done():  # whoever asked may have gone
                    entry.answer.set_result(vector)

    async def _alone(self, entry: _Waiting) -> None:
        try:
            vector = await asyncio.to_thread(self.embedder, entry.frames)
        except Exception as error:
            if not entry.answer.done():
                entry.answer.set_exception(error)
        else:
            if not entry.answer.done():
                entry.answer.set_result(vector)
