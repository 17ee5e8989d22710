"""Accuracy against speed of trained models, and the Pareto frontier of the two.

    denseil data synth people-v1 --benchmark people-v1
    python examples/frontier.py people-v1 runs/ablate --plot frontier.png

Every finished training under the given folders is evaluated on the queries and the gallery of a dataset in MARS layout,
with 1, 2, 4 and 8 frames of each tracklet, and timed, optimised, on 16 tracklets of as many frames, in alternation with
the others.
"""

import argparse
import dataclasses
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

import denseil
from denseil.data import Frames, Tracklet, read_dataset, sample_even
from denseil.embedding import embed_tracklets
from denseil.metrics import Embeddings, rank
from denseil.metrics.figures import new_figure, save_figure

COUNTS = (1, 2, 4, 8)


class Point(NamedTuple):
    """A model that sees so many frames of each tracklet."""

    model: str
    frames: int
    gmacs: float
    milliseconds: float
    mAP: float  # noqa: N815


def describe(model: denseil.DenseIL) -> str:
    encoder = f"{model.encoder.name} / {model.feature_info[-1]['reduction']}"  # its stride
    end = f"T = {model.denseil_cfg['clip_len']}"
    if not hasattr(model.decoder, "interaction"):
        return f"{encoder}, frames averaged, {end}"
    blocks = model.decoder.interaction.blocks
    fusion = "no fusion" if blocks[0].fusion is None else type(blocks[0].fusion).__name__
    return f"{encoder}, {fusion}, d = {model.num_features}, R = {len(blocks)}, {end}"


def some_frames(tracklet: Tracklet, count: int) -> Tracklet:
    """A tracklet of its evenly spaced frames, at most so many."""
    places = np.unique(sample_even(len(tracklet.frames), count)).tolist()
    return dataclasses.replace(tracklet, frames=Frames("", [tracklet.frames[place] for place in places]))


def gmacs(model: denseil.DenseIL, count: int) -> float:
    """Billions of multiply-adds for a tracklet of so many frames."""
    height, width = model.pretrained_cfg["input_size"][1:]
    return denseil.profile(model, frames=count, size=(height, width)).macs / 1e9


def accuracy(model: denseil.DenseIL, queries: Sequence[Tracklet], gallery: Sequence[Tracklet], count: int) -> float:
    both = [some_frames(one, count) for one in (*queries, *gallery)]
    vectors = torch.stack(list(embed_tracklets(model, both)))
    embeddings = Embeddings(vectors, [one.pid for one in both], [one.camid for one in both])
    return rank(embeddings[: len(queries)], embeddings[len(queries) :]).mAP


def milliseconds(models: Sequence[denseil.DenseIL], count: int, rounds: int, tracklets: int = 16) -> list[float]:
    """Median of a tracklet, for each model."""
    seconds: list[list[float]] = [[] for _ in models]
    noise = np.random.default_rng(0)
    for round_ in range(rounds + 1):
        for model, times in zip(models, seconds, strict=True):
            height, width = model.pretrained_cfg["input_size"][1:]
            frames = list(noise.integers(256, size=(count, height, width, 3), dtype=np.uint8))
            begin = time.perf_counter()
            list(embed_tracklets(model, [frames] * tracklets))
            if round_:  # the first warms up
                times.append(time.perf_counter() - begin)
    return [1000 * statistics.median(times) / tracklets for times in seconds]


def frontier(points: Sequence[Point]) -> list[Point]:
    """Points that are more accurate than all faster ones, fastest first."""
    found: list[Point] = []
    for point in sorted(points, key=lambda one: (one.milliseconds, -one.mAP)):
        if not found or point.mAP > found[-1].mAP:
            found.append(point)
    return found


def draw(points: Sequence[Point], best: Sequence[Point], path: Path) -> None:
    figure = new_figure(7, 4.5)
    axes = figure.subplots()
    for name in dict.fromkeys(point.model for point in points):
        own = [point for point in points if point.model == name]
        axes.plot([p.milliseconds for p in own], [100 * p.mAP for p in own], "o-", label=name, markersize=4)
    axes.plot([p.milliseconds for p in best], [100 * p.mAP for p in best], "k--", label="frontier", linewidth=1)
    axes.set(xlabel="ms a tracklet (1, 2, 4, 8 frames)", ylabel="mAP (%)", xscale="log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    save_figure(figure, path)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", help="a dataset in MARS layout")
    parser.add_argument("runs", nargs="+", type=Path, help="folders with trainings in them")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--plot", type=Path, help="where to draw it")
    options = parser.parse_args(arguments)

    dataset = read_dataset("mars", options.root)
    folders = sorted({found.parent for root in options.runs for found in root.rglob("final/config.json")})
    models = [denseil.create_model(f"local-dir:{folder}", pretrained=True).eval() for folder in folders]
    names = [describe(model) for model in models]
    fast = [denseil.optimize(model, verbose=False) for model in models]
    points = [
        Point(name, count, gmacs(model, count), spent, accuracy(model, dataset.query, dataset.gallery, count))
        for count in COUNTS
        for name, spent, model in zip(names, milliseconds(fast, count, options.rounds), models, strict=True)
    ]
    best = frontier(points)
    print("| model | frames | GMACs | ms a tracklet | mAP | on the frontier |\n|---|---|---|---|---|---|")
    for point in sorted(points, key=lambda one: (one.model, one.frames)):
        mark = "yes" if point in best else ""
        cost = f"{point.gmacs:.2f} | {point.milliseconds:.1f}"
        print(f"| {point.model} | {point.frames} | {cost} | {100 * point.mAP:.1f} | {mark} |")
    if options.plot:
        draw(points, best, options.plot)


if __name__ == "__main__":
    main()
