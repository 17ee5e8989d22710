"""Import of optional dependencies, with an error that names the extra to install."""

from __future__ import annotations

import importlib
from typing import Any


def need(module: str, *, to: str, extra: str = "data") -> Any:
    """Import a module of an optional dependency.

    Args:
        module: Full name, such as `scipy.io`.
        to: Purpose for the error message, such as "read MATLAB files".
        extra: The extra of denseil that installs it.

    Raises:
        ModuleNotFoundError: If it is not installed; the message names the extra.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        raise ModuleNotFoundError(
            f"to {to}, {package} is needed: pip install 'denseil[{extra}]'", name=package
        ) from error
