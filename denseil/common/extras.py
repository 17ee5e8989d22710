"""Import of optional dependencies, with an error that names the extra to install."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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
        with _without_telemetry():
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        raise ModuleNotFoundError(
            f"to {to}, {package} is needed: pip install 'denseil[{extra}]'", name=package
        ) from error


@contextmanager
def _without_telemetry() -> Iterator[None]:
    """Hide `openvino_telemetry` from imports: with it, importing OpenVINO or NNCF sends usage data to their makers.

    Both fall back to a stub that sends nothing. A program that imported them before keeps what it had.
    """
    if "openvino_telemetry" in sys.modules:
        yield
        return
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # makes an import fail
    try:
        yield
    finally:
        del sys.modules["openvino_telemetry"]
