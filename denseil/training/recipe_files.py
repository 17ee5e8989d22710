"""Recipes: YAML files of training fields, from the package or the user."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from denseil.common.arguments import checked
from denseil.common.text import did_you_mean, plain

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
        ValueError: If the content is not YAML, not a mapping of fields, or has a field twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
        fields, root = yaml.safe_load(text), yaml.compose(text, yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        cause = plain(" ".join(str(error).split()))[:200]
        raise ValueError(f"{path} is not a YAML file of fields, such as 'epochs: 100': {cause}") from error
    if not isinstance(fields, dict):
        found = "is empty" if fields is None else f"holds a {type(fields).__name__}"
        raise ValueError(f"{path} {found}: it must hold fields of a training, such as 'epochs: 100'")
    if len(root.value) > len(fields):  # YAML takes the last of equal keys
        names = [key.value for key, _ in root.value]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{path}: the field {twice!r} stands twice; leave one of them out")
    return fields
