"""Batches of P identities with K tracklets each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from torch.utils.data import Sampler

from denseil.common.arguments import check_seed, checked_class
from denseil.data.tracklet import Tracklet

MEMBERS = 3  # identities of one group that a batch holds together


@checked_class
class PKSampler(Sampler[int]):
    """Sample tracklets so that every P x K consecutive ones are P identities with K tracklets each.

    An index sampler, for `DataLoader(sampler=..., batch_size=P * K, drop_last=True)`, because Accelerate does not pass
    the epoch to a batch sampler if there are several processes. The order depends only on (seed, epoch, world).

    * An epoch has each identity at least once. If P does not divide their number, the last batch is filled with
      identities from earlier in the epoch.
    * An identity with more than K tracklets gives K random ones, without repetition. One with fewer gives all of them,
      and all again in another order, until there are K (`ClipDataset` samples other frames for each repetition).
    * With several processes, P x K is the global batch. Each rank samples from its own share of the identities, so no
      two ranks have the same identity in an epoch, and all have the same number of batches, of `P * K // world` each.
      Under Accelerate with `split_batches=True`, which cuts the global batch itself, leave rank and world alone.

    Args:
        tracklets: Tracklets to sample.
        num_ids: P, identities in the global batch.
        num_tracklets: K, tracklets of each.
        seed: Seed of the private random generator.
        rank: This process, from 0.
        world: Number of processes.
        groups: Group of each identity that is in one, such as people who wear nearly the same clothes. Part of each
            batch then comes in threes of one group, so that identities that look alike are in one batch.
        group_share: Share of the identities of a batch that come in threes, rounded to whole threes.

    Raises:
        ValueError: If P is not a multiple of `world`, or there are too few identities, in groups or outside them.
    """

    def __init__(
        self,
        tracklets: Sequence[Tracklet],
        num_ids: int = 16,
        num_tracklets: int = 4,
        *,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        groups: Mapping[int, int] | None = None,
        group_share: float = 0.5,
    ) -> None:
        check_seed(seed)
        if num_ids < 1 or num_tracklets < 1:
            raise ValueError(f"num_ids and num_tracklets must be at least 1, got {num_ids} and {num_tracklets}")
        if not 0 <= rank < world:
            raise ValueError(f"rank must be 0 to world - 1, got rank {rank} of {world}")
        if num_ids % world:
            raise ValueError(f"num_ids={num_ids} identities cannot be shared equally by {world} processes")
        if not 0 <= group_share <= 1:
            raise ValueError(f"group_share={group_share}: give a share of the batch, 0 to 1")
        own: dict[int, list[int]] = {}
        for index, tracklet in enumerate(tracklets):
            own.setdefault(tracklet.pid, []).append(index)
        if len(own) < num_ids:
            raise ValueError(f"num_ids={num_ids} identities a batch, but the tracklets have only {len(own)}")
        self.num_ids, self.num_tracklets = num_ids, num_tracklets
        self.seed, self.rank, self.world, self.epoch = seed, rank, world, 0
        self._own = [own[pid] for pid in sorted(own)]
        members: dict[int, list[int]] = {}
        for identity, pid in enumerate(sorted(own)):
            if groups and pid in groups:
                members.setdefault(groups[pid], []).append(identity)
        self._groups = [members[group] for group in sorted(members)]
        self._threes = round(group_share * num_ids / world / MEMBERS) if groups else 0
        self._check_groups(group_share)

    @property
    def num_batches(self) -> int:
        """Batches in an epoch, the same on each rank, enough for all identities: ceil(identities / P) if no groups."""
        if not self._threes:
            return -(-len(self._own) // self.num_ids)
        threes, alone = self._counts()
        outside = self.num_ids - self._threes * self.world * MEMBERS
        return max(-(-threes // (self._threes * self.world)), -(-alone // outside) if outside else 0)

    def _counts(self) -> tuple[int, int]:
        """Count the threes of the groups, and the identities that are left over or in no group."""
        threes = sum(len(group) // MEMBERS for group in self._groups)
        return threes, len(self._own) - threes * MEMBERS

    def _check_groups(self, group_share: float) -> None:
        if not self._threes:
            if self._groups and group_share:
                raise ValueError(
                    f"group_share={group_share} of {self.num_ids // self.world} identities in a process is less than "
                    "one three of a group: give a larger share or num_ids, or a share of 0 for no groups"
                )
            return
        threes, alone = self._counts()
        outside = self.num_ids - self._threes * self.world * MEMBERS
        if threes < self._threes * self.world or alone < outside or outside < 0:
            raise ValueError(
                f"group_share={group_share} needs {self._threes * self.world} threes of a group and {outside} "
                f"other identities in each batch, but there are {threes} and {alone}: give another share or num_ids"
            )

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, from 0, before iterating over it."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.num_batches * self.num_ids // self.world * self.num_tracklets

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng((self.seed, self.epoch))
        share = rng.permutation(len(self._own))[self.rank :: self.world]
        rng = np.random.default_rng((self.seed, self.epoch, self.rank))
        if self._threes:
            for identity in self._in_threes():
                yield from self._draw(self._own[identity], rng)
            return
        per_batch = self.num_ids // self.world
        for batch in range(self.num_batches):
            chosen = share[batch * per_batch : (batch + 1) * per_batch]
            others = share[: batch * per_batch]
            chosen = np.concatenate([chosen, rng.permutation(others)[: per_batch - len(chosen)]])
            for identity in chosen:
                yield from self._draw(self._own[identity], rng)

    def _in_threes(self) -> Iterator[int]:
        """Yield the identities of this rank, batch by batch; threes, and the others, start again when all were used."""
        rng = np.random.default_rng((self.seed, self.epoch))
        threes: list[list[int]] = []
        alone = set(range(len(self._own)))
        for group in self._groups:
            order = [int(identity) for identity in rng.permutation(group)]
            cuts = range(0, len(order) - MEMBERS + 1, MEMBERS)
            threes += [order[cut : cut + MEMBERS] for cut in cuts]
        alone -= {identity for three in threes for identity in three}
        mine = [threes[k] for k in rng.permutation(len(threes))][self.rank :: self.world]
        others = [int(identity) for identity in rng.permutation(sorted(alone))][self.rank :: self.world]
        outside = self.num_ids // self.world - self._threes * MEMBERS
        for batch in range(self.num_batches):
            for k in range(batch * self._threes, (batch + 1) * self._threes):
                yield from mine[k % len(mine)]
            for k in range(batch * outside, (batch + 1) * outside):
                yield others[k % len(others)]

    def _draw(self, own: list[int], rng: np.random.Generator) -> list[int]:
        """Sample K of an identity's tracklets; their counts differ by at most one."""
        rounds = -(-self.num_tracklets // len(own))
        drawn = np.concatenate([rng.permutation(own) for _ in range(rounds)])
        return [int(index) for index in drawn[: self.num_tracklets]]
