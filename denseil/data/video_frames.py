"""Frames of a video file or of a sequence of image files, with their numbers and times."""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from denseil.common.extras import need
from denseil.data._image_sequence import ImageSequence
from denseil.data.frame import USUAL_RATE, Frame, FrameSource
from denseil.data.images import MAX_PIXELS
from denseil.data.readers.files import images_in, natural_order

FORMATS = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,vvc,av1,obu,ivf,flv,asf,ogg,nut,mxf,dv,gif,mjpeg,rm,wtv,dhav,"
    "yuv4mpegpipe"
)
"""Containers that hold their pictures themselves."""
RESTART = 1.0  # seconds; times that go back by less are jitter
_PATTERN = re.compile("(.*)%0?[0-9]*d(.*)", re.DOTALL)


def open_frames(path: str | Path, *, fps: float | None = None) -> FrameSource:
    """Open a video file, a folder of frames (such as `img1/`) or a pattern of their names (such as `img1/%06d.jpg`).

    Args:
        path: The file, folder or pattern.
        fps: Frames per second of a sequence of images; by default as `seqinfo.ini` beside the folder says, else 25.

    Raises:
        FileNotFoundError: If there is no such file, or no image in the folder.
        ValueError: If it is not a video, fps is given for a video, or it is not above 0.
        ModuleNotFoundError: If it is a video, and PyAV is not installed.
    """
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"fps must be a number of frames per second above 0, got {fps}")
    path = Path(path)
    if path.is_dir():
        return ImageSequence(path, images_in(path), fps)
    found = _PATTERN.fullmatch(path.name)
    if found is not None and not path.exists() and path.parent.is_dir():
        wanted = re.compile(f"{re.escape(found[1])}[0-9]+{re.escape(found[2])}")
        names = natural_order(one.name for one in path.parent.iterdir() if wanted.fullmatch(one.name))
        return ImageSequence(path.parent, names, fps)
    video = VideoFile(path)
    if fps is not None:
        raise ValueError(
            f"fps={fps:g} is for a sequence of images: {path} is a video, which has times of its own; leave fps out"
        )
    return video


class VideoFile:
    """The frames of the first video stream of a file."""

    def __init__(self, path: Path) -> None:
        self.av = need("av", to="read video")
        self.error: type[Exception] = self.av.error.FFmpegError
        self.path, self.name, self.lost = path, path.name, 0
        self.packets = 0  # as far as was read
        self.doubts: list[str] = []
        if not path.is_file():
            raise FileNotFoundError(f"no video {path}")
        try:
            with self._open() as container:
                found = len(container.streams.video)
        except self.error as error:
            raise ValueError(f"{path} cannot be read as video ({error}): copy it again from the camera") from error
        if not found:
            raise ValueError(f"{path} has no pictures: give a video file")

    def __iter__(self) -> Iterator[Frame]:
        last, first, whole = 0, None, False
        try:
            for last, (time, frame) in enumerate(self._decode(), start=1):
                first = time if first is None else first
                yield Frame(last, time - first, bool(frame.is_corrupt), frame)
            whole = last >= self.packets  # threads pass over damage near the end without an error
        except self.error:
            whole = False
        if not whole:  # from the start on one thread: others hide which packet is damaged
            for place, frame in enumerate(self._past_damage(), start=1):
                if frame.number > last and (self.lost or place > last):  # of VP8, packets may hold no picture to show
                    yield frame

    @contextmanager
    def _open(self) -> Iterator[Any]:
        # A colon in the name is no protocol. Playlists and lists of files (HLS, concat) would open what they name.
        options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
        with self.av.open(f"file:{self.path}", options=options) as container:
            for stream in container.streams.video:
                size = stream.codec_context.width, stream.codec_context.height
                if size[0] * size[1] > MAX_PIXELS:
                    raise ValueError(
                        f"{self.path} has frames of {size[0]} x {size[1]}, more than {MAX_PIXELS:,} pixels"
                    )
            yield container

    def _decode(self) -> Iterator[tuple[float, Any]]:
        """Times and frames, on several threads."""
        with self._open() as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            clock = _Clock(stream, self.doubts)
            number = self.packets = 0
            for packet in container.demux(stream):
                self.packets += bool(packet.size)
                for frame in packet.decode():
                    yield clock.time(frame, number), frame
                    number += 1

    def _past_damage(self) -> Iterator[Frame]:
        """All frames that can be decoded. A frame is numbered by its place among the times of all packets."""
        places = self._places()
        with self._open() as container:
            stream = container.streams.video[0]
            stream.thread_type = "NONE"
            clock = _Clock(stream, self.doubts)
            last, lost, base, began = 0, 0, None, 0.0
            for packet in self._packets(container):
                try:
                    frames = packet.decode()
                except self.error:
                    self.lost += 1
                    continue
                for frame in frames:
                    if frame.pts is None or not places:
                        number = last + 1 + self.lost - lost
                    else:
                        place = bisect_left(places, frame.pts)
                        base = (0 if self.lost else place) if base is None else base
                        number = max(last + 1, place - base + 1)
                    time = clock.time(frame, number - 1)
                    began = time if last == 0 else began
                    last, lost = number, self.lost
                    yield Frame(number, time - began, bool(frame.is_corrupt), frame)

    def _packets(self, container: Any) -> Iterator[Any]:
        """Packets of the stream; one error between two packets is passed over."""
        failed = False
        while True:
            try:
                for packet in container.demux(container.streams.video[0]):
                    failed = False
                    yield packet
                return
            except self.error:  # noqa: PERF203 (once for each call of demux)
                if failed:
                    raise
                failed = True

    def _places(self) -> list[int]:
        """Times of all packets in order; empty if any has none, or two have one, as in joined recordings."""
        with self._open() as container:
            packets = [packet for packet in self._packets(container) if packet.size]
        times = [packet.dts if packet.pts is None else packet.pts for packet in packets]
        return [] if None in times or len(set(times)) < len(times) else sorted(times)


class _Clock:
    """Seconds of frames, which never go back; those of raw streams, which have no times, follow from the frame rate.

    In recordings that were joined end to end the times begin again. They then go on from the last one, with a doubt.
    """

    def __init__(self, stream: Any, doubts: list[str]) -> None:
        self.rate = float(stream.average_rate or stream.guessed_rate or USUAL_RATE)
        self.doubts, self.last, self.ahead = doubts, -math.inf, 0.0

    def time(self, frame: Any, number: int) -> float:
        time = self.ahead + (number / self.rate if frame.time is None else float(frame.time))
        if time < self.last - RESTART:
            self.ahead += self.last + 1 / self.rate - time
            time = self.last + 1 / self.rate
            doubt = (
                f"the times of the video begin again at frame {number + 1}, as in joined recordings; they are taken to "
                "go on without a pause"
            )
            if doubt not in self.doubts:
                self.doubts.append(doubt)
        self.last = max(self.last, time)
        return self.last
