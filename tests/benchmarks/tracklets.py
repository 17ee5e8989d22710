"""Whole tracklets of mixed length against a plain loop, in one alternating run: `python -m tests.benchmarks.tracklets`.

The plain loop is what a user would write: one tracklet at a time, float32, its clips of 8 frames one after another.
Both read the same JPEG files, real crops, and make the same vectors; freed memory is kept, as the command line has it.
The list is worked off in groups that alternate. Then the peak memory of a long tracklet is compared with that of a
short one, in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

import denseil
from denseil.common.heap import keep_heap
from denseil.data import Frames, Tracklet, normalize, read_frame, sample_all
from denseil.embedding import embed_tracklets
from denseil.models import DenseIL
from tests.benchmarks.loader import make_tracklets
from tests.benchmarks.loading import peak_memory
from tests.benchmarks.rounds import Ratio, ratio, report


def mixed(folder: Path, count: int, longest: int = 120) -> list[Tracklet]:
    """Tracklets of 1 to `longest` frames, spread evenly over the logarithm, shortest and longest included."""
    names = sorted({os.fsdecode(name) for each in make_tracklets(folder) for name in each.frames.names})
    lengths = np.exp(np.random.default_rng(0).uniform(0, np.log(longest + 1), count)).astype(int)
    lengths[:2] = 1, longest
    return [
        Tracklet(Frames(folder, [names[(7 * i + j) % len(names)] for j in range(length)]), i, 1)
        for i, length in enumerate(lengths)
    ]


@torch.inference_mode()
def plain(model: DenseIL, tracklet: Tracklet) -> Tensor:
    """One tracklet's vector, clip by clip."""
    vectors = []
    for row, mask in zip(*sample_all(len(tracklet.frames), 8), strict=True):
        images = np.stack([read_frame(tracklet.frames, int(i)) for i in row])
        clip = normalize(torch.from_numpy(images).movedim(-1, -3), *(model.pretrained_cfg[k] for k in ("mean", "std")))
        vectors.append(model(clip[None], torch.from_numpy(mask)[None])[0])
    return torch.stack(vectors).mean(0)


def compare(model: DenseIL, tracklets: list[Tracklet], groups: int) -> dict[str, object]:
    fast = denseil.optimize(model)
    ways: dict[str, Callable[[list[Tracklet]], list[Tensor]]] = {
        "plain loop": lambda part: [plain(model, each) for each in part],
        "embed_tracklets": lambda part: list(embed_tracklets(model, part)),
        "embed_tracklets, optimised": lambda part: list(embed_tracklets(fast, part)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    vectors: dict[str, list[Tensor]] = {name: [] for name in ways}
    for work in ways.values():
        work(tracklets[:2])
    for start in range(groups):
        for name, work in ways.items():
            begin = time.perf_counter()
            vectors[name] += work(tracklets[start::groups])
            seconds[name].append(time.perf_counter() - begin)
    base, exact, near = (F.normalize(torch.stack(found)) for found in vectors.values())
    print(
        f"least cosine to the plain loop: {(base * exact).sum(1).min():.6f}, optimised {(base * near).sum(1).min():.4f}"
    )
    frames = sum(len(each.frames) for each in tracklets)
    ratios = [
        ratio("plain loop / embed_tracklets", seconds, "plain loop", "embed_tracklets"),
        ratio(
            "plain loop / embed_tracklets, optimised",
            seconds,
            "plain loop",
            "embed_tracklets, optimised",
            aim="at least 2",
        ),
    ]
    totals = {name: sum(times) for name, times in seconds.items()}
    over = totals["plain loop"] / totals["embed_tracklets, optimised"]
    ratios.append(Ratio("the same, over the whole list", over, over, over, "at least 2"))
    title = f"{len(tracklets)} tracklets, {frames} frames, {torch.get_num_threads()} threads, {groups} groups"
    return report(title, seconds, ratios)


def peak(frames: int) -> None:
    """Print the peak memory, over what there was before, of one tracklet of so many frames; a process of its own."""
    model = denseil.create_model("denseil_mobilenetv2").eval()
    pixels = np.zeros((256, 128, 3), dtype=np.uint8)
    list(embed_tracklets(model, [[pixels] * 64], budget=64))
    before = peak_memory()
    list(embed_tracklets(model, [[pixels] * frames], budget=64))
    print((peak_memory() - before) / 2**20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="denseil_resnet50")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--groups", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.peak:
        return peak(options.peak)
    keep_heap()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        result = compare(denseil.create_model(options.model).eval(), mixed(Path(folder), options.count), options.groups)
    command = [sys.executable, "-m", "tests.benchmarks.tracklets", "--peak", "2048"]
    more = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(f"  a tracklet of 2,048 frames needs {more:.0f} MB more than one of 64, at a budget of 64 frames")
    if options.json:
        options.json.write_text(json.dumps(result | {"mb_more_for_2048_frames": more}, indent=1), encoding="utf-8")
    return None


if __name__ == "__main__":
    main()
