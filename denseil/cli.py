"""The command line: one function a verb, its options read from the signature.

A verb prints what its library function returns and gives the exit status: 0 done, 1 found problems,
2 could not run. Nothing imports this module.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ActionYesNo, ArgumentParser, auto_cli

from denseil import __version__
from denseil.data import check_dataset
from denseil.data.datasets import dataset_splits
from denseil.data.splits import write_splits


def version() -> int:
    """Print the version."""
    print(__version__)
    return 0


def data_check(
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


def data_splits(
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
    splits = dataset_splits(name, root, new=num_splits if output else None, seed=seed)
    for number, split in enumerate(splits):
        print(f"split {number}: {len(split.train)} train ({split.train[0]} ...), {len(split.test)} test")
    if output:
        print(f"written to {write_splits(splits, output)}")
    return 0


VERBS: dict[str, Callable[..., int] | dict[str, Any]] = {
    "version": version,
    "data": {"_help": "Check datasets and make splits.", "check": data_check, "splits": data_splits},
}


class _Parser(ArgumentParser):
    """`--images` and `--no-images` for a bool, in place of `--images true`."""

    def add_argument(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("type") is bool:
            del kwargs["type"]
            kwargs["action"] = ActionYesNo
        return super().add_argument(*args, **kwargs)


def _underscored(argument: str) -> str:
    """`--no-images` -> `--no_images`; what follows `=` stays."""
    name, equals, value = argument.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value if name.startswith("--") else argument


def main(argv: list[str] | None = None) -> int:
    """Run one verb and return its exit status."""
    args = [_underscored(argument) for argument in (sys.argv[1:] if argv is None else argv)]
    try:
        return int(auto_cli(VERBS, args=args, prog="denseil", parser_class=_Parser) or 0)
    except (ValueError, TypeError, KeyError, RuntimeError, OSError, ImportError) as error:
        print(f"denseil: {type(error).__name__}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
