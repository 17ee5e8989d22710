"""Reading weights, and putting them into a model: strictly, but for the classifier."""

import logging
import pickle
from collections.abc import Mapping
from pathlib import Path

import timm.models
from safetensors import SafetensorError
from torch import Tensor, nn

WEIGHTS_NAME = "model.safetensors"
CLASSIFIER = "neck.classifier.weight"

_logger = logging.getLogger(__name__)


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint by name.

    A safetensors file is read as it is. Another file is read by `torch.load(weights_only=True)`: code in a pickle never
    runs. A state dict within a checkpoint ("state_dict" or "model") is found, "module." prefixes are taken off.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, holds anything but plain data, or no tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}: give the path of a {WEIGHTS_NAME} or of a PyTorch checkpoint")
    try:
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
    return tensors


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], *, origin: str) -> None:
    """Put weights into a model, in place.

    The classifier alone may differ: where it is missing on one side or has another number of classes, the model keeps
    its own, and a log line says so.

    Args:
        model: The model.
        weights: Tensors by name.
        origin: Where they come from, for messages.

    Raises:
        ValueError: If any other key is missing, left over, or of another shape; all are named.
    """
    own = model.state_dict()
    weights = dict(weights)
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
    model.load_state_dict(weights)


def _report(what: str, keys: list[str], most: int = 8) -> str:
    if not keys:
        return ""
    return f"{len(keys)} {what}: {', '.join(keys[:most])}" + (", ..." if len(keys) > most else "")
