"""The page of a linking: pairs to confirm, then a row per person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from denseil.cli.pages import show_time
from denseil.common.text import counted
from denseil.data.readers.files import images_in
from denseil.linking import Doubt, Links
from denseil.viz import Page, PersonRow, PersonTrack

SHOWN = 2000  # persons
FRAMES = 3  # of a tracklet, if its folder is its own


def link_page(links: Links, records: Sequence[dict[str, Any]], questions: Sequence[Doubt]) -> Page:
    """Make the page.

    Args:
        links: Result of `denseil.linking.link`.
        records: What is known of each tracklet: `id`, and perhaps `thumbnail`. If no other tracklet has its picture in
            the same folder, as with the crops of `denseil tracklets`, three frames of the folder are shown.
        questions: Pairs to confirm.
    """
    page = Page("Persons", str(links))
    records = _with_frames(records)
    rows = []
    for number, doubt in enumerate(questions, start=1):
        now = "linked now" if doubt.linked else "not linked now"
        tracks = [_track(links, records, row) for row in (doubt.one, doubt.other)]
        rows.append(PersonRow(f"Pair {number}", tracks, (f"similarity {doubt.similarity:.3f}", now)))
    page.add_persons(
        rows,
        "Doubtful pairs",
        "One person or two? The file of questions (--questions) lists these pairs: write yes or no into its last "
        "column, and give it back with --confirm. Times are in UTC.",
        large=True,
    )
    order = np.argsort(-np.bincount(links.person, minlength=1)[1:], kind="stable") + 1
    persons = [_person(links, records, int(number)) for number in order[:SHOWN]]
    left = f" The {SHOWN:,} with the most tracklets are shown." if links.num_persons > SHOWN else ""
    page.add_persons(persons, counted(links.num_persons, "person"), f"Their tracklets by time (UTC) and camera.{left}")
    return page


def _person(links: Links, records: Sequence[dict[str, Any]], number: int) -> PersonRow:
    rows = np.flatnonzero(links.person == number)
    rows = rows[np.lexsort((links.camids[rows], links.start[rows]))]
    weakest = rows[links.confidence[rows].argmin()] if len(rows) > 2 else None  # of two, both are as weak
    tracks = [_track(links, records, row, "weakest link" if row == weakest else "") for row in rows.tolist()]
    cameras = len(np.unique(links.camids[rows]))
    details = (
        f"{counted(len(rows), 'tracklet')}, {counted(cameras, 'camera')}",
        f"confidence {links.confidence[rows].min():.2f}",
    )
    return PersonRow(f"Person {number}", tracks, details)


def _with_frames(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records with `folder`, that of their crops, where it holds those of no other record."""
    folders = [str(Path(str(record["thumbnail"])).parent) if record.get("thumbnail") else "" for record in records]
    sharing = Counter(folders)
    return [
        {**record, "folder": folder if sharing[folder] == 1 else ""}
        for record, folder in zip(records, folders, strict=True)
    ]


def _frames(folder: str) -> list[str]:
    """The first, the middle and the last picture of a folder; none if it has fewer, or is gone."""
    try:
        names = images_in(Path(folder)) if folder else []
    except OSError:
        return []
    if len(names) < FRAMES:
        return []
    return [str(Path(folder, names[place])) for place in np.linspace(0, len(names) - 1, FRAMES).round().astype(int)]


def _track(links: Links, records: Sequence[dict[str, Any]], row: int, mark: str = "") -> PersonTrack:
    start, end = links.start[row], links.end[row]
    time = [] if np.isnan(start) else [f"{show_time(float(start))}, {end - start:.0f}\N{NO-BREAK SPACE}s"]
    details = [f"camera {links.camids[row]}", *time, f"confidence {links.confidence[row]:.2f}"]
    thumbnail = str(records[row].get("thumbnail") or "")
    return PersonTrack(str(records[row]["id"]), details, thumbnail, mark, _frames(records[row]["folder"]))
