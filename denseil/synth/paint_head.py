"""Colours of heads, point by point: skin, hair, beards, hats and hoods; and what all of a person's painting shares."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from denseil.synth import heads
from denseil.synth.body import Array, f32
from denseil.synth.cloth import hairline, hat_rim, hood_depth, smoothstep
from denseil.synth.look import Look
from denseil.synth.loops import scale_rows
from denseil.synth.palette import Colour
from denseil.synth.raster import noise

Head = Callable[[Look, Array], Array]  # paints the points of a head


def fill(colour: Colour, coords: Array) -> Array:
    """Give all points one colour."""
    return np.tile(f32(colour), (len(coords), 1))


def weave(look: Look, colour: Array, coords: Array, salt: int) -> Array:
    """Vary the brightness of cloth, by large folds and a fine grain."""
    large = noise(coords[:, :3] * f32([1, 1, 0.45]), 0.05, look.texture + salt)
    fine = noise(coords[:, :3], 0.009, look.texture + salt + 1)
    return scale_rows(colour, 1 + 0.26 * (large - 0.5) + 0.10 * (fine - 0.5))


def hair(look: Look, coords: Array) -> Array:
    """Paint hair without a texture."""
    strands = noise(coords[:, :3] * f32([1, 1, 0.15]), 0.012, look.texture)
    return scale_rows(f32([look.hair_colour]), 0.75 + 0.6 * strands)


def mane(look: Look, coords: Array) -> Array:
    """Paint hair whose brightness is in column 3 of its coordinates."""
    return scale_rows(f32([look.hair_colour]), 0.25 + 0.85 * np.clip(coords[:, 3], 0.15, 2.0))


def skin(look: Look, coords: Array) -> Array:
    """Paint bare skin."""
    return scale_rows(f32([look.skin]), 0.94 + 0.12 * noise(coords[:, :3], 0.02, look.texture))


def painted_head(look: Look, coords: Array) -> Array:
    """Paint a head of versions 1 and 2: a plain face."""
    x, y, z = coords[:, :3].T
    colour = skin(look, coords)
    face = y < -0.09
    side = np.abs(x)
    eyes = face & (np.abs(z - 1.648) < 0.007) & (np.abs(side - 0.031) < 0.015)
    brows = face & (np.abs(z - 1.668 + 0.15 * (side - 0.03)) < 0.005) & (np.abs(side - 0.032) < 0.022)
    lips = face & (np.abs(z - 1.567) < 0.006) & (side < 0.024)
    colour[eyes] = 0.35 * colour[eyes] + 0.04
    colour[brows] = 0.45 * colour[brows] + 0.4 * f32(look.hair_colour)
    colour[lips] = colour[lips] * f32([0.88, 0.70, 0.70])
    if look.beard:
        beard = (z < 1.592) & (y < -0.05) & (z > 1.505) & ~((z > 1.558) & (z < 1.575) & (side < 0.022))
        colour[beard] = 0.3 * colour[beard] + 0.7 * f32(look.hair_colour)
    _grow_hair(look, coords, colour)
    _put_on_hat(look, coords, colour)
    return colour


def natural_head(look: Look, coords: Array) -> Array:
    """Paint a head of version 3: photographed skin, with brows and a beard in the colour of the hair."""
    x, y, z = coords[:, :3].T
    side = np.abs(x)
    colour = scale_rows(
        heads.face(look, coords) * f32(look.skin), 0.97 + 0.06 * noise(coords[:, :3], 0.02, look.texture)
    )
    brow = smoothstep(0.007, 0.003, np.abs(z - 1.668 + 0.15 * (side - 0.03))) * smoothstep(
        0.024, 0.018, np.abs(side - 0.032)
    )
    _blend(colour, 0.6 * brow * (y < -0.09), f32(look.hair_colour))
    if look.beard:
        _blend(colour, _beard(look, coords), f32(look.hair_colour))
    style = heads.style(look)
    if style:
        cover = smoothstep(0.25, 0.75, heads.look_up(heads.heads().hair[style].cover, coords))
        _blend(colour, cover, 0.8 * hair(look, coords))
    else:
        _grow_hair(look, coords, colour)
    _put_on_hat(look, coords, colour)
    return colour


def _blend(colour: Array, share: Array, other: Array) -> None:
    """Mix another colour into colours (N, 3), in place, by a share (N,)."""
    colour += np.reshape(share, (-1, 1)) * (other - colour)


def _beard(look: Look, coords: Array) -> Array:
    """Share (N,) of the face that a beard hides."""
    x, y, z = coords[:, :3].T
    side = np.abs(x)
    rough = noise(coords[:, :3], 0.006, look.texture + 9)
    line = 1.562 + 0.9 * np.maximum(0, side - 0.045) + 0.02 * (look.texture % 3 - 1)
    chin = smoothstep(0.008, -0.008, z - line + 0.012 * (rough - 0.5)) * smoothstep(1.495, 1.515, z)
    lip = smoothstep(0.008, 0.003, np.abs(z - 1.580 + 0.25 * side)) * smoothstep(0.040, 0.030, side)
    mouth = smoothstep(1.4, 0.8, np.hypot(x / 0.024, (z - 1.565) / 0.008))
    return np.maximum(chin, lip) * (1 - mouth) * smoothstep(-0.02, -0.05, y) * (0.55 + 0.4 * rough)


def _grow_hair(look: Look, coords: Array, colour: Array) -> None:
    """Paint hair above the hairline, in place."""
    if look.hair == "bald":
        return
    x, y, z = coords[:, :3].T
    ear = (np.abs(x) > 0.066) & (y > -0.07) & (y < 0.0) & (z < 1.665) & (look.hair not in ("long", "bob", "curly"))
    ragged = 0.012 * (noise(coords[:, :3], 0.012, look.texture + 5) - 0.5)
    grown = (z + ragged > hairline(coords)) & ~ear
    cover = 0.7 if look.hair == "buzz" else 1.0
    colour[grown] = (1 - cover) * colour[grown] + cover * hair(look, coords[grown])


def _put_on_hat(look: Look, coords: Array, colour: Array) -> None:
    """Paint a cap, a beanie, a hood or a scarf, in place."""
    if look.headwear in ("cap", "beanie"):
        hat = coords[:, 2] > hat_rim(look, coords)
        knit = 1 + (0.12 * np.sin(coords[hat, 0] * 400) if look.headwear == "beanie" else 0)
        colour[hat] = weave(look, fill(look.headwear_colour, coords[hat]), coords[hat], 3) * np.reshape(knit, (-1, 1))
    if look.headwear in ("hood", "scarf"):
        hood = (hood_depth(coords) > 0) | (coords[:, 2] < 1.53)
        cloth = (
            look.top_colour if look.headwear == "hood" and look.top in ("hoodie", "jacket") else look.headwear_colour
        )
        colour[hood] = weave(look, fill(cloth, coords[hood]), coords[hood], 3)
