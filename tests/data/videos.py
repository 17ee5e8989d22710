"""Small lossless videos to cut, and where Debian's opencv-doc keeps a real one."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

PETS_VIDEO = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")
"""PETS 2009, S2.L1, view 001, copyright University of Reading; 795 frames of 768 x 576 at 10 Hz."""

PETS_TRACKS = Path(__file__).with_name("pets_tracks.txt")
"""Boxes of its first 200 frames: 8 tracks, 1,223 boxes."""

needs_pets = pytest.mark.skipif(not PETS_VIDEO.is_file(), reason="needs Debian's opencv-doc: apt install opencv-doc")


def picture(number: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Red tells the row, green the column, blue the frame: a crop says where it is from."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 4, columns * 4, np.full_like(rows, number * 8)], axis=2).astype(np.uint8)


def write_video(path: Path, seconds: list[float], *, rotation: int = 0, codec: str = "png") -> Path:
    """A frame at each of these times; `rotation` degrees counterclockwise is for the player to do."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24" if codec == "png" else "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        if rotation:
            if not hasattr(stream, "set_display_rotation"):
                pytest.skip(f"PyAV {av.__version__} cannot write a rotation")
            stream.set_display_rotation(rotation)
        for number, time in enumerate(seconds):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
