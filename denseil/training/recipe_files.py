"""Recipes: YAML files of training fields, from the package or the user."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from denseil.common.arguments import checked
from denseil.common.text import did_you_mean

ABLATION_TABLES = "ablation_tables.yaml"
"""File in the recipe folder that is not a recipe: the rows of the paper's tables."""


@checked
def recipes() -> list[str]:
    """List the names of the recipes in the package."""
    names = (entry.name for entry in files("denseil.recipes").iterdir())
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml") and name != ABLATION_TABLES)


def recipe_path(recipe: str) -> Path:
    """Find the file of a recipe: a name in `recipes()`, or a path.

    Raises:
        KeyError: If it does not exist.
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
        ValueError: If the content is not a mapping of fields.
    """
    fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(fields, dict):
        found = "is empty" if fields is None else f"holds a {type(fields).__name__}"
        raise ValueError(f"{path} {found}: it must hold fields of a training, such as 'epochs: 100'")
    return fields
