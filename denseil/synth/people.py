"""Identities, families, cameras and tracklets of a recipe, sampled before anything is rendered."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal, get_args

import numpy as np
from PIL import Image

from denseil.common.arguments import checked_class
from denseil.synth.body import body_space
from denseil.synth.figure import Figure
from denseil.synth.look import DETAILS, Look, draw_look, vary
from denseil.synth.palette import Colours
from denseil.synth.passage import LEVELS, Difficulty, Passage, Site, draw_passage, draw_site
from denseil.synth.wardrobe import wear

VERSIONS = (1, 2, 3)  # 2 has wardrobe groups, 3 also photographed faces and shaped hair
GROUP_SIZE = 6  # members of a wardrobe group
WARDROBE = "wardrobe"  # the `detail` of their members
_POPULATION, _LOOK, _SITE, _PASSAGE = range(4)  # streams of random numbers


@checked_class
@dataclass(frozen=True)
class Recipe:
    """Parameters of a set of rendered people.

    Attributes:
        num_ids: Identities, 1 to 99,999.
        num_cameras: Cameras, 1 to 9; a query needs a second one.
        frames: Frames per tracklet, 1 to 999.
        tracklets: Tracklets per identity and camera.
        seed: Random seed.
        difficulty: "easy", "standard" or "hard".
        colours: "street" for mostly dark and muted clothes, "vivid" for all colours.
        height: Height of the crops in pixels.
        width: Width of the crops in pixels.
        test_share: Share of the identities that are for testing.
        version: 1 as published in people-v1; 2 with wardrobe groups; 3 also with photographed faces and shaped hair, on
            people, cameras and tracklets that are those of version 2.
        groups: Share of the identities in wardrobe groups of six who wear nearly the same clothes; needs version 2.

    Raises:
        ValueError: If a value is outside its range.
    """

    num_ids: int
    num_cameras: int = 4
    frames: int = 8
    tracklets: int = 1
    seed: int = 0
    difficulty: Difficulty = "standard"
    colours: Colours = "street"
    height: int = 128
    width: int = 64
    test_share: float = 0.5
    version: int = 1
    groups: float = 0.0

    def __post_init__(self) -> None:
        ranges = {"num_ids": (1, 99_999), "num_cameras": (1, 9), "frames": (1, 999), "tracklets": (1, 999)}
        ranges |= {
            "seed": (0, 2**63 - 1),
            "height": (32, 1024),
            "width": (16, 1024),
            "test_share": (0, 1),
            "groups": (0, 1),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name}={value!r}: give {low} to {high}")
        if self.num_cameras * self.tracklets > 9999:
            raise ValueError(f"{self.num_cameras * self.tracklets} tracklets of one identity: MARS's names hold 9,999")
        for name, options in (("difficulty", get_args(Difficulty)), ("colours", get_args(Colours))):
            if getattr(self, name) not in options:
                raise ValueError(f"{name}={getattr(self, name)!r}: choose one of {', '.join(options)}")
        if self.version not in VERSIONS:
            raise ValueError(f"version={self.version}: this release renders versions 1 to 3; install a later one")
        if self.groups and self.version == 1:
            raise ValueError(f"groups={self.groups}: version 1 has no wardrobe groups; give version=2 as well")


@dataclass(frozen=True)
class Identity:
    """A rendered person.

    Attributes:
        pid: Identity, from 1.
        train: Whether the person is for training.
        family: Number of their family or wardrobe group, -1 for none.
        member: Index within it, from 0.
        detail: The detail in which a family's members differ; "wardrobe" for a wardrobe group, "" for neither.
    """

    pid: int
    train: bool
    family: int
    member: int
    detail: str


@dataclass(frozen=True)
class Take:
    """A tracklet: its identity, camera, number among the person's tracklets, and whether it is a query."""

    identity: Identity
    camid: int
    number: int
    query: bool

    @property
    def name(self) -> str:
        """Name of the tracklet, as in MARS."""
        return f"{self.identity.pid:04d}C{self.camid}T{self.number:04d}"


class People:
    """Identities and tracklets of a recipe, each of which can be rendered on its own.

    Args:
        recipe: The recipe.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.level = LEVELS[recipe.difficulty]
        self._looks: dict[int, Look] = {}

    def _rng(self, *stream: int) -> np.random.Generator:
        return np.random.default_rng([self.recipe.seed, min(self.recipe.version, 2), *stream])

    @cached_property
    def identities(self) -> list[Identity]:
        """All identities by pid; a family is entirely for training or entirely for testing."""
        recipe, rng, size = self.recipe, self._rng(_POPULATION), self.level.family_size
        groups = round(recipe.num_ids * recipe.groups / GROUP_SIZE)
        others = max(0, recipe.num_ids - groups * GROUP_SIZE)
        families = round(others * self.level.families / size)
        units = [GROUP_SIZE] * groups + [size] * families + [1] * (others - size * families)
        order = rng.permutation(len(units))
        wanted = recipe.num_ids - round(recipe.num_ids * recipe.test_share)
        found: list[Identity] = []
        for unit in order:
            train = len(found) < wanted
            detail = WARDROBE if unit < groups else DETAILS[unit % len(DETAILS)] if units[unit] > 1 else ""
            for member in range(units[unit]):
                found.append(Identity(len(found) + 1, train, int(unit) if detail else -1, member, detail))
        return found

    def takes(self, identity: Identity) -> list[Take]:
        """Return the tracklets of an identity in all cameras; one of them is a query if the person is for testing."""
        recipe = self.recipe
        cameras = [camid for camid in range(1, recipe.num_cameras + 1) for _ in range(recipe.tracklets)]
        query = -1 if identity.train else int(self._rng(_POPULATION, identity.pid).integers(len(cameras)))
        return [Take(identity, camid, i + 1, i == query) for i, camid in enumerate(cameras)]

    def look(self, identity: Identity) -> Look:
        """Look of an identity."""
        if identity.pid not in self._looks:
            self._looks = {identity.pid: self._draw_look(identity)}  # cached for the tracklets of the same identity
        return self._looks[identity.pid]

    def _draw_look(self, identity: Identity) -> Look:
        colours = self.recipe.colours
        if identity.family < 0:
            return draw_look(self._rng(_LOOK, identity.pid), body_space(), colours)
        if identity.detail == WARDROBE:
            own = self._rng(_LOOK, identity.pid)
            return wear(draw_look(own, body_space(), colours), own, self._rng(_LOOK, 1 << 20, identity.family))
        rng = self._rng(_LOOK, 1 << 20, identity.family)
        look = draw_look(rng, body_space(), colours)
        return vary(look, identity.detail, identity.member, rng, colours)  # type: ignore[arg-type]

    def site(self, camid: int) -> Site:
        """Return a camera."""
        return draw_site(self._rng(_SITE, camid), self.level)

    def passage(self, take: Take) -> Passage:
        """Sample the random parameters of a tracklet."""
        rng = self._rng(_PASSAGE, take.identity.pid, take.number)
        return draw_passage(rng, self.site(take.camid), self.level, self.recipe.frames)

    def figure(self, identity: Identity) -> Figure:
        """Return the dressed figure of an identity."""
        return _figure(self.look(identity), self.recipe.version)

    def render(self, take: Take) -> list[Image.Image]:
        """Render the crops of one tracklet, in time order."""
        size = {"height": self.recipe.height, "width": self.recipe.width}
        return self.passage(take).render(self.figure(take.identity), **size)

    def all_takes(self) -> Iterator[Take]:
        """Iterate over all tracklets, in the order of the manifest."""
        for identity in self.identities:
            yield from self.takes(identity)

    def manifest(self) -> dict[str, Any]:
        """Return the attributes of all people and tracklets, as JSON values."""
        people = [{**asdict(i), "split": _split(i), "look": _plain(asdict(self.look(i)))} for i in self.identities]
        tracklets = [
            {
                "name": take.name,
                "pid": take.identity.pid,
                "camid": take.camid,
                "split": _split(take.identity),
                "query": take.query,
                "fine_detail": take.identity.detail,
                **self.passage(take).truth(),
            }
            for take in self.all_takes()
        ]
        return {"recipe": asdict(self.recipe), "labels": self.checksum(), "people": people, "tracklets": tracklets}

    def checksum(self) -> str:
        """Compute the SHA-256 of all labels and of the names of clothes; equal on every machine."""
        rows = []
        for identity in self.identities:
            look = self.look(identity)
            words = [value for value in asdict(look).values() if isinstance(value, str)]
            takes = [[take.name, take.camid, take.query] for take in self.takes(identity)]
            rows.append([list(asdict(identity).values()), words, takes])
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


@lru_cache(maxsize=2)
def _figure(look: Look, version: int) -> Figure:
    return Figure(body_space(), look, version)


def _split(identity: Identity) -> Literal["train", "test"]:
    return "train" if identity.train else "test"


def _plain(value: Any) -> Any:
    """Round numbers for readability."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return round(value, 4) if isinstance(value, float) else value
