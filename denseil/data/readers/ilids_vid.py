"""iLIDS-VID (Wang et al., ECCV 2014), in the distributed layout.

    ROOT/i-LIDS-VID/sequences/cam1/person001/cam1_person001_00317.png
    ROOT/i-LIDS-VID/sequences/cam2/person001/...
    ROOT/train-test people splits/train_test_splits_ilidsvid.mat

300 persons, each with one tracklet in each of two cameras. Half of the persons are for training, half for testing;
results are means over the ten published splits.
"""

from __future__ import annotations

from pathlib import Path

from denseil.data.readers._two_cameras import split_dataset, tracklets_by_person
from denseil.data.readers.files import first_of, require
from denseil.data.tracklet import Tracklet, VideoReIDDataset

PUBLISHED = {
    "train identities": 150,
    "train tracklets": 300,
    "query tracklets": 150,
    "gallery tracklets without queries": 150,
    "cameras": 2,
}
SPLIT_FILES = (
    "train-test people splits/train_test_splits_ilidsvid.mat",
    "train_test_splits_ilidsvid.mat",
    "splits_ilidsvid.mat",
    "splits.json",
)


def read_ilids_vid(root: Path, *, split: int = 0, split_file: Path | str | None = None) -> VideoReIDDataset:
    """Read one split of iLIDS-VID.

    Args:
        root: The folder that contains `i-LIDS-VID/` and `train-test people splits/`.
        split: Which of the ten splits, from 0.
        split_file: Another file of splits, `.mat` or `.json`; see `denseil.data.splits`.

    Raises:
        FileNotFoundError: If the frames or the split file are missing.
        ValueError: If the split file does not fit the persons.
    """
    people = ilids_vid_people(root)
    path = (
        Path(split_file)
        if split_file
        else first_of(root, SPLIT_FILES, what="split file (`denseil data splits` makes one)")
    )
    problems = [
        f"{tracklet.name}: two identities or cameras in one tracklet, {frame}"
        for person, views in people.items()
        for camid, tracklet in views.items()
        for frame in tracklet.frames
        if Path(frame).name.startswith("cam") and not Path(frame).name.startswith(f"cam{camid}_{person}_")
    ]
    return split_dataset(people, name="ilids_vid", split=split, split_file=path, problems=problems)


def ilids_vid_people(root: Path) -> dict[str, dict[int, Tracklet]]:
    """Return the two tracklets, by camera, of each person seen by both cameras."""
    sequences = first_of(root, ("i-LIDS-VID/sequences", "sequences"), what="folder of sequences")
    require(sequences, folders=["cam1", "cam2"])
    return tracklets_by_person({1: sequences / "cam1", 2: sequences / "cam2"})
