"""Rendering people into the layout of MARS, over processes and resumable."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import BrokenExecutor
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

import joblib
import numpy as np
from scipy.io import savemat

from denseil.common.arguments import checked
from denseil.common.files import replacing
from denseil.synth.palette import Colours
from denseil.synth.passage import Difficulty
from denseil.synth.people import Identity, People, Recipe, Take
from denseil.synth.sensor import to_jpeg

logger = logging.getLogger(__name__)
MARS_CAMERAS = 6
Progress = Callable[[int, int], None]
Heads = Literal["painted", "photographed"]


@checked
def synthesize(
    root: Path | str,
    num_ids: int = 100,
    num_cameras: int = 4,
    *,
    frames: int = 8,
    tracklets: int = 1,
    seed: int = 0,
    difficulty: Difficulty = "standard",
    colours: Colours = "street",
    height: int = 128,
    width: int = 64,
    test_share: float = 0.5,
    groups: float = 0.0,
    heads: Heads = "painted",
    workers: int = 2,
    progress: Progress | None = None,
) -> Path:
    """Render synthetic people as a dataset for `read_dataset("mars", root)`.

    In addition to MARS's files, `manifest.json` has the recipe and the attributes of all identities and tracklets.
    Existing files are not rendered again.

    Args:
        root: Output folder.
        num_ids: Number of identities.
        num_cameras: Number of cameras, at most 9.
        frames: Frames per tracklet.
        tracklets: Tracklets per identity and camera.
        seed: The same seed gives the same labels, and on one machine the same bytes.
        difficulty: "easy", "standard" or "hard".
        colours: "street" for mostly dark and muted clothes, "vivid" for all colours.
        height: Height of the crops in pixels.
        width: Width of the crops in pixels.
        test_share: Share of the identities that are for testing.
        groups: Share of the identities in wardrobe groups: six people who wear nearly the same clothes and differ in
            hair, build, skin, shoes, bags and gait.
        heads: "painted" for plain faces, as in `people-v1`, or "photographed" for photographed skins and hair with a
            shape.
        workers: Number of worker processes; 0 renders in this process.
        progress: Called with the numbers of finished and of all identities.

    Returns:
        The output folder.

    Raises:
        ValueError: If an argument is out of its range, or the folder contains people of another recipe.
        ModuleNotFoundError: If the extra `synth` is not installed.
    """
    if heads not in get_args(Heads):
        raise ValueError(f"heads={heads!r}: choose one of {', '.join(get_args(Heads))}")
    recipe = Recipe(
        num_ids=num_ids,
        num_cameras=num_cameras,
        frames=frames,
        tracklets=tracklets,
        seed=seed,
        difficulty=difficulty,
        colours=colours,
        height=height,
        width=width,
        test_share=test_share,
        version=3 if heads == "photographed" else 2 if groups else 1,
        groups=groups,
    )
    return write_people(recipe, Path(root), workers=workers, progress=progress)


@checked
def write_people(recipe: Recipe, root: Path, *, workers: int = 2, progress: Progress | None = None) -> Path:
    """Render all people of a recipe; arguments and errors as in `synthesize`."""
    if workers < 0:
        raise ValueError(f"workers={workers}: give 0 to render in this process, or how many processes")
    people = People(recipe)
    jobs = people.identities
    if recipe.num_cameras > MARS_CAMERAS:
        logger.warning(
            "num_cameras=%d: MARS has %d cameras, and MARS readers of other libraries refuse more; denseil reads them",
            recipe.num_cameras,
            MARS_CAMERAS,
        )
    claim(root, asdict(recipe))
    report = progress or (lambda done, total: None)
    report(0, len(jobs))
    if workers == 0:
        for done, identity in enumerate(jobs, start=1):
            _write_identity(recipe, root, identity)
            report(done, len(jobs))
    else:
        _write_over_processes(recipe, root, jobs, workers, report)
    _write_info(people, root)
    replace_file(root / "manifest.json", json.dumps(people.manifest(), indent=1).encode())
    return root


def claim(root: Path, recipe: dict[str, Any]) -> None:
    """Write the recipe into a folder, or check that the folder has the same recipe.

    Raises:
        ValueError: If it has another one, or holds other files.
    """
    mark = root / "recipe.json"
    if mark.exists():
        found = {"groups": 0.0, **json.loads(mark.read_text())}  # earlier recipes had none
        if found != recipe:
            differ = [name for name in {**found, **recipe} if found.get(name) != recipe.get(name)]
            given = ", ".join(f"{name}={recipe.get(name)!r} (there: {found.get(name)!r})" for name in differ)
            raise ValueError(f"{root} holds people of another recipe: {given}. Give another folder, or that recipe")
    elif root.is_dir() and any(root.iterdir()):
        raise ValueError(f"{root} is not empty and holds no rendered people: give another folder")
    root.mkdir(parents=True, exist_ok=True)
    replace_file(mark, json.dumps(recipe, indent=1).encode())


def _write_over_processes(recipe: Recipe, root: Path, jobs: list[Identity], workers: int, report: Progress) -> None:
    """Share the identities out over processes of joblib's, which need no guard in the caller's script."""
    with joblib.parallel_config("loky", n_jobs=workers, inner_max_num_threads=1):
        calls = (joblib.delayed(_write_identity)(recipe, root, identity) for identity in jobs)
        finished = joblib.Parallel(return_as="generator_unordered", batch_size=1)(calls)
        try:
            for done, _ in enumerate(finished, start=1):
                report(done, len(jobs))
        except BrokenExecutor:
            raise RuntimeError(
                f"one of {workers} worker processes was ended from outside, perhaps for lack of memory: "
                "run again to go on, with fewer workers"
            ) from None


@lru_cache(maxsize=1)
def _people(recipe: Recipe) -> People:
    return People(recipe)


def frame_names(take: Take, frames: int) -> list[str]:
    """Return the names of a tracklet's files."""
    return [f"{take.name}F{t:03d}.jpg" for t in range(1, frames + 1)]


def _folder(root: Path, identity: Identity) -> Path:
    return root / ("bbox_train" if identity.train else "bbox_test") / f"{identity.pid:04d}"


def _write_identity(recipe: Recipe, root: Path, identity: Identity) -> None:
    people, folder = _people(recipe), _folder(root, identity)
    folder.mkdir(parents=True, exist_ok=True)
    there = {path.name for path in folder.iterdir()}
    for left in (name for name in there if name.startswith(".")):  # by a process that was ended while it wrote
        (folder / left).unlink(missing_ok=True)
    for take in people.takes(identity):
        names = frame_names(take, recipe.frames)
        if there.issuperset(names):
            continue
        quality = people.passage(take).sensor.quality
        for name, image in zip(names, people.render(take), strict=True):
            replace_file(folder / name, to_jpeg(image, quality))


def replace_file(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    with replacing(path) as part:
        part.write_bytes(content)


def _write_info(people: People, root: Path) -> None:
    """Write MARS's name files and tables; a query is a row of the test table, counted from 1."""
    takes, frames = list(people.all_takes()), people.recipe.frames
    info = root / "info"
    info.mkdir(exist_ok=True)
    for part in ("train", "test"):
        mine = [take for take in takes if take.identity.train == (part == "train")]
        (root / f"bbox_{part}").mkdir(exist_ok=True)
        names = [name for take in mine for name in frame_names(take, frames)]
        replace_file(info / f"{part}_name.txt", "".join(f"{name}\n" for name in names).encode())
        rows = [(i * frames + 1, (i + 1) * frames, t.identity.pid, t.camid) for i, t in enumerate(mine)]
        save_mat(info / f"tracks_{part}_info.mat", f"track_{part}_info", rows, 4)
        if part == "test":
            queries = [(i + 1,) for i, take in enumerate(mine) if take.query]
            save_mat(info / "query_IDX.mat", "query_IDX", queries, 1)


def save_mat(path: Path, name: str, rows: Iterable[tuple[int, ...]], columns: int) -> None:
    """Write a table of whole numbers as one variable of a MATLAB file, the same bytes at any time."""
    buffer = io.BytesIO()
    table = np.array(list(rows), dtype=np.int32).reshape(-1, columns)
    savemat(buffer, {name: table})
    content = b"MATLAB 5.0 MAT-file, written by denseil".ljust(116) + buffer.getvalue()[116:]  # without the date
    replace_file(path, content)
