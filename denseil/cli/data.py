"""Verbs on datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from denseil.data import check_dataset, dataset_splits, write_splits


def check(
    name: str,
    root: Path,
    *,
    images: bool = True,
    counts: Literal["published", "none"] = "published",
    split: int | None = None,
    i_have_the_right_to_use_this: bool = False,
) -> int:
    """Compare a dataset with its publication and list everything that is wrong with it.

    Args:
        name: mars, ilids_vid, prid2011, ls_vid, dukemtmc_videoreid or manifest.
        root: Where it is.
        images: Decode every image; --no-images looks at none.
        counts: Compare with the published counts, or with nothing.
        split: Which split of iLIDS-VID or PRID-2011, from 0.
        i_have_the_right_to_use_this: Needed for DukeMTMC-VideoReID.
    """
    given = {"split": split, "i_have_the_right_to_use_this": i_have_the_right_to_use_this or None}
    options = {key: value for key, value in given.items() if value is not None}
    report = check_dataset(name, root, images=images, counts=counts, **options)
    print(report)
    return 0 if report.ok else 1


def splits(
    name: Literal["ilids_vid", "prid2011"],
    root: Path,
    *,
    output: Path | None = None,
    num_splits: int = 10,
    seed: int = 0,
) -> int:
    """Make random half splits, or print those that a dataset has.

    Args:
        name: The dataset.
        root: Where it is.
        output: Where to write new splits, .json or .mat. Without it the dataset's own are read and printed.
        num_splits: How many to make.
        seed: Of the splits to make.
    """
    found = dataset_splits(name, root, new=num_splits if output else None, seed=seed)
    for number, split in enumerate(found):
        print(f"split {number}: {len(split.train)} train ({split.train[0]} ...), {len(split.test)} test")
    if output:
        print(f"written to {write_splits(found, output)}")
    return 0
