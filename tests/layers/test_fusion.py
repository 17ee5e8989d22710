"""Dense Sum. and Dense Concat. against loops over positions."""

import pytest
import torch

from denseil.layers import DenseAttention, DenseConcat, DenseSum
from denseil.layers.fusion import build_fusion


def test_sum_adds_the_levels_of_each_position():
    levels = [torch.randn(2, 6, 8) for _ in range(3)]
    out = DenseSum()(torch.randn(2, 6, 8), torch.cat(levels, 1))
    torch.testing.assert_close(out, levels[0] + levels[1] + levels[2])


def test_concat_is_one_linear_layer_over_levels_and_h():
    h, levels = torch.randn(2, 6, 8), [torch.randn(2, 6, 8) for _ in range(3)]
    layer = DenseConcat(8, 3)
    expected = torch.cat([*levels, h], -1) @ layer.proj.weight.T + layer.proj.bias
    torch.testing.assert_close(layer(h, torch.cat(levels, 1)), expected)


def test_build_fusion_by_name():
    assert isinstance(build_fusion("attention", 8, num_levels=2, num_heads=2), DenseAttention)
    assert isinstance(build_fusion("sum", 8, num_levels=2), DenseSum)
    assert isinstance(build_fusion("concat", 8, num_levels=2), DenseConcat)
    assert build_fusion("none", 8, num_levels=0) is None
    with pytest.raises(ValueError, match="fusion='gated' is unknown"):
        build_fusion("gated", 8, num_levels=2)
    with pytest.raises(ValueError, match="at least one level"):
        build_fusion("sum", 8, num_levels=0)
