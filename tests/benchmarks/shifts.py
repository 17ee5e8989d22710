"""Rendered people seen by cameras that no packaged model was trained on, to measure `denseil adapt` on.

Each set has cameras of its own, each with one place and one light, and gives every tracklet a time, so that several
people are seen at once. Labels are written beside the tracklets and are for scoring alone.

    python -m tests.benchmarks.shifts runs/shifts none night compressed high --seed 1 2 3
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from denseil.data import Tracklet, VideoReIDDataset, write_manifest
from denseil.synth.passage import Passage, Site, draw_site
from denseil.synth.people import Identity, People, Recipe, Take
from denseil.synth.scene import draw_light, draw_place
from denseil.synth.sensor import to_jpeg

SHIFTS = ("none", "night", "compressed", "high")
SECONDS = 8.0  # of a tracklet, at most


class Shifted(People):
    """People under the cameras of a shift: "none" are those of `denseil data synth --difficulty hard`.

    Args:
        shift: One of `SHIFTS`.
        families: Share of the people who come in threes that differ in a detail; "hard" has 0.6.
        others: Of the recipe.
    """

    def __init__(self, shift: str, *, families: float, seed: int, **others: int) -> None:
        colours = "vivid" if shift == "high" else "street"
        super().__init__(
            Recipe(
                **others,
                seed=90_000 + seed,
                difficulty="hard",
                colours=colours,
                test_share=1.0,
            )
        )
        self.level = replace(self.level, families=families)
        self.shift = shift

    def site(self, camid: int) -> Site:
        """A camera of the shift."""
        rng = self._rng(71, camid)
        site = draw_site(rng, self.level)
        if self.shift == "night":
            cast = (1.0, 0.85 + 0.1 * rng.random(), 0.55 + 0.2 * rng.random())  # sodium lamps
            return replace(site, cast=cast, noise=0.04, contrast=1.25, haze=0.03, saturation=0.55)
        if self.shift == "compressed":
            return replace(site, quality=int(rng.integers(8, 18)), lines=float(rng.uniform(55, 90)))
        if self.shift == "high":
            return replace(site, height=float(rng.uniform(5.5, 8.0)))
        return site

    def passage(self, take: Take) -> Passage:
        """A passage in the place and the light of its camera."""
        passage = super().passage(take)
        if self.shift == "none":
            return passage
        rng = self._rng(72, take.camid)
        passage = replace(passage, place=draw_place(rng), light=draw_light(rng), step=2 * passage.step)
        if self.shift == "night":
            passage = replace(passage, sensor=replace(passage.sensor, gain=0.3 * passage.sensor.gain))
        if self.shift == "high":  # draw_passage keeps people at a distance that fits the camera's height
            middle = passage.middle.copy()
            middle[1] = np.clip(middle[1], 8.0, 12.0)
            passage = replace(passage, middle=middle)
        return passage


def render(
    root: Path,
    shift: str,
    *,
    num_ids: int = 32,
    num_cameras: int = 3,
    tracklets: int = 2,
    frames: int = 6,
    families: float = 0.0,
    heads: str = "painted",
    seed: int = 1,
) -> Path:
    """Render a set, unless it is there, and return its manifest: each person's first tracklet is a query."""
    manifest = root / "manifest.csv"
    if manifest.exists():
        return manifest
    people = Shifted(
        shift,
        families=families,
        seed=seed,
        num_ids=num_ids,
        num_cameras=num_cameras,
        tracklets=tracklets,
        frames=frames,
        version=3 if heads == "photographed" else 1,
    )
    rng = np.random.default_rng([seed, SHIFTS.index(shift)])
    query, gallery = [], []
    for identity in people.identities:
        takes = people.takes(identity)
        slot = 2.0 * num_ids * tracklets / len(takes)  # about three at once; nobody is in two places at once
        for number, take in zip(rng.permutation(len(takes)), takes, strict=True):
            start = round(slot * number + rng.uniform(0, max(0, slot - SECONDS)), 2)
            end = round(start + rng.uniform(0.5, 1) * SECONDS, 2)
            tracklet = _write(people, identity, take, root, start, end)
            (query if take.query else gallery).append(tracklet)
    return write_manifest(VideoReIDDataset([], query, gallery), manifest)


def _write(people: Shifted, identity: Identity, take: Take, root: Path, start: float, end: float) -> Tracklet:
    folder = root / take.name
    folder.mkdir(parents=True, exist_ok=True)
    quality = people.passage(take).sensor.quality
    paths = []
    for number, image in enumerate(people.render(take)):
        path = folder / f"{number:03}.jpg"
        path.write_bytes(to_jpeg(image, quality))
        paths.append(str(path))
    return Tracklet(paths, identity.pid, take.camid, take.name, start, end)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("shifts", nargs="+", choices=SHIFTS)
    parser.add_argument("--seed", type=int, nargs="+", default=[1])
    parser.add_argument("--num-ids", type=int, default=32)
    parser.add_argument("--tracklets", type=int, default=2, help="of each person and camera")
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--families", type=float, default=0.0, help="share of people in families of lookalikes")
    parser.add_argument("--heads", choices=("painted", "photographed"), default="painted")
    given = vars(parser.parse_args())
    root, shifts, seeds = (given.pop(name) for name in ("root", "shifts", "seed"))
    for seed in seeds:
        for shift in shifts:
            path = render(root / f"{shift}-{seed}", shift, seed=seed, **given)
            print(json.dumps({"manifest": str(path)}), flush=True)
