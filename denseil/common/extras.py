"""Import of what only some uses need, with an error that says how to get it."""

from __future__ import annotations

import importlib
from typing import Any


def need(module: str, *, to: str, extra: str = "data") -> Any:
    """Import a module of an extra.

    Args:
        module: Its full name, such as `scipy.io`.
        to: What it is needed for: "read MATLAB files".
        extra: The extra that installs it.

    Raises:
        ModuleNotFoundError: If it is not installed; the text names the extra.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        raise ModuleNotFoundError(
            f"to {to}, {package} is needed: pip install 'denseil[{extra}]'", name=package
        ) from error
