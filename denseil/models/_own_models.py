"""Saved folders of modules other than `DenseIL`: any `VideoEncoder`, registered under a name or not."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
import torch
from torch import Tensor, nn

from denseil.common.tensor_files import disk_errors
from denseil.models._config import DENSEIL_BLOCK, WEIGHTS_NAME, SavedConfig
from denseil.models._weights import build_from_file, fitting_weights
from denseil.models.interface import RESIZE, Preprocessing, num_features_of, preprocessing_of

_Model = TypeVar("_Model", bound=nn.Module)

_RECORD = "_created_by"  # attribute of a module that `create_model` built: its registered name and arguments


def record_origin(model: nn.Module, name: str, args: dict[str, Any]) -> None:
    """Store on a module the registered name and arguments that built it, for `save_pretrained`."""
    model.__dict__[_RECORD] = (name, args)


def origin_of(model: nn.Module) -> tuple[str, dict[str, Any]]:
    """Return the registered name and arguments that built a module, or the name of its class."""
    found: tuple[str, dict[str, Any]] = model.__dict__.get(
        _RECORD, (f"{type(model).__module__}.{type(model).__qualname__}", {})
    )
    return found


def write_own_model(
    model: nn.Module, state: dict[str, Tensor], args: dict[str, Any], folder: Path, preprocessing: Preprocessing | None
) -> dict[str, Any]:
    """Write the weights of a module, and return the config that describes it, without digests.

    Args:
        model: The module, unwrapped.
        state: Its weights, contiguous and not shared.
        args: The arguments that built it, JSON values.
        folder: Output folder.
        preprocessing: Preprocessing of its frames; None for `model.preprocessing`.

    Raises:
        TypeError: If it has no preprocessing or no `num_features`.
        ValueError: If a weight is not finite.
    """
    frames = preprocessing_of(model, preprocessing)
    width = check_own_model(model, state)
    with disk_errors(folder / WEIGHTS_NAME):
        safetensors.torch.save_file(state, folder / WEIGHTS_NAME, metadata={"format": "pt"})
    prepared = frames.to_dict()
    return {
        "architecture": origin_of(model)[0],
        "num_classes": int(getattr(model, "num_classes", 0) or args.get("num_classes", 0)),
        "num_features": width,
        "model_args": {name: value for name, value in args.items() if name != "num_classes"},
        "pretrained_cfg": {
            "input_size": [3, *frames.size],
            "mean": prepared["mean"],
            "std": prepared["std"],
            **RESIZE,
        },
        "denseil": {name: prepared[name] for name in DENSEIL_BLOCK} | _thresholds(model),
    }


def check_own_model(model: nn.Module, state: dict[str, Tensor]) -> int:
    """Check that a module can be saved, as `write_own_model` does, and return the width of its embedding."""
    width = num_features_of(model)
    if not state:
        raise ValueError(f"this {type(model).__name__} has no weights to save")
    shapes = {name: torch.empty_like(value, device="meta") for name, value in state.items()}
    fitting_weights(shapes, state, origin=f"the {type(model).__name__} to be saved")
    return width


def open_own_model(
    build: Callable[[], _Model],
    folder: Path,
    saved: SavedConfig,
    *,
    pretrained: bool,
    weights: str | Path | None = None,
) -> _Model:
    """Build a registered module from a saved folder, with its preprocessing, and its weights if `pretrained`.

    Args:
        build: Function that builds the module.
        folder: The folder.
        saved: Its config.
        pretrained: Load the folder's weights.
        weights: Another file of weights to load.

    Raises:
        ValueError: If the weights do not fit, are damaged, or are not finite, or the module has another preprocessing
            that cannot be set.
    """
    if pretrained or weights:
        digest = saved.digests.get("weights") if pretrained else None
        path = Path(weights or folder / WEIGHTS_NAME)
        model = build_from_file(build, path, origin=str(weights or folder), digest=digest)
    else:
        model = build()
    _set_preprocessing(model, saved.preprocessing, folder)
    return model


def _set_preprocessing(model: nn.Module, saved: Preprocessing, folder: Path) -> None:
    """Set the saved preprocessing on a module, or raise ValueError if its own, another one, cannot be replaced."""
    if getattr(model, "preprocessing", None) == saved:
        return
    with suppress(AttributeError):
        model.preprocessing = saved  # type: ignore[assignment]
    if getattr(model, "preprocessing", None) != saved:
        raise ValueError(
            f"{folder} was saved with {saved}, and {type(model).__name__}.preprocessing is another and cannot be set: "
            "give its property a setter, or make it an attribute"
        )


def _thresholds(model: nn.Module) -> dict[str, Any]:
    block = getattr(model, "denseil_cfg", {})
    return {"thresholds": block["thresholds"]} if "thresholds" in block else {}
