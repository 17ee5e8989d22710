"""The verbs that print the version and a shell's completion."""

from __future__ import annotations

from pathlib import Path

import denseil
from denseil.cli import options
from denseil.cli.output import say
from denseil.cli.parser import Verbs

SHELLS = ("bash", "zsh", "tcsh")


def declare(verbs: Verbs) -> None:
    """Declare `version` and `completion`."""
    verb = verbs.add("version", version, "Print the version.", examples=("denseil version", "denseil --version"))
    options.general(verb)
    verb = verbs.add(
        "completion",
        completion,
        "Print a script that completes verbs and options in a shell.",
        examples=(
            "denseil completion bash > ~/.local/share/bash-completion/completions/denseil",
            "denseil completion zsh > ~/.zfunc/_denseil",
        ),
    )
    verb.subject("input").add("shell", choices=SHELLS, help="bash, zsh or tcsh")
    options.general(verb)


def version() -> int:
    """Print the version."""
    say(denseil.__version__)
    return 0


def completion(shell: str) -> int:
    """Print the completion script that shtab generates from the parser."""
    import shtab

    from denseil.cli.commands import all_verbs

    verbs = all_verbs()
    for verb in verbs.verbs.values():
        for action in (action for subject in verb.subjects for action in subject.actions):
            returned = getattr(action.type, "__annotations__", {}).get("return")
            if action.type is Path or returned in ("Path", "list[Path]"):  # any converter to paths
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    say(shtab.complete(verbs.parser, shell=shell))
    return 0
