"""MARS (Zheng et al., ECCV 2016), in the distributed layout.

    ROOT/bbox_train/0001/0001C1T0001F001.jpg   identity, camera, tracklet, frame
    ROOT/bbox_test/{00-1,0000,0002,...}/       00-1 is junk, 0000 distractors
    ROOT/info/{train_name.txt, test_name.txt}  all frames, in order
    ROOT/info/tracks_{train,test}_info.mat     per tracklet: first frame, last frame (from 1), identity, camera
    ROOT/info/query_IDX.mat                    which test tracklets are queries (from 1)

The official protocol ranks each query against all 12,180 test tracklets, including the other queries; without them 140
of the 1,980 queries have no match.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from denseil.data.readers.files import load_mat, read_names, require
from denseil.data.tracklet import Frames, Tracklet, VideoReIDDataset

PUBLISHED = {
    "train identities": 625,
    "train tracklets": 8_298,
    "train frames": 509_914,
    "test tracklets": 12_180,
    "test frames": 681_089,
    "junk tracklets (pid -1)": 870,
    "distractor tracklets (pid 0)": 3_248,
    "query tracklets": 1_980,
    "gallery tracklets without queries": 9_330,
    "gallery tracklets with queries": 11_310,
    "cameras": 6,
}


def read_mars(root: Path) -> VideoReIDDataset:
    """Read MARS, or another dataset in the layout of MARS.

    Raises:
        FileNotFoundError: If a file or folder of the layout is missing.
        ValueError: If an info file is damaged, or refers to rows outside its list of names.
    """
    info = [f"info/{name}" for name in ("train_name.txt", "test_name.txt")]
    info += [f"info/{name}.mat" for name in ("tracks_train_info", "tracks_test_info", "query_IDX")]
    require(root, files=info, folders=["bbox_train", "bbox_test"])
    problems: list[str] = []
    train = _tracklets(root, "train", problems)
    test = _tracklets(root, "test", problems)
    queries = _queries(root / "info" / "query_IDX.mat", len(test))
    return VideoReIDDataset(
        train=train,
        query=[test[i] for i in queries],
        gallery=[tracklet for i, tracklet in enumerate(test) if i not in queries],
        name="mars",
        query_in_gallery=True,
        problems=tuple(problems),
    )


def _tracklets(root: Path, part: str, problems: list[str]) -> list[Tracklet]:
    """Return the tracklets of one part; errors in their labels are added to `problems`."""
    path = root / "info" / f"tracks_{part}_info.mat"
    tracks = load_mat(path, f"track_{part}_info", columns=4)
    if not len(tracks):
        return []  # a set for tests alone, such as rendered walks, or for training alone
    names = np.array(read_names(root / "info" / f"{part}_name.txt"), dtype=np.bytes_)
    first, last = tracks[:, 0], tracks[:, 1]
    bad = np.flatnonzero((first < 1) | (last < first) | (last > len(names)))
    if len(bad):
        row = bad[0]
        raise ValueError(
            f"{path}: {len(bad)} tracklets reach outside the {len(names)} names of {part}_name.txt; the first is row "
            f"{row + 1}, frames {first[row]} to {last[row]}. The two files are not of one release"
        )
    problems += _mixed(names, tracks, path)
    tracklets = []
    for start, stop, pid, camid in tracks.tolist():
        frames = names[start - 1 : stop]
        name = os.fsdecode(frames[0])
        folder = root / f"bbox_{part}" / name.partition("C")[0]
        tracklets.append(Tracklet(Frames(folder, frames), pid, camid, name=name.partition("F")[0]))
    return tracklets


def _mixed(names: NDArray[np.bytes_], tracks: NDArray[np.int64], path: Path) -> list[str]:
    """List tracklets with a frame whose name has another identity or camera than the info file."""
    lengths = tracks[:, 1] - tracks[:, 0] + 1
    labels = [f"{'00-1' if pid == -1 else f'{pid:04d}'}C{camid}T".encode() for _, _, pid, camid in tracks.tolist()]
    owner = np.repeat(np.arange(len(tracks)), lengths)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    own_names = names[np.repeat(tracks[:, 0] - 1, lengths) + within]
    wrong = np.flatnonzero(~np.char.startswith(own_names, np.array(labels, dtype=np.bytes_)[owner]))
    rows, starts, counts = np.unique(owner[wrong], return_index=True, return_counts=True)
    return [
        f"{path.name} row {row + 1} (pid {tracks[row, 2]}, camera {tracks[row, 3]}): two identities or cameras in one "
        f"tracklet, {count} of {lengths[row]} frames are named otherwise, "
        f"the first {os.fsdecode(own_names[wrong[start]])}"
        for row, start, count in zip(rows, starts, counts, strict=True)
    ]


def _queries(path: Path, num_test: int) -> dict[int, None]:
    """Return the indices of the queries among the test tracklets, from 0, in the order of the file."""
    rows = load_mat(path, "query_IDX") - 1
    queries = dict.fromkeys(rows.tolist())
    if not len(rows) and not num_test:
        return queries
    if len(queries) != len(rows) or not len(rows) or rows.min() < 0 or rows.max() >= num_test:
        raise ValueError(f"{path}: expected different numbers of 1 to {num_test}, got {len(rows)} that are not")
    return queries
