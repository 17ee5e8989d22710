"""Named benchmarks of rendered people, `people-v1` and `people-v2`, identical on every machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from denseil.common.arguments import checked
from denseil.synth.people import People, Recipe
from denseil.synth.sample import ASSETS
from denseil.synth.write import Progress, write_people

BENCHMARKS = {
    "people-v1": Recipe(num_ids=400, num_cameras=4, frames=8, seed=2021, difficulty="hard"),
    "people-v2": Recipe(num_ids=396, num_cameras=4, frames=8, seed=2025, difficulty="hard", version=2, groups=1.0),
}
SAMPLE = Recipe(num_ids=96, num_cameras=3, frames=5, seed=7, test_share=0.5)
TOLERANCE = 4.0  # mean absolute difference of 8-bit values from the packaged frames


@checked
def benchmark(name: str, root: Path | str, *, workers: int = 2, progress: Progress | None = None) -> Path:
    """Render a named benchmark, after checking that this installation samples the published labels.

    Args:
        name: "people-v1", or "people-v2", whose identities are all in wardrobe groups.
        root: The folder to write to; it is read with `read_dataset("mars", root)`.
        workers: Number of worker processes.
        progress: As for `synthesize`.

    Raises:
        KeyError: If there is no benchmark of that name.
        RuntimeError: If the labels or the sample frames are not the published ones.
    """
    recipe = _recipe(name)
    verify(name)
    return write_people(recipe, Path(root), workers=workers, progress=progress)


@checked
def verify(name: str = "people-v1") -> float:
    """Sample a benchmark's labels and render its sample frames, and compare both with the published ones.

    Returns:
        The largest mean absolute difference of a sample frame's 8-bit values; at most TOLERANCE.

    Raises:
        KeyError: If there is no benchmark of that name.
        RuntimeError: If they differ.
    """
    people, published = People(_recipe(name)), _published(name)
    found = people.checksum()
    if found != published["labels"]:
        raise RuntimeError(
            f"the labels of {name} are {found[:12]}..., published {published['labels'][:12]}...: "
            "this numpy samples other numbers; install one that denseil was released with"
        )
    worst = 0.0
    for take_name, file in published["frames"].items():
        take = next(take for take in people.all_takes() if take.name == take_name)
        image = np.asarray(people.render(take)[0], dtype=np.float32)
        with Image.open(ASSETS / file) as reference:
            worst = max(worst, float(np.abs(image - np.asarray(reference, dtype=np.float32)).mean()))
    if worst > TOLERANCE:
        raise RuntimeError(
            f"sample frames of {name} differ by {worst:.1f} of 255 on average, at most {TOLERANCE} is allowed"
        )
    return worst


def publish(name: str = "people-v1", *, samples: int = 4) -> None:
    """Write the reference of `verify`; maintainers run this once per version."""
    people = People(_recipe(name))
    takes = list(people.all_takes())
    frames = {}
    for take in takes[:: len(takes) // samples][:samples]:
        file = f"{name}_{take.name}.png"
        people.render(take)[0].save(ASSETS / file, optimize=True)
        frames[take.name] = file
    content = {"labels": people.checksum(), "frames": frames}
    (ASSETS / f"{name}.json").write_text(json.dumps(content, indent=1))


def _recipe(name: str) -> Recipe:
    if name not in BENCHMARKS:
        raise KeyError(f"no benchmark {name!r}; there is {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name]


def _published(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((ASSETS / f"{name}.json").read_text())
    return content


def write_sample() -> Path:
    """Render the people of `sample`; maintainers run this once per version."""
    shutil.rmtree(ASSETS / "sample", ignore_errors=True)
    return write_people(SAMPLE, ASSETS / "sample", workers=0)


if __name__ == "__main__":
    write_sample()
    for title in BENCHMARKS:
        if not (ASSETS / f"{title}.json").exists():  # keep what was published
            publish(title)
