"""LS-VID (Li et al., ICCV 2019), in the distributed layout.

    ROOT/tracklet_train/..., ROOT/tracklet_test/...    frames named IDENTITY_SEQUENCE_CAMERA_FRAME.jpg
    ROOT/list_sequence/list_seq_{train,test}.txt       one line per tracklet: prefix of its frames' paths, identity
    ROOT/test/data/info_test.mat                       `query`: which test tracklets are queries (from 1)

Some copies have the lists in `info/list_sequence/` and `info/data/`, which are tried as well.
Each query is ranked against all test tracklets, including the other queries.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from functools import lru_cache
from pathlib import Path

from denseil.data.readers.files import first_of, images_in, load_mat, read_names, require
from denseil.data.tracklet import Frames, Tracklet, VideoReIDDataset

PUBLISHED = {
    "train identities": 842,
    "train tracklets": 2_831,
    "train frames": 550_419,
    "test tracklets": 11_333,
    "test frames": 2_277_075,
    "query tracklets": 3_504,
    "cameras": 15,
}


def read_ls_vid(root: Path) -> VideoReIDDataset:
    """Read LS-VID's training and test parts (its validation part is not read).

    Raises:
        FileNotFoundError: If a list is missing.
        ValueError: If a list is damaged.
    """
    require(root)
    lists = first_of(root, ("list_sequence", "info/list_sequence"), what="folder of lists")
    info = first_of(root, ("test/data/info_test.mat", "info/data/info_test.mat"), what="info_test.mat")
    require(lists, files=["list_seq_train.txt", "list_seq_test.txt"])
    problems: list[str] = []
    train = [tracklet for tracklet in _tracklets(root, lists / "list_seq_train.txt", problems) if tracklet]
    test = _tracklets(root, lists / "list_seq_test.txt", problems)
    rows = load_mat(info, "query") - 1
    if not len(rows) or rows.min() < 0 or rows.max() >= len(test):
        raise ValueError(f"{info}: 'query' must hold numbers of 1 to {len(test)}, the tracklets of list_seq_test.txt")
    queries = dict.fromkeys(rows.tolist())
    return VideoReIDDataset(
        train=train,
        query=[tracklet for i in queries if (tracklet := test[i])],
        gallery=[tracklet for i, tracklet in enumerate(test) if tracklet and i not in queries],
        name="ls_vid",
        query_in_gallery=True,
        problems=tuple(problems),
    )


def _tracklets(root: Path, path: Path, problems: list[str]) -> list[Tracklet | None]:
    """Return the tracklets of a list in order; None, and a problem, for entries without frames or with mixed frames."""
    listing = lru_cache(maxsize=None)(_listing)
    tracklets: list[Tracklet | None] = []
    for line in read_names(path):
        prefix, _, pid = os.fsdecode(line).rpartition(" ")
        if not prefix or not pid.lstrip("-").isdigit():
            raise ValueError(f"{path}: a line is 'beginning-of-path identity', got {os.fsdecode(line)!r}")
        folder = (root / prefix).parent
        frames = _beginning_with(listing(folder), Path(prefix).name)
        labels = sorted({tuple(frame.split("_")[:3]) for frame in frames})
        if not frames:
            problems.append(f"{path.name}: no frames of {prefix} in {folder}")
        elif len(labels[0]) != 3 or not labels[0][2].isdigit():
            problems.append(f"{path.name}: {frames[0]} is not named IDENTITY_SEQUENCE_CAMERA_FRAME")
        elif len({(person, camera) for person, _, camera in labels}) > 1:
            problems.append(f"{path.name}: two identities or cameras in one tracklet, {prefix}: {labels}")
        else:
            tracklets.append(Tracklet(Frames(folder, frames), int(pid), int(labels[0][2]), name=prefix))
            continue
        tracklets.append(None)
    return tracklets


def _listing(folder: Path) -> list[str]:
    return sorted(images_in(folder)) if folder.is_dir() else []


def _beginning_with(names: list[str], prefix: str) -> list[str]:
    """Return the names of a sorted list that start with `prefix`, followed by neither a letter nor a digit."""
    start = bisect_left(names, prefix)
    stop = bisect_left(names, prefix + "\U0010ffff")
    return [name for name in names[start:stop] if not name[len(prefix) :][:1].isalnum()]
