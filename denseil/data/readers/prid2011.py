"""PRID-2011 (Hirzer et al., SCIA 2011), multi-shot, in the distributed layout.

    ROOT/prid_2011/multi_shot/cam_a/person_0001/0001.png
    ROOT/prid_2011/multi_shot/cam_b/person_0001/...
    ROOT/splits_prid2011.json                   torchreid's, or
    ROOT/train_test_splits_prid.mat             Wang et al.'s, distributed with iLIDS-VID

Only persons 1 to 200 are in both cameras. Video re-ID uses the 178 of them with at least 27 frames in each. Half of
these are for training, half for testing; results are means over ten splits.
"""

from __future__ import annotations

from pathlib import Path

from denseil.data.readers._two_cameras import person_number, split_dataset, tracklets_by_person
from denseil.data.readers.files import first_of, require
from denseil.data.tracklet import Tracklet, VideoReIDDataset

PUBLISHED = {
    "train identities": 89,
    "train tracklets": 178,
    "query tracklets": 89,
    "gallery tracklets without queries": 89,
    "cameras": 2,
}
SPLIT_FILES = (
    "train_test_splits_prid.mat",
    "train-test people splits/train_test_splits_prid.mat",
    "splits_prid2011.json",
    "splits.json",
)
SHARED_PERSONS = 200


def read_prid2011(
    root: Path, *, split: int = 0, split_file: Path | str | None = None, min_frames: int = 27
) -> VideoReIDDataset:
    """Read one split of PRID-2011.

    Args:
        root: The folder that contains `prid_2011/`.
        split: Which of the ten splits, from 0.
        split_file: Another file of splits, `.mat` or `.json`; see `denseil.data.splits`.
        min_frames: Persons with fewer frames in either camera are left out.

    Raises:
        FileNotFoundError: If the frames or the split file are missing.
        ValueError: If the split file does not fit the persons.
    """
    people = prid2011_people(root, min_frames=min_frames)
    path = (
        Path(split_file)
        if split_file
        else first_of(root, SPLIT_FILES, what="split file (`denseil data splits` makes one)")
    )
    return split_dataset(people, name="prid2011", split=split, split_file=path, problems=[])


def prid2011_people(root: Path, *, min_frames: int = 27) -> dict[str, dict[int, Tracklet]]:
    """Return the two tracklets, by camera, of each person with enough frames in both cameras."""
    shots = first_of(root, ("prid_2011/multi_shot", "multi_shot"), what="folder of frames")
    require(shots, folders=["cam_a", "cam_b"])
    people = tracklets_by_person({1: shots / "cam_a", 2: shots / "cam_b"}, min_frames=min_frames)
    return {person: views for person, views in people.items() if person_number(person) <= SHARED_PERSONS}
