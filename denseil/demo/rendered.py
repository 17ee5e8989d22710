"""Rendered people: their cameras, and scores of both packaged models and of plain colours."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from denseil.data import Tracklet, VideoReIDDataset, decode_image, sample_even
from denseil.demo.parts import spread
from denseil.embedding import TrackletEmbedder
from denseil.embedding.cache import label
from denseil.metrics import RankingResult, rank
from denseil.viz import Page, Strip, StripRow, line_chart

PEOPLE = 5
STRIPES, BINS = 6, 8  # of the colour histogram
COUNTS = (1, 2, 3, 5, 8)  # frames of a tracklet


def encode(embedder: TrackletEmbedder, tracklet: Tracklet) -> Tensor:
    """Compute tokens (T, P, sum of widths) of all frames of a tracklet."""
    return embedder.encode([decode_image(path) for path in tracklet.frames])


def add_people(page: Page, people: VideoReIDDataset) -> None:
    """Add some persons with the strips of their cameras."""
    by_person: dict[int, list[Tracklet]] = {}
    for tracklet in sorted([*people.query, *people.gallery], key=lambda one: one.camid):
        by_person.setdefault(tracklet.pid, []).append(tracklet)
    chosen = spread(sorted(by_person), PEOPLE)
    rows = [
        StripRow(f"Person {pid}", [Strip(f"camera {one.camid}", one.frames) for one in by_person[pid]])
        for pid in chosen
    ]
    page.add_strips(
        rows,
        "Rendered people and their cameras",
        f"{len(chosen)} of {len(by_person)} persons, rendered from open assets. They come with the package, and the "
        "weights were trained on other rendered people only.",
    )


def add_scores(
    page: Page, people: VideoReIDDataset, models: Mapping[str, tuple[str, TrackletEmbedder, list[Tensor]]]
) -> None:
    """Add scores of models, by number of frames and rank, and those of a colour histogram.

    Args:
        page: The page.
        people: The dataset.
        models: By title: name, embedder, and tokens of the queries and then the gallery.
    """
    both = [*people.query, *people.gallery]
    results: dict[str, RankingResult] = {}
    by_frames: dict[str, list[tuple[float, float]]] = {}
    for title, (_, embedder, tokens) in models.items():
        for count in (count for count in COUNTS if count <= min(map(len, tokens))):
            few = [own[torch.from_numpy(sample_even(len(own), count))] for own in tokens]
            results[title] = _rank(people, embedder.decode(few))
            by_frames.setdefault(title, []).append((float(count), 100 * results[title].mAP))
    results["a histogram of colours"] = _rank(people, torch.stack([_stripes(tracklet) for tracklet in both]))
    named = ", ".join(f"{title}: {name}" for title, (name, *_) in models.items())
    page.add_table(
        "Scores on rendered people",
        ("", "mAP", "R-1", "R-5", "mINP"),
        [
            (title, *(100 * value for value in (one.mAP, *one.cmc[[0, 4]].tolist(), one.mINP)))
            for title, one in results.items()
        ],
        f"Percent; {len(people.query)} queries, {len(people.gallery)} tracklets in the gallery; protocol standard, "
        f"cosine distance, all frames. Weights: {named}. Real people are harder; these weights have not been "
        "scored on a benchmark of real people.",
    )
    curves = {
        title: [(float(at), 100 * value) for at, value in enumerate(one.cmc[:10].tolist(), start=1)]
        for title, one in results.items()
    }
    page.add_figure(line_chart(by_frames, x="frames of each tracklet", y="mAP, %"), "More frames")
    page.add_figure(line_chart(curves, x="rank", y="queries with a match by this rank, %"), "CMC")


def _rank(people: VideoReIDDataset, vectors: Tensor) -> RankingResult:
    embeddings = label([*people.query, *people.gallery], vectors)
    return rank(embeddings[: len(people.query)], embeddings[len(people.query) :], frames="all")


def _stripes(tracklet: Tracklet) -> Tensor:
    """Histograms of hue, saturation and value in horizontal stripes, mean over frames: (STRIPES * 3 * BINS,)."""
    total = np.zeros((STRIPES, 3, BINS))
    for path in tracklet.frames:
        hsv = np.asarray(Image.fromarray(decode_image(path)).convert("HSV"))
        for index, stripe in enumerate(np.array_split(hsv, STRIPES)):
            for channel in range(3):
                counts, _ = np.histogram(stripe[..., channel], BINS, (0, 256))
                total[index, channel] += counts / counts.sum()
    return F.normalize(torch.from_numpy(np.sqrt(total)).float().flatten(), dim=0)
