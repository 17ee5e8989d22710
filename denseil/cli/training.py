"""Verbs that train."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from denseil import training
from denseil.training import TrainConfig
from denseil.training.config import recipe_path


def train(dry_run: bool = False, resume: bool = False, **fields: Any) -> int:
    """Train a model.

    Args:
        dry_run: Build everything, run two steps, print the plan and stop.
        resume: Go on with the run in the folder that follows; nothing else is needed.
        fields: The options; jsonargparse reads them off `TrainConfig`.
    """
    config = TrainConfig(**fields)
    main = os.environ.get("RANK", "0") == "0"
    if dry_run:
        plan = training.dry_run(config)
        if main:
            print(plan)
        return 0
    done = training.train(config, resume=resume)
    if main:
        if done.result is not None:
            print(done.result)
        print(f"{done.steps} steps; the model is in {done.folder}")
    return 0


def ablate(table: str, seeds: int = 3, rows: list[str] | None = None, **fields: Any) -> int:
    """Train and judge the rows of one of the paper's tables; run again to go on where it stopped.

    Args:
        table: Name of the table: 1a, 1b, 1c, 1d, 1e or 1f of the paper, frames, or order.
        seeds: Trainings of each row.
        rows: Names of rows, such as '["Baseline", "Dense Attn."]'; all by default.
        fields: The options of train; what a row sets goes over them.
    """
    config = TrainConfig(**fields)
    done: training.AblationTable | None = None
    for done in training.ablate(table, config, seeds=seeds, rows=rows):
        print(done, end="\n\n", flush=True)
    if done is not None:
        page = Path(config.output, done.name, "table.md")
        page.write_text(f"{done.title}\n\n{done}\n", encoding="utf-8")
        print(f"the table is in {page}, its figure in {done.plot(page.with_suffix('.png'))}")
    return 0


def expand(words: list[str]) -> list[str]:
    """Put the fields of a recipe, or of the run to resume, before all other options, so that those win.

    Raises:
        KeyError: If there is no such recipe.
        FileNotFoundError: If the folder holds no run.
    """
    words = [
        part
        for word in words
        for part in (word.split("=", 1) if word.startswith(("--recipe=", "--resume=")) else [word])
    ]
    configs: list[str] = []
    for option in ("--recipe", "--resume"):
        if option in words:
            at = words.index(option)
            value = words[at + 1] if at + 1 < len(words) else ""
            path = recipe_path(value) if option == "--recipe" else Path(value, "train.yaml")
            if not path.is_file():
                raise FileNotFoundError(f"{value!r} holds no run to resume: it has no train.yaml")
            configs += ["--config", str(path)]
            words[at : at + 2] = [] if option == "--recipe" else ["--resume", "--output", value]
    return [words[0], *configs, *words[1:]]


def demo(real: Path | None = None, output: Path = Path("demo"), epochs: int | None = None) -> int:
    """Train on rendered people, judge, rank real tracklets, and write a page.

    Args:
        real: A folder of real tracklets in MARS layout.
        output: Where runs and the page go.
        epochs: Of training, in place of the recipe's.
    """
    from denseil.demo import demo as run

    print(f"the report is in {run(real, output=output, epochs=epochs)}")
    return 0
