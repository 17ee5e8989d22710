"""Thresholds against exact curves of other libraries, and against pairs counted one by one."""

import itertools
import re
import tracemalloc

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_roc

from denseil.metrics import Embeddings, Verification, bootstrap, rank, verify
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
    assert perfect.eer_threshold == 1 - 2 / BINS  # the upper side of the gap between 0 and 1
    alike = verify(Embeddings(torch.ones(8, 3), pids, camids), rates=[0.5])
    assert alike.eer == 0.5
    assert alike.thresholds[0.5] == 1
    assert alike.false_rejects[0.5] == 1


def on_a_line(*cosines: float) -> torch.Tensor:
    """Vectors with these cosines to (1, 0, 0)."""
    return torch.tensor([[c, (1 - c * c) ** 0.5, 0.0] for c in cosines])


def test_the_threshold_lies_in_the_gap():
    # person 1: (1, 0, 0) and at cosine 0.78; person 2 in the second camera at 0.34 of person 1's first vector
    vectors = torch.cat([torch.eye(3)[:1], on_a_line(0.78), torch.tensor([[0.34, 0.0, (1 - 0.34**2) ** 0.5]])])
    found = verify(Embeddings(vectors, [1, 1, 2], [1, 2, 2]), rates=[])
    assert (found.genuine, found.impostors, found.eer) == (1, 1, 0)
    assert found.eer_threshold == pytest.approx(0.78, abs=4 / BINS)
    assert found.eer_threshold <= 0.78
    # one pair of two persons at 0.9 among four: the errors are equal nowhere in the gap, nearest from 0.34 to 0.78
    others = torch.tensor([[c, 0.0, (1 - c * c) ** 0.5] for c in (0.9, 0.34, 0.3, 0.2)])
    vectors = torch.cat([torch.eye(3)[:1], on_a_line(0.78), others])
    found = verify(Embeddings(vectors, [1, 1, 2, 3, 4, 5], [1, 2, 2, 2, 2, 2]), rates=[])
    assert (found.genuine, found.impostors, found.eer) == (1, 4, 0.125)
    assert found.eer_threshold == pytest.approx((0.34 + 0.78) / 2, abs=4 / BINS)


def test_the_interval_is_that_of_a_bootstrap_over_identities():
    embeddings = some(160, persons=9)
    found = verify(embeddings, rates=[0.1])
    keep = embeddings.pids >= 0
    e = Embeddings(embeddings.vectors[keep], embeddings.pids[keep], embeddings.camids[keep])
    assert found.identities == len(e.pids.unique())
    # an oracle that makes each sample of people and compares all their pairs, a repeated person never with itself
    rng, samples = np.random.default_rng(1), []
    unit = torch.nn.functional.normalize(e.vectors, dim=1).numpy()
    for _ in range(150):
        people = rng.choice(e.pids.unique().numpy(), found.identities)
        rows = [np.flatnonzero(e.pids.numpy() == pid) for pid in people]
        right, wrong = [], []
        for a, b in itertools.combinations_with_replacement(range(len(people)), 2):
            if a != b and people[a] == people[b]:
                continue
            one, two = (
                np.triu_indices(len(rows[a]), 1) if a == b else np.indices((len(rows[a]), len(rows[b]))).reshape(2, -1)
            )
            i, j = rows[a][one], rows[b][two]
            apart = e.camids.numpy()[i] != e.camids.numpy()[j]
            similarity = (unit[i] * unit[j]).sum(1)[apart]
            if a != b or people[a] != 0:
                (right if a == b else wrong).append(similarity)
        right, wrong = np.concatenate(right), np.concatenate(wrong)
        grid = np.linspace(-1, 1, 2001)
        far = 1 - np.sort(wrong).searchsorted(grid) / len(wrong)
        frr = np.sort(right).searchsorted(grid) / len(right)
        samples.append(grid[np.abs(far - frr).argmin()])
    low, high = np.percentile(samples, (2.5, 97.5))
    assert found.eer_interval == pytest.approx((low, high), abs=0.02)
    assert found.eer_interval[0] <= found.eer_threshold <= found.eer_interval[1]
    assert set(found.intervals) == {0.1}


def test_pairs_of_one_person_are_those_of_plain_loops():
    e = some(200, persons=9)
    identity, cameras, pids = e.pids.numpy(), e.camids.numpy(), e.pids.numpy()
    found = bootstrap._genuine(identity, cameras, pids, np.random.default_rng(0))
    expected = {
        (i, j)
        for i, j in itertools.combinations(range(len(e)), 2)
        if pids[i] == pids[j] != 0 and cameras[i] != cameras[j]
    }
    pairs = [tuple(sorted(pair)) for pair in zip(*(places.tolist() for places in found), strict=True)]
    assert len(pairs) == len(expected)
    assert set(pairs) == expected


def test_few_people_with_many_tracklets_do_not_fill_memory():
    rng = np.random.default_rng(0)
    pids, cameras = np.repeat([1, 2], [4000, 2000]), rng.integers(3, size=6000)
    tracemalloc.start()
    one, other = bootstrap._genuine(pids, cameras, pids, rng)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6  # a list of the 10 million pairs takes twice as much
    assert len(set(zip(one.tolist(), other.tolist(), strict=True))) == len(one) == bootstrap.PAIRS
    assert (pids[one] == pids[other]).all()
    assert (cameras[one] != cameras[other]).all()
    assert (pids[one] == 1).mean() == pytest.approx(0.8, abs=0.01)  # as many times as it has pairs


@pytest.mark.parametrize("scale", [1e15, 1e-15])
def test_the_length_of_vectors_does_not_matter(scale: float):
    embeddings = some(60)
    vectors = embeddings.vectors.clone()
    vectors[::3] *= scale
    scaled = verify(Embeddings(vectors, embeddings.pids, embeddings.camids), rates=[0.1])
    assert scaled.eer == pytest.approx(verify(embeddings, rates=[0.1]).eer, abs=1e-3)


@pytest.mark.parametrize(("scale", "text"), [(1e20, "beyond float32"), (1e-20, "below float32")])
def test_lengths_beyond_float32_are_refused_as_in_rank(scale: float, text: str):
    embeddings = some(60)
    vectors = embeddings.vectors.clone()
    vectors[7] *= scale
    wrong = Embeddings(vectors, embeddings.pids, embeddings.camids)
    for compute in (lambda: verify(wrong), lambda: rank(wrong, wrong)):
        with pytest.raises(ValueError, match=text):
            compute()


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


def test_a_rate_of_one_pair_of_49_is_not_too_small():
    vectors, pids = np.random.default_rng(0).normal(size=(15, 8)), [9, *range(10, 14), 9, *range(20, 29)]
    found = verify(Embeddings(vectors, pids, [1] * 5 + [2] * 10), rates=[1 / 49])
    assert found.impostors == 49
