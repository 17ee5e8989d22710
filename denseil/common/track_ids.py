"""Track ids of trackers, as dictionary keys."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from denseil.common.arguments import shown


def id_values(track_ids: Any) -> list[Hashable]:
    """Convert track ids to keys by value; elements of a tensor hash by identity, so each frame would start new tracks.

    Args:
        track_ids: A sequence of ids, a tensor or an array of them; None for none.

    Raises:
        TypeError: If an id cannot be a key, such as None or a list, or is not a whole number.
    """
    if track_ids is None:
        return []
    if hasattr(track_ids, "reshape"):  # a tensor or an array
        track_ids = track_ids.reshape(-1).tolist()
    if isinstance(track_ids, (str, bytes)) or not isinstance(track_ids, Iterable):
        raise TypeError(f"track ids are {shown(track_ids)}; give one for each crop, in a list")
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
        if value is None or isinstance(value, bool) or not isinstance(value, Hashable):
            raise TypeError(f"track id {shown(value)}: give whole numbers or names")
        ids.append(value)
    return ids


def is_confirmed(track_id: Hashable) -> bool:
    """Whether an id is not negative: trackers number tracks that they have not confirmed yet below 0."""
    return not (isinstance(track_id, int) and track_id < 0)


def check_once(track_ids: Sequence[Hashable]) -> None:
    """Raise ValueError if an id occurs twice in one frame."""
    if len(set(track_ids)) < len(track_ids):
        twice = next(track_id for track_id in track_ids if list(track_ids).count(track_id) > 1)
        raise ValueError(f"track id {twice!r} occurs twice in one frame, and a person is in it once: check the ids")
