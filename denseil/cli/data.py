"""Verbs on datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from denseil.cli import options, rendering, values
from denseil.cli.output import show
from denseil.cli.parser import Verbs, refuse_unused
from denseil.common.text import plain


def declare(verbs: Verbs) -> None:
    """Declare the verbs of `data`."""
    verbs.group("data", "Check datasets, make splits, render synthetic people.")
    _declare_check(verbs)
    _declare_splits(verbs)
    rendering.declare(verbs)


def _declare_check(verbs: Verbs) -> None:
    verb = verbs.add(
        "data check",
        check,
        "Compare a dataset with its publication and list every problem.",
        examples=("denseil data check mars /data/mars", "denseil data check manifest people.csv --no-images"),
        more="The exit status is 1 if there are problems.",
    )
    which = verb.subject("dataset")
    which.add("name", help=options.DATASETS)
    which.add("root", type=values.path, help="the folder of the dataset, or the manifest")
    which.add("--split", type=values.whole(0), metavar="N", help="the split of iLIDS-VID or PRID-2011, from 0")
    which.flag("--i-have-the-right-to-use-this", help="required for DukeMTMC-VideoReID, which was withdrawn")
    what = verb.subject("what is checked")
    what.flag("--images", default=True, help="decode every image")
    what.add(
        "--counts",
        choices=("published", "none"),
        default="published",
        help="compare with the published counts",
    )
    options.general(verb, json=True, modules=True)


def _declare_splits(verbs: Verbs) -> None:
    verb = verbs.add(
        "data splits",
        splits,
        "Print the splits of a dataset, or make random half splits.",
        examples=(
            "denseil data splits ilids_vid /data/ilids-vid",
            "denseil data splits prid2011 /data/prid2011 --output splits.json --seed 0",
        ),
    )
    which = verb.subject("dataset")
    which.add("name", choices=("ilids_vid", "prid2011"), help="ilids_vid or prid2011")
    which.add("root", type=values.path, help="the folder of the dataset")
    new = verb.subject("new splits")
    new.add(
        "-o",
        "--output",
        type=values.path,
        metavar="FILE",
        help="file for new splits, .json or .mat; without it the published splits are printed",
    )
    new.add("--num-splits", type=values.whole(1, 1000), default=10, metavar="N", help="number of splits", unset=True)
    options.seed(new, unset=True)
    options.general(verb, json=True)


def check(
    name: str,
    root: Path,
    split: int | None,
    i_have_the_right_to_use_this: bool,
    images: bool,
    counts: Literal["published", "none"],
    json: bool,
) -> int:
    """Compare a dataset with its publication and list every problem."""
    from denseil.data import check_dataset

    given = {"split": split, "i_have_the_right_to_use_this": i_have_the_right_to_use_this or None}
    reader_args = {key: value for key, value in given.items() if value is not None}
    report = check_dataset(name, root, images=images, counts=counts, **reader_args)
    show(report, as_json=json)
    return 0 if report.ok else 1


def splits(
    name: Literal["ilids_vid", "prid2011"],
    root: Path,
    output: Path | None,
    json: bool,
    num_splits: int | None = None,
    seed: int | None = None,
) -> int:
    """Print the splits of a dataset, or make random half splits."""
    from denseil.data import dataset_splits, write_splits

    if output is None:
        given = {"--num-splits": num_splits, "--seed": seed}
        refuse_unused("splits without --output", {name: value is not None for name, value in given.items()})
    elif output.exists():
        raise FileExistsError(f"{output} is there already, and other splits are lost for good: give another name")
    found = dataset_splits(name, root, new=(num_splits or 10) if output else None, seed=seed or 0)
    lines = [
        f"split {number}: {len(split.train)} train ({split.train[0]} ...), {len(split.test)} test"
        for number, split in enumerate(found)
    ]
    if output:
        lines.append(plain(f"written to {write_splits(found, output)}"))
    show(found, as_json=json, text="\n".join(lines))
    return 0
