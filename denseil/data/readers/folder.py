"""A folder of crops: each folder in it that holds images is a tracklet."""

from __future__ import annotations

import os
from pathlib import Path

from denseil.data.readers._files import images_in
from denseil.data.tracklet import Frames, Tracklet

UNKNOWN_PID, UNKNOWN_CAMID = -1, 0


def read_folder(root: str | Path) -> list[Tracklet]:
    """Read a folder, and the folders in it at any depth, as tracklets; hidden ones are left out.

    Returns:
        A tracklet for each folder that holds images, which are its frames in the order of their names. It is named by
        its path from the root (the root itself by its own name); its pid is -1 and its camid 0, as both are unknown.

    Raises:
        FileNotFoundError: If there is no such folder, or no image in it.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"no folder {root}")
    found = []
    for folder, inside, _ in os.walk(root):
        inside[:] = sorted(name for name in inside if not name.startswith("."))
        if images := images_in(Path(folder)):
            name = Path(folder).relative_to(root).as_posix()
            name = root.resolve().name if name == "." else name
            found.append(Tracklet(Frames(folder, images), UNKNOWN_PID, UNKNOWN_CAMID, name))
    if not found:
        raise FileNotFoundError(f"no images in {root} or the folders in it (JPEG, PNG or BMP)")
    return found
