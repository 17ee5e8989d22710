"""Thresholds against exact curves of other libraries, and against pairs counted one by one."""

import itertools
import re

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_roc

from denseil.metrics import Embeddings, Verification, verify
from denseil.metrics.verification import BINS, BLOCK


def some(count: int, persons: int = 12, cameras: int = 4, noise: float = 0.7, seed: int = 0) -> Embeddings:
    """Persons a little alike; some junk and distractors."""
    generator = torch.Generator().manual_seed(seed)
    pids = torch.randint(-1, persons, (count,), generator=generator)
    centres = torch.randn(persons + 1, 16, generator=generator)
    vectors = centres[pids] + noise * torch.randn(count, 16, generator=generator) + 0.5
    return Embeddings(3 * vectors, pids, torch.randint(1, cameras + 1, (count,), generator=generator))


def pairs(e: Embeddings) -> tuple[np.ndarray, np.ndarray]:
    """Similarity and truth of every pair, the plain way."""
    unit = torch.nn.functional.normalize(e.vectors.double(), dim=1)
    found = []
    for i, j in itertools.combinations(range(len(e)), 2):
        one, two = int(e.pids[i]), int(e.pids[j])
        if e.camids[i] != e.camids[j] and -1 not in (one, two) and (one, two) != (0, 0):
            found.append((float(unit[i] @ unit[j]), one == two))
    similarity, same = zip(*found, strict=True)
    return np.array(similarity), np.array(same)


def test_against_an_exact_roc_curve():
    embeddings = some(240)
    similarity, same = pairs(embeddings)
    found = verify(embeddings, rates=[0.1, 0.01, 0.001])
    assert (found.genuine, found.impostors) == (same.sum(), (~same).sum())
    curve = binary_roc(torch.tensor(similarity / 2 + 0.5), torch.tensor(same).long())
    far, tar, thresholds = (values.numpy() for values in curve)
    equal = np.abs(far - (1 - tar)).argmin()
    assert found.eer == pytest.approx((far[equal] + 1 - tar[equal]) / 2, abs=2e-3)
    assert found.eer_threshold == pytest.approx(2 * thresholds[equal] - 1, abs=2e-3)
    for rate, threshold in found.thresholds.items():
        accepted = similarity >= threshold
        assert accepted[~same].mean() <= rate
        assert (similarity >= threshold - 4 / BINS)[~same].mean() > rate  # one bin lower is too low
        assert found.false_rejects[rate] == pytest.approx((~accepted[same]).mean(), abs=2e-3)


def test_blocks_do_not_matter(monkeypatch):
    embeddings = some(100)
    whole = verify(embeddings)
    assert len(embeddings) < BLOCK
    monkeypatch.setattr("denseil.metrics.verification.BLOCK", 7)
    pieces = verify(embeddings)
    assert (pieces.eer, pieces.thresholds, pieces.genuine) == (whole.eer, whole.thresholds, whole.genuine)


def test_persons_who_are_told_apart_and_persons_who_are_not():
    eye = torch.eye(4).repeat(2, 1)
    pids, camids = torch.arange(1, 5).repeat(2), torch.tensor([1] * 4 + [2] * 4)
    perfect = verify(Embeddings(eye, pids, camids), rates=[0.5])
    assert (perfect.genuine, perfect.impostors, perfect.eer) == (4, 12, 0)
    assert 0 < perfect.eer_threshold <= 1
    alike = verify(Embeddings(torch.ones(8, 3), pids, camids), rates=[0.5])
    assert alike.eer == 0.5
    assert alike.thresholds[0.5] == 1
    assert alike.false_rejects[0.5] == 1


def test_what_it_prints_and_draws(tmp_path):
    found = verify(some(240))
    assert isinstance(found, Verification)
    assert list(found.thresholds) == [0.01, 0.001, 0.0001]
    assert re.search(r"rate 0.001 +0\.\d{4} +0\.1000% +\d+\.\d\d%", str(found))
    for name in ("curve.png", "curve.svg"):
        found.plot(tmp_path / name)
        assert (tmp_path / name).stat().st_size > 1000


def test_what_is_wrong_is_said():
    embeddings = some(40)
    with pytest.raises(
        ValueError, match="a false-accept rate of 1e-06 needs 1,000,000 pairs of two persons, there are"
    ):
        verify(embeddings, rates=[0.1, 1e-6])
    with pytest.raises(ValueError, match="between 0 and 1"):
        verify(embeddings, rates=[0.0])
    with pytest.raises(ValueError, match="no pair of one person was seen by two cameras"):
        verify(Embeddings(embeddings.vectors, embeddings.pids, torch.ones(40, dtype=torch.int64)))
    with pytest.raises(ValueError, match="no pair of two persons"):
        verify(Embeddings(embeddings.vectors, torch.ones(40, dtype=torch.int64), embeddings.camids))
