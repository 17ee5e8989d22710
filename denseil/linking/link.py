"""Tracklets to persons."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from denseil.common.arguments import checked
from denseil.common.vectors import ArrayLike
from denseil.linking.agglomerate import agglomerate
from denseil.linking.centring import centred
from denseil.linking.checks import check_pairs, check_tracks
from denseil.linking.confidence import confidences
from denseil.linking.graph import nearest_rows
from denseil.linking.result import Links
from denseil.linking.rules import ConflictError, Pairs, Rules, Travel
from denseil.linking.threshold import (
    FAR,
    ROUNDING,
    Halves,
    Threshold,
    auto_threshold,
    check_given,
    warn_if_borrowed,
)

EXACT = 20_000  # tracklets; above, each merges only with its nearest
NEAREST = 50


@checked
def link(
    vectors: ArrayLike,
    *,
    camids: ArrayLike,
    start: ArrayLike | None = None,
    end: ArrayLike | None = None,
    threshold: float | str = "auto",
    far: float = FAR,
    halves: Halves | None = None,
    cannot_link: Pairs = (),
    must_link: Pairs = (),
    travel: Travel | None = None,
    nearest: int | None = None,
    model_id: str | None = None,
    centre: bool = True,
) -> Links:
    """Assign a person to each tracklet, by average linkage of the vectors under constraints.

    Under "auto", part of each camera's mean vector is subtracted from its vectors first: n / (n + 5) of it, where n is
    the number of its tracklets that were seen at once with another one. They are then scaled to length 1 again. A
    threshold that is given is compared with the unchanged vectors, as in `Embedder.same`.

    Two tracklets whose times in one camera overlap, if only in one instant, never get the same person, nor do those
    that `travel` or `cannot_link` forbid; this holds for all pairs of a person's tracklets. The result does not depend
    on the order of the tracklets, except among identical ones.

    Args:
        vectors: Embeddings (N, D).
        camids: Camera of each (N,), whole numbers.
        start: Time of the first frame of each (N,), seconds on one clock; NaN if unknown. None for all unknown. Dates
            (seconds since 1970) need float64.
        end: Time of the last frame (N,); `start` by default.
        threshold: Least average cosine similarity of one person's tracklets, up to the rounding of float32, or "auto";
            see `auto_threshold`.
        far: Share of the pairs of two persons that reach the first of the two estimates of "auto", in (0, 0.5]; the
            threshold is midway between them.
        halves: Vectors (M, D) of the first and of the second half of M tracks, for "auto"; see `auto_threshold`.
        cannot_link: Pairs of rows that show two persons.
        must_link: Pairs of rows that show one person.
        travel: Minimum and maximum seconds from the end in one camera to the start in another, by (from, to); the way
            back takes as long unless it is given as well. Other pairs of cameras are not limited.
        nearest: Number of most similar tracklets that each is first compared with; None for all up to 20,000 tracklets,
            and 50 above.
        model_id: Identity of the model of the vectors, as features files name it; None if unknown. "auto" warns if it
            has few pairs, except with the packaged weights that it was measured with.
        centre: Whether "auto" subtracts the mean vectors of cameras. With `halves` it never does.

    Returns:
        A person and a confidence for each tracklet, the threshold, and whether vectors were centred.

    Raises:
        TypeError: If an argument has a wrong type.
        ValueError: If lengths differ, a vector is zero or not finite, an end is before its start, a threshold is not
            in [-1, 1] or has `far` or `halves` beside it, or pairs of `must_link` are forbidden; the message then names
            their rows.
    """
    check_given(threshold, far, halves)
    tracks = check_tracks(vectors, camids, start, end)
    cannot, must = (
        check_pairs(name, pairs, len(tracks))
        for name, pairs in (("cannot_link", cannot_link), ("must_link", must_link))
    )
    order = tracks.order()
    rank = np.empty(len(tracks), np.int64)
    rank[order] = np.arange(len(tracks))
    ordered = tracks[order]
    rules = Rules(ordered.camids, ordered.start, ordered.end, [(int(rank[a]), int(rank[b])) for a, b in cannot], travel)
    compared, changed = centred(ordered) if threshold == "auto" and centre and halves is None else (ordered, False)
    if isinstance(threshold, str):
        found = auto_threshold(compared, rules, far=far, halves=halves)
    else:
        found = Threshold(float(threshold))
    if len(tracks) > 1:
        warn_if_borrowed(found, model_id, level=3)
    if nearest is None and len(tracks) > EXACT:
        nearest = NEAREST
    if nearest is not None and nearest < 1:
        raise ValueError(f"nearest={nearest}: give at least 1")
    reached = found.value - ROUNDING
    try:
        cluster = agglomerate(
            compared.vectors,
            rules,
            reached,
            must_link=sorted((int(min(rank[a], rank[b])), int(max(rank[a], rank[b]))) for a, b in must),
            neighbours=None if nearest is None else nearest_rows(compared.vectors, nearest, reached),
        )
    except ConflictError as error:
        raise error.of_rows(order) from None
    person = _number(cluster)
    sure = confidences(compared, person - 1, rules, found.value)
    return Links(person[rank], sure[rank], found, tracks.camids, tracks.start, tracks.end, changed)


def _number(cluster: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number clusters from 1 by their first row."""
    _, first, number = np.unique(cluster, return_index=True, return_inverse=True)
    rank: NDArray[np.int64] = np.argsort(np.argsort(first))
    return rank[number] + 1
