"""Evidence without labels: thirds of one track show one person, tracks that one camera saw at once show two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from denseil.data import Tracklet

LEAST_TRACKLETS = 20


class NoEvidenceError(ValueError):
    """The tracklets do not suffice to tell a better model from a worse one."""


def co_visible(tracklets: Sequence[Tracklet]) -> Tensor:
    """Find pairs of tracklets that one camera saw at the same time, and so show two persons.

    Returns:
        (N, N) bool, symmetric; False if a time is not known.
    """
    known = times_of(tracklets)
    start, end = (torch.tensor(known[name], dtype=torch.float64) for name in ("start", "end"))  # NaN overlaps nothing
    camids = torch.tensor(known["camids"])
    overlap = (start[:, None] <= end[None]) & (start[None] <= end[:, None])
    found: Tensor = overlap & (camids[:, None] == camids[None])
    return found.fill_diagonal_(False)


def times_of(tracklets: Sequence[Tracklet]) -> dict[str, Any]:
    """Return cameras and times as `denseil.linking` takes them; NaN for unknown times."""
    return {
        "camids": [tracklet.camid for tracklet in tracklets],
        "start": [math.nan if tracklet.start is None else tracklet.start for tracklet in tracklets],
        "end": [math.nan if tracklet.end is None else tracklet.end for tracklet in tracklets],
    }


def comparable(tracklets: Sequence[Tracklet]) -> Tensor:
    """Find pairs that could show one person from two views: of two cameras or, if there is only one, of that.

    Returns:
        (N, N) bool, symmetric.
    """
    camids = torch.tensor([tracklet.camid for tracklet in tracklets])
    other = camids[:, None] != camids[None]
    found: Tensor = other if other.any() else ~co_visible(tracklets)
    return found.fill_diagonal_(False)


def thirds(tracklet: Tracklet) -> tuple[Tracklet, Tracklet]:
    """Return the first and the last third of a tracklet; of one with fewer than 3 frames, the first and last frame."""
    count = max(1, len(tracklet.frames) // 3)
    return replace(tracklet, frames=tracklet.frames[:count]), replace(tracklet, frames=tracklet.frames[-count:])
