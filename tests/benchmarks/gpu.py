"""A GPU: agreement with the CPU, rates of training, loading and embedding, against what the card can do.

    python -m tests.benchmarks.gpu --minutes 8 --json gpu.json
    python -m tests.benchmarks.gpu --device cpu --small     # tries the script itself, in a minute

Sections run in the order of the table until the time is over; what was left out, and why, is in the report. It needs
torch, timm and a checkout; the engine's sections need accelerate too, and say so where it is missing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import traceback
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import denseil
from denseil.losses import ReIDObjective
from tests.benchmarks.__main__ import machine

Figures = dict[str, Any]
MODELS = {  # name, arguments, clips, frames, height, width
    "ResNet-50, DenseIL": ("denseil_resnet50", {}, 64, 8, 256, 128),
    "ResNet-50, mean": ("denseil_resnet50", {"depth": 0}, 64, 8, 256, 128),
    "MobileNetV2, DenseIL": ("denseil_mobilenetv2", {}, 128, 4, 128, 64),
    "MobileNetV2, mean": ("denseil_mobilenetv2", {"depth": 0}, 128, 4, 128, 64),
}
SMALL = {"test_resnet, DenseIL": ("denseil", {"backbone": "test_resnet", "dim": 64, "num_heads": 4}, 4, 2, 64, 32)}


class Bench:
    """A device, how long it may be used, and how calls on it are timed."""

    def __init__(self, device: str, minutes: float, *, small: bool) -> None:
        self.device, self.small = torch.device(device), small
        self.models: dict[str, tuple[str, dict[str, Any], int, int, int, int]] = SMALL if small else MODELS
        self.until = time.perf_counter() + 60 * minutes
        self.peak = 0.0  # bf16 multiply-adds a second, times two, of a large product

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def seconds(self, call: Callable[[], object], *, calls: int = 10, warm: int = 4) -> float:
        """Median of single calls."""
        calls, warm = (2, 1) if self.small else (calls, warm)
        times = []
        for number in range(warm + calls):
            self.wait()
            begin = time.perf_counter()
            call()
            self.wait()
            if number >= warm:
                times.append(time.perf_counter() - begin)
        return statistics.median(times)

    def kernel_share(self, call: Callable[[], object], calls: int = 3) -> float | None:
        """Share of the wall in which kernels run; None on a CPU."""
        if self.device.type != "cuda":
            return None
        from torch.profiler import ProfilerActivity, profile

        wall = self.seconds(call)
        with profile(activities=[ProfilerActivity.CUDA]) as found:
            for _ in range(calls):
                call()
            self.wait()
        kernels = sum(event.self_device_time_total for event in found.key_averages()) / 1e6 / calls
        return kernels / wall


def product(bench: Bench) -> Figures:
    """Rates of a large product, in TFLOP/s."""
    size = 256 if bench.small else 8192
    found: Figures = {}
    for name, dtype, tf32 in (
        ("bf16", torch.bfloat16, False),
        ("tf32", torch.float32, True),
        ("fp32", torch.float32, False),
    ):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        a = torch.randn(size, size, device=bench.device, dtype=dtype)
        found[name] = 2 * size**3 / bench.seconds(lambda a=a: a @ a) / 1e12
    torch.backends.cuda.matmul.allow_tf32 = False
    bench.peak = found["bf16"] * 1e12
    return found


def agreement(bench: Bench) -> Figures:
    """The packaged model against the CPU, its optimised form, and `Embedder`."""
    torch.backends.cudnn.allow_tf32 = False
    model = denseil.create_model("denseil_mobilenetv2", pretrained=True).eval()
    clips, mask = torch.randn(4, 6, 3, 128, 64), torch.ones(4, 6, dtype=torch.bool)
    mask[1, 3:] = False
    rng = np.random.default_rng(0)
    tracklets = [list(rng.integers(256, size=(count, 100, 50, 3), dtype=np.uint8)) for count in (1, 7, 30)]
    with torch.inference_mode():
        expected = model(clips, mask)
        vectors = denseil.Embedder(model, device="cpu").embed(tracklets)
        there = model.to(bench.device)(clips.to(bench.device), mask.to(bench.device)).cpu()
        fast = denseil.optimize(model, verbose=False)
        quick = fast(clips.to(bench.device), mask.to(bench.device)).float().cpu()
        embedded = denseil.Embedder(model, device=bench.device).embed(tracklets)
    torch.backends.cudnn.allow_tf32 = True
    cosine = torch.nn.functional.cosine_similarity
    return {
        "largest difference, of the largest value": float((there - expected).abs().max() / expected.abs().max()),
        "optimised, least cosine": float(cosine(quick, expected).min()),
        "optimised in": str(fast.dtype),
        "Embedder, least cosine": float((embedded * vectors).sum(1).min()),
    }


def steps(bench: Bench) -> Figures:
    """Bare training steps: eager and compiled, fp32, tf32 and bf16."""
    found: Figures = {}
    for title, (name, args, clips, frames, height, width) in bench.models.items():
        for mode in ("fp32", "tf32", "bf16", "bf16 channels_last", "bf16 channels_last compiled"):
            if time.perf_counter() > bench.until:
                found[f"{title}, {mode}"] = "left out: the time was over"
                continue
            model = denseil.create_model(name, num_classes=625, **args).to(bench.device)
            macs = denseil.profile(model, frames=frames, size=(height, width)).macs * clips
            step = bare_step(bench, model, mode, (clips, frames, 3, height, width))
            if bench.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(bench.device)
            spent = bench.seconds(step, calls=6, warm=3)
            figures = {"frames/s": clips * frames / spent, "ms": 1000 * spent, "TFLOP/s": 6 * macs / spent / 1e12}
            figures["of the product's bf16 rate"] = 6 * macs / spent / bench.peak if bench.peak else None
            figures["kernels, share of the wall"] = bench.kernel_share(step)
            if bench.device.type == "cuda":
                figures["GiB"] = torch.cuda.max_memory_allocated(bench.device) / 2**30
                torch.cuda.empty_cache()
            found[f"{title}, {mode}"] = figures
    return found


def bare_step(bench: Bench, model: nn.Module, mode: str, shape: tuple[int, ...]) -> Callable[[], None]:
    """A step of the optimizer on one batch that lies on the device."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = mode == "tf32"
    model.train()
    clips = torch.randn(shape, device=bench.device)
    if "channels_last" in mode:
        model.to(memory_format=torch.channels_last)
        clips = clips.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, shape[:2])
    run = torch.compile(model) if "compiled" in mode and not bench.small else model
    objective = ReIDObjective()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, fused=bench.device.type == "cuda")
    labels = torch.arange(max(2, shape[0] // 4), device=bench.device).repeat_interleave(4)[: shape[0]]

    def step() -> None:
        with torch.autocast(bench.device.type, torch.bfloat16, enabled=mode.startswith("bf16")):
            logits, features = run(clips)
        objective(logits, features, labels).total.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def engine(bench: Bench) -> Figures:
    """Steps of `denseil.train` on packaged rendered people: with its loader, with frames on the device, compiled."""
    from denseil.synth import sample
    from denseil.training import TrainConfig
    from denseil.training.setup import set_up
    from denseil.training.train import training_step

    found: Figures = {}
    ways: dict[str, dict[str, Any]] = {
        "loader, 2 workers": {"cache": "none", "workers": 2},
        "cached on the device": {"cache": "device", "workers": 0},
        "cached, compiled": {"cache": "device", "workers": 0, "compile": "none" if bench.small else "default"},
    }
    for title, fields in ways.items():
        with tempfile.TemporaryDirectory() as folder:
            own = {"root": str(sample()), "output": folder, "init": "random", "device": bench.device.type}
            sizes = {"num_ids": 8, "num_tracklets": 2} if bench.small else {"num_ids": 16, "num_tracklets": 4}
            precision = "fp32" if bench.small else "bf16"
            config = TrainConfig.from_recipe(
                "people", **own, **sizes, **fields, precision=precision, validate_every=0, test_frames="none"
            )
            training = set_up(config)
            training.start_epoch(0)
            batches = cycle(training.loader)
            both = bench.seconds(lambda t=training, b=batches: training_step(t, next(b)))
            batch = next(batches)
            alone = bench.seconds(lambda t=training, b=batch: training_step(t, b))
            clips = config.num_ids * config.num_tracklets
            found[title] = {
                "frames/s": clips * config.clip_len / both,
                "ms": 1000 * both,
                "ms on one batch": 1000 * alone,
                "kernels, share of the wall": bench.kernel_share(lambda t=training, b=batch: training_step(t, b)),
            }
    return found


def inference(bench: Bench) -> Figures:
    """Whole models: eager fp32 and bf16, and `denseil.optimize`; a batch, and one clip."""
    found: Figures = {}
    for title, (name, args, _, frames, height, width) in bench.models.items():
        model = denseil.create_model(name, **args).to(bench.device).eval()
        count = 2 if bench.small else 32
        clips = torch.randn(count, frames, 3, height, width, device=bench.device)
        forms: dict[str, tuple[nn.Module, bool]] = {
            "fp32": (model, False),
            "bf16": (model, True),
            "optimised": (denseil.optimize(model, verbose=False), False),
        }
        for form, (run, autocast) in forms.items():
            with torch.inference_mode(), torch.autocast(bench.device.type, torch.bfloat16, enabled=autocast):
                spent = bench.seconds(lambda r=run, c=clips: r(c))
                one = bench.seconds(lambda r=run, c=clips: r(c[:1]), calls=20)
            found[f"{title}, {form}"] = {"frames/s": count * frames / spent, "ms of one clip": 1000 * one}
    return found


def embedding(bench: Bench) -> Figures:
    """`Embedder` on pixels in memory, and `TrackletEmbedder` frame by frame with 16 tracks."""
    name = "denseil_mobilenetv2"
    rng = np.random.default_rng(0)
    tracklets = [
        list(rng.integers(256, size=(16, 128, 64, 3), dtype=np.uint8)) for _ in range(4 if bench.small else 64)
    ]
    embedder = denseil.Embedder(name, device=bench.device)
    spent = bench.seconds(lambda: embedder.embed(tracklets), calls=5, warm=2)
    tracker = denseil.TrackletEmbedder(name, device=bench.device)
    crops = [tracklet[0] for tracklet in tracklets[:16]]
    ids = list(range(len(crops)))
    frame = bench.seconds(lambda: tracker.update(ids, crops), calls=20)
    return {
        "Embedder": {"frames/s": sum(map(len, tracklets)) / spent},
        f"TrackletEmbedder, {len(crops)} tracks": {"ms a frame of the video": 1000 * frame},
    }


SECTIONS: dict[str, Callable[[Bench], Figures]] = {
    "product": product,
    "agreement": agreement,
    "engine": engine,
    "embedding": embedding,
    "inference": inference,
    "steps": steps,
}


def lines(title: str, figures: object, depth: int = 0) -> list[str]:
    """Figures as indented lines."""
    if isinstance(figures, dict):
        below = [line for name, value in figures.items() for line in lines(name, value, depth + 1)]
        return [f"{'  ' * depth}{title}", *below]
    shown = f"{figures:,.3g}" if isinstance(figures, float) and figures < 100 else figures
    shown = f"{figures:,.0f}" if isinstance(figures, float) and figures >= 100 else shown
    return [f"{'  ' * depth}{title}: {shown}"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", help=f"of {', '.join(SECTIONS)}; all by default")
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny models and few calls, to try the script")
    parser.add_argument("--json", type=Path, help="write every figure here, after each section")
    options = parser.parse_args()
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error("torch finds no CUDA device here; --device cpu --small tries the script itself")
    torch.backends.cudnn.benchmark = True
    bench = Bench(options.device, options.minutes, small=options.small)
    card = torch.cuda.get_device_name(bench.device) if bench.device.type == "cuda" else "CPU"
    result: Figures = {"machine": machine() | {"device": card}}
    failed = False
    for name in options.sections or SECTIONS:
        begin = time.perf_counter()
        try:
            found: object = "left out: the time was over"
            if begin < bench.until:
                found = SECTIONS[name](bench)
        except ModuleNotFoundError as error:
            found = f"left out: {error}"
        except Exception:  # the figures of the other sections are worth having
            found, failed = f"failed: {traceback.format_exc()[-1500:]}", True
        result[name] = found
        print("\n".join(lines(f"{name} ({time.perf_counter() - begin:.0f} s)", found)), flush=True)
        if options.json:
            options.json.write_text(json.dumps(result, indent=1), encoding="utf-8")
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
