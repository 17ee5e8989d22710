"""Reading weights, and putting them into a model: strictly, but for the classifier."""

import inspect
import logging
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import timm.models
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from denseil.models.denseil import DenseIL

WEIGHTS_NAME = "model.safetensors"
CLASSIFIER = "neck.classifier.weight"
ENCODER = "encoder.net."
RENAMED = {"head.decoder.": "decoder.interaction.", "head.": "decoder."}  # parameters of DenseIL up to commit 6022594

_logger = logging.getLogger(__name__)
_Model = TypeVar("_Model", bound=nn.Module)


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint by name.

    A safetensors file is read as it is. Another file is read by `torch.load(weights_only=True)`: code in a pickle never
    runs. A state dict within a checkpoint ("state_dict" or "model") is found, "module." prefixes are taken off. The
    tensors are in memory of their own: who writes over the file later does not change them.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, holds anything but plain data, or no tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}: give the path of a {WEIGHTS_NAME} or of a PyTorch checkpoint")
    try:
        if path.suffix == ".safetensors":
            weights = timm.models.clean_state_dict(_read_safetensors(path))
        else:
            weights = timm.models.load_state_dict(str(path), weights_only=True)
    except (
        SafetensorError,
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        ValueError,
        TypeError,
        AttributeError,
    ) as error:
        raise ValueError(
            f"cannot read {path}: it is damaged, or its pickle holds more than tensors and plain data and was refused, "
            f"since that could run code. Copy it again, or save its state dict alone as safetensors ({error})"
        ) from error
    tensors = {name: value for name, value in weights.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ValueError(f"{path} holds no tensors under {list(weights)[:5]}: expected a state dict")
    return current_names(tensors)


def current_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the parameters of a `DenseIL` saved under earlier names (`RENAMED`); other weights keep theirs."""
    if not any(name.startswith((ENCODER, "neck.")) for name in weights):  # of a classifier, which has a head of its own
        return dict(weights)
    return {_replace_prefix(name, RENAMED): value for name, value in weights.items()}


def original_name(name: str) -> str:
    """Return the earliest name of a `DenseIL` parameter, which digests of weights are computed with."""
    return _replace_prefix(name, {new: old for old, new in RENAMED.items()})


def _replace_prefix(name: str, prefixes: Mapping[str, str]) -> str:
    for old, new in prefixes.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name


def _read_safetensors(path: Path) -> dict[str, Any]:
    if "backend" in inspect.signature(load_file).parameters:
        return load_file(path, backend="pread")  # into memory of their own
    return {name: value.clone() for name, value in load_file(path).items()}  # before 0.8, a map of the file


def build_with_weights(build: Callable[[], _Model], read: Callable[[], Mapping[str, Tensor]], *, origin: str) -> _Model:
    """Build a model and load its weights, without memory or time for the random weights that they replace.

    Args:
        build: Builds the model.
        read: Reads the weights, once the model is known to be right.
        origin: Where the weights come from, for messages.

    Raises:
        ValueError: If the weights do not fit.
    """
    device = torch.empty(0).device
    with torch.device("meta"):
        model = build()
    own, weights = model.state_dict(), read()
    fitting = {name: value.to(device, own[name].dtype) if name in own else value for name, value in weights.items()}
    load_weights(model, fitting, origin=origin, assign=True)
    if any(value.is_meta for value in (*model.parameters(), *model.buffers())):  # a fresh classifier, unsaved buffers
        model = build()
        load_weights(model, weights, origin=origin)
    return model


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], *, origin: str, assign: bool = False) -> None:
    """Put weights into a model, in place.

    The classifier alone may differ: where it is missing on one side or has another number of classes, the model keeps
    its own, and a log line says so.

    Args:
        model: The model.
        weights: Tensors by name.
        origin: Where they come from, for messages.
        assign: Take the given tensors as they are, in place of copying their values.

    Raises:
        ValueError: If any other key is missing, left over, or of another shape; all are named.
    """
    own = model.state_dict()
    weights = current_names(weights)
    theirs = weights.get(CLASSIFIER)
    if CLASSIFIER in own and (theirs is None or theirs.shape != own[CLASSIFIER].shape):
        _logger.warning("The classifier keeps its fresh weights: those of %s are for other identities.", origin)
        weights[CLASSIFIER] = own[CLASSIFIER]
    elif CLASSIFIER not in own and theirs is not None:
        _logger.info("The classifier of %s is left out: the model has none (num_classes=0).", origin)
        del weights[CLASSIFIER]
    shapes = [
        f"{key} ({tuple(weights[key].shape)} there, {tuple(value.shape)} here)"
        for key, value in own.items()
        if key in weights and weights[key].shape != value.shape
    ]
    problems = [
        _report("missing there", [key for key in own if key not in weights]),
        _report("not in the model", [key for key in weights if key not in own]),
        _report("of another shape", shapes),
    ]
    if any(problems):
        raise ValueError(
            f"{origin} does not fit this model: {'; '.join(filter(None, problems))}. "
            "Build the model with the arguments that the weights were made with"
        )
    model.load_state_dict(weights, assign=assign)


def load_backbone(model: DenseIL, weights: Mapping[str, Tensor], *, origin: str) -> None:
    """Put the weights of a classifier, or of another DenseIL's encoder, into a model's encoder, in place.

    What the encoder lacks is left out. By name, where the weights name all that the encoder has. Else in order, where
    the order of shapes is the same from the first tensor to the encoder's last: torchvision's MobileNetV2 fits timm's.

    Args:
        model: The model.
        weights: Tensors by name.
        origin: Where they come from, for messages.

    Raises:
        ValueError: If they fit neither way.
    """
    net = model.encoder.net
    own = {key: value for key, value in net.state_dict().items() if not key.endswith("num_batches_tracked")}
    theirs = {key: value for key, value in weights.items() if not key.endswith("num_batches_tracked")}
    within = {key.removeprefix(ENCODER): value for key, value in theirs.items() if key.startswith(ENCODER)}
    theirs = within or theirs
    if not set(own) <= set(theirs):
        if [value.shape for value in own.values()] != [value.shape for value in theirs.values()][: len(own)]:
            lacking = [key for key in own if key not in theirs]
            raise ValueError(
                f"{origin} does not fit the encoder {model.encoder.name!r}, neither by name "
                f"({_report('missing there', lacking)}) nor by the order of shapes"
            )
        theirs = dict(zip(own, theirs.values(), strict=False))
    shapes = [
        f"{key} ({tuple(theirs[key].shape)} there, {tuple(value.shape)} here)"
        for key, value in own.items()
        if theirs[key].shape != value.shape
    ]
    if shapes:
        raise ValueError(
            f"{origin} does not fit the encoder {model.encoder.name!r}: {_report('of another shape', shapes)}"
        )
    net.load_state_dict({key: theirs[key] for key in own}, strict=False)  # num_batches_tracked alone is left out


def _report(what: str, keys: list[str], most: int = 8) -> str:
    if not keys:
        return ""
    return f"{len(keys)} {what}: {', '.join(keys[:most])}" + (", ..." if len(keys) > most else "")
