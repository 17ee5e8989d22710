"""The clip loader against the pipeline of published video re-ID code, in one run: `python -m tests.benchmarks.loader`.

Both make the same training batches (P x K tracklets of T frames, 256 x 128, mirrored, shifted, erased) of the same JPEG
files. The peer does as published code does: Pillow, then torchvision's v1 transforms on each frame, floats from there
on. Ours gives uint8 clips, to be normalised on the model's device. Rounds alternate, so that a busy machine slows both;
read the ratios. Needs the extra `data`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms as v1

from denseil.data import ClipDataset, ClipTransform, Frames, PKSampler, Tracklet, clip_loader, normalize

CROPS = Path(__file__).parents[1] / "data" / "mars_tiny"
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


class PerFrameDataset(Dataset):
    """What published code does, written anew."""

    def __init__(self, tracklets: list[Tracklet], clip_len: int = 8) -> None:
        self.tracklets, self.clip_len = tracklets, clip_len
        self.transform = v1.Compose(
            [
                v1.Resize((256, 128)),
                v1.RandomHorizontalFlip(),
                v1.Pad(10),
                v1.RandomCrop((256, 128)),
                v1.ToTensor(),
                v1.Normalize(MEAN, STD),
                v1.RandomErasing(0.5, scale=(0.02, 0.4), ratio=(0.3, 3.3)),
            ]
        )

    def __len__(self) -> int:
        return len(self.tracklets)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int, int]:
        tracklet = self.tracklets[index]
        edges = np.linspace(0, len(tracklet.frames), self.clip_len + 1).astype(int)
        chosen = [np.random.randint(a, max(b, a + 1)) for a, b in pairwise(edges)]
        images = [self.transform(Image.open(tracklet.frames[i]).convert("RGB")).unsqueeze(0) for i in chosen]
        return torch.cat(images), tracklet.pid, tracklet.camid


def make_tracklets(folder: Path, *, identities: int = 32, per_identity: int = 4, frames: int = 16) -> list[Tracklet]:
    """Tracklets of real crops at 256 x 128, JPEG quality 90 (6 KB a frame on average)."""
    files = sorted(CROPS.rglob("*.jpg"))
    for i, file in enumerate(files):
        Image.open(file).convert("RGB").resize((128, 256)).save(folder / f"crop{i:03d}.jpg", quality=90)
    names = [f"crop{i:03d}.jpg" for i in range(len(files))]
    return [
        Tracklet(Frames(folder, [names[(t * 7 + i) % len(names)] for i in range(frames)]), t // per_identity + 1, t % 2)
        for t in range(identities * per_identity)
    ]


def spent(work: Callable[[], int], clock: Callable[[], float]) -> float:
    """Images a second."""
    start = clock()
    images = work()
    return images / (clock() - start)


def decode_all(files: list[bytes]) -> int:
    """The bare decode: bytes at hand, pixels thrown away."""
    for file in files:
        simplejpeg.decode_jpeg(file, "RGB")
    return len(files)


def one_core(tracklets: list[Tracklet]) -> dict[str, Callable[[], int]]:
    """What one process does, without a DataLoader's workers; CPU time."""
    sampler, transform = PKSampler(tracklets), ClipTransform.training((256, 128))
    peer = DataLoader(PerFrameDataset(tracklets), 64, sampler=sampler)
    fresh, reusing = (
        clip_loader(ClipDataset(tracklets, transform=transform), 64, sampler=sampler, reuse=reuse)
        for reuse in (False, True)
    )
    files = [Path(frame).read_bytes() for tracklet in tracklets for frame in tracklet.frames[:8]]
    return {
        "peer": lambda: count(peer),
        "ours, uint8": lambda: count(fresh),
        "ours, uint8, reuse": lambda: count(reusing),
        "ours, reuse, normalised": lambda: count(reusing, lambda batch: normalize(batch.clips, MEAN, STD)),
        "decode only": lambda: decode_all(files),
    }


def count(loader: DataLoader, use: Callable[[Any], object] = lambda batch: None) -> int:
    """Go through a loader; the number of images in it."""
    images = 0
    for batch in loader:
        use(batch)
        images += 8 * len(batch[1])
    return images


def two_cores(tracklets: list[Tracklet]) -> dict[str, Callable[[], int]]:
    """Through a DataLoader with two workers that stay alive; wall time."""

    def options() -> dict[str, object]:
        return {"num_workers": 2, "persistent_workers": True, "drop_last": True}

    long = tracklets * 4
    peer = DataLoader(PerFrameDataset(long), 64, shuffle=True, **options())
    ours, reusing = (
        clip_loader(
            ClipDataset(long, transform=ClipTransform.training((256, 128))), 64, shuffle=True, reuse=reuse, **options()
        )
        for reuse in (False, True)
    )
    return {
        "peer, 2 workers": lambda: count(peer),
        "ours, uint8": lambda: count(ours),
        "ours, uint8, reuse": lambda: count(reusing),
    }


def rounds(ways: dict[str, Callable[[], int]], clock: Callable[[], float], count: int) -> dict[str, list[float]]:
    for work in ways.values():
        work()
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(count):
        for name, work in ways.items():
            rates[name].append(spent(work, clock))
    return rates


def compare(rates: dict[str, list[float]], base: str) -> dict[str, dict[str, float]]:
    """Of each way the median images a second, and the median, least and greatest ratio to `base` in its round."""
    rows = {}
    for name, own in rates.items():
        ratios = [a / b for a, b in zip(own, rates[base], strict=True)]
        rows[name] = {
            "images_per_s": statistics.median(own),
            "ratio": statistics.median(ratios),
            "least": min(ratios),
            "most": max(ratios),
        }
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = Path(tempfile.mkdtemp())
    try:
        tracklets = make_tracklets(folder)
        single = rounds(one_core(tracklets), time.process_time, options.rounds)
        double = rounds(two_cores(tracklets), time.perf_counter, options.rounds)
    finally:
        shutil.rmtree(folder)
    tables = {
        "one core, CPU time, x peer": compare(single, "peer"),
        "one core, CPU time, x decode only": compare(single, "decode only"),
        "two workers, wall time, x peer": compare(double, "peer, 2 workers"),
    }
    for title, rows in tables.items():
        print(f"\n{title}")
        for name, row in rows.items():
            spread = f"({row['least']:.2f}-{row['most']:.2f})"
            print(f"  {name:26}{row['images_per_s']:9.0f} images/s  x{row['ratio']:.2f} {spread}")
    if options.json:
        options.json.write_text(json.dumps(tables, indent=1))


if __name__ == "__main__":
    main()
