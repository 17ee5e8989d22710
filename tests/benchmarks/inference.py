"""A model as it is, optimised, and exported, in one alternating run: `python -m tests.benchmarks.inference`.

Everything runs on a batch of clips of 8 frames, 256 x 128, with random weights: speed does not depend on them. A peer
is `--peer NAME=FILE.py:FUNCTION`, where the function gives a module that takes clips (B, T, 3, H, W). `--keep-heap`
asks glibc to keep freed memory (see `denseil.keep_heap`), which speeds up float32 most.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import denseil
from denseil.common.heap import keep_heap
from denseil.embedding import ExportedModel
from denseil.models import DenseIL
from tests.benchmarks.rounds import Seconds, alternate, ratio, report

Ways = dict[str, Callable[[], object]]
SQUARE = 2048  # the product that rates are compared with
RUNTIMES = ("onnxruntime float32", "OpenVINO float32", "OpenVINO bfloat16")
AIMS = {"optimised": "at least 2.4", "OpenVINO bfloat16": "at least 2.8"}  # of eager's time over theirs


def products() -> Ways:
    """Square products, and a copy of 400 MB, for the machine's rates."""
    wide, half = torch.randn(SQUARE, SQUARE), torch.randn(SQUARE, SQUARE).bfloat16()
    source, target = torch.ones(100_000_000), torch.ones(100_000_000)
    return {
        "GEMM float32": lambda: wide @ wide,
        "GEMM bfloat16": lambda: half @ half,
        "copy": lambda: target.copy_(source),
    }


def exported(model: DenseIL, clips: Tensor, folder: Path) -> Ways:
    """The model in the runtimes that are installed, 16 frames in a call."""
    runs: dict[str, ExportedModel] = {}
    if find_spec("onnx") and find_spec("onnxruntime"):
        denseil.export(model, folder / "m.onnx", size=(256, 128))
        runs["onnxruntime float32"] = ExportedModel(folder / "m.onnx")
    if find_spec("onnx") and find_spec("openvino"):
        denseil.export(model, folder / "m.xml", "openvino", size=(256, 128))
        runs["OpenVINO float32"] = ExportedModel(folder / "m.xml")
        runs["OpenVINO bfloat16"] = ExportedModel(folder / "m.xml", precision="bfloat16")
    return {name: lambda run=run: run(clips) for name, run in runs.items()}  # type: ignore[misc]


def peer(spec: str) -> tuple[str, nn.Module]:
    """A name and a model, from NAME=FILE.py:FUNCTION."""
    name, _, place = spec.partition("=")
    file, _, function = place.rpartition(":")
    found = importlib.util.spec_from_file_location("peer", file)
    if found is None or found.loader is None:
        raise SystemExit(f"--peer {spec}: no Python file at {file!r}")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return name, getattr(module, function)().eval()


def macs(model: nn.Module, clips: Tensor) -> int:
    """Multiply-adds of a module on clips, as it runs."""
    with FlopCounterMode(display=False) as counter:
        model(clips)
    return counter.get_total_flops() // 2


def whole(options: argparse.Namespace) -> dict[str, Any]:
    """All of it, at `--batch` clips."""
    torch.manual_seed(0)
    model = denseil.create_model(options.model).eval()
    small = denseil.create_model(options.model, dim=256).eval()
    mean = denseil.create_model(options.model, depth=0).eval()  # the encoder and the mean
    fast, fast_small = denseil.optimize(model), denseil.optimize(small, verbose=False)
    print(f"products in {fast.dtype}")
    clips = torch.randn(options.batch, 8, 3, 256, 128)
    frames = clips.flatten(0, 1)
    tokens = model.encode_frames(frames).unflatten(0, clips.shape[:2])
    ways: Ways = {
        **products(),
        "eager": lambda: model(clips),
        "eager, encoder and mean": lambda: mean(clips),
        "optimised": lambda: fast(clips),
        "optimised, encoder": lambda: fast.encode_frames(frames),
        "optimised, decoder": lambda: fast.decode(tokens),
        "optimised, decoder, 1 clip": lambda: fast.decode(tokens[:1]),
        "optimised, decoder of d = 256, 1 clip": lambda: fast_small.decode(tokens[:1]),
    }
    if options.compile:
        compiled = denseil.optimize(model, compile=True, verbose=False)
        ways["optimised and compiled, encoder"] = lambda: compiled.encode_frames(frames)
        ways["optimised and compiled"] = lambda: compiled(clips)
    peers = dict(peer(spec) for spec in options.peer)
    ways |= {name: lambda run=net: run(clips) for name, net in peers.items()}  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        if options.exported:
            ways |= exported(model, clips, Path(folder))
        seconds = alternate(ways, options.rounds)
    peer_macs = {name: macs(net, clips) for name, net in peers.items()}
    return summary(options, model, small, mean, seconds, peer_macs)


def summary(
    options: argparse.Namespace,
    model: DenseIL,
    small: DenseIL,
    mean: DenseIL,
    seconds: Seconds,
    peer_macs: dict[str, int],
) -> dict[str, Any]:
    cost, light, base = (denseil.profile(each) for each in (model, small, mean))
    batch, gemm = options.batch, SQUARE**3
    product = "GEMM bfloat16" if "GEMM bfloat16" in seconds else "GEMM float32"
    encoder, decoder = cost.encoder_macs * batch, cost.decoder_macs * batch
    weights = sum(p.numel() for p in model.decoder.parameters()) * 2  # bytes in bfloat16
    one = "optimised, decoder, 1 clip"
    ratios = [
        *(
            ratio(f"eager / {name}", seconds, "eager", name, aim=AIMS.get(name, ""))
            for name in ("optimised", "optimised and compiled", *RUNTIMES)
            if name in seconds
        ),
        *(
            ratio(f"rate of {name} / {product}", seconds, product, name, scale=encoder / gemm, aim="at least 0.85")
            for name in seconds
            if name.endswith("encoder") and name.startswith("optimised")
        ),
        ratio(
            f"decoder, {batch} clips / its multiply-adds at the encoder's rate",
            seconds,
            "optimised, decoder",
            "optimised, encoder",
            scale=encoder / decoder,
            aim="at most 1.15",
        ),
        ratio(
            "decoder, 1 clip / its multiply-adds at the encoder's rate",
            seconds,
            one,
            "optimised, encoder",
            scale=encoder / cost.decoder_macs,
        ),
        ratio(
            "decoder, 1 clip: bytes of weights a second / bytes that a copy reads",
            seconds,
            "copy",
            one,
            scale=weights / 400e6,
        ),
        ratio("decoder, 1 clip / that of d = 256", seconds, one, "optimised, decoder of d = 256, 1 clip"),
        ratio(
            "eager / encoder and mean, by their multiply-adds",
            seconds,
            "eager",
            "eager, encoder and mean",
            scale=base.macs / cost.macs,
            aim="at most 1.1",
        ),
        *(
            ratio(
                f"{name} / encoder and mean, by their multiply-adds",
                seconds,
                name,
                "eager, encoder and mean",
                scale=base.macs * batch / count,
            )
            for name, count in peer_macs.items()
        ),
    ]
    print(f"decoder: {cost.decoder_macs / 1e9:.2f} GMACs a clip, {light.decoder_macs / 1e9:.2f} at d = 256")
    title = f"{options.model}, {batch} clips of 8 frames, {torch.get_num_threads()} threads, {options.rounds} rounds"
    return report(title, seconds, ratios)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="denseil_resnet50")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--compile", action=argparse.BooleanOptionalAction, default=bool(shutil.which("g++")), help="compiled as well"
    )
    parser.add_argument("--exported", action=argparse.BooleanOptionalAction, default=True, help="other runtimes too")
    parser.add_argument("--keep-heap", action="store_true", help="ask glibc to keep freed memory")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=FILE.py:FUNCTION")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.keep_heap:
        print("freed memory is kept:", keep_heap())
    result = whole(options)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
