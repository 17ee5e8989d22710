"""The command line: one function a verb, its options read from the signature.

A verb prints what its library function returns and gives the exit status: 0 done, 1 found problems,
2 could not run. Verbs of one subject share a file here; a verb imports an optional part of the library when it runs.
Nothing imports this package.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import takewhile
from json import dumps
from typing import Any

from jsonargparse import ActionYesNo, ArgumentParser, auto_cli

from denseil.cli import calibration, data, evaluation, exporting, gallery, models, training, video
from denseil.common.heap import keep_heap
from denseil.common.processes import leave_processes

VERBS: dict[str, Callable[..., int] | dict[str, Any]] = {
    "models": models.models,
    "profile": models.profile,
    "data": {
        "_help": "Check datasets, make splits, render people.",
        "check": data.check,
        "splits": data.splits,
        "synth": data.synth,
    },
    "tracklets": video.tracklets,
    "embed": video.embed,
    "calibrate": calibration.calibrate,
    "train": training.train,
    "demo": training.demo,
    "gallery": {
        "_help": "Keep vectors, find them, forget them.",
        "add": gallery.add,
        "search": gallery.search,
        "forget": gallery.forget,
        "expire": gallery.expire,
        "copy": gallery.copy,
        "index": gallery.index,
        "info": gallery.info,
    },
    "search": gallery.search,
    "ablate": training.ablate,
    "evaluate": evaluation.evaluate,
    "export": exporting.export,
    "version": models.version,
}


class _Parser(ArgumentParser):
    """`--images` and `--no-images` for a bool, in place of `--images true`; `-o` for `--output`."""

    def add_argument(self, *args: Any, **kwargs: Any) -> Any:
        if args == ("--output",):
            args = ("-o", "--output")
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


POSITIONALS = {  # that may be left out; jsonargparse knows none
    "evaluate": ("--model", "--dataset", "--root"),
    "train": ("--dataset", "--root"),
}


def _name_positionals(words: list[str]) -> list[str]:
    """Give the leading words of such a verb the names of its options."""
    names = POSITIONALS.get(words[0], ()) if words else ()
    given = list(takewhile(lambda word: not word.startswith("-"), words[1 : 1 + len(names)]))
    named = [f"{name}={word}" for name, word in zip(names, given, strict=False)]
    return [*words[:1], *named, *words[1 + len(given) :]]


def main(argv: list[str] | None = None) -> int:
    """Run one verb and return its exit status."""
    if argv is None:
        keep_heap()  # the process is ours
    try:
        words = _name_positionals(_join_pairs(sys.argv[1:] if argv is None else argv))
        words = training.expand(words) if words[:1] in (["train"], ["ablate"]) else words
        args = [_underscored(argument) for argument in words]
        status = int(auto_cli(VERBS, args=args, prog="denseil", parser_class=_Parser) or 0)
        if argv is None:
            leave_processes()
        return status
    except (ValueError, TypeError, KeyError, RuntimeError, OSError, ImportError) as error:
        message = error.args[0] if isinstance(error, KeyError) and error.args else error
        print(f"denseil: {type(error).__name__}: {message}", file=sys.stderr)
        return 2
