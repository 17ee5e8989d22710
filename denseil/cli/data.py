"""Verbs on datasets."""

from __future__ import annotations

import sys
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


def synth(
    root: Path,
    *,
    num_ids: int = 100,
    num_cameras: int = 4,
    frames: int = 8,
    tracklets: int = 1,
    seed: int = 0,
    difficulty: Literal["easy", "standard", "hard"] = "standard",
    colours: Literal["street", "vivid"] = "street",
    height: int = 128,
    width: int = 64,
    test_share: float = 0.5,
    workers: int = 2,
    benchmark: Literal["people-v1"] | None = None,
) -> int:
    """Render people who never existed, laid out as MARS is; run again to go on where it stopped.

    Args:
        root: The folder to write to.
        num_ids: Identities.
        num_cameras: Cameras, at most 9.
        frames: Frames of a tracklet.
        tracklets: Tracklets of an identity in one camera.
        seed: The same seed gives the same people.
        difficulty: How hard they are to tell apart.
        colours: Mostly dark and muted as in streets, or of all colours.
        height: Of the crops, pixels.
        width: Of the crops, pixels.
        test_share: Share of the identities that are not for training.
        workers: Processes; 0 renders in this one.
        benchmark: Render this named benchmark; all other options but --workers are then its own.
    """
    from denseil import synth as people

    if benchmark:
        people.benchmark(benchmark, root, workers=workers, progress=_progress)
    else:
        people.synthesize(
            root,
            num_ids,
            num_cameras,
            frames=frames,
            tracklets=tracklets,
            seed=seed,
            difficulty=difficulty,
            colours=colours,
            height=height,
            width=width,
            test_share=test_share,
            workers=workers,
            progress=_progress,
        )
    print(f"written to {root}")
    return 0


def _progress(done: int, total: int) -> None:
    print(f"\r{done} of {total} identities", end="\n" if done == total else "", file=sys.stderr, flush=True)
