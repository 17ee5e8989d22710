"""Ids that trackers give their tracks, as keys."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from denseil.common.arguments import shown


def id_values(track_ids: Any) -> list[Hashable]:
    """Track ids by value: those of tensors and arrays compare by identity, so each frame would start new tracks.

    Args:
        track_ids: A sequence of ids, a tensor or an array of them; None for none.

    Raises:
        TypeError: If an id cannot be a key, or is no whole number.
    """
    if track_ids is None:
        return []
    if hasattr(track_ids, "reshape"):  # a tensor or an array
        track_ids = track_ids.reshape(-1).tolist()
    ids: list[Hashable] = []
    for track_id in track_ids:
        value: Any = track_id
        if hasattr(track_id, "reshape"):
            if track_id.ndim and track_id.shape != (1,):
                raise TypeError(f"track id {shown(track_id)}: give whole numbers or names")
            value = track_id.item()
        if isinstance(value, float):  # trackers keep ids in the array of their boxes
            if not value.is_integer():
                raise TypeError(f"track id {value!r}: give whole numbers or names")
            value = int(value)
        ids.append(value)
    return ids
