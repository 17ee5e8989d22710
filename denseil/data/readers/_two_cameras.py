"""Helpers of iLIDS-VID and PRID-2011: one tracklet per person and camera, ten random half splits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from denseil.data.readers.files import folders_in, images_in
from denseil.data.splits import Split, read_splits
from denseil.data.tracklet import Frames, Tracklet, VideoReIDDataset


def person_number(person: str) -> int:
    """Return the number in a name such as `person_0012`."""
    digits = re.search(r"\d+", person)
    if digits is None:
        raise ValueError(f"folder {person!r} has no number in its name; persons are named like 'person001'")
    return int(digits[0])


def tracklets_by_person(cameras: Mapping[int, Path], *, min_frames: int = 1) -> dict[str, dict[int, Tracklet]]:
    """Return the tracklets of persons with at least `min_frames` frames in every camera, by camera, sorted by name."""
    seen = set.intersection(*({*folders_in(folder)} for folder in cameras.values()))
    people: dict[str, dict[int, Tracklet]] = {}
    for person in sorted(seen):
        names = {camid: images_in(folder / person) for camid, folder in cameras.items()}
        if all(len(frames) >= min_frames for frames in names.values()):
            people[person] = {
                camid: Tracklet(
                    Frames(cameras[camid] / person, frames), person_number(person), camid, f"{person} camera {camid}"
                )
                for camid, frames in names.items()
            }
    return people


def split_dataset(
    people: Mapping[str, Mapping[int, Tracklet]], *, name: str, split: int, split_file: Path, problems: list[str]
) -> VideoReIDDataset:
    """Build the dataset of a split: training tracklets of both cameras, queries of the first, gallery of the second.

    Raises:
        ValueError: If the split does not exist.
    """
    splits = read_splits(split_file, list(people))
    if not 0 <= split < len(splits):
        raise ValueError(f"split {split} of {split_file}: it has {len(splits)}, counted from 0")
    halves: Split = splits[split]
    first, second = sorted(next(iter(people.values())))
    return VideoReIDDataset(
        train=[people[person][camid] for person in halves.train for camid in (first, second)],
        query=[people[person][first] for person in halves.test],
        gallery=[people[person][second] for person in halves.test],
        name=name,
        problems=tuple(problems),
    )
