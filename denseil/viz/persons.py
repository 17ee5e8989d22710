"""Data of persons on a page: one row each, with their tracklets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from denseil.common.arguments import checked_class


@checked_class
@dataclass(frozen=True)
class PersonTrack:
    """One tracklet of a person.

    Args:
        name: Name to show.
        details: Short texts under the name, such as camera and time.
        thumbnail: Path of its picture; "" for none.
        mark: Word to mark it with, such as "weakest link"; "" for none.
        frames: Paths of two or three of its pictures, in the order of time, to show in place of the thumbnail.
    """

    name: str
    details: Sequence[str] = ()
    thumbnail: str = ""
    mark: str = ""
    frames: Sequence[str] = ()


@checked_class
@dataclass(frozen=True)
class PersonRow:
    """One row of a page: a person, or a question, with its tracklets.

    Args:
        name: Title of the row.
        tracks: Its tracklets, in the order to show.
        details: Short texts under the title.
    """

    name: str
    tracks: Sequence[PersonTrack]
    details: Sequence[str] = ()
