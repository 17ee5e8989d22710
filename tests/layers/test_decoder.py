"""The decoder against its equations written out, and by the laws of masks and checkpointing."""

import pytest
import torch
from torch import nn

from denseil.layers import DenseAttention, DenseSum, DIDecoder, DIDecoderBlock


def test_block_is_three_pre_ln_residuals():
    torch.manual_seed(0)
    block = DIDecoderBlock(16, 4, 32, fusion=DenseAttention(16, 4)).eval()
    h, memory = torch.randn(2, 6, 16), torch.randn(2, 12, 16)
    x = block.self_norm(h)
    expected = h + block.self_attn(x)
    expected = expected + block.fusion(block.fusion_norm(expected), memory)
    x = block.ffn_norm(expected)
    hidden = (x @ block.ffn[0].weight.T + block.ffn[0].bias).clamp(min=0)  # w_2 max(w_1 x + b_1, 0) + b_2
    expected = expected + hidden @ block.ffn[2].weight.T + block.ffn[2].bias
    torch.testing.assert_close(block(h, memory), expected)


def test_block_without_fusion_is_a_pre_ln_transformer_encoder_layer():
    torch.manual_seed(1)
    block = DIDecoderBlock(16, 4, 32).eval()
    theirs = nn.TransformerEncoderLayer(16, 4, 32, norm_first=True, batch_first=True, bias=True).eval()
    attention = block.self_attn
    with torch.no_grad():
        theirs.self_attn.in_proj_weight.copy_(
            torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight])
        )
        theirs.self_attn.in_proj_bias.zero_()
        theirs.self_attn.out_proj.weight.copy_(attention.out_proj.weight)
        theirs.self_attn.out_proj.bias.zero_()
        for ours, other in ((block.ffn[0], theirs.linear1), (block.ffn[2], theirs.linear2)):
            other.weight.copy_(ours.weight)
            other.bias.copy_(ours.bias)
    h = torch.randn(2, 6, 16)
    torch.testing.assert_close(block(h), theirs(h), atol=1e-5, rtol=1e-5)


def test_a_foreign_fusion_module_fits():
    class Gate(nn.Module):
        def forward(self, h, memory, *, mask=None, memory_mask=None):
            return h.sigmoid() * memory[:, : h.shape[1]]

    assert DIDecoderBlock(16, 4, 32, fusion=Gate())(torch.randn(1, 3, 16), torch.randn(1, 6, 16)).shape == (1, 3, 16)


@pytest.mark.parametrize("fusion", ["attention", DenseSum])
def test_a_fusion_that_is_no_module_is_refused(fusion: object):
    with pytest.raises(TypeError, match=r"fusion=.*: give a module, such as DenseAttention"):
        DIDecoderBlock(16, 4, 32, fusion=fusion)  # type: ignore[arg-type]


def test_padded_tokens_have_no_effect():
    torch.manual_seed(2)
    decoder = DIDecoder(16, 2, 4, 32, num_levels=1).eval()
    h, memory = torch.randn(1, 8, 16), torch.randn(1, 8, 16)
    mask = torch.arange(8)[None] < 5
    out = decoder(h, memory, mask=mask, memory_mask=mask)
    torch.testing.assert_close(out[:, :5], decoder(h[:, :5], memory[:, :5]), atol=1e-5, rtol=1e-5)


def test_weights_of_every_block():
    decoder = DIDecoder(16, 3, 4, 32, num_levels=2)
    weights = decoder.attention_maps(torch.randn(2, 5, 16), torch.randn(2, 10, 16))
    assert [w.shape for w in weights] == [(2, 4, 5, 15)] * 3
    torch.testing.assert_close(weights[0].sum(-1), torch.ones(2, 4, 5))


@pytest.mark.parametrize("fusion", ["attention", "sum", "concat", "none"])
def test_gradient_checkpointing_gives_the_same_gradients(fusion: str):
    decoder = DIDecoder(16, 2, 4, 32, fusion=fusion, num_levels=2, drop=0.5).train()
    h, memory = torch.randn(2, 5, 16), torch.randn(2, 10, 16)
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    gradients = []
    for enabled in (False, True):
        decoder.grad_checkpointing = enabled
        decoder.zero_grad()
        torch.manual_seed(3)  # dropout is replayed too
        decoder(h, memory, mask=mask, memory_mask=mask.repeat(1, 2)).square().mean().backward()
        gradients.append([p.grad.clone() for p in decoder.parameters()])
    torch.testing.assert_close(gradients[0], gradients[1])


def test_dropout_is_on_the_branches_alone():
    block = DIDecoderBlock(16, 4, 32, fusion=DenseSum()).train()
    block.drop.p = 1.0
    h = torch.randn(2, 5, 16)
    torch.testing.assert_close(block(h, torch.randn(2, 10, 16)), h)


def test_depth_zero_is_refused():
    with pytest.raises(ValueError, match="depth=0"):
        DIDecoder(16, 0)


def test_a_negative_width_is_refused():
    with pytest.raises(ValueError, match="dim=-1: give an integer from 1"):
        DIDecoderBlock(-1)
