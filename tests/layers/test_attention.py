"""Multi-head attention and Dense Attention against numpy and against torch's own layer."""

import tokenize
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import denseil
from denseil.layers import DenseAttention, MultiHeadAttention, SelfAttention


def numpy_attention(layer: MultiHeadAttention | SelfAttention, query: Tensor, memory: Tensor) -> np.ndarray:
    """Eq. 1 by plain loops, its d read per head, in float64."""
    w_q, w_k, w_v, w_o = (
        p.weight.detach().double().numpy() for p in (layer.q_proj, layer.k_proj, layer.v_proj, layer.out_proj)
    )
    x, m = query.double().numpy(), memory.double().numpy()
    heads, dim = layer.num_heads, x.shape[-1]
    d = dim // heads
    joined = np.zeros_like(x)
    for b in range(len(x)):
        for head in range(heads):
            cols = slice(head * d, (head + 1) * d)
            q, k, v = x[b] @ w_q.T[:, cols], m[b] @ w_k.T[:, cols], m[b] @ w_v.T[:, cols]
            for i in range(len(q)):
                score = np.array([q[i] @ k[j] for j in range(len(k))]) / np.sqrt(d)
                weight = np.exp(score - score.max())
                joined[b, i, cols] = (weight / weight.sum()) @ v
    return joined @ w_o.T


def test_dense_attention_equals_equations_1_and_3():
    torch.manual_seed(0)
    layer = DenseAttention(24, 3).eval()
    h, memory = torch.randn(2, 5, 24), torch.randn(2, 7, 24)
    expected = numpy_attention(layer.attention, h, torch.cat([memory, h], 1))
    np.testing.assert_allclose(layer(h, memory).detach().numpy(), expected, atol=1e-5)
    assert layer.weights(h, memory).shape == (2, 3, 5, 12)


def test_self_attention_equals_equations_1_and_2():
    torch.manual_seed(0)
    layer, z = SelfAttention(24, 3).eval(), torch.randn(2, 5, 24)
    np.testing.assert_allclose(layer(z).detach().numpy(), numpy_attention(layer, z, z), atol=1e-5)


def test_each_equation_stands_once_on_the_line_that_computes_it():
    lines = []
    for path in sorted(Path(denseil.layers.__file__).parent.glob("*.py")):
        with path.open("rb") as file:
            comments = [token for token in tokenize.tokenize(file.readline) if token.type == tokenize.COMMENT]
        lines += [token.line for token in comments if "Eq." in token.string or "Fig." in token.string]
    found = {n: [line.strip() for line in lines if f"Eq. {n}" in line] for n in (1, 2, 3)}
    assert {n: len(found[n]) for n in found} == {1: 1, 2: 1, 3: 1}
    assert found[1][0].startswith("return F.scaled_dot_product_attention(q, k, v, ")
    assert found[2][0].startswith("q, k, v = self.q_proj(z), self.k_proj(z), self.v_proj(z)")
    assert found[3][0].startswith("keys = torch.cat([memory, h], 1)")
    assert len([line for line in lines if "Fig. 2c" in line]) == 3  # the block's three residuals


def test_without_attend_self_only_memory_is_attended_to():
    torch.manual_seed(0)
    layer = DenseAttention(24, 3, attend_self=False).eval()
    h, memory = torch.randn(2, 5, 24), torch.randn(2, 7, 24)
    expected = numpy_attention(layer.attention, h, memory)
    np.testing.assert_allclose(layer(h, memory).detach().numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("masked", [True, False])
def test_equals_torch_multihead_attention(bias: bool, masked: bool):
    torch.manual_seed(1)
    ours = MultiHeadAttention(32, 4, bias=bias).eval()
    theirs = nn.MultiheadAttention(32, 4, bias=bias, batch_first=True).eval()
    projections = (ours.q_proj, ours.k_proj, ours.v_proj)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([p.weight for p in projections]))
        theirs.out_proj.weight.copy_(ours.out_proj.weight)
        if bias:
            for p in (*projections, ours.out_proj):
                nn.init.normal_(p.bias)
            theirs.in_proj_bias.copy_(torch.cat([p.bias for p in projections]))
            theirs.out_proj.bias.copy_(ours.out_proj.bias)
    query, memory = torch.randn(3, 6, 32), torch.randn(3, 9, 32)
    mask = torch.rand(3, 9) > 0.4 if masked else None
    expected, expected_weights = theirs(
        query,
        memory,
        memory,
        key_padding_mask=None if mask is None else ~mask,
        need_weights=True,
        average_attn_weights=False,
    )
    weights = ours.weights(query, memory, mask=mask)
    torch.testing.assert_close(ours(query, memory, mask=mask), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(weights, expected_weights, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("method", ["forward", "weights"])
def test_gradcheck_in_float64(method: str):
    torch.manual_seed(2)
    layer = DenseAttention(6, 2).double()
    mask = torch.tensor([[True, True, False]])
    memory_mask = torch.tensor([[True, False, True, True]])

    def run(h: Tensor, memory: Tensor) -> Tensor:
        out: Tensor = getattr(layer, method)(h, memory, mask=mask, memory_mask=memory_mask)
        return out

    inputs = [torch.randn(1, n, 6, dtype=torch.float64, requires_grad=True) for n in (3, 4)]
    assert torch.autograd.gradcheck(run, inputs)


def test_masked_keys_have_no_weight_and_no_effect():
    torch.manual_seed(3)
    layer = DenseAttention(16, 4).eval()
    h, memory = torch.randn(2, 4, 16), torch.randn(2, 6, 16)
    memory_mask = torch.tensor([[True] * 6, [True, False, True, False, True, False]])
    out, weights = (call(h, memory, memory_mask=memory_mask) for call in (layer, layer.weights))
    assert weights[1, :, :, [1, 3, 5]].abs().max() == 0
    assert weights[1, :, :, 6:].min() > 0  # H^r is attended to although only memory's mask is given
    changed = memory.clone()
    changed[1, [1, 3, 5]] += 100
    torch.testing.assert_close(layer(h, changed, memory_mask=memory_mask), out, atol=1e-5, rtol=1e-5)


def test_attention_dropout_acts_in_training():
    torch.manual_seed(4)
    layer = MultiHeadAttention(16, 4, attn_drop=0.5)
    x = torch.randn(1, 8, 16)
    assert not torch.equal(layer(x, x), layer(x, x))
    assert torch.equal(layer.weights(x, x), layer.weights(x, x))
    layer.eval()
    assert torch.equal(layer(x, x), layer(x, x))


def test_heads_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="dim=10 cannot be split into num_heads=3"):
        MultiHeadAttention(10, 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_a_mask_of_another_type_is_refused(dtype: torch.dtype):
    """Torch adds a float mask to the scores, so ones and zeros gave other vectors without a word."""
    h, memory, mask = torch.randn(2, 5, 24), torch.randn(2, 7, 24), torch.ones(2, 5, dtype=dtype)
    layer = DenseAttention(24, 3)
    calls = (lambda: layer(h, memory, mask=mask), lambda: layer.weights(h, memory, mask=mask))
    for call in (*calls, lambda: SelfAttention(24, 3)(h, mask=mask)):
        with pytest.raises(TypeError, match=f"mask has dtype {dtype}; it must be torch.bool"):
            call()


@pytest.mark.parametrize("shape", [(1, 5), (2, 1), (5,), (2, 5, 5)])
def test_a_mask_of_another_shape_is_refused(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match=r"mask has shape .*; 2 rows of 5 keys need \(2, 5\)"):
        SelfAttention(24, 3)(torch.randn(2, 5, 24), mask=torch.ones(shape, dtype=torch.bool))
