"""Wardrobe groups: people who wear nearly the same clothes and differ in everything else.

In streets most people wear dark jackets, jeans and black trousers, and differ in hair, build, skin, the hem of a coat,
shoes, bags and gait. Members of a wardrobe group share the kind and colour of the top, most of them the colour of the
bottoms, and nothing else; a family (see `denseil.synth.look.vary`) is the opposite.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from denseil.synth.look import BOTTOMS, TOPS, Look, _pick
from denseil.synth.palette import NAMED, jitter

KINDS = {
    "jacket": 0.28, "coat": 0.17, "puffer": 0.15, "hoodie": 0.12, "blazer": 0.08, "sweater": 0.06, "shirt": 0.05,
    "tshirt": 0.05, "longsleeve": 0.04,
}  # fmt: skip
TOP_COLOURS = {
    "black": 0.34, "charcoal": 0.14, "navy": 0.14, "grey": 0.08, "brown": 0.06, "olive": 0.05, "blue": 0.05,
    "white": 0.06, "red": 0.04, "beige": 0.04,
}  # fmt: skip
BOTTOM_COLOURS = {"black": 0.25, "denim": 0.25, "charcoal": 0.25, "navy": 0.25}
SAME_BOTTOM, PLAIN = 0.7, 0.8  # share of the members with the group's colour of bottoms, and without a pattern


def wear(look: Look, own: np.random.Generator, group: np.random.Generator) -> Look:
    """Dress a person in the clothes of a wardrobe group.

    Args:
        look: The person: body, skin, hair, shoes, bag and gait are kept.
        own: The person's random generator, for the cut of the clothes and the shade of their dye.
        group: The group's random generator, at the same state for every member.
    """
    kind, top, bottom = _pick(group, KINDS), _pick(group, TOP_COLOURS), _pick(group, BOTTOM_COLOURS)
    cut = TOPS[kind]
    if look.top == "dress" or (look.bottom in ("skirt", "leggings") and own.random() < 0.7):
        jeans = BOTTOMS["jeans"]
        end, wide = float(own.uniform(*jeans.end)), float(own.uniform(*jeans.wide))
        look = replace(look, bottom="jeans", bottom_end=end, bottom_wide=wide, bare_legs=False, side_stripe=False)
    look = replace(
        look,
        top=kind,
        top_name=top,
        top_colour=jitter(own, NAMED[top], 0.7),
        pattern="plain" if own.random() < PLAIN else look.pattern,
        sleeve=float(own.uniform(*cut.sleeve)),
        hem=float(own.uniform(*cut.hem)),
        thick=float(own.uniform(*cut.thick)),
        open_front=float(own.uniform(0.03, 0.09)) if cut.outer and own.random() < 0.35 else 0.0,
    )
    if look.bottom != "skirt" and own.random() < SAME_BOTTOM:
        look = replace(look, bottom_name=bottom, bottom_colour=jitter(own, NAMED[bottom], 0.8))
    return look
