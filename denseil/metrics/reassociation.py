"""Re-association: search for each track among all tracks in view some frames later.

The selection of queries and candidates is that of the `reassociation` protocol of roboflow's `reid` 0.1.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from denseil.common.arguments import checked
from denseil.common.vectors import whole_numbers

HEADER = f"{'gap':>6}{'frames':>8}{'R-1':>8}{'MRR':>8}{'chance':>8}{'queries':>9}{'candidates':>12}{'skipped':>9}"


class Sightings(NamedTuple):
    """Vectors of tracks at certain frames of one video.

    Attributes:
        vectors: (N, D) vectors; only their directions count.
        frames: (N,) frame number of each.
        tracks: (N,) track of each, at most one row for a frame and track.
    """

    vectors: NDArray[np.floating[Any]]
    frames: NDArray[np.int64]
    tracks: NDArray[np.int64]


@dataclass(frozen=True)
class Reassociation:
    """Scores in [0, 1], and what they were computed under.

    Attributes:
        gap: Frames from a query to its candidates.
        stride: Queries are at frames divisible by this number.
        window: Maximum number of frames that a vector was computed from; None if unknown.
        rank1: Share of queries whose nearest candidate is the same track.
        mrr: Mean reciprocal rank of the same track.
        chance: Expected `rank1` of a random order.
        num_query: Number of scored queries.
        candidates: Mean number of candidates.
        skipped: Number of queries left out, by reason: `no frame` that much later, `one candidate` only, or `gone` if
            the track is not among the candidates.
        missing_boxes: Number of boxes in frames that are damaged, or that the video does not have.
    """

    gap: int
    stride: int
    window: int | None
    rank1: float
    mrr: float
    chance: float
    num_query: int
    candidates: float
    skipped: dict[str, int]
    missing_boxes: int = 0

    def __str__(self) -> str:
        scores = "".join(f"{100 * value:8.2f}" for value in (self.rank1, self.mrr, self.chance))
        window = "" if self.window is None else str(self.window)
        counts = f"{self.num_query:>9,}{self.candidates:>12.1f}{sum(self.skipped.values()):>9,}"
        return f"{self.gap:>6}{window:>8}{scores}{counts}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


@checked
def reassociate(
    query: Sightings, gallery: Sightings | None = None, *, gap: int, stride: int = 60, window: int | None = None
) -> Reassociation:
    """Score queries against all tracks in view exactly `gap` frames later, by cosine similarity.

    A query is scored if its track is among at least two candidates. At equal similarity, candidates come in the order
    of `gallery`.

    Args:
        query: Tracks as known at frames; rows at frames not divisible by `stride` are not used.
        gallery: Candidates; None for the queries' own rows, as with single crops.
        gap: Frames from a query to its candidates, at least 1.
        stride: Queries are at frames divisible by this number, at least 1.
        window: Maximum number of frames that a vector was computed from, for the result.

    Raises:
        ValueError: If shapes differ, a frame or track is no whole number, a vector is zero or not finite, a track
            occurs twice in a frame, or no query can be scored.
    """
    if gap < 1 or stride < 1:
        raise ValueError(f"gap={gap}, stride={stride}: give frames, at least 1")
    query = _check("query", query)
    gallery = query if gallery is None else _check("gallery", gallery)
    if query.vectors.shape[1] != gallery.vectors.shape[1]:
        raise ValueError(f"queries have width {query.vectors.shape[1]}, candidates {gallery.vectors.shape[1]}")
    ranks: list[int] = []
    counts: list[int] = []
    skipped = Counter({"no frame": 0, "one candidate": 0, "gone": 0})
    for frame in np.unique(query.frames[query.frames % stride == 0]).tolist():
        rows = np.flatnonzero(query.frames == frame)
        later = np.flatnonzero(gallery.frames == frame + gap)
        if len(later) < 2:
            skipped["one candidate" if len(later) else "no frame"] += len(rows)
            continue
        similar = query.vectors[rows] @ gallery.vectors[later].T
        same = query.tracks[rows, None] == gallery.tracks[later]
        present = same.any(1)
        skipped["gone"] += int((~present).sum())
        similar, own = similar[present], same[present].argmax(1)
        true = similar[np.arange(len(own)), own][:, None]
        before = (similar > true) | ((similar == true) & (np.arange(len(later)) < own[:, None]))
        ranks += (1 + before.sum(1)).tolist()
        counts += [len(later)] * len(own)
    if not ranks:
        why = ", ".join(f"{reason}: {count}" for reason, count in skipped.items())
        raise ValueError(f"no track is seen again {gap} frames after a frame divisible by {stride} ({why})")
    found = np.array(ranks)
    return Reassociation(
        gap,
        stride,
        window,
        rank1=float((found == 1).mean()),
        mrr=float((1 / found).mean()),
        chance=float((1 / np.array(counts)).mean()),
        num_query=len(found),
        candidates=float(np.mean(counts)),
        skipped=dict(skipped),
    )


def _check(name: str, given: Sightings) -> Sightings:
    """Return unit vectors in float64, with frames and tracks."""
    vectors = np.asarray(given.vectors, dtype=np.float64)
    frames, tracks = (whole_numbers(f"{name}: {one}", getattr(given, one)) for one in ("frames", "tracks"))
    if vectors.ndim != 2 or frames.shape != (len(vectors),) or tracks.shape != (len(vectors),):
        raise ValueError(
            f"{name}: vectors {vectors.shape}, frames {frames.shape}, tracks {tracks.shape}; give (N, D), (N,) and (N,)"
        )
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        raise ValueError(f"{name}: a vector is zero or not finite")
    if len(np.unique(np.stack([frames, tracks]), axis=1).T) < len(frames):
        raise ValueError(f"{name}: a track occurs twice in one frame")
    return Sightings(vectors / lengths, frames, tracks)
