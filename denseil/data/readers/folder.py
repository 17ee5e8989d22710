"""Reader of a folder of crops: each folder with images is a tracklet."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from denseil.common.arguments import checked
from denseil.common.text import counted
from denseil.data.readers.files import IMAGE_SUFFIXES, images_in, natural_order
from denseil.data.tracklet import Frames, Tracklet

logger = logging.getLogger(__name__)
UNKNOWN_PID, UNKNOWN_CAMID = -1, 0


@checked
def read_folder(root: str | Path) -> list[Tracklet]:
    """Read a folder and its subfolders at any depth as tracklets, without hidden folders.

    Links to folders are followed, and a folder that several links lead to is read once.

    Returns:
        A tracklet for each folder that holds images, which are its frames in the natural order of their names: frame 2
        comes before frame 10. It is named by its path from the root (the root itself by its own name), and its source
        is the name of the root; its pid is -1 and its camid 0, as both are unknown.

    Raises:
        FileNotFoundError: If there is no such folder, or no image in it.
        OSError: If a folder cannot be listed; the message names it.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"no folder {root}")
    found: list[Tracklet] = []
    seen: set[str] = set()
    others = 0
    for folder, inside, files in os.walk(root, followlinks=True, onerror=_refuse):
        real = os.path.realpath(folder)
        if real in seen:  # a second link, or one that leads back
            inside.clear()
            continue
        seen.add(real)
        inside[:] = natural_order(name for name in inside if not name.startswith("."))
        if images := images_in(Path(folder)):
            name = Path(folder).relative_to(root).as_posix()
            name = root.resolve().name if name == "." else name
            found.append(Tracklet(Frames(folder, images), UNKNOWN_PID, UNKNOWN_CAMID, name, source=root.resolve().name))
        others += sum(not name.startswith(".") for name in files) - len(images)
    known = ", ".join(IMAGE_SUFFIXES)
    if not found:
        raise FileNotFoundError(f"no images in {root} or the folders in it: they end in {known}")
    if others:
        logger.warning("%s: left out: %s whose names do not end in %s", root, counted(others, "file"), known)
    return found


def _refuse(error: OSError) -> None:
    """Raise what `os.walk` would pass over: a folder that cannot be listed."""
    raise error
