"""The module for foreign code: feature maps of any encoder to one vector a clip."""

import pytest
import torch
from torch import Tensor

from denseil.layers import BaselineHead, DenseInteractionHead


def make_head(**arguments: object) -> DenseInteractionHead:
    torch.manual_seed(0)
    return DenseInteractionHead([6, 10], 16, **({"depth": 2, "num_heads": 4, "ffn_dim": 32} | arguments)).eval()


def make_maps(batch: int = 2, frames: int = 5) -> list[Tensor]:
    torch.manual_seed(1)
    return [torch.randn(batch, frames, 6, 16, 8), torch.randn(batch, frames, 10, 8, 4)]


@pytest.mark.parametrize("fusion", ["attention", "sum", "concat", "none"])
def test_maps_to_vectors(fusion: str):
    assert make_head(fusion=fusion)(make_maps()).shape == (2, 16)


@pytest.mark.parametrize("fusion", ["attention", "sum", "concat", "none"])
def test_what_stands_under_the_mask_has_no_effect(fusion: str):
    head, maps = make_head(fusion=fusion), make_maps()
    mask = torch.tensor([[True] * 5, [True, False, True, True, False]])
    dirty = [level.clone() for level in maps]
    for level in dirty:
        level[1, ~mask[1]] = torch.nan
    expected = torch.cat([head([level[:1] for level in maps]), head([level[1:, mask[1]] for level in maps])])
    torch.testing.assert_close(head(dirty, mask), expected, atol=1e-5, rtol=1e-5)


def test_order_of_frames_matters_by_position_alone():
    maps = make_maps()
    order = torch.tensor([3, 0, 4, 1, 2])
    shuffled = [level[:, order] for level in maps]
    blind = make_head(pos_kind="none")
    torch.testing.assert_close(blind(maps), blind(shuffled), atol=1e-5, rtol=1e-5)
    for kind in ("step", "temporal"):
        sighted = make_head(pos_kind=kind)
        assert (sighted(maps) - sighted(shuffled)).abs().max() > 1e-4
    spatial = make_head(pos_kind="spatial")
    torch.testing.assert_close(spatial(maps), spatial(shuffled), atol=1e-5, rtol=1e-5)


def test_pool_and_decode_are_forward_in_two_steps():
    head, maps = make_head(), make_maps()
    tokens = head.pool([level.flatten(0, 1) for level in maps])
    assert tokens.shape == (10, 4, 16)
    torch.testing.assert_close(head.decode(tokens.view(2, 5, 4, 16)), head(maps))


def test_level_tokens_have_their_own_projection_norm_and_position():
    head = make_head()
    tokens = torch.randn(1, 3, 4, 16)
    memory = head._embed_levels(tokens.split([6, 10], -1), None)
    for number, (start, width) in enumerate([(0, 6), (6, 10)]):
        level = head.level_norms[number](head.level_projs[number](tokens[..., start : start + width]))
        expected = head.pos_emb(level).flatten(1, 2)
        torch.testing.assert_close(memory[:, 12 * number : 12 * (number + 1)], expected)


def test_positions_do_not_drown_what_they_are_added_to():
    """Whatever the scale of the encoder's maps, H^0 comes to the decoder on the scale of the positions."""
    head, seen = make_head(), []
    head.interaction.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    tokens = torch.randn(1, 3, 4, 16)
    head.decode(tokens)
    head.decode(1e-1 * tokens)
    torch.testing.assert_close(seen[0], seen[1], atol=1e-2, rtol=0)


def test_attend_last_decides_whether_the_highest_level_is_a_key():
    tokens = torch.randn(1, 3, 4, 16)
    for attend_last, keys in ((True, 36), (False, 24)):
        weights = make_head(attend_last=attend_last).attention_maps(tokens)
        assert weights[0].shape == (1, 4, 12, keys)


def test_baseline_is_the_mean_over_space_and_real_frames():
    maps = torch.randn(2, 5, 10, 7, 3)  # 7 rows: no number of parts may matter
    mask = torch.tensor([[True] * 5, [True, True, False, False, False]])
    expected = torch.stack([maps[0].mean((0, 2, 3)), maps[1, :2].mean((0, 2, 3))])
    torch.testing.assert_close(BaselineHead(10)([maps], mask), expected)


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (torch.ones(2, 4, dtype=torch.bool), ValueError, r"mask has shape \(2, 4\)"),
        (torch.ones(2, 5), TypeError, "torch.bool"),
        (torch.tensor([[True] * 5, [False] * 5]), ValueError, r"mask rows \[1\] are all False"),
    ],
)
def test_bad_masks(mask: Tensor, error: type[Exception], message: str):
    for head, maps in ((make_head(), make_maps()), (BaselineHead(10), make_maps()[1:])):
        with pytest.raises(error, match=message):
            head(maps, mask)


def test_bad_arguments():
    with pytest.raises(ValueError, match="in_channels is empty"):
        DenseInteractionHead([], 16)
    with pytest.raises(ValueError, match="in_channels=-1: give an integer from 1"):
        DenseInteractionHead([6, -1], 16)
    with pytest.raises(ValueError, match="tokens have width 6; it must be the sum"):
        make_head().decode(torch.randn(2, 5, 4, 6))
    with pytest.raises(ValueError, match="tokens have width 16; it must be"):
        BaselineHead(10).decode(torch.randn(2, 5, 1, 16))
    with pytest.raises(ValueError, match="at least one level"):
        DenseInteractionHead([6], 16, num_heads=4, attend_last=False)


def test_maps_in_another_order_number_or_of_other_frames():
    """Their widths have the same sum, so the tokens of one level were taken for those of another."""
    head, (low, high) = make_head(), make_maps()
    for call in (head, lambda maps: head.pool([level.flatten(0, 1) for level in maps])):
        with pytest.raises(
            ValueError, match=r"maps have widths \[10, 6\]; they must be \[6, 10\], a map for each level"
        ):
            call([high, low])
        with pytest.raises(ValueError, match=r"maps have widths \[16\]"):
            call([torch.cat([low[..., :8, :4], high], 2)])
    with pytest.raises(ValueError, match=r"maps have widths \[6, 10\]; they must be \[16\]"):
        BaselineHead(16)([low, high])
    with pytest.raises(ValueError, match=r"maps have \[\(2, 5\), \(5, 2\)\] as the axes before C, H, W"):
        head([low, high.transpose(0, 1)])
