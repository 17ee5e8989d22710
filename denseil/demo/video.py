"""Your own video and a tracker's boxes: halves of tracks, persons, dense attention."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from denseil.common.text import counted
from denseil.data import Tracklet, cut_tracklets, decode_image, read_dataset
from denseil.demo.parts import FRAMES, QUERIES, SHOWN, add_attention, name, spaced
from denseil.embedding import TrackletEmbedder
from denseil.linking import link
from denseil.metrics import Embeddings, rank
from denseil.models import DenseIL, model_id
from denseil.viz import Page, PersonRow, PersonTrack, Shown, rank_to_show

logger = logging.getLogger(__name__)
PERSONS = 8
LEAST, MOST = 4, 200  # crops of a track; tracks


def add_video(page: Page, model: DenseIL, embedder: TrackletEmbedder, video: Path, tracks: Path) -> None:
    """Cut the tracks out of a video, and add the results of the model on them.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If no track has four crops.
    """
    with tempfile.TemporaryDirectory() as folder:  # the page holds its pictures
        report = cut_tracklets(video, tracks, folder)
        found = counted(report.tracklets, "track")
        tracklets = [one for one in read_dataset("manifest", folder).gallery if len(one.frames) >= LEAST]
        if not tracklets:
            raise ValueError(f"{found} in {video}, none with {LEAST} crops: there are no halves to compare")
        longest = sorted(tracklets, key=lambda one: -len(one.frames))[:MOST]
        used = f"{video.name}: {found}, {counted(report.crops, 'crop')}. The longest are used: {len(longest)}."
        page.add_text("\n".join([used, *str(report).splitlines()[1:]]))  # what was skipped, and doubts
        for doubt in report.doubts:
            logger.warning("%s: %s", video, doubt)
        halves = [half for tracklet in longest for half in _halves(tracklet)]
        tokens = [embedder.encode([decode_image(path) for path in spaced(half)]) for half in halves]
        _add_halves(page, longest, halves, embedder.decode(tokens))
        whole = [torch.cat(tokens[at : at + 2]) for at in range(0, len(tokens), 2)]
        _add_persons(page, longest, embedder.decode(whole), model_id(model, embedder.encoder.preprocessing))
        add_attention(page, model, longest, "Where dense attention looks in your video")


def _halves(tracklet: Tracklet) -> tuple[Tracklet, Tracklet]:
    middle = len(tracklet.frames) // 2
    return replace(tracklet, frames=tracklet.frames[:middle]), replace(tracklet, frames=tracklet.frames[middle:])


def _add_halves(page: Page, tracklets: Sequence[Tracklet], halves: Sequence[Tracklet], vectors: Tensor) -> None:
    """First halves of tracks as queries, second halves as the gallery: right and wrong are known without labels."""
    tracks = torch.arange(len(tracklets))
    query = Embeddings(vectors[::2], tracks, torch.zeros_like(tracks))
    gallery = Embeddings(vectors[1::2], tracks, torch.ones_like(tracks))
    first = rank(query, gallery).first_match
    assert first is not None
    worst = np.argsort(-first, kind="stable")[:QUERIES].tolist()
    shown = [_shown(half, number // 2) for number, half in enumerate(halves)]
    page.add_ranks(
        rank_to_show((query[torch.tensor(worst)], [shown[2 * at] for at in worst]), (gallery, shown[1::2]), SHOWN),
        "Your video: half a track finds its other half",
        f"Left the first half of a track, right the nearest second halves: ✓ the same track, ✗ another one. The "
        f"nearest is right for {int((first == 1).sum())} of {len(tracks)} tracks, from at most {FRAMES} "
        "frames of each half. The worst come first.",
        filtered=False,
    )


def _shown(tracklet: Tracklet, number: int) -> Shown:
    return Shown(name(tracklet), number, (counted(len(tracklet.frames), "frame"),), tracklet.middle)


def _add_persons(page: Page, tracklets: Sequence[Tracklet], vectors: Tensor, identity: str) -> None:
    start, end = ([getattr(one, what) for one in tracklets] for what in ("start", "end"))
    links = link(vectors, camids=[one.camid for one in tracklets], start=start, end=end, model_id=identity)
    rows = []
    for number in (np.flatnonzero(np.bincount(links.person) > 1)).tolist()[:PERSONS]:
        own = sorted(np.flatnonzero(links.person == number).tolist(), key=start.__getitem__)
        shown = [
            PersonTrack(name(tracklets[at]), [f"{start[at]:.1f} to {end[at]:.1f} s"], tracklets[at].middle)
            for at in own
        ]
        rows.append(PersonRow(f"Person {number}", shown, (counted(len(own), "track"),)))
    note = f"{links}. Tracks seen at the same time are never one person. `denseil link` does this for many cameras."
    if rows:
        page.add_persons(rows, "Your video: tracks linked to persons", note)
    else:
        page.add_text(f"No two tracks were linked to one person. {note}")
