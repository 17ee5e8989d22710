"""Track ids of trackers, as dictionary keys."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from denseil.common.arguments import shown
from denseil.common.text import counted


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


def confirmed_ids(track_ids: Any, crops: int, *, of: str = "") -> tuple[list[Hashable], list[int]]:
    """Return the ids of a frame as keys, and the places of the confirmed ones, which are not negative.

    Args:
        track_ids: As for `id_values`.
        crops: Number of the crops that they belong to.
        of: What is there of the crops, in errors.

    Raises:
        ValueError: If there is not one id for each crop, or a confirmed id occurs twice.
        TypeError: As `id_values`.
    """
    ids = id_values(track_ids)
    if len(ids) != crops:
        raise ValueError(f"{counted(len(ids), 'track id')} for {of}{counted(crops, 'crop')}; give one crop for each id")
    places = [place for place, track_id in enumerate(ids) if not (isinstance(track_id, int) and track_id < 0)]
    confirmed = [ids[place] for place in places]
    if len(set(confirmed)) < len(confirmed):
        twice = next(track_id for track_id in confirmed if confirmed.count(track_id) > 1)
        raise ValueError(f"track id {twice!r} occurs twice in one frame, and a person is in it once: check the ids")
    return ids, places
