"""Miniature datasets in each published layout, their files made in shuffled order."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np
from PIL import Image
from scipy.io import savemat


def write_images(root: Path, names: Iterable[str], *, size: tuple[int, int] = (8, 16)) -> None:
    """Make one small image a name, in an order that no listing should keep."""
    shuffled = sorted(names)
    random.Random(0).shuffle(shuffled)
    for i, name in enumerate(shuffled):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (i * 37 % 256, i * 11 % 256, 90)).save(path)


def mars_tree(root: Path) -> Path:
    """Two training persons; test: junk, a distractor and two persons, of which two tracklets are queries."""
    parts = {
        "train": [(1, 1, 1, 3), (1, 2, 2, 2), (5, 1, 1, 4)],
        "test": [(-1, 1, 1, 2), (0, 2, 1, 3), (2, 1, 1, 3), (2, 2, 2, 2), (7, 3, 1, 5), (7, 6, 1, 2)],
    }
    (root / "info").mkdir(parents=True)
    for part, tracklets in parts.items():
        names, rows = [], []
        for pid, cam, track, frames in tracklets:
            label = "00-1" if pid == -1 else f"{pid:04d}"
            rows.append((len(names) + 1, len(names) + frames, pid, cam))
            names += [f"{label}C{cam}T{track:04d}F{i + 1:03d}.jpg" for i in range(frames)]
        write_images(root / f"bbox_{part}", [f"{name[:4]}/{name}" for name in names])
        (root / "info" / f"{part}_name.txt").write_text("\n".join(names) + "\n")
        savemat(root / "info" / f"tracks_{part}_info.mat", {f"track_{part}_info": np.array(rows, dtype=np.int32)})
    savemat(root / "info" / "query_IDX.mat", {"query_IDX": np.array([[5, 3]], dtype=np.uint16)})
    return root


def ilids_tree(root: Path, persons: Iterable[int] = (1, 2, 5, 9)) -> Path:
    people = [f"person{person:03d}" for person in persons]
    write_images(
        root / "i-LIDS-VID" / "sequences",
        [f"cam{c}/{p}/cam{c}_{p}_{i:05d}.png" for p in people for c in (1, 2) for i in (7, 8, 9, 10, 11)],
    )
    folder = root / "train-test people splits"
    folder.mkdir(parents=True)
    order = np.arange(1, len(people) + 1)
    savemat(
        folder / "train_test_splits_ilidsvid.mat", {"ls_set": np.stack([order[::-1], np.roll(order, 1)]).astype(float)}
    )
    return root


def prid_tree(root: Path) -> Path:
    """Persons 1, 2, 3 and 200 are long enough; 4 is short in camera b, and 201 is another person in each camera."""
    lengths = {1: (27, 30), 2: (28, 27), 3: (27, 27), 4: (40, 26), 200: (29, 27), 201: (30, 30)}
    write_images(
        root / "prid_2011" / "multi_shot",
        [
            f"cam_{cam}/person_{person:04d}/{i + 1:04d}.png"
            for person, both in lengths.items()
            for cam, frames in zip("ab", both, strict=True)
            for i in range(frames)
        ],
        size=(2, 2),
    )
    return root


def ls_vid_tree(root: Path) -> Path:
    parts = {"train": [(3, 1, 4), (3, 10, 15)], "test": [(6, 1, 2), (6, 2, 9), (8, 1, 2)]}
    (root / "list_sequence").mkdir(parents=True)
    (root / "test" / "data").mkdir(parents=True)
    for part, tracklets in parts.items():
        stems = [(f"tracklet_{part}/{pid:04d}/{pid:04d}_{seq:04d}", pid, cam) for pid, seq, cam in tracklets]
        write_images(root, [f"{stem}_{cam:02d}_{i:07d}.jpg" for stem, _, cam in stems for i in (98, 99, 100)])
        lines = "".join(f"{stem} {pid}\n" for stem, pid, _ in stems)
        (root / "list_sequence" / f"list_seq_{part}.txt").write_text(lines)
    with h5py.File(root / "test" / "data" / "info_test.mat", "w") as file:  # as MATLAB 7.3 saves a column
        file["query"] = np.array([[2.0]])
    return root


def duke_tree(root: Path, *, old_names: bool = False) -> Path:
    """The query is in the gallery as well, as distributed."""
    tracks = {"train": [(1, 3, 6)], "query": [(5, 2, 1)], "gallery": [(5, 2, 1), (5, 4, 8), (7, 1, 2)]}
    gap, suffix = ("", "_split") if old_names else ("_", "")
    for part, rows in tracks.items():
        write_images(
            root / f"{part}{suffix}",
            [
                f"{pid:04d}/{track:04d}/{pid:04d}{gap}C{cam}{gap}F{i:04d}{gap}X{9000 + i}.jpg"
                for pid, track, cam in rows
                for i in (1, 2, 3)
            ],
        )
    return root
