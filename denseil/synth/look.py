"""Appearance of persons: plain values, sampled from a seed, for the manifest.

Over 250 lines because the tables of clothes are beside the functions that sample from them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from denseil.synth.body import BodySpace
from denseil.synth.gait import Gait, draw_gait
from denseil.synth.palette import HAIR, NAMED, SKIN, Colour, Colours, distance, draw_colour, jitter, other_colour

Detail = Literal["shoes", "bag", "headwear", "print", "pattern"]
DETAILS: tuple[Detail, ...] = ("shoes", "bag", "headwear", "print", "pattern")


@dataclass(frozen=True)
class Top:
    """Cut of a kind of top: sleeve on the arm's scale, hem in canonical metres, cloth thickness in metres."""

    sleeve: tuple[float, float]
    hem: tuple[float, float]
    thick: tuple[float, float]
    often: float
    outer: bool = False


TOPS = {
    "tshirt": Top((0.45, 0.85), (0.88, 0.96), (0.006, 0.016), 5),
    "polo": Top((0.5, 0.8), (0.90, 0.96), (0.007, 0.012), 1),
    "longsleeve": Top((1.90, 1.97), (0.88, 0.96), (0.006, 0.012), 2),
    "shirt": Top((1.90, 1.97), (0.86, 0.98), (0.007, 0.014), 2),
    "sweater": Top((1.92, 2.02), (0.88, 0.95), (0.012, 0.022), 2),
    "hoodie": Top((1.92, 2.05), (0.88, 0.95), (0.016, 0.028), 3, outer=True),
    "jacket": Top((1.94, 2.04), (0.86, 0.95), (0.018, 0.030), 5, outer=True),
    "puffer": Top((1.95, 2.05), (0.84, 0.94), (0.028, 0.040), 2.5, outer=True),
    "blazer": Top((1.93, 2.0), (0.82, 0.88), (0.014, 0.020), 1.5, outer=True),
    "coat": Top((1.95, 2.05), (0.48, 0.78), (0.020, 0.034), 2.5, outer=True),
    "dress": Top((0.25, 1.95), (0.35, 0.66), (0.005, 0.010), 1),
}


@dataclass(frozen=True)
class Bottom:
    """Cut of a kind of bottoms: its end on the leg's scale (a skirt's in canonical metres), and its width."""

    end: tuple[float, float]
    wide: tuple[float, float]
    often: float


BOTTOMS = {
    "jeans": Bottom((1.93, 2.02), (0.006, 0.016), 6),
    "trousers": Bottom((1.95, 2.04), (0.012, 0.026), 5),
    "joggers": Bottom((1.88, 1.94), (0.014, 0.028), 2),
    "leggings": Bottom((1.85, 1.95), (0.003, 0.005), 1.5),
    "wide": Bottom((1.95, 2.04), (0.032, 0.055), 1.2),
    "shorts": Bottom((0.62, 1.02), (0.018, 0.036), 2),
    "skirt": Bottom((0.34, 0.66), (0.01, 0.10), 1),
}


@dataclass(frozen=True)
class Look:
    """The visible attributes of a person. Colours are sRGB; `*_name` are their names."""

    body: int
    female: bool
    skin: Colour
    hair: str
    hair_colour: Colour
    hair_name: str
    beard: bool
    headwear: str
    headwear_colour: Colour
    headwear_name: str
    top: str
    top_colour: Colour
    top_name: str
    second_colour: Colour
    pattern: str
    pattern_size: float
    print_seed: int
    sleeve: float
    hem: float
    thick: float
    open_front: float
    inner_colour: Colour
    bottom: str
    bottom_colour: Colour
    bottom_name: str
    bottom_end: float
    bottom_wide: float
    side_stripe: bool
    bare_legs: bool
    shoes: str
    shoe_colour: Colour
    shoe_name: str
    sole_colour: Colour
    bag: str
    bag_side: str
    bag_colour: Colour
    bag_name: str
    bag_accent: Colour
    bag_size: float
    held: str
    held_side: str
    texture: int
    gait: Gait

    def arms(self) -> dict[str, str]:
        """Poses of arms that do not swing, by side."""
        does = {}
        if self.bag == "handbag":
            does[self.bag_side] = "carry"
        if self.held in ("phone", "paper"):
            does[self.held_side] = "phone" if self.held == "phone" else "hold"
        elif self.held == "pocket":
            does[self.held_side] = "pocket"
        return does


def _pick(rng: np.random.Generator, options: dict[str, float]) -> str:
    weights = np.array(list(options.values()), dtype=np.float64)
    return list(options)[rng.choice(len(options), p=weights / weights.sum())]


def draw_look(rng: np.random.Generator, space: BodySpace, colours: Colours = "street") -> Look:
    """Sample the look of a person."""
    body = int(rng.integers(len(space.coefficients)))
    female, age = bool(space.phenotypes[body, 0] < 0.5), float(space.phenotypes[body, 1])
    fields: dict[str, Any] = {"body": body, "female": female, "texture": int(rng.integers(1 << 30))}
    fields["skin"] = jitter(rng, SKIN[rng.choice(len(SKIN), p=[0.16, 0.22, 0.22, 0.16, 0.1, 0.08, 0.06])], 0.4)
    fields.update(_draw_head(rng, female, age, colours))
    fields.update(_draw_top(rng, female, colours))
    fields.update(_draw_bottom(rng, female, fields["top"], colours))
    fields.update(_draw_shoes(rng, colours))
    fields.update(_draw_bag(rng, female, colours))
    held = _pick(rng, {"": 10, "phone": 1.2, "paper": 0.5, "pocket": 1.0})
    side = {"L": "R", "R": "L"}[fields["bag_side"]] if fields["bag"] == "handbag" else "LR"[rng.integers(2)]
    return Look(**fields, held=held, held_side=side, gait=draw_gait(rng))


def _draw_head(rng: np.random.Generator, female: bool, age: float, colours: Colours) -> dict[str, Any]:
    styles = {"long": 5.0, "bob": 2.5, "ponytail": 3.0, "bun": 1.5, "short": 0.7, "curly": 0.8}
    if not female:
        styles = {"short": 6.0, "buzz": 2.0, "curly": 0.7, "bald": 0.5 + 2 * (age > 0.75), "bob": 0.3}
    odds = {name: weight * (4.0 if name == "grey" and age > 0.8 else 1.0) for name, (_, weight) in HAIR.items()}
    hair_name = _pick(rng, odds)
    headwear = _pick(rng, {"": 17, "cap": 1.6, "beanie": 1.2, "hood": 0.8, "scarf": 0.5 * female})
    name, colour = draw_colour(rng, "outer", colours)
    return {
        "hair": _pick(rng, styles),
        "hair_name": hair_name,
        "hair_colour": jitter(rng, HAIR[hair_name][0], 0.8),
        "beard": bool(not female and rng.random() < 0.25),
        "headwear": headwear,
        "headwear_name": name,
        "headwear_colour": colour,
    }


def _draw_top(rng: np.random.Generator, female: bool, colours: Colours) -> dict[str, Any]:
    kind = _pick(rng, {k: cut.often * (0.0 if k == "dress" and not female else 1.0) for k, cut in TOPS.items()})
    cut = TOPS[kind]
    name, colour = draw_colour(rng, "outer" if cut.outer else "top", colours)
    patterns = {"plain": 9.0, "logo": 1.5, "blocks": 0.8}
    if cut.outer and kind != "hoodie":
        patterns["checks"] = 0.4
    elif kind in ("shirt", "dress", "polo"):
        patterns.update(stripes=0.7, bars=0.8, checks=2.2, floral=2.0 if female else 0.4, dots=0.6)
    else:
        patterns.update(stripes=2.0, print=3.0, yoke=0.6, checks=0.3, floral=0.8 if female else 0.1)
    return {
        "top": kind,
        "top_name": name,
        "top_colour": colour,
        "second_colour": other_colour(rng, "top", colour, colours)[1],
        "pattern": _pick(rng, patterns),
        "pattern_size": float(rng.uniform(0.018, 0.065)),
        "print_seed": int(rng.integers(1 << 30)),
        "sleeve": float(rng.uniform(*cut.sleeve)) if kind != "dress" else float(rng.choice([0.3, 0.6, 1.9])),
        "hem": float(rng.uniform(*cut.hem)),
        "thick": float(rng.uniform(*cut.thick)),
        "open_front": float(rng.uniform(0.03, 0.09))
        if cut.outer and (kind == "blazer" or rng.random() < 0.35)
        else 0.0,
        "inner_colour": draw_colour(rng, "top", colours)[1],
    }


def _draw_bottom(rng: np.random.Generator, female: bool, top: str, colours: Colours) -> dict[str, Any]:
    odds = {k: cut.often for k, cut in BOTTOMS.items()}
    if not female:
        odds.update(skirt=0.0, leggings=0.1, wide=0.3)
    if top in ("coat", "puffer", "blazer"):
        odds.update(shorts=0.0)
    if top == "dress":
        odds = {"leggings": 1.0}
    kind = _pick(rng, odds)
    name, colour = draw_colour(rng, "bottom", colours)
    if kind == "jeans":
        name = _pick(rng, {"denim": 4, "navy": 3, "pale denim": 2, "black": 3, "grey": 1})
        colour = jitter(rng, NAMED[name], 0.8)
    elif kind == "leggings":
        name = _pick(rng, {"black": 6, "charcoal": 2, "navy": 1})
        colour = jitter(rng, NAMED[name], 0.8)
    bare = kind in ("skirt", "shorts") or top == "dress"
    return {
        "bottom": kind,
        "bottom_name": name,
        "bottom_colour": colour,
        "bottom_end": float(rng.uniform(*BOTTOMS[kind].end)),
        "bottom_wide": float(rng.uniform(*BOTTOMS[kind].wide)),
        "side_stripe": bool(kind in ("joggers", "shorts") and rng.random() < 0.4),
        "bare_legs": bool(bare and (kind == "shorts" or rng.random() < 0.6)),
    }


def _draw_shoes(rng: np.random.Generator, colours: Colours) -> dict[str, Any]:
    kind = _pick(rng, {"sneakers": 6, "shoes": 2, "boots": 2, "high": 1})
    name, colour = draw_colour(rng, "shoes", colours)
    white = kind in ("sneakers", "high") and rng.random() < 0.6
    sole: Colour = (0.85, 0.85, 0.82) if white else (0.08, 0.07, 0.07)
    return {"shoes": kind, "shoe_name": name, "shoe_colour": colour, "sole_colour": sole}


def _draw_bag(rng: np.random.Generator, female: bool, colours: Colours) -> dict[str, Any]:
    odds = {"": 5.0, "backpack": 2.6, "shoulder": 1.6 + female, "handbag": 0.5 + female, "crossbody": 1.0}
    name, colour = draw_colour(rng, "bag", colours)
    return {
        "bag": _pick(rng, odds),
        "bag_side": "LR"[rng.integers(2)],
        "bag_name": name,
        "bag_colour": colour,
        "bag_accent": other_colour(rng, "bag", colour, colours)[1],
        "bag_size": float(rng.uniform(0.8, 1.2)),
    }


def vary(look: Look, detail: Detail, member: int, rng: np.random.Generator, colours: Colours = "street") -> Look:
    """Change one fine detail of a look; each member of a family gets another value of it.

    Args:
        look: The family's look.
        detail: The detail to change.
        member: Index of the member, from 0.
        rng: Random generator; all members in order must use the same one.
        colours: As for `draw_look`.
    """
    if detail == "shoes":
        name, colour = _unlike(rng, "shoes", [look.shoe_colour], colours)
        kinds = ("sneakers", "shoes", "boots", "high")
        return replace(look, shoe_name=name, shoe_colour=colour, shoes=kinds[member % 4])
    if detail == "bag":
        kinds = ("backpack", "shoulder", "crossbody", "")
        name, colour = _unlike(rng, "bag", [look.bag_colour], colours)
        return replace(look, bag=kinds[member % 4], bag_name=name, bag_colour=colour)
    if detail == "headwear":
        name, colour = _unlike(rng, "outer", [look.headwear_colour], colours)
        return replace(
            look, headwear=("", "cap", "beanie", "hood")[member % 4], headwear_name=name, headwear_colour=colour
        )
    if detail == "print":
        return replace(look, pattern="print" if member else "logo", print_seed=int(rng.integers(1 << 30)))
    pattern = look.pattern if look.pattern in ("stripes", "bars", "checks") else "stripes"
    return replace(look, pattern=pattern, pattern_size=(0.02, 0.034, 0.055, 0.085)[member % 4])


def _unlike(rng: np.random.Generator, garment: str, others: list[Colour], colours: Colours) -> tuple[str, Colour]:
    for _ in range(30):
        name, colour = draw_colour(rng, garment, colours)
        if all(distance(colour, other) > 0.25 for other in others):
            break
    return name, colour
