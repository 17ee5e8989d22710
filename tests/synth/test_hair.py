"""Shaped hair lies on the head and the clothes, ends where it is cut, and goes under a hat."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from denseil.synth.body import JOINT, body_space
from denseil.synth.cloth import Fitting, dress, hat_rim
from denseil.synth.hair import hair_mesh
from denseil.synth.look import Look, draw_look
from denseil.synth.pieces import Piece, pieces
from denseil.synth.raster import vertex_normals


def someone(**fields: object) -> tuple[Look, Fitting]:
    fields = {"top": "tshirt", "thick": 0.01, "headwear": "", "texture": 1 << 9, **fields}
    look = replace(draw_look(np.random.default_rng(3), body_space()), **fields)
    return look, dress(body_space(), look, 3)


def above(points: np.ndarray, vertices: np.ndarray, fit: Fitting) -> np.ndarray:
    """Height of points over the nearest vertex of a head, along its normal."""
    head = np.flatnonzero(fit.space.weights[:, JOINT["head"]] > 0.5)
    normals = vertex_normals(vertices, fit.space.faces, np.arange(len(fit.space.faces), dtype=np.int32))[head]
    _, index = cKDTree(vertices[head]).query(points)
    return ((points - vertices[head][index]) * normals[index]).sum(1)


@pytest.mark.parametrize("style", ["long", "bob", "ponytail", "bun", "curly", "short"])
@pytest.mark.parametrize("body", [0, 700, 1500])
def test_hair_is_outside_of_the_head_and_near_it(style: str, body: int):
    look, fit = someone(hair=style, body=body)
    mesh, share = hair_mesh(look, fit)
    assert mesh.faces.max() < len(mesh.vertices) == len(mesh.coords) == len(share)
    high = mesh.coords[:, 2] > 1.60
    over = above(mesh.vertices[high], fit.vertices, fit)
    assert (over > -0.002).mean() > 0.99
    assert over.max() < 0.09
    skull = fit.vertices[fit.space.weights[:, JOINT["head"]] > 0.5]
    assert 0.0 < mesh.vertices[:, 2].max() - skull[:, 2].max() < 0.06


def test_long_hair_is_cut_at_many_lengths():
    ends = [hair_mesh(*someone(hair="long", thick=0.02, texture=t))[0].vertices[:, 2].min() for t in (0, 50, 99)]
    assert ends[0] - ends[1] > 0.05
    assert ends[1] - ends[2] > 0.05


def test_hair_is_worn_on_either_side():
    one, other = (hair_mesh(*someone(hair="bob", texture=t << 9))[0].coords[:, 0] for t in (0, 1))
    np.testing.assert_allclose(one, -other)


@pytest.mark.parametrize("hat", ["cap", "beanie"])
def test_hair_above_the_rim_of_a_hat_is_under_it(hat: str):
    look, fit = someone(hair="long", headwear=hat)
    mesh, _ = hair_mesh(look, fit)
    hidden = mesh.coords[:, 2] > hat_rim(look, mesh.coords)
    assert hidden.sum() > 100
    assert above(mesh.vertices[hidden], fit.bare, fit).max() < 0.001


def test_the_jaw_is_no_cloth():
    _, fit = someone(top="puffer", thick=0.04, hair="bald")
    jaw = (fit.space.weights[:, JOINT["head"]] > 0.9) & (fit.space.canonical[:, 2] < 1.56)
    assert jaw.sum() > 50
    np.testing.assert_allclose(fit.vertices[jaw], fit.bare[jaw], atol=1e-4)


def test_ends_of_long_hair_go_with_the_chest():
    look, fit = someone(hair="long")
    (hair,) = [piece for piece in pieces(look, fit, 3) if piece.mesh.part == "mane"]
    assert isinstance(hair, Piece)
    assert hair.share is not None
    assert hair.share[hair.mesh.coords[:, 2] < 1.39].max() == 0
    assert hair.share[hair.mesh.coords[:, 2] > 1.55].min() == 1
