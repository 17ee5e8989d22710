"""Comparison of two records of one id: the same tracklet, or a collision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from denseil.common.arguments import shown
from denseil.common.text import plain
from denseil.gallery.record import FloatArray, Hit, Record, Stored

SAME_VECTOR = 5e-3  # distance of unit vectors, above float32 rounding and below that of two tracklets
SAME_COSINE = 1e-3  # cosine distance of a tracklet of unknown time from itself, if embedded in lower precision


def differences(records: Sequence[Record], units: FloatArray, held: Mapping[str, Stored]) -> dict[str, list[str]]:
    """Find records whose camera, time or vector differs from that held under their id.

    pid, track and thumbnail may differ: they describe a tracklet, but do not identify it.

    Args:
        records: Records to add (N).
        units: Their vectors (N, D), of length 1.
        held: The records and vectors that the gallery holds under their ids.

    Returns:
        The differences by id, for records that differ.
    """
    found = {}
    for record, unit in zip(records, units, strict=True):
        if record.id not in held:
            continue
        other, vector = held[record.id]
        what = ["camera"] if record.camid != other.camid else []
        what += ["time"] if (record.start, record.end) != (other.start, other.end) else []
        what += ["vector"] if np.linalg.norm(unit - vector) > SAME_VECTOR else []
        if what:
            found[record.id] = what
    return found


def check_held(
    records: Sequence[Record], units: FloatArray, held: Mapping[str, Stored], uri: str, *, added: int = 0
) -> None:
    """Check that records whose id is held are the same tracklets; see `differences`.

    Args:
        records: Records to add (N).
        units: Their vectors (N, D), of length 1.
        held: The records and vectors that the gallery holds under their ids.
        uri: The gallery.
        added: How many of the records were added already.

    Raises:
        ValueError: If some are not; it counts them.
    """
    if held:
        refuse(differences(records, units, held), len(records), uri, added=added)


def refuse(differing: Mapping[str, Sequence[str]], total: int, uri: str, *, added: int = 0) -> None:
    """Raise for records that differ from those that are held under their ids.

    Raises:
        ValueError: If there are any.
    """
    if not differing:
        return
    counts = Counter(what for one in differing.values() for what in one)
    counted = ", ".join(f"{count:,} by {what}" for what, count in counts.items())
    others = f"{added:,} others were" if added else "nothing was"
    raise ValueError(
        f"{len(differing):,} of {total:,} ids are held in {plain(uri)} by other tracklets (they differ: {counted}), "
        f"first {shown(next(iter(differing)))}; {others} added: give each tracklet an id of its own (denseil "
        "tracklets: --camid, --source, --start), or remove those that are held"
    )


def is_itself(query: Record, hit: Hit) -> bool:
    """Decide whether a search has found the query's own record: the same id, camera and time.

    If the time is unknown, the vector must be the same too.
    """
    one, other = query, hit.record
    if (one.id, one.camid, one.start, one.end) != (other.id, other.camid, other.start, other.end):
        return False
    return (one.start, one.end) != (0.0, 0.0) or hit.distance < SAME_COSINE
