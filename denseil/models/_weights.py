"""Loading weights into a model: strictly, except for the classifier."""

import logging
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from denseil.common.arguments import checked
from denseil.models._digests import check_weights_digest
from denseil.models._reading import ENCODER, WRAPPERS, read_weights_and_digest, strip_prefix
from denseil.models.denseil import DenseIL

CLASSIFIER = "neck.classifier.weight"
_FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)

_logger = logging.getLogger(__name__)
_Model = TypeVar("_Model", bound=nn.Module)


def build_with_weights(build: Callable[[], _Model], read: Callable[[], Mapping[str, Tensor]], *, origin: str) -> _Model:
    """Build a model and load its weights, without initialising the random weights that they replace.

    Args:
        build: Function that builds the model.
        read: Function that reads the weights, called after `build` has succeeded.
        origin: Source of the weights, for messages.

    Raises:
        ValueError: If the weights do not fit, or are not finite.
    """
    device = torch.empty(0).device
    with torch.device("meta"):
        model = build()
    state = model.state_dict()
    weights = fitting_weights(state, read(), origin=origin)
    on_device = {name: value.to(device) for name, value in weights.items() if not value.is_meta}
    if len(on_device) == len(state):
        model.load_state_dict(on_device, assign=True)
    if device.type == "meta":
        return model
    if any(value.is_meta for value in (*model.parameters(), *model.buffers())):  # a new classifier, unsaved buffers
        model = build()
        model.load_state_dict(model.state_dict() | on_device)
    return model


def build_from_file(build: Callable[[], _Model], path: Path, *, origin: str, digest: str | None) -> _Model:
    """Build a model with the weights of a file, as `build_with_weights` does.

    Args:
        build: Function that builds the model.
        path: The file.
        origin: Source of the weights, for messages.
        digest: SHA-256 of the file; None for a folder of earlier versions.

    Raises:
        ValueError: If the weights do not fit, are not finite, or have another digest, which is compared last because
            the other errors say more.
    """
    found = ""

    def read() -> dict[str, Tensor]:
        nonlocal found
        weights, found = read_weights_and_digest(path)
        return weights

    model = build_with_weights(build, read, origin=origin)
    check_weights_digest(path, found, digest)
    return model


@checked
def load_weights(model: nn.Module, weights: Mapping[str, Tensor], *, origin: str) -> None:
    """Load weights into a model in place, strictly except for the classifier.

    If the classifier is missing on one side or has another number of classes, the model keeps its own, and this is
    logged. On an error nothing is loaded.

    Args:
        model: The model.
        weights: Tensors by name.
        origin: Their source, for messages.

    Raises:
        ValueError: If any other key is missing, unexpected or of another shape, or if values are of the wrong type or
            not finite; the message names the tensors.
    """
    model.load_state_dict(fitting_weights(model.state_dict(), weights, origin=origin))


def fitting_weights(own: Mapping[str, Tensor], weights: Mapping[str, Tensor], *, origin: str) -> dict[str, Tensor]:
    """Check weights against the state dict of a model, and convert them to its types; errors as in `load_weights`.

    Args:
        own: The model's state dict, which may be on the meta device.
        weights: Tensors by name.
        origin: Their source, for messages.

    Returns:
        A tensor for every name in `own`; the model's own for a classifier of another size.
    """
    weights = _named_like(own, weights)
    theirs = weights.get(CLASSIFIER)
    if CLASSIFIER in own and (theirs is None or theirs.shape != own[CLASSIFIER].shape):
        reason = "has none" if theirs is None else f"has one of {len(theirs)} identities, not {len(own[CLASSIFIER])}"
        _logger.warning("The classifier is newly initialised: %s %s.", origin, reason)
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
    return {
        name: weights[name] if weights[name] is value else _converted(name, weights[name], value.dtype, origin)
        for name, value in own.items()
    }


def _converted(name: str, value: Tensor, dtype: torch.dtype, origin: str) -> Tensor:
    """Convert one tensor to the model's type, if its type and values allow it."""
    fix = "export the weights again, from the model that they were trained in"
    if value.layout != torch.strided or value.is_quantized or value.is_meta:
        raise ValueError(f"{origin}: {name} is not a dense tensor of numbers; {fix}")
    if name.endswith("num_batches_tracked"):  # a counter that does not affect outputs
        return value.to(dtype)
    integer = not (value.is_floating_point() or value.is_complex() or value.dtype == torch.bool)
    if value.dtype != dtype and not (
        value.dtype in _FLOATS if dtype.is_floating_point else integer and dtype != torch.bool
    ):
        raise ValueError(f"{origin}: {name} holds {value.dtype}, where the model has {dtype}; {fix}")
    value = value.to(dtype)
    if dtype.is_floating_point and value.numel():
        least, most = torch.aminmax(value.detach().float() if dtype not in _FLOATS else value.detach())
        if not (torch.isfinite(least) and torch.isfinite(most)):
            raise ValueError(f"{origin}: {name} has values that are not finite (NaN or infinity); {fix}")
        if name.endswith("running_var") and least < 0:
            raise ValueError(f"{origin}: {name} has negative values, which no variance has; {fix}")
    return value


@checked
def load_backbone(model: DenseIL, weights: Mapping[str, Tensor], *, origin: str) -> None:
    """Load weights of an image classifier, or of another DenseIL's encoder, into a model's encoder, in place.

    Tensors are matched by name if the weights have every name of the encoder; otherwise by order, if their shapes are
    those of the encoder from the first tensor to its last (torchvision's MobileNetV2 fits timm's). Tensors that the
    encoder does not have are ignored.

    Args:
        model: The model.
        weights: Tensors by name.
        origin: Their source, for messages.

    Raises:
        ValueError: If they match neither by name nor by order, or values are of the wrong type or not finite.
    """
    net = model.encoder.net
    own = {key: value for key, value in net.state_dict().items() if not key.endswith("num_batches_tracked")}
    theirs = {key: value for key, value in weights.items() if not key.endswith("num_batches_tracked")}
    within = {key.removeprefix(ENCODER): value for key, value in theirs.items() if key.startswith(ENCODER)}
    theirs = within or _named_like(own, theirs)
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
    ready = {key: _converted(key, theirs[key], value.dtype, origin) for key, value in own.items()}
    net.load_state_dict(ready, strict=False)  # only num_batches_tracked may be missing


def _report(what: str, keys: list[str], most: int = 8) -> str:
    if not keys:
        return ""
    return f"{len(keys)} {what}: {', '.join(keys[:most])}" + (", ..." if len(keys) > most else "")


def _named_like(own: Collection[str], weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Remove prefixes of wrappers until some names match those of a model; unchanged if none ever match."""
    stripped = dict(weights)
    while stripped and not any(name in own for name in stripped):
        prefix = next((p for p in WRAPPERS if all(name.startswith(p) for name in stripped)), None)
        if prefix is None:
            return dict(weights)
        stripped = strip_prefix(stripped, prefix)
    return stripped
