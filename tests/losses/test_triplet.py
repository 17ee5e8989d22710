"""Batch-hard triplet against pytorch-metric-learning, a triple loop, and one process with the whole batch."""

import math
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.distances import CosineSimilarity, LpDistance
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.miners import BatchHardMiner
from pytorch_metric_learning.reducers import MeanReducer
from torch import Tensor

from denseil.losses import BatchHardTriplet, ReIDObjective
from tests.forked import run_ranks
from tests.losses.batches import batch

WAYS = [(margin, distance) for margin in (0.3, 0.0, None) for distance in ("euclidean", "cosine")]


def theirs(margin: float | None, distance: str, features: Tensor, labels: Tensor) -> Tensor:
    measure = LpDistance(normalize_embeddings=False) if distance == "euclidean" else CosineSimilarity()
    loss = TripletMarginLoss(margin=margin or 0.0, smooth_loss=margin is None, distance=measure, reducer=MeanReducer())
    return loss(features, labels, BatchHardMiner(distance=measure)(features, labels))


def loop(margin: float | None, distance: str, features: Tensor, labels: Tensor) -> Tensor:
    """The definition: over anchors, the largest loss of any triplet (a soft or hard hinge grows with d_p - d_n)."""
    losses = []
    for a in range(len(labels)):
        gaps = []
        for p in range(len(labels)):
            for n in range(len(labels)):
                if p != a and labels[p] == labels[a] and labels[n] != labels[a]:
                    ap, an = (measure(distance, features[a], features[other]) for other in (p, n))
                    gaps.append(ap - an)
        if gaps:
            gap = torch.stack(gaps).max()
            losses.append(torch.log1p(gap.exp()) if margin is None else (gap + margin).clamp(min=0))
    return torch.stack(losses).mean() if losses else features.sum() * 0


def measure(distance: str, a: Tensor, b: Tensor) -> Tensor:
    return (a - b).norm() if distance == "euclidean" else 1 - a @ b / (a.norm() * b.norm())


@pytest.mark.parametrize("oracle", [theirs, loop])
@pytest.mark.parametrize(("margin", "distance"), WAYS)
def test_equals_the_oracles_with_gradients(oracle, margin: float | None, distance: str):
    for seed in range(3):
        features, labels = batch(seed=seed)
        loss = BatchHardTriplet(margin, distance=distance)(features, labels)
        (gradient,) = torch.autograd.grad(loss, features)
        features, labels = batch(seed=seed)
        expected = oracle(margin, distance, features, labels)
        (expected_gradient,) = torch.autograd.grad(expected, features)
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(gradient, expected_gradient, rtol=1e-4, atol=1e-6)
        assert gradient.abs().sum() > 0


@settings(max_examples=30)
@given(labels=st.lists(st.integers(0, 3), min_size=1, max_size=9), seed=st.integers(0, 99))
def test_any_labels(labels: list[int], seed: int):
    """Anchors without a positive or without a negative do not count; a batch without a triplet is zero, not NaN."""
    features = torch.randn(len(labels), 4, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    loss = BatchHardTriplet()(features, torch.tensor(labels))
    torch.testing.assert_close(loss, loop(0.3, "euclidean", features, torch.tensor(labels)))
    loss.backward()
    assert features.grad is not None
    assert features.grad.isfinite().all()


def test_equal_features_have_a_finite_gradient():
    features = torch.ones(8, 4, requires_grad=True)
    loss = BatchHardTriplet()(features, torch.arange(4).repeat(2))
    loss.backward()
    assert loss.item() == pytest.approx(0.3)
    assert features.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_float32_under_autocast(dtype: torch.dtype):
    features, labels = batch()
    low = features.detach().to(dtype)
    with torch.autocast("cpu", dtype):
        losses = [BatchHardTriplet(distance=d)(low, labels) for d in ("euclidean", "cosine")]
        both = ReIDObjective()(low, low, labels)
    for loss, distance in zip(losses, ("euclidean", "cosine"), strict=True):
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, BatchHardTriplet(distance=distance)(low.float(), labels), rtol=0, atol=0)
    torch.testing.assert_close(both.total, ReIDObjective()(low.float(), low.float(), labels).total, rtol=0, atol=0)


def test_objective_reports_its_parts():
    features, labels = batch()
    logits = torch.randn(len(labels), 5, generator=torch.Generator().manual_seed(1))
    losses = ReIDObjective(label_smoothing=0.1, triplet_weight=0.5)(logits, features, labels)
    log_p = logits.log_softmax(1)
    smoothed = -(0.9 * log_p[torch.arange(len(labels)), labels] + 0.1 * log_p.mean(1)).mean()
    torch.testing.assert_close(losses.cross_entropy, smoothed)
    torch.testing.assert_close(losses.triplet, BatchHardTriplet()(features, labels))
    torch.testing.assert_close(losses.total, losses.cross_entropy + 0.5 * losses.triplet)


def test_standardised_features_cannot_shrink_to_a_point():
    """Scale and offset of the features change nothing, as after a batch norm; without, they do."""
    torch.manual_seed(0)
    features, labels, logits = torch.randn(12, 8), torch.arange(4).repeat(3), torch.randn(12, 4)
    near = 0.5 * features + torch.arange(8)  # nearer to each other, and away from zero
    for distance in ("euclidean", "cosine"):
        raw, standardized = (ReIDObjective(distance=distance, standardize=yes) for yes in (False, True))
        torch.testing.assert_close(
            standardized(logits, near, labels).triplet,
            standardized(logits, features, labels).triplet,
            atol=1e-3,
            rtol=0,
        )
        assert abs(raw(logits, near, labels).triplet - raw(logits, features, labels).triplet) > 0.05
        bn = torch.nn.BatchNorm1d(8, affine=False)(features)
        torch.testing.assert_close(standardized(logits, features, labels).triplet, raw(logits, bn, labels).triplet)


def test_bad_input_is_one_clear_error():
    with pytest.raises(ValueError, match="at least 0, or None"):
        BatchHardTriplet(-1)
    with pytest.raises(ValueError, match="distance='l1': choose 'euclidean' or 'cosine'"):
        BatchHardTriplet(distance="l1")
    with pytest.raises(ValueError, match=r"got \(4, 2\) and \(3,\)"):
        BatchHardTriplet()(torch.zeros(4, 2), torch.zeros(3))
    with pytest.raises(ValueError, match="no classifier"):
        ReIDObjective()(None, torch.zeros(4, 2), torch.zeros(4))
    with pytest.raises(ValueError, match=r"label_smoothing=3\.14.*: give a number from 0 to 1"):
        ReIDObjective(label_smoothing=math.pi)
    for bad in ({"triplet_weight": -1.0}, {"contrastive_weight": math.nan}, {"margin": math.nan}):
        (name,) = bad
        with pytest.raises(ValueError, match=f"{name}={bad[name]}: give a number of at least 0"):
            ReIDObjective(**bad)


def _rank(rank: int, world: int, folder: str) -> None:
    features, labels = batch(identities=4)
    weight = torch.eye(features.shape[1], requires_grad=True)
    share = slice(rank * len(labels) // world, (rank + 1) * len(labels) // world)
    loss = BatchHardTriplet(gather=True)(features.detach()[share] @ weight, labels[share])
    loss.backward()
    dist.all_reduce(weight.grad)  # what DDP does
    torch.save((loss.detach(), weight.grad / world), f"{folder}/{rank}.pt")


def test_gathered_over_two_processes_equals_one(tmp_path: Path):
    run_ranks(_rank, tmp_path, str(tmp_path))
    features, labels = batch(identities=4)
    weight = torch.eye(features.shape[1], requires_grad=True)
    expected = BatchHardTriplet()(features.detach() @ weight, labels)
    expected.backward()
    for rank in range(2):
        loss, gradient = torch.load(tmp_path / f"{rank}.pt")
        torch.testing.assert_close(loss, expected.detach())
        torch.testing.assert_close(gradient, weight.grad)
