from collections import Counter
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from denseil.data import PKSampler, Tracklet
from tests.forked import run_ranks


def people(counts: list[int]) -> list[Tracklet]:
    """Identity 10 i has counts[i] tracklets; those of different identities alternate."""
    rows = [(k, i) for i, count in enumerate(counts) for k in range(count)]
    return [Tracklet([f"{i}-{k}.jpg"], 10 * i, k % 2) for k, i in sorted(rows)]


cases = st.tuples(
    st.lists(st.integers(1, 7), min_size=4, max_size=23),
    st.sampled_from([1, 2, 4]),
    st.integers(1, 5),
    st.integers(0, 9),
)


@given(cases)
def test_every_batch_is_p_by_k_and_an_epoch_meets_everyone(case):
    counts, num_ids, k, seed = case
    tracklets = people(counts)
    sampler = PKSampler(tracklets, num_ids, k, seed=seed)
    order = list(sampler)
    assert len(order) == len(sampler) == sampler.num_batches * num_ids * k
    for start in range(0, len(order), num_ids * k):
        pids = [tracklets[i].pid for i in order[start : start + num_ids * k]]
        assert Counter(pids).most_common() == [(pid, k) for pid in dict.fromkeys(pids)]
        assert len(set(pids)) == num_ids
        assert all(len(set(pids[j : j + k])) == 1 for j in range(0, len(pids), k))
    assert {tracklets[i].pid for i in order} == {t.pid for t in tracklets}
    for start in range(0, len(order), k):  # within an identity, as evenly as can be
        drawn = Counter(order[start : start + k])
        own = counts[tracklets[order[start]].pid // 10]
        assert len(drawn) == min(k, own)
        assert max(drawn.values()) - min(drawn.values()) <= 1


@given(cases, st.integers(0, 5))
def test_seed_and_epoch_decide(case, epoch):
    counts, num_ids, k, seed = case
    one, two = (PKSampler(people(counts), num_ids, k, seed=seed) for _ in range(2))
    two.set_epoch(epoch + 1)
    list(two)
    for sampler in (one, two):
        sampler.set_epoch(epoch)
    assert list(one) == list(two) == list(one)


def test_epochs_and_seeds_differ():
    sampler = PKSampler(people([4] * 20), 4, 2)
    first = list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first
    assert list(PKSampler(people([4] * 20), 4, 2, seed=1)) != first


def test_epochs_put_other_identities_together():
    tracklets = people([4] * 20)
    sampler = PKSampler(tracklets, 4, 2)
    batches = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        order = list(sampler)
        batches.append({frozenset(tracklets[i].pid for i in order[at : at + 8]) for at in range(0, len(order), 8)})
    assert not batches[0] & batches[1]
    assert not batches[1] & batches[2]


def test_other_generators_are_left_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    list(PKSampler(people([4] * 20), 4, 2))
    assert torch.rand(1) == expected


@given(cases, st.sampled_from([2, 4]))
def test_ranks_are_disjoint_of_equal_length_and_complete(case, world):
    counts, _, k, seed = case
    tracklets = people(counts)
    ranks = [list(PKSampler(tracklets, 4, k, seed=seed, rank=rank, world=world)) for rank in range(world)]
    pids = [{tracklets[i].pid for i in order} for order in ranks]
    assert len({len(order) for order in ranks}) == 1
    assert len(set.union(*pids)) == sum(map(len, pids)) == len(counts)
    assert len(ranks[0]) == len(PKSampler(tracklets, 4, k, rank=0, world=world))


def test_as_a_dataloader_uses_it():
    tracklets = people([3] * 10)
    loader = DataLoader(range(len(tracklets)), batch_size=8, sampler=PKSampler(tracklets, 4, 2), drop_last=True)
    assert [len({tracklets[i].pid for i in batch.tolist()}) for batch in loader] == [4, 4, 4]


@pytest.mark.parametrize("world", [1, 2])
def test_part_of_each_batch_comes_in_threes_of_a_group(world: int):
    tracklets = people([2] * 50)
    groups = {10 * i: i // 7 for i in range(28)}  # four groups of seven: two threes each, and one left over
    settings = {"world": world, "groups": groups, "group_share": 0.5}
    met, orders = set(), []
    for rank in range(world):
        sampler = PKSampler(tracklets, 12, 2, rank=rank, **settings)
        order = [tracklets[i].pid for i in sampler]
        assert len(order) == len(sampler)
        orders.append(order)
        per_batch = 12 // world
        for at in range(0, len(order), 2 * per_batch):
            pids = order[at : at + 2 * per_batch : 2]
            assert len(set(pids)) == per_batch
            for three in range(0, per_batch // 2, 3):
                assert len({groups[pid] for pid in pids[three : three + 3]}) == 1
        met |= set(order)
    assert met == {tracklet.pid for tracklet in tracklets}
    assert world == 1 or not set(orders[0]) & set(orders[1])


def test_without_groups_or_share_the_order_is_that_of_before():
    tracklets = people([2] * 20)
    plain = list(PKSampler(tracklets, 6, 2))
    assert list(PKSampler(tracklets, 6, 2, groups={}, group_share=0.5)) == plain
    assert list(PKSampler(tracklets, 6, 2, groups={0: 1, 10: 1, 20: 1}, group_share=0.0)) == plain


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"num_ids": 4, "groups": {0: 1, 10: 1}},
            "threes of a group and 1 other identities in each batch, but there are 0 and 5",
        ),
        ({"num_ids": 3, "groups": dict.fromkeys(range(0, 50, 10), 1), "group_share": 2}, "group_share=2: give a share"),
        ({"num_ids": 3, "group_share": float("nan")}, "group_share=nan: give a share of the batch, 0 to 1"),
        (
            {"num_ids": 4, "groups": {0: 1, 10: 1, 20: 1}, "group_share": 0.1},
            "group_share=0.1 of 4 identities in a process is less than one three",
        ),
        ({"num_ids": 6}, "num_ids=6 identities a batch, but the tracklets have only 5"),
        ({"num_ids": 0}, "at least 1"),
        ({"num_ids": 3, "world": 2}, "num_ids=3 identities cannot be shared equally by 2"),
        ({"num_ids": 4, "world": 2, "rank": 2}, "rank must be 0 to world - 1, got rank 2 of 2"),
    ],
)
def test_impossible_settings(options, text):
    with pytest.raises(ValueError, match=text):
        PKSampler(people([2] * 5), **options)


def _rank(rank: int, world: int, folder: str) -> None:
    tracklets = people([1, 2, 3, 4, 5, 6, 7] * 3)
    sampler = PKSampler(tracklets, 4, 3, seed=7, rank=dist.get_rank(), world=dist.get_world_size())
    sampler.set_epoch(2)
    own = torch.tensor(list(sampler))
    everyone = [torch.empty_like(own) for _ in range(world)]  # gloo itself refuses unequal lengths
    dist.all_gather(everyone, own)
    Path(folder, f"{rank}.txt").write_text(" ".join(str(i) for i in torch.cat(everyone).tolist()))


@pytest.mark.slow
def test_two_real_processes(tmp_path):
    run_ranks(_rank, tmp_path, str(tmp_path))
    zero, one = (tmp_path / f"{rank}.txt" for rank in (0, 1))
    assert zero.read_text() == one.read_text()
    order = [int(i) for i in zero.read_text().split()]
    first, second = set(order[: len(order) // 2]), set(order[len(order) // 2 :])
    assert first
    assert first.isdisjoint(second)
    tracklets = people([1, 2, 3, 4, 5, 6, 7] * 3)
    assert {tracklets[i].pid for i in order} == {t.pid for t in tracklets}
