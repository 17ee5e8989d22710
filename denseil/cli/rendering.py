"""The verb that renders synthetic people."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from denseil.cli import options, values
from denseil.cli.output import progressing, say
from denseil.cli.parser import Subject, Verbs, refuse_unused
from denseil.common.text import plain


def declare(verbs: Verbs) -> None:
    """Declare `data synth`."""
    verb = verbs.add(
        "data synth",
        synth,
        "Render synthetic people in the layout of MARS.",
        examples=(
            "denseil data synth people --num-ids 200 --num-cameras 4 --frames 8",
            "denseil data synth people-v1 --benchmark people-v1",
            "denseil data synth walks --walks --num-ids 60 --minutes 15",
        ),
        again=options.CONTINUES,
    )
    verb.subject("output").add("root", type=values.path, help="output folder")
    _declare_people(verb.subject("people and cameras"))
    _declare_appearance(verb.subject("appearance"))
    verb.subject("computing").add(
        "--workers",
        type=values.whole(0, 1024),
        default=2,
        metavar="N",
        help="worker processes; 0 renders in the main process",
        unset=True,
    )
    options.general(verb)


def _declare_people(what: Subject) -> None:
    what.add("--benchmark", metavar="NAME", help="a named benchmark, such as people-v1, which sets all other options")
    what.add("--num-ids", type=values.whole(1, 10**6), default=100, metavar="N", help="identities", unset=True)
    what.add(
        "--num-cameras",
        type=values.whole(1, 9),
        default=4,
        metavar="N",
        help="cameras, at most 9; MARS readers of other libraries refuse more than 6",
        unset=True,
    )
    what.add("--frames", type=values.whole(1, 10**5), default=8, metavar="N", help="frames of a tracklet", unset=True)
    what.add(
        "--tracklets",
        type=values.whole(1, 1000),
        default=1,
        metavar="N",
        help="tracklets per identity and camera",
        unset=True,
    )
    what.add(
        "--test-share",
        type=values.number(0, 1),
        default=0.5,
        metavar="X",
        help="share of identities for testing",
        unset=True,
    )
    options.seed(what, unset=True)
    what.add(
        "--groups",
        type=values.number(0, 1),
        default=0.0,
        metavar="X",
        help="share of identities in groups of six who wear nearly the same clothes",
        unset=True,
    )
    what.flag("--walks", help="people who pass the cameras one to six times, with times: a benchmark of linking")
    what.add(
        "--minutes", type=values.number(0, above=True), default=20, metavar="N", help="length of the walks", unset=True
    )


def _declare_appearance(look: Subject) -> None:
    look.add(
        "--difficulty",
        choices=("easy", "standard", "hard"),
        default="standard",
        help="how similar people are, and how often occluded",
        unset=True,
    )
    look.add(
        "--colours",
        choices=("street", "vivid"),
        default="street",
        help="clothes: mostly dark and muted, or all colours",
        unset=True,
    )
    look.add(
        "--heads",
        choices=("painted", "photographed"),
        default="painted",
        help="plain faces, as in people-v1, or photographed skins and hair with a shape",
        unset=True,
    )
    look.add(
        "--height",
        type=values.whole(16, 4096),
        default=128,
        metavar="PX",
        help="height of the crops in pixels",
        unset=True,
    )
    look.add(
        "--width", type=values.whole(8, 4096), default=64, metavar="PX", help="width of the crops in pixels", unset=True
    )


def synth(root: Path, benchmark: str | None, walks: bool, **settings: Any) -> int:
    """Render synthetic people in the layout of MARS."""
    from denseil import synth as people

    _check_used(settings, benchmark=benchmark, walks=walks)
    progress = _progress_of("tracks" if walks else "identities") if progressing() else None
    if benchmark:
        people.benchmark(benchmark, root, progress=progress, **settings)
    elif walks:
        people.walks(root, progress=progress, **{"num_ids": 100, **settings})
    else:
        people.synthesize(root, progress=progress, **{"num_ids": 100, **settings})
    say(plain(f"written to {root}"))
    return 0


def _check_used(settings: Mapping[str, object], *, benchmark: str | None, walks: bool) -> None:
    """Raise UsageError for an option that the kind of people does not have."""
    if benchmark:
        kind, used = "--benchmark", {"workers"}
    elif walks:
        kind, used = "--walks", {"num_ids", "num_cameras", "minutes", "frames", "seed", "difficulty"}
    else:
        kind, used = "people without --walks", set(settings) - {"minutes"}
    refuse_unused(kind, {"--" + name.replace("_", "-"): name not in used for name in settings})


def _progress_of(what: str) -> Callable[[int, int], None]:
    """Report progress in one line of a terminal; elsewhere in a line for every tenth."""
    on_terminal = sys.stderr.isatty()

    def progress(done: int, total: int) -> None:
        if on_terminal:
            print(f"\r{done} of {total} {what}", end="\n" if done == total else "", file=sys.stderr, flush=True)
        elif done * 10 // max(total, 1) > (done - 1) * 10 // max(total, 1):
            print(f"{done} of {total} {what}", file=sys.stderr, flush=True)

    return progress
