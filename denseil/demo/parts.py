"""Parts of the page that rendered people, real ones and videos share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from denseil.data import Tracklet, VideoReIDDataset, sample_even
from denseil.embedding.cache import label
from denseil.metrics import rank
from denseil.models import DenseIL
from denseil.viz import Page, Shown, Strip, StripRow, attend, attention_strips, rank_to_show

QUERIES, LOOKS, SHOWN = 8, 3, 8
FRAMES = 8  # of a strip


def add_ranks(page: Page, dataset: VideoReIDDataset, vectors: Tensor, title: str) -> None:
    """Add ranked lists of evenly spaced queries, so that good ones are not picked.

    Args:
        page: The page.
        dataset: The dataset.
        vectors: Vectors (N, D) of its queries, then of its gallery.
        title: Title of the part.
    """
    embeddings = label([*dataset.query, *dataset.gallery], vectors)
    query, gallery = embeddings[: len(dataset.query)], embeddings[len(dataset.query) :]
    first = rank(query, gallery).first_match
    assert first is not None
    places = spread(range(len(query)), QUERIES)
    queries = rank_to_show(
        (query[torch.tensor(places)], [_shown(dataset.query[place]) for place in places]),
        (gallery, [_shown(tracklet) for tracklet in dataset.gallery]),
        SHOWN,
    )
    these = "" if len(places) == len(query) else f" {len(places)} queries are shown, evenly spaced."
    page.add_ranks(
        queries,
        title,
        f"Left a query, right the nearest of {len(gallery)} tracklets: ✓ the same person, ✗ another one. The nearest "
        f"is right for {int((first == 1).sum())} of {len(query)} queries; the query's own camera is left out.{these}",
        filtered=False,
    )


def add_attention(page: Page, model: DenseIL, tracklets: Sequence[Tracklet], title: str) -> None:
    """Add the dense attention on some tracklets."""
    rows = []
    for place in spread(range(len(tracklets)), LOOKS):
        tracklet = tracklets[place]
        attention = attend(model, spaced(tracklet))
        shares = zip(attention.levels, attention.shares.sum((1, 2)).tolist(), strict=True)
        by_level = [f"Z{level} {100 * share:.0f} %" if level else f"H {100 * share:.0f} %" for level, share in shares]
        strips = [Strip("its frames", attention.frames), *attention_strips(attention)]
        rows.append(StripRow(name(tracklet), strips, (f"camera {tracklet.camid}", ", ".join(by_level))))
    page.add_strips(
        rows,
        title,
        "The stronger the tint of a part of a frame, the more the last decoder block attends to it; each strip has a "
        "scale of its own. Z2 to Z4 are the encoder's stages, from fine to coarse, H the decoder's own tokens.",
    )


def spaced(tracklet: Tracklet) -> list[str]:
    """Return the frames of a tracklet, at most a strip's worth of evenly spaced ones."""
    return [tracklet.frames[place] for place in spread(range(len(tracklet.frames)), FRAMES)]


def name(tracklet: Tracklet) -> str:
    """Return the person's number, or the track's name if the person is not known."""
    return f"person {tracklet.pid}" if tracklet.pid > 0 else f"track {tracklet.key.track}"


def _shown(tracklet: Tracklet) -> Shown:
    return replace(Shown.of_tracklet(tracklet), name=name(tracklet), details=(f"camera {tracklet.camid}",))


def spread(items: Sequence[int], count: int) -> list[int]:
    """Return `count` evenly spaced items, or all if there are fewer."""
    return [items[int(at)] for at in sample_even(len(items), min(count, len(items)))]
