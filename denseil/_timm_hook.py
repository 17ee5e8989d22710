"""Registers the models with timm without importing timm: at once if it is loaded, else right after it is imported.

Importing `denseil.models` registers them; it costs as much as torch and timm do. So an import hook waits for timm: the
first entry of `sys.meta_path` finds timm as the other entries would and gives it a loader that runs timm's own and then
imports `denseil.models`. A second thread that imports timm waits on timm's import lock until both are there.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_MODELS = "denseil.models"


def register_models() -> None:
    """Register denseil's models with timm now, or as soon as timm is imported."""
    if "timm" in sys.modules:
        import_module(_MODELS)
    elif not any(isinstance(finder, _TimmFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _TimmFinder())


def import_timm_first() -> None:
    """Import timm before a room that stands on it, so that all threads take the import locks in one order."""
    with suppress(ModuleNotFoundError):  # the room says what it needs timm for
        import_module("timm")


class _TimmFinder(MetaPathFinder):
    """Finds timm where the other finders do, and wraps its loader."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "timm":
            return None
        others = [finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec")]
        spec = next((found for finder in others if (found := finder.find_spec(fullname, path, target))), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _ThenRegister(spec.loader)
        return spec


class _ThenRegister(Loader):
    """Loads timm with its own loader, which it puts back, then imports denseil's models."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def __getattr__(self, name: str) -> object:
        return getattr(self.loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        try:
            import_module(_MODELS)
        except ImportError as error:  # a part of denseil's own is missing: timm works all the same
            warnings.warn(f"denseil's models are not registered with timm: {error}", stacklevel=2)
