"""Supervised contrastive loss against pytorch-metric-learning and a double loop."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.losses import SupConLoss
from torch import Tensor

from denseil.losses import BatchHardTriplet, ReIDObjective, SupervisedContrastive
from tests.losses.batches import batch


def theirs(temperature: float, features: Tensor, labels: Tensor) -> Tensor:
    return SupConLoss(temperature=temperature)(features, labels)


def loop(temperature: float, features: Tensor, labels: Tensor) -> Tensor:
    """The definition: -log of each positive's share among all others, mean over positives, then over anchors."""
    unit = features / features.norm(dim=1, keepdim=True)
    losses = []
    for a in range(len(labels)):
        others = [o for o in range(len(labels)) if o != a]
        total = sum(math.e ** (unit[a] @ unit[o] / temperature) for o in others)
        shares = [-(unit[a] @ unit[o] / temperature - total.log()) for o in others if labels[o] == labels[a]]
        losses += [torch.stack(shares).mean()] if shares else []
    return torch.stack(losses).mean() if losses else features.sum() * 0


@pytest.mark.parametrize("oracle", [theirs, loop])
@pytest.mark.parametrize("temperature", [0.05, 0.1, 1.0])
def test_equals_the_oracles_with_gradients(oracle, temperature: float):
    for seed in range(3):
        features, labels = batch(seed=seed)
        loss = SupervisedContrastive(temperature)(features, labels)
        (gradient,) = torch.autograd.grad(loss, features)
        features, labels = batch(seed=seed)
        expected = oracle(temperature, features, labels)
        (expected_gradient,) = torch.autograd.grad(expected, features)
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(gradient, expected_gradient, rtol=1e-4, atol=1e-6)
        assert gradient.abs().sum() > 0


@settings(max_examples=30)
@given(labels=st.lists(st.integers(0, 3), min_size=1, max_size=9), seed=st.integers(0, 99))
def test_any_labels(labels: list[int], seed: int):
    """Anchors without a positive do not count; a batch without one is zero, not NaN."""
    features = torch.randn(len(labels), 4, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    loss = SupervisedContrastive()(features, torch.tensor(labels))
    torch.testing.assert_close(loss, loop(0.1, features, torch.tensor(labels)), rtol=1e-4, atol=1e-5)
    loss.backward()
    assert features.grad is not None
    assert features.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_float32_under_autocast(dtype: torch.dtype):
    features, labels = batch()
    low = features.detach().to(dtype)
    with torch.autocast("cpu", dtype):
        loss = SupervisedContrastive()(low, labels)
    torch.testing.assert_close(loss, SupervisedContrastive()(low.float(), labels), rtol=0, atol=0)


def test_a_part_of_the_objective_by_option():
    features, labels = batch()
    logits = torch.randn(len(labels), 5, generator=torch.Generator().manual_seed(1))
    plain = ReIDObjective()(logits, features, labels)
    assert plain.contrastive == 0
    losses = ReIDObjective(triplet_weight=0.5, contrastive_weight=2.0, temperature=0.2)(logits, features, labels)
    torch.testing.assert_close(losses.contrastive, SupervisedContrastive(0.2)(features, labels))
    torch.testing.assert_close(losses.triplet, BatchHardTriplet()(features, labels))
    torch.testing.assert_close(losses.total, losses.cross_entropy + 0.5 * losses.triplet + 2 * losses.contrastive)
    moved = ReIDObjective(contrastive_weight=1.0, standardize=True)(logits, 3 * features + 7, labels)
    same = ReIDObjective(contrastive_weight=1.0, standardize=True)(logits, features, labels)
    torch.testing.assert_close(moved.contrastive, same.contrastive, atol=1e-3, rtol=0)


def test_bad_input_is_one_clear_error():
    with pytest.raises(ValueError, match="temperature=0: give a number above 0"):
        SupervisedContrastive(0)
    with pytest.raises(ValueError, match=r"got \(4, 2\) and \(3,\)"):
        SupervisedContrastive()(torch.zeros(4, 2), torch.zeros(3))
    with pytest.raises(ValueError, match="contrastive_weight=-1"):
        ReIDObjective(contrastive_weight=-1)
