"""A person's passage through the view of a camera: random parameters of a tracklet, and its frames."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from PIL import Image

from denseil.synth.body import Array, body_space, f32
from denseil.synth.camera import BoxNoise, View, box_window, draw_boxes
from denseil.synth.figure import Figure
from denseil.synth.look import draw_look
from denseil.synth.render import Actor, Shot, Thing, act, render
from denseil.synth.scene import Light, Place, draw_light, draw_place, draw_prop
from denseil.synth.sensor import Sensor, develop

Difficulty = Literal["easy", "standard", "hard"]


@dataclass(frozen=True)
class Level:
    """Parameters of a difficulty.

    Attributes:
        families: Share of the identities in families, which differ only in a fine detail.
        family_size: Members of a family.
        occluded: Share of the tracklets with an occluder.
        company: Share of the tracklets with other people in the crop.
        boxes: Errors of the boxes.
        quality: 0 for good cameras, 1 for bad ones.
    """

    families: float
    family_size: int
    occluded: float
    company: float
    boxes: BoxNoise
    quality: float


LEVELS: dict[str, Level] = {
    "easy": Level(0.0, 2, 0.0, 0.1, BoxNoise(0.01, 0.004, 0.03, 0.0), 0.3),
    "standard": Level(0.3, 3, 0.15, 0.25, BoxNoise(0.02, 0.008, 0.06, 0.08), 0.7),
    "hard": Level(0.6, 3, 0.35, 0.35, BoxNoise(0.035, 0.014, 0.09, 0.2), 1.0),
}
OCCLUDERS = ("pole", "sign", "car", "bush", "bin", "person")
EXTRAS = 48  # looks of people in the background


@dataclass(frozen=True)
class Site:
    """Parameters of a camera, shared by its tracklets."""

    height: float
    lines: float
    blur: float
    noise: float
    cast: tuple[float, float, float]
    contrast: float
    haze: float
    saturation: float
    quality: int


def draw_site(rng: np.random.Generator, level: Level) -> Site:
    """Sample a camera at 1.4 to 5 metres."""
    bad = level.quality
    cast = rng.normal(1, 0.05, 3)
    return Site(
        height=float(rng.choice([rng.uniform(1.4, 2.2), rng.uniform(2.2, 5.0)])),
        lines=float(rng.uniform(260 - 190 * bad, 320 - 60 * bad)),
        blur=float(rng.uniform(0.0, 0.8 * bad)),
        noise=float(rng.uniform(0.002, 0.03 * bad + 0.004)),
        cast=(float(cast[0]), float(cast[1]), float(cast[2])),
        contrast=float(rng.uniform(0.85, 1.3)),
        haze=float(rng.uniform(0, 0.035)),
        saturation=float(rng.uniform(0.7, 1.15)),
        quality=int(rng.integers(95 - int(40 * bad), 97)),
    )


Passer = tuple[int, Array, float, float, bool]  # which extra, where at first, heading, phase, in front of the person


@lru_cache(maxsize=EXTRAS)
def _extra(number: int, version: int) -> Figure:
    return Figure(body_space(), draw_look(np.random.default_rng([77, number]), body_space()), version)


@dataclass(frozen=True)
class Passage:
    """Random parameters of a tracklet, sampled before rendering so they can be inspected on their own.

    Attributes:
        site: The camera.
        place: The background.
        light: The light.
        sensor: The sensor.
        middle: Position (3,) at the middle of the tracklet in metres; the camera is at x = y = 0.
        heading: Direction of the walk in radians; 0 is towards the camera.
        drift: Change of direction during the tracklet in radians.
        moving: Speed; 0 for standing, about 1 for walking.
        step: Seconds between frames.
        phase: Phase of the first step in cycles.
        errors: Errors of the boxes (frames, 4).
        props: Occluders.
        passers: Other people.
        grain: Seed of the sensor's noise.
    """

    site: Site
    place: Place
    light: Light
    sensor: Sensor
    middle: Array
    heading: float
    drift: float
    moving: float
    step: float
    phase: float
    errors: Array
    props: list[Thing]
    passers: list[Passer]
    grain: int

    def truth(self) -> dict[str, object]:
        """Return the entry of the manifest."""
        return {
            "heading_degrees": round(float(np.degrees(self.heading)), 1),
            "standing": self.moving == 0,
            "occluded": bool(self.props or any(front for *_, front in self.passers)),
            "company": sum(not front for *_, front in self.passers),
            "box_shift": [round(float(v), 3) for v in self.errors[:, :2].mean(0)],
            "ground": self.place.ground,
            "wall": self.place.wall,
        }

    def render(self, figure: Figure, *, height: int, width: int) -> list[Image.Image]:
        """Render the crops, in time order."""
        rng = np.random.default_rng(self.grain)
        frames = len(self.errors)
        images: list[Image.Image] = []
        for start in range(0, frames, BATCH):
            shots = [self._shot(figure, t) for t in range(start, min(start + BATCH, frames))]
            lights = render(shots, self.props, self.place, self.light, height=height, width=width)
            images += [develop(linear, self.sensor, rng) for linear in lights]
        return images

    def _shot(self, figure: Figure, t: int) -> Shot:
        """Return all people at frame t, and the window of its box."""
        gait, frames = figure.look.gait, len(self.errors)
        speed = SPEED * gait.stride * gait.cadence * self.moving
        share = (t + 0.5) / frames - 0.5
        facing = self.heading + self.drift * share
        where = self.middle + _forward(facing) * f32(speed * self.step * frames * share)
        where[1] = max(where[1], 2.8)
        actor = act(figure, where, facing, self.phase + gait.cadence * self.step * t, self.moving)
        view = View(self.site.height, 0.7 * float(np.arctan2(self.site.height - 0.9, where[1])))
        view = replace(view, window=box_window(view.plane(actor.points()), self.errors[t]))
        others = [_pass(passer, t * self.step, figure.version) for passer in self.passers]
        return Shot([actor, *others], view, where[1])


BATCH = 8  # frames rendered at once
SPEED = 1.3  # metres of a full cycle of steps at stride 1


def _forward(heading: float) -> Array:
    return f32([np.sin(heading), -np.cos(heading), 0])


def draw_passage(rng: np.random.Generator, site: Site, level: Level, frames: int) -> Passage:
    """Sample a person's passage through the view of a camera."""
    depth = float(rng.uniform(max(3.5, 1.5 * site.height), 16.0))
    middle = f32([depth * rng.uniform(-0.35, 0.35), depth, 0])
    props, passers = _company(rng, level, middle)
    return Passage(
        site=site,
        place=draw_place(rng),
        light=draw_light(rng),
        sensor=_sensor(rng, site, level),
        middle=middle,
        heading=float(rng.uniform(-np.pi, np.pi)),
        drift=float(rng.normal(0, 0.25)),
        moving=0.0 if rng.random() < 0.06 else float(rng.uniform(0.85, 1.1)),
        step=float(rng.uniform(0.05, 0.25)),
        phase=float(rng.random()),
        errors=draw_boxes(rng, level.boxes, frames),
        props=props,
        passers=passers,
        grain=int(rng.integers(1 << 62)),
    )


def _company(rng: np.random.Generator, level: Level, middle: Array) -> tuple[list[Thing], list[Passer]]:
    """Sample occluders and other people."""
    props: list[Thing] = []
    passers: list[Passer] = []
    if rng.random() < level.occluded:
        kind = OCCLUDERS[rng.integers(len(OCCLUDERS))]
        beside = float(rng.choice([-1, 1]) * rng.uniform(0.12, 0.5))
        if kind == "person":
            passers.append(_draw_passer(rng, middle, 2.2 * beside, -float(rng.uniform(0.6, 1.2))))
        else:
            props.append(draw_prop(rng, middle + f32([beside, 0, 0]), kind))
    if rng.random() < level.company:
        passers += [
            _draw_passer(rng, middle, float(rng.uniform(-1.2, 1.2)), float(rng.uniform(0.8, 5.0)))
            for _ in range(rng.integers(1, 3))
        ]
    return props, passers


def _draw_passer(rng: np.random.Generator, middle: Array, beside: float, behind: float) -> Passer:
    where = middle + f32([beside, behind, 0])
    return int(rng.integers(EXTRAS)), where, float(rng.uniform(-np.pi, np.pi)), float(rng.random()), behind < 0


def _pass(passer: Passer, seconds: float, version: int) -> Actor:
    number, start, heading, phase, _ = passer
    figure = _extra(number, version)
    gait = figure.look.gait
    where = start + _forward(heading) * f32(SPEED * gait.stride * gait.cadence * seconds)
    return act(figure, where, heading, phase + gait.cadence * seconds, 1.0)


def _sensor(rng: np.random.Generator, site: Site, level: Level) -> Sensor:
    bad = level.quality
    return Sensor(
        gain=float(1.15 * np.exp(rng.normal(0, 0.1 + 0.2 * bad))),
        cast=site.cast,
        contrast=site.contrast,
        haze=site.haze,
        saturation=site.saturation,
        lines=site.lines * float(rng.uniform(0.6, 1.4)),
        blur=site.blur * float(rng.uniform(0.5, 1.5)),
        smear=float(rng.uniform(0, 3.0)) if rng.random() < 0.25 * bad else 0.0,
        noise=site.noise,
        quality=site.quality,
    )
