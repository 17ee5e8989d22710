"""A video of rendered people who leave and come back, and its boxes: for trying things that need a video.

    denseil data synth people --num-ids 50 --num-cameras 1 --tracklets 2 --frames 12 --test-share 0.96
    python examples/street.py people street.mp4
    denseil evaluate denseil_mobilenetv2 --mot street.txt --video street.mp4 --gap 50 --stride 100

Crops of tracklets are pasted side by side onto a plain picture, so this shows how tools work together, not what a
street looks like. Twelve persons are seen at a time; each comes back 50 frames later, in their next tracklet. The
middle of their first visit is a frame divisible by 100. Without ROOT, the people in the package are used.
"""

import argparse
from pathlib import Path

import av
import numpy as np

from denseil.data import Tracklet, decode_image, read_dataset
from denseil.synth import sample

HEIGHT, WIDTH, SLOT = 128, 64, 96  # pixels of a crop; width of a person's place
COLUMNS, LEAVE, GROUP = 6, 50, 100  # persons in a row; frames from visit to visit, and from group to group


def visits(root: Path, people: int) -> dict[int, list[Tracklet]]:
    """The tracklets of the first persons by camera and name."""
    dataset = read_dataset("mars", root)
    found: dict[int, list[Tracklet]] = {}
    for tracklet in sorted([*dataset.query, *dataset.gallery], key=lambda one: (one.camid, one.name)):
        if tracklet.pid > 0:
            found.setdefault(tracklet.pid, []).append(tracklet)
    return dict(sorted(found.items())[:people])


def plan(found: dict[int, list[Tracklet]], together: int) -> dict[int, list[tuple[int, int, int, str]]]:
    """Track, left, top and picture of everyone in each frame, from 1."""
    frames: dict[int, list[tuple[int, int, int, str]]] = {}
    for place, (pid, tracklets) in enumerate(found.items()):
        group, slot = divmod(place, together)
        top, left = 8 + slot // COLUMNS * (HEIGHT + 8), 8 + slot % COLUMNS * SLOT
        for visit, tracklet in enumerate(tracklets):
            first = GROUP * (group * ((len(tracklets) + 1) // 2) + 1) + LEAVE * visit - len(tracklet.frames) // 2
            for step, path in enumerate(tracklet.frames):
                frames.setdefault(first + step, []).append((pid, left + step % (SLOT - WIDTH), top, path))
    return frames


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", nargs="?", type=Path, default=sample(), help="people in the layout of MARS")
    parser.add_argument("output", type=Path, help="the video; its boxes are written beside it, as .txt")
    parser.add_argument("--people", type=int, default=48)
    parser.add_argument("--together", type=int, default=12, help="persons seen at a time")
    options = parser.parse_args(arguments)

    frames = plan(visits(options.root, options.people), options.together)
    rows = -(-options.together // COLUMNS)
    street = np.full((16 + rows * (HEIGHT + 8) // 2 * 2, 16 + COLUMNS * SLOT, 3), 128, np.uint8)
    lines = []
    with av.open(str(options.output), "w") as video:
        stream = video.add_stream("libx264", rate=10, options={"crf": "12"})
        stream.width, stream.height, stream.pix_fmt = street.shape[1], street.shape[0], "yuv420p"
        for number in range(1, max(frames) + 1):
            picture = street.copy()
            for pid, left, top, path in frames.get(number, ()):
                crop = decode_image(path)
                picture[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
                lines.append(f"{number},{pid},{left},{top},{crop.shape[1]},{crop.shape[0]},1,-1,-1,-1\n")
            video.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        video.mux(stream.encode(None))
    options.output.with_suffix(".txt").write_text("".join(lines))
    print(f"{max(frames)} frames, {len(lines)} boxes: {options.output}, {options.output.with_suffix('.txt')}")


if __name__ == "__main__":
    main()
