"""PartPool against means of row slices."""

import pytest
import torch

from denseil.layers import PartPool


def test_parts_are_means_of_equal_stripes():
    maps = torch.randn(3, 5, 16, 8)
    parts = PartPool(4)(maps)
    assert parts.shape == (3, 4, 5)
    for p in range(4):
        torch.testing.assert_close(parts[:, p], maps[:, :, 4 * p : 4 * p + 4].mean((2, 3)))


def test_height_need_not_be_a_multiple():
    maps = torch.randn(1, 2, 7, 3)
    parts = PartPool(3)(maps)
    # Adaptive stripes: floor(p H / P) up to ceil((p + 1) H / P).
    for p, (top, bottom) in enumerate([(0, 3), (2, 5), (4, 7)]):
        torch.testing.assert_close(parts[:, p], maps[:, :, top:bottom].mean((2, 3)))


def test_one_part_is_the_mean_of_the_map():
    maps = torch.randn(2, 3, 7, 5)
    torch.testing.assert_close(PartPool(1)(maps)[:, 0], maps.mean((2, 3)))


def test_no_parts_are_refused():
    with pytest.raises(ValueError, match="num_parts=0"):
        PartPool(0)
