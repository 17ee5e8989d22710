"""A video and the boxes of the persons in it, in place of a detector."""

from collections.abc import Iterator

import av
import numpy as np

from denseil.data import read_tracks

MODEL = "denseil_mobilenetv2"  # comes with the package


def detections(video: str, boxes: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The picture (H, W, 3) of each frame, BGR as from OpenCV, and its boxes (N, 4): left, top, right, bottom.

    The boxes are in MOT Challenge format; the ids in it are not used.
    """
    found = read_tracks(boxes)
    with av.open(video) as container:
        for number, frame in enumerate(container.decode(video=0), start=1):
            left, top, width, height = found.boxes[found.frames == number].T
            yield frame.to_ndarray(format="bgr24"), np.column_stack([left, top, left + width, top + height])
            if number >= found.frames[-1]:
                return
