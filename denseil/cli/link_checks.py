"""Warnings about times and cameras that make `denseil link` and `denseil adapt` take people for others."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from denseil.cli.pages import YEAR
from denseil.common.arguments import shown
from denseil.common.text import plain
from denseil.common.track_key import TrackKey
from denseil.data.video import CROPS
from denseil.linking.rules import Travel

logger = logging.getLogger(__name__)
OVERLAP = 2.0  # seconds for which a recorder may show the same in two recordings that follow each other


def check_cameras(travel: Travel | None, camids: list[int]) -> None:
    """Warn about travel times of cameras that no tracklet is of."""
    unused = {camera for pair in travel or () for camera in pair} - set(camids)
    if unused:
        logger.warning(
            "--travel: no tracklet is of camera %s, whose times are not used; the features files have cameras %s",
            ", ".join(map(str, sorted(unused))),
            ", ".join(map(str, sorted(set(camids)))),
        )


def warn_of_no_answers(files: Sequence[Path]) -> None:
    """Warn about files of answers whose last columns are empty, as where answers were saved under another name."""
    logger.warning(
        "--confirm: no answer in %s: write yes or no into the column same", ", ".join(plain(file) for file in files)
    )


def check_clocks(records: list[dict[str, Any]]) -> None:
    """Warn about missing times, and about times from the start of a video beside dates.

    Tracklets without a time on a common clock are never seen at once.
    """
    known = [record for record in records if "start" in record]
    if len(known) < len(records):
        first = next(record for record in records if "start" not in record)
        logger.warning(
            "tracklets without a time: %d of %d, first %s; people whom one camera shows at once may be linked. Embed "
            "the manifest of denseil tracklets, which has the times",
            len(records) - len(known),
            len(records),
            shown(first["id"]),
        )
    relative = [record for record in known if 0 <= record["start"] < YEAR]
    dated = [record for record in known if record["start"] >= 2 * YEAR]
    if relative and dated:
        logger.warning(
            "tracklet %s starts at a time since the start of its video, %s at a date: times of all files must be on "
            "one clock, or people are linked who were seen at once; cut all videos with --start of denseil tracklets",
            shown(relative[0]["id"]),
            shown(dated[0]["id"]),
        )


def check_recordings(records: Sequence[dict[str, Any]], camids: Sequence[int]) -> None:
    """Warn about two recordings of one camera at the same time: cameras that share a number, or times from 0 in each.

    Their people are taken for different ones: they are never linked, and their pairs spoil the threshold.
    """
    open_ones: dict[int, dict[tuple[str, str], tuple[float, str]]] = {}  # the latest end, and whose, by recording
    timed = [
        (record["start"], camid, record) for record, camid in zip(records, camids, strict=True) if "start" in record
    ]
    for start, camid, record in sorted(timed, key=lambda one: one[0]):
        recording, end = _recording(record), record.get("end", record["start"])
        if recording is None:
            continue
        ends = open_ones.setdefault(camid, {})
        for other, (last, name) in list(ends.items()):
            if last - start <= OVERLAP:
                del ends[other]  # it has ended
            elif other != recording and end - start > OVERLAP:
                logger.warning(
                    "tracklets %s and %s are of two recordings of camera %d at the same time, so that their people "
                    "are taken for different ones: give each camera a number of its own, and all videos times on one "
                    "clock (--camid and --start of denseil tracklets)",
                    shown(name),
                    shown(record["id"]),
                    camid,
                )
                return
        ends[recording] = max(ends.get(recording, (end, str(record["id"]))), (end, str(record["id"])))


def _recording(record: dict[str, Any]) -> tuple[str, str] | None:
    """The video of a tracklet, and the folder that it was cut into, if known; None if its id names no video."""
    try:
        source = TrackKey.parse(record["id"]).source
    except ValueError:
        return None
    crops = Path(str(record.get("thumbnail") or "")).parent.parent
    return source, str(crops) if crops.name == CROPS else ""
