"""DukeMTMC-VideoReID (Wu et al., CVPR 2018), for users who have a copy and may use it.

    ROOT/train/0001/0003/0001C6F0099X30823.jpg    split, identity, tracklet; identity, camera, frame, frame of the video
    ROOT/query/..., ROOT/gallery/...              older copies say train_split, query_split, gallery_split

`gallery/` repeats the queries' tracklets; they are left out of `gallery` here, and `gallery_with_queries` adds them
again, as the published protocol requires.
"""

from __future__ import annotations

import re
from pathlib import Path

from denseil.data.readers.files import first_of, folders_in, images_in, require
from denseil.data.tracklet import Frames, Tracklet, VideoReIDDataset

PUBLISHED = {
    "train identities": 702,
    "train tracklets": 2_196,
    "train frames": 369_656,
    "test tracklets": 2_636,
    "test frames": 445_764,
    "query tracklets": 702,
    "cameras": 8,
}
NOTICE = (
    "DukeMTMC was withdrawn by its authors in 2019: the people in it were filmed in public without their agreement, "
    "against the terms their university had approved. denseil gives no link to it, does not download it and "
    "publishes no weights trained on it. If you hold a copy and have the right to use it, say so: "
    "i_have_the_right_to_use_this=True"
)
_NAME = re.compile(r"(\d+)_?C(\d)_?F\d+")


def read_dukemtmc_videoreid(root: Path, *, i_have_the_right_to_use_this: bool = False) -> VideoReIDDataset:
    """Read DukeMTMC-VideoReID.

    Raises:
        ValueError: Unless `i_have_the_right_to_use_this` is True.
        FileNotFoundError: If a part is missing.
    """
    if not i_have_the_right_to_use_this:
        raise ValueError(NOTICE)
    require(root)
    problems: list[str] = []
    parts = {
        part: _tracklets(first_of(root, (part, f"{part}_split"), what=f"folder {part!r}"), problems)
        for part in ("train", "query", "gallery")
    }
    return VideoReIDDataset(
        train=list(parts["train"].values()),
        query=list(parts["query"].values()),
        gallery=[tracklet for name, tracklet in parts["gallery"].items() if name not in parts["query"]],
        name="dukemtmc_videoreid",
        query_in_gallery=True,
        problems=tuple(problems),
    )


def _tracklets(folder: Path, problems: list[str]) -> dict[str, Tracklet]:
    """Return tracklets sorted by 'identity/tracklet'; errors are added to `problems`."""
    tracklets = {}
    for name in (f"{person}/{track}" for person in folders_in(folder) for track in folders_in(folder / person)):
        frames = images_in(folder / name)
        labels = sorted({match.groups() if (match := _NAME.match(frame)) else ("?", "?") for frame in frames})
        person = name.partition("/")[0]
        if not frames:
            problems.append(f"{folder / name}: no frames")
        elif len(labels) > 1 or labels[0][0] != person or not person.isdigit():
            problems.append(
                f"{folder / name}: two identities or cameras in one tracklet, or frames named otherwise: {labels}"
            )
        else:
            tracklets[name] = Tracklet(Frames(folder / name, frames), int(person), int(labels[0][1]), name=name)
    return tracklets
