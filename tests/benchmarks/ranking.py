"""Speed and memory of `rank`, each as a ratio within one run: machines differ and are shared.

    python -m tests.benchmarks.ranking                       # MARS's size: 1,980 x 11,310 x 2,048
    python -m tests.benchmarks.ranking --large               # and the peak memory of 2,000 x 1,000,000 x 256
    python -m tests.benchmarks.ranking --peer NAME=FILE.so   # and another evaluator, as a built `rank_cy` module

A peer offers `evaluate_cy(distances, q_pids, g_pids, q_camids, g_camids, max_rank)`, as torchreid and FastReID do, and
returns CMC first, then mAP or the average precisions.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from denseil.metrics import Embeddings, rank
from denseil.metrics.counting import BlockedGallery, lengths

Scores = tuple[float, float]  # mAP, rank-1


def mars_like(clear: float, seed: int = 0, dim: int = 2048) -> tuple[Embeddings, Embeddings]:
    """Gaussian persons in MARS's numbers: 1,980 queries of 620 persons, 11,310 items of which 3,248 are distractors."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(621, dim, generator=generator)

    def tracklets(pids: Tensor) -> Embeddings:
        noise = torch.randn(len(pids), dim, generator=generator)
        vectors = noise + clear * centres[pids] * (pids > 0)[:, None]
        return Embeddings(vectors, pids, torch.randint(6, (len(pids),), generator=generator))

    persons = torch.randint(1, 621, (11_310 - 3_248,), generator=generator)
    return (
        tracklets(torch.arange(1_980) * 620 // 1_980 + 1),
        tracklets(torch.cat([torch.zeros(3_248, dtype=torch.int64), persons])),
    )


def loop(distances: np.ndarray, query: Embeddings, gallery: Embeddings) -> Scores:
    """What most code bases do: for each query, sort the whole gallery."""
    g_pids, g_camids = gallery.pids.numpy(), gallery.camids.numpy()
    precisions, hits = [], []
    for line, pid, camid in zip(distances, query.pids.tolist(), query.camids.tolist(), strict=True):
        order = np.argsort(line)
        kept = order[(g_pids[order] != pid) | (g_camids[order] != camid)]
        match = g_pids[kept] == pid
        if match.any():
            precision = match.cumsum() / np.arange(1, len(match) + 1)
            precisions.append(precision[match].mean())
            hits.append(match[0])
    return float(np.mean(precisions)), float(np.mean(hits))


def load_peer(path: str) -> Callable[..., Any]:
    spec = importlib.util.spec_from_file_location("rank_cy", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.evaluate_cy  # type: ignore[no-any-return]


class Products:
    """Times the matrix products inside `rank`, so that the rest of it can be told apart."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock, self.seconds, self.original = clock, 0.0, BlockedGallery._dots
        BlockedGallery._dots = self._timed()  # type: ignore[method-assign]

    def _timed(self) -> Callable[..., Any]:
        def dots(*args: Any) -> Any:
            begin = self.clock()
            out = self.original(*args)
            self.seconds += self.clock() - begin
            return out

        return dots


def compare(
    query: Embeddings,
    gallery: Embeddings,
    peers: dict[str, Callable[..., Any]],
    rounds: int,
    clock: Callable[[], float],
) -> dict[str, Any]:
    """Alternating rounds of everything; seconds in lists, scores once."""
    labels = [array.numpy() for array in (query.pids, gallery.pids, query.camids, gallery.camids)]
    products = Products(clock)
    seconds: dict[str, list[float]] = {}
    scores: dict[str, Scores] = {}

    def note(name: str, begin: float) -> float:
        seconds.setdefault(name, []).append(clock() - begin)
        return seconds[name][-1]

    for _ in range(rounds + 1):  # the first is a warm-up
        begin = clock()
        torch.mm(query.vectors, gallery.vectors.T)
        note("matmul", begin)

        products.seconds, begin = 0.0, clock()
        result = rank(query, gallery)
        total = note("denseil total", begin)
        begin = clock()
        lengths(query.vectors), lengths(gallery.vectors)  # part of the distance, as peers' normalising is
        measured = note("denseil lengths", begin)
        seconds.setdefault("denseil ranking", []).append(total - products.seconds - measured)
        scores["denseil"] = result.mAP, float(result.cmc[0])

        for name, evaluate in {"loop": None, **peers}.items():
            begin = clock()
            distances = (1 - torch.mm(F.normalize(query.vectors), F.normalize(gallery.vectors).T)).numpy()
            middle = clock()
            if evaluate is None:
                scores[name] = loop(distances, query, gallery)
            else:
                cmc, precision, *_ = evaluate(distances, *labels, 20)
                scores[name] = float(np.mean(precision)), float(cmc[0])
            note(f"{name} ranking", middle)
            note(f"{name} total", begin)
            del distances
    return {"seconds": {name: times[1:] for name, times in seconds.items()}, "scores": scores}


def table(report: dict[str, Any]) -> dict[str, list[float]]:
    """Ratios of paired rounds, printed as median and range."""
    seconds = report["seconds"]
    pairs = {"denseil total / matmul": ("denseil total", "matmul")}
    for name in report["scores"]:
        if name != "denseil":
            for part in ("ranking", "total"):
                pairs[f"{name} {part} / denseil {part}"] = (f"{name} {part}", f"denseil {part}")
    ratios = {
        title: [a / b for a, b in zip(seconds[over], seconds[under], strict=True)]
        for title, (over, under) in pairs.items()
    }
    rounds = len(seconds["matmul"])
    print(f"1,980 x 11,310 x 2,048, {torch.get_num_threads()} threads, {rounds} alternating rounds: median (range)")
    for name, times in seconds.items():
        print(f"{name:40} {statistics.median(times):8.3f} s  ({min(times):.3f} to {max(times):.3f})")
    for name, values in ratios.items():
        print(f"{name:40} {statistics.median(values):8.2f}    ({min(values):.2f} to {max(values):.2f})")
    for name, (precision, first) in report["scores"].items():
        print(f"{name:40} mAP {precision:.6f}  R-1 {first:.6f}")
    return ratios


def large(num_gallery: int) -> None:
    """Rank a large, hard gallery and print the peak memory over the features as JSON; run in a process of its own."""

    def tracklets(size: int) -> Embeddings:
        return Embeddings(torch.randn(size, 256), torch.randint(1, 20_000, (size,)), torch.randint(6, (size,)))

    query, gallery = tracklets(2_000), tracklets(num_gallery)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.perf_counter()
    result = rank(query, gallery)
    over = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / 1e9
    seconds = time.perf_counter() - begin
    print(json.dumps({"peak_gb_over_features": over, "seconds": seconds, "mAP": result.mAP}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clear", type=float, default=0.3, help="how far persons stand out; decides the mAP")
    parser.add_argument("--cpu", action="store_true", help="processor time in place of wall time, for a busy machine")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--large", action="store_true", help="measure memory at 2,000 x 1,000,000 x 256 too")
    parser.add_argument("--json", type=Path, help="write everything measured here")
    parser.add_argument("--only-large", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only_large:
        return large(options.only_large)

    peers = {name: load_peer(path) for name, path in (peer.split("=", 1) for peer in options.peer)}
    report = compare(
        *mars_like(options.clear), peers, options.rounds, time.process_time if options.cpu else time.perf_counter
    )
    report["ratios"] = table(report)
    if options.large:
        command = [sys.executable, "-m", "tests.benchmarks.ranking", "--only-large", "1000000"]
        report["large"] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(
            f"2,000 x 1,000,000 x 256: peak {report['large']['peak_gb_over_features']:.2f} GB over the features", end=""
        )
        print(f", {report['large']['seconds']:.0f} s")
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return None


if __name__ == "__main__":
    main()
