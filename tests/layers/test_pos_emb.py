"""STEP-Emb against the printed formula, in plain Python."""

import itertools
import math

import pytest
import torch

from denseil.layers import SpatioTemporalPosEmb


def printed(position: int, j: int, d: int) -> float:
    """SpatialPos and TemporalPos of Section 3.3; j counts from 1."""
    angle = position / 10000 ** (j / d)
    return math.sin(angle) if j % 2 == 0 else math.cos(angle)


def vaswani(position: int, index: int, d: int) -> float:
    """Attention Is All You Need, Section 3.5; position and index count from 0."""
    angle = position / 10000 ** (index // 2 * 2 / d)
    return math.sin(angle) if index % 2 == 0 else math.cos(angle)


@pytest.mark.parametrize(
    ("kind", "spatial", "temporal"), [("step", 1, 1), ("spatial", 1, 0), ("temporal", 0, 1), ("none", 0, 0)]
)
def test_equals_the_printed_formula(kind: str, spatial: int, temporal: int):
    T, P, d = 5, 4, 10
    out = SpatioTemporalPosEmb(d, kind=kind)(torch.zeros(1, T, P, d))
    for i, p, j in itertools.product(range(T), range(P), range(d)):
        expected = spatial * printed(p + 1, j + 1, d) + temporal * printed(i + 1, j + 1, d)
        assert out[0, i, p, j].item() == pytest.approx(expected, abs=1e-6)


def test_vaswani_formula():
    T, P, d = 3, 2, 8
    out = SpatioTemporalPosEmb(d, formula="vaswani")(torch.zeros(1, T, P, d))
    for i, p, j in itertools.product(range(T), range(P), range(d)):
        assert out[0, i, p, j].item() == pytest.approx(vaswani(p, j, d) + vaswani(i, j, d), abs=1e-6)


def closest(formula: str) -> float:
    """The smallest distance between the embeddings of two different (part, frame) pairs."""
    vectors = SpatioTemporalPosEmb(32, formula=formula).embedding(torch.arange(1, 17), 8).flatten(0, 1)
    return torch.pdist(vectors.double()).min().item()


def test_factored_tells_all_positions_apart_where_the_papers_sum_does_not():
    assert closest("paper") < 1e-6  # (p, i) and (i, p) collide
    assert closest("vaswani") < 1e-6
    assert closest("factored") > 0.1


def test_a_frames_index_is_its_rank_among_the_real_ones():
    layer = SpatioTemporalPosEmb(8)
    tokens = torch.randn(1, 5, 2, 8)
    mask = torch.tensor([[True, False, True, False, True]])
    torch.testing.assert_close(layer(tokens, mask)[:, mask[0]], layer(tokens[:, mask[0]]))


def test_half_precision_keeps_exact_positions():
    layer = SpatioTemporalPosEmb(64).half()
    exact = SpatioTemporalPosEmb(64)(torch.zeros(1, 300, 2, 64))
    torch.testing.assert_close(layer(torch.zeros(1, 300, 2, 64).half()), exact.half())


def test_no_state():
    assert not SpatioTemporalPosEmb(8).state_dict()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": 8, "kind": "space"}, "kind='space' is unknown; choose one of 'step'"),
        ({"dim": 8, "formula": "learned"}, "formula='learned' is unknown"),
        ({"dim": 7, "formula": "factored"}, "dim=7"),
    ],
)
def test_bad_arguments(arguments: dict, message: str):
    with pytest.raises(ValueError, match=message):
        SpatioTemporalPosEmb(**arguments)


@pytest.mark.parametrize("formula", ["paper", "vaswani", "factored"])
def test_positions_do_not_depend_on_the_default_dtype(formula: str):
    frames = torch.arange(1, 33)
    layer = SpatioTemporalPosEmb(64, formula=formula)
    expected = layer.embedding(frames, 4)
    try:
        for dtype in (torch.bfloat16, torch.float64):
            torch.set_default_dtype(dtype)
            assert layer.embedding(frames, 4).dtype == torch.float32
            torch.testing.assert_close(layer.embedding(frames, 4), expected, atol=0, rtol=0)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("kind", ["step", "none"])
def test_tokens_and_masks_of_another_shape_or_type_are_refused(kind: str):
    """Torch repeats tokens of width 1 and a mask of one row, and a float mask of 0.9 counts as 0."""
    layer, tokens = SpatioTemporalPosEmb(32, kind=kind), torch.zeros(2, 5, 4, 32)
    for other in (tokens[..., :1], tokens[0]):
        with pytest.raises(ValueError, match=r"tokens have shape .*; they must be \(B, T, P, 32\)"):
            layer(other)
    with pytest.raises(ValueError, match=r"mask has shape \(1, 5\); 2 rows of 5 frames need \(2, 5\)"):
        layer(tokens, torch.ones(1, 5, dtype=torch.bool))
    with pytest.raises(TypeError, match=r"mask has dtype torch.float32; it must be torch.bool"):
        layer(tokens, torch.full((2, 5), 0.9))
