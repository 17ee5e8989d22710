"""Verbs that train."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from denseil.cli import options, values
from denseil.cli.output import say, show
from denseil.cli.parser import InterruptedRunError, Subject, UsageError, Verb, Verbs
from denseil.cli.train_fields import declare_fields
from denseil.common.extras import need
from denseil.common.text import plain

if TYPE_CHECKING:
    from denseil.training import Plan, TrainConfig, TrainResult


def declare(verbs: Verbs) -> None:
    """Declare `train` and `ablate`."""
    _declare_train(verbs)
    _declare_ablate(verbs)


def _declare_train(verbs: Verbs) -> None:
    verb = verbs.add(
        "train",
        train,
        "Train a model.",
        examples=(
            "denseil train mars /data/mars --recipe paper-mars --output runs/mars --dry-run",
            "denseil train manifest people.csv --recipe small --set lr=1e-4 model_args.dim=256",
            "denseil train --resume runs/mars",
        ),
        more="Each option below --set is a field of denseil.training.TrainConfig. A recipe is a YAML file of fields; "
        "options override it, and --set overrides those. The defaults shown are those without a recipe. "
        "`accelerate launch -m denseil train ...` and torchrun train one model in several processes.",
    )
    what = verb.subject("input")
    what.add("named_dataset", optional=True, metavar="DATASET", help=options.DATASETS)
    what.add("named_root", optional=True, metavar="ROOT", help="the folder of the dataset, or the manifest")
    run = _declare_run(verb)
    run.add("--resume", metavar="FOLDER", help="resume the run in this folder; no other option is needed")
    run.flag("--dry-run", help="build everything, run two steps, print the plan and stop")
    declare_fields(verb)
    options.general(verb, json=True, modules=True)


def _declare_ablate(verbs: Verbs) -> None:
    verb = verbs.add(
        "ablate",
        ablate,
        "Train and evaluate the rows of one of the paper's tables.",
        examples=(
            "denseil ablate 1a --recipe people --root people-v1 --output runs/ablate",
            "denseil ablate 1c --recipe smoke --root tests/data/mars_tiny --seeds 1 --rows 'R = 1' 'R = 2'",
        ),
        more="Run it again to continue where it stopped. Each option below --set is a field of every training, as for "
        "train; the settings of a row override them.",
        again=options.CONTINUES,
    )
    which = verb.subject("table")
    which.add("table", help="1a, 1b, 1c, 1d, 1e or 1f of the paper, frames, or order")
    which.add("--seeds", type=values.whole(1, 1000), default=3, metavar="N", help="trainings of each row")
    which.add("--parallel", type=values.whole(1, 64), default=1, metavar="N", help="trainings at the same time")
    which.add(
        "--minutes",
        type=values.or_null(values.number(0, above=True)),
        default=None,
        metavar="X",
        help="time budget for all trainings; epochs are fitted to it (default: the recipe's epochs)",
    )
    which.gather("--rows", type=values.names, metavar="ROW", help="names of rows (default: all)")
    _declare_run(verb)
    declare_fields(verb)
    options.general(verb, json=True, modules=True)


def _declare_run(verb: Verb) -> Subject:
    run = verb.subject("recipe")
    run.add("--recipe", metavar="RECIPE", help="a recipe of the package, or a YAML file of fields")
    run.gather(
        "--set", type=values.mapping, metavar="FIELD=VALUE", help="single fields, such as lr=1e-4 model_args.dim=256"
    )
    return run


def train(
    named_dataset: str | None,
    named_root: str | None,
    recipe: str | None,
    set: dict[str, object] | None,
    resume: str | None,
    dry_run: bool,
    json: bool,
    **fields: object,
) -> int:
    """Train a model."""
    named = {"dataset": named_dataset, "root": named_root}
    named = {name: value for name, value in named.items() if value is not None}
    if twice := sorted(named.keys() & fields.keys()):
        raise UsageError(
            f"{twice[0]} is given twice, {named[twice[0]]!r} and --{twice[0]} {fields[twice[0]]}: give one"
        )
    fields |= named
    config = read_config(recipe, resume, fields, set or {})
    from denseil import training

    if dry_run:
        _show(training.dry_run(config), as_json=json)
        return 0
    with _says_how_to_resume(config.output):
        done = training.train(config, resume=resume is not None)
    lines = [str(done.result)] if done.result is not None else []
    _show(done, as_json=json, text="\n".join([*lines, plain(f"{done.steps} steps; the model is in {done.folder}")]))
    return 0


def _show(result: Plan | TrainResult, *, as_json: bool, text: str | None = None) -> None:
    """Print in the main process of a launcher."""
    if os.environ.get("RANK", "0") == "0":
        show(result, as_json=as_json, text=text)


def read_config(
    recipe: str | None, resume: str | None, fields: dict[str, object], changes: dict[str, object]
) -> TrainConfig:
    """Make the config from the run to resume or a recipe, overridden by options, then by `--set`.

    A recipe given with a run overrides its config; training refuses changes that a run does not allow.

    Raises:
        FileNotFoundError: If the folder contains no run.
    """
    from dataclasses import asdict

    from denseil.training import TrainConfig

    below: dict[str, object] = {} if recipe is None else asdict(TrainConfig.from_recipe(recipe))
    if resume is not None:
        if not Path(resume, "train.yaml").is_file():
            raise FileNotFoundError(f"{resume!r} holds no run to resume: it has no train.yaml")
        below = asdict(TrainConfig.load(Path(resume, "train.yaml"))) | below
        if "output" in {**fields, **changes}:
            raise UsageError(f"--resume {resume} writes to that folder: leave out --output")
        fields = {**fields, "output": resume}
    return TrainConfig.from_dict(values.merged(below | fields, changes))


@contextmanager
def _says_how_to_resume(output: str) -> Iterator[None]:
    """On Ctrl-C, name the command that resumes the run, if there is a checkpoint."""
    try:
        yield
    except KeyboardInterrupt:
        if Path(output, "train.yaml").is_file():
            raise InterruptedRunError(f"train --resume {shlex.quote(output)}") from None
        raise


def ablate(
    table: str,
    seeds: int,
    rows: list[str] | None,
    parallel: int,
    minutes: float | None,
    recipe: str | None,
    set: dict[str, object] | None,
    json: bool,
    **fields: object,
) -> int:
    """Train and evaluate the rows of one of the paper's tables."""
    config = read_config(recipe, None, fields, set or {})
    from denseil import training

    need("matplotlib", to="draw the table's figure", extra="viz")

    done: training.AblationTable | None = None
    for done in training.ablate(table, config, seeds=seeds, rows=rows, parallel=parallel, minutes=minutes):
        if not json:
            say(f"{done}\n")
    if done is not None:
        page = Path(config.output, done.name, "table.md")
        page.write_text(f"{done.title}\n\n{done}\n", encoding="utf-8")
        figure = page.with_suffix(".png")
        done.plot(figure)
        scores = {row.name: runs for row, runs in done.rows.items()}
        where = plain(f"the table is in {page}, its figure in {figure}")
        show({"table": done.name, "rows": scores, "page": page, "figure": figure}, as_json=json, text=where)
    return 0
