"""Number persons live, over two cameras: a tracker's boxes, TrackletEmbedder, OnlineLinker.

    python examples/live_two_cameras.py door.mp4 door.txt hall.mp4 hall.txt [MODEL]

Each video comes with the boxes of any tracker, in the format of MOT Challenge. Both play at once, frame by frame in the
order of time, as two live streams would. A line is printed when a track first gets a person, and for each event.
"""

import heapq
import sys
from collections.abc import Iterator

import av
import numpy as np

from denseil.data import read_tracks
from denseil.embedding import TrackletEmbedder
from denseil.linking import OnlineLinker
from denseil.models import model_id

MODEL = "denseil_mobilenetv2"
EVERY = 5  # every fifth frame is used


def stream(camera: int, video: str, tracks: str) -> Iterator[tuple[float, int, list[int], list[np.ndarray]]]:
    """Time, camera, track ids and crops of each frame that has boxes."""
    boxes = read_tracks(tracks)
    with av.open(video) as container:
        for number, frame in enumerate(container.decode(video=0), start=1):
            rows = np.flatnonzero(boxes.frames == number)
            if len(rows) and number % EVERY == 0:
                image = frame.to_ndarray(format="rgb24")
                yield frame.time, camera, boxes.ids[rows].tolist(), [crop(image, box) for box in boxes.boxes[rows]]
            if number >= boxes.frames[-1]:
                return


def crop(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The pixels of a box (left, top, width, height); a box outside of the picture has none."""
    left, top, right, bottom = np.maximum(np.round([*box[:2], *(box[:2] + box[2:])]), 0).astype(int)
    return image[top:bottom, left:right]


def main(first: tuple[str, str], second: tuple[str, str], model: str = MODEL, **options) -> OnlineLinker:
    embedder = TrackletEmbedder(model, max_frames=8)
    linker = OnlineLinker(model_id=model_id(embedder.model, embedder.encoder.preprocessing), **options)
    streams = [stream(camera, *files) for camera, files in enumerate((first, second), start=1)]
    known: set[tuple[int, int]] = set()
    for time, camera, ids, crops in heapq.merge(*streams, key=lambda each: each[:2]):
        keys = [(camera, track) for track in ids]
        embedder.update(keys, crops)
        seen = [key for key in keys if key in embedder]
        for key, vector in zip(seen, embedder.embeddings(seen) if seen else [], strict=True):
            person = linker.update(*key, vector, time)
            if key not in known:
                print(f"{time:7.1f} s  camera {camera}, track {key[1]}: person {person}")
                known.add(key)
        for event in linker.events():
            print(f"{time:7.1f} s  {event}")
    print(f"{len(known)} tracks, {linker.num_persons} persons; {linker.threshold}")
    return linker


if __name__ == "__main__":
    if len(sys.argv) not in (5, 6):
        raise SystemExit(__doc__)
    main((sys.argv[1], sys.argv[2]), (sys.argv[3], sys.argv[4]), *sys.argv[5:6])
