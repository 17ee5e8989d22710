"""Recipes: YAML files of training fields, in the package or of one's own."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from denseil.common.arguments import checked
from denseil.common.text import did_you_mean

ABLATION_TABLES = "ablation_tables.yaml"
"""Stands beside the recipes but is none: what the rows of the paper's tables change."""


@checked
def recipes() -> list[str]:
    """List the names of the recipes in the package."""
    names = (entry.name for entry in files("denseil.recipes").iterdir())
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml") and name != ABLATION_TABLES)


def recipe_path(recipe: str) -> Path:
    """Find the file of a recipe: a name in `recipes()`, or a path.

    Raises:
        KeyError: If there is none.
    """
    if recipe in recipes():
        return Path(str(files("denseil.recipes") / f"{recipe}.yaml"))
    if recipe.endswith((".yaml", ".yml")) and Path(recipe).is_file():
        return Path(recipe)
    hint = did_you_mean(recipe, recipes())
    raise KeyError(
        f"no recipe {recipe!r}: {hint + ' ' if hint else ''}there are {', '.join(recipes())}, or give the path of a "
        "YAML file"
    )


def read_fields(path: Path) -> dict[str, Any]:
    """Read a YAML file of fields.

    Raises:
        ValueError: If it holds something else.
    """
    fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(fields, dict):
        found = "is empty" if fields is None else f"holds a {type(fields).__name__}"
        raise ValueError(f"{path} {found}: it must hold fields of a training, such as 'epochs: 100'")
    return fields
