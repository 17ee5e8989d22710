"""Verbs on features files."""

from __future__ import annotations

from pathlib import Path

from denseil.cli import options, values
from denseil.cli.output import show
from denseil.cli.parser import Verbs


def declare(verbs: Verbs) -> None:
    """Declare the verbs of `features`."""
    verbs.group("features", "Process features files.")
    verb = verbs.add(
        "features merge",
        merge,
        "Join features files: the shards of one run, or files of several videos.",
        examples=(
            "denseil features merge 1.safetensors 2.safetensors 3.safetensors -o all.safetensors",
            "denseil features merge shards/*.safetensors --output all.safetensors",
        ),
    )
    what = verb.subject("input and output")
    what.add("features", type=values.path, nargs="+", help="features files, from denseil embed")
    what.add("-o", "--output", type=values.new(".safetensors"), required=True, metavar="FILE", help="output file")
    options.general(verb, json=True)


def merge(features: list[Path], output: Path, json: bool) -> int:
    """Join features files."""
    from denseil.metrics import merge_features

    show(merge_features(features, output), as_json=json)
    return 0
