"""The command line: one function a verb, its options read from the signature.

A verb prints what its library function returns and gives the exit status: 0 done, 1 found problems,
2 could not run. Nothing imports this module.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import takewhile
from json import dumps
from pathlib import Path
from typing import Any, Literal

import torch
from jsonargparse import ActionYesNo, ArgumentParser, auto_cli

import denseil
from denseil.data import check_dataset, dataset_splits, write_splits
from denseil.metrics import rank_features


def version() -> int:
    """Print the version."""
    print(denseil.__version__)
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


def models(filter: str = "", frames: int = 4) -> int:
    """List the models and what they cost.

    Args:
        filter: A wildcard filter, such as "denseil_res*".
        frames: T, the frames of a clip that the multiply-adds are counted for.
    """
    pretrained = {name.partition(".")[0] for name in denseil.list_pretrained()}
    print(f"{'model':24} {'params':>9} {'encoder':>9} {'GMACs':>7} {'encoder':>8} {'decoder':>8}  weights")
    for name in denseil.list_models(filter):
        cost = _profile(name, frames, (256, 128), {})
        print(
            f"{name:24} {cost.params / 1e6:7.1f} M {cost.encoder_params / 1e6:7.1f} M {cost.macs / 1e9:7.2f}"
            f" {cost.encoder_macs / 1e9:8.2f} {cost.decoder_macs / 1e9:8.2f}  {'yes' if name in pretrained else 'none'}"
        )
    print(f"GMACs: 10^9 multiply-adds of one clip of T = {frames} frames of 256 x 128.")
    return 0


def profile(
    name: str, frames: int = 4, size: tuple[int, int] = (256, 128), model_args: dict[str, Any] | None = None
) -> int:
    """Count the parameters and the multiply-adds of one model.

    Args:
        name: A model name, as for `denseil.create_model`.
        frames: T, the frames of a clip.
        size: Height and width of a frame in pixels.
        model_args: Arguments of the model, such as '{"backbone": "convnext_tiny", "dim": 256}'.
    """
    print(_profile(name, frames, size, model_args or {}))
    return 0


def _profile(name: str, frames: int, size: tuple[int, int], model_args: dict[str, Any]) -> denseil.models.Profile:
    with torch.device("meta"):  # nothing is computed: no need of memory for weights
        model = denseil.create_model(name, **model_args)
    return denseil.profile(model, frames=frames, size=size)


def evaluate(
    features: tuple[Path, Path] | None = None,
    *,
    protocol: str = "standard",
    metric: str = "cosine",
    json: Path | None = None,
    plot: Path | None = None,
) -> int:
    """Judge saved features of any code base.

    Args:
        features: The queries' features file and the gallery's; for mars-official the gallery holds the queries too.
        protocol: Standard or mars-official.
        metric: Cosine or euclidean.
        json: Where to write the result.
        plot: Where to draw its CMC curve; the suffix names the format.
    """
    if features is None:
        raise ValueError("nothing to evaluate: give --features QUERY.safetensors GALLERY.safetensors")
    result = rank_features(*features, protocol=protocol, metric=metric)
    print(result)
    if json is not None:
        result.save(json)
    if plot is not None:
        result.plot(plot)
    return 0


VERBS: dict[str, Callable[..., int] | dict[str, Any]] = {
    "models": models,
    "profile": profile,
    "evaluate": evaluate,
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


PAIRS = ("--features",)  # options of two words, `--features QUERY GALLERY`; jsonargparse reads a tuple from one


def _join_pairs(words: list[str]) -> list[str]:
    """Make one JSON list of the words that follow an option of two."""
    words = list(words)
    for at, word in enumerate(words, start=1):
        if word in PAIRS:
            values = list(takewhile(lambda value: not value.startswith("-"), words[at : at + 2]))
            words[at : at + len(values)] = [dumps(values)]
    return words


def main(argv: list[str] | None = None) -> int:
    """Run one verb and return its exit status."""
    args = [_underscored(argument) for argument in _join_pairs(sys.argv[1:] if argv is None else argv)]
    try:
        return int(auto_cli(VERBS, args=args, prog="denseil", parser_class=_Parser) or 0)
    except (ValueError, TypeError, KeyError, RuntimeError, OSError, ImportError) as error:
        message = error.args[0] if isinstance(error, KeyError) and error.args else error
        print(f"denseil: {type(error).__name__}: {message}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
