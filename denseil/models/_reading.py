"""Reading the tensors of a checkpoint by name, from any of the common formats."""

import hashlib
import io
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import timm.models
import torch
from safetensors import SafetensorError
from torch import Tensor

from denseil.common.arguments import checked
from denseil.common.text import plain
from denseil.models._config import WEIGHTS_NAME

ENCODER = "encoder.net."
RENAMED = {"head.decoder.": "decoder.interaction.", "head.": "decoder."}  # earlier names of the parameters of DenseIL
# Prefixes that Lightning, DDP and torch.compile put before a model's names, in any order.
WRAPPERS = ("module.", "model.", "net.", "network.", "_orig_mod.")
_NESTS = ("state_dict_ema", "model_ema", "state_dict", "model_state_dict", "model", "net")  # in order of preference


@checked
def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint by name.

    A safetensors file is read directly, any other by `torch.load(weights_only=True)`, which never runs code from a
    pickle. A state dict nested in a checkpoint ("state_dict", "model", ...) is found, and prefixes of wrappers
    ("module.", "model.", "net.", "_orig_mod.") are removed. The tensors are copies: they do not change
    when the file is overwritten.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is damaged, holds anything but plain data, or holds no tensors.
    """
    return read_weights_and_digest(path)[0]


def read_weights_and_digest(path: str | Path) -> tuple[dict[str, Tensor], str]:
    """Read weights as `read_weights` does, and the SHA-256 of the bytes that were parsed; the file is read once."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}: give the path of a {WEIGHTS_NAME} or of a PyTorch checkpoint")
    try:
        content = path.read_bytes()
        weights = safetensors.torch.load(content) if path.suffix == ".safetensors" else _parse_pickle(content)
    except (
        SafetensorError,
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        ValueError,
        TypeError,
        AttributeError,
        LookupError,
        AssertionError,
    ) as error:
        raise ValueError(
            f"cannot read {path}: it is damaged, or its pickle holds more than tensors and plain data and was refused, "
            f"since that could run code. Copy it again, or save its state dict alone as safetensors ({plain(error)})"
        ) from error
    tensors = {name: value for name, value in weights.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ValueError(f"{path} holds no tensors under {list(weights)[:5]}: expected a state dict")
    return current_names(_without_wrappers(tensors)), hashlib.sha256(content).hexdigest()


def _parse_pickle(content: bytes) -> dict[str, Any]:
    parsed: Any = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    if not isinstance(parsed, Mapping):
        raise TypeError(f"it holds a {type(parsed).__name__}, not a state dict")
    while nested := next((parsed[name] for name in _NESTS if isinstance(parsed.get(name), Mapping)), None):
        parsed = nested
    return {str(name): value for name, value in parsed.items()}


def _without_wrappers(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Remove all prefixes of wrappers from names of a `DenseIL`, and those of DDP and compile from other names."""
    found = re.compile(rf"((?:{'|'.join(map(re.escape, WRAPPERS))})+)(?:encoder\.net\.|neck\.)").match
    prefixes = {match[1] for name in weights if (match := found(name))}
    if len(prefixes) == 1 and not any(name.startswith((ENCODER, "neck.")) for name in weights):
        return strip_prefix(weights, prefixes.pop())
    return timm.models.clean_state_dict(dict(weights))


def strip_prefix(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Remove a prefix from names that have it."""
    return {name.removeprefix(prefix): value for name, value in weights.items()}


@checked
def current_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the parameters of a `DenseIL` saved under earlier names (`RENAMED`); other weights keep theirs."""
    if not any(name.startswith((ENCODER, "neck.")) for name in weights):  # an image classifier, which has its own head
        return dict(weights)
    return {_replace_prefix(name, RENAMED): value for name, value in weights.items()}


@checked
def original_name(name: str) -> str:
    """Return the earliest name of a `DenseIL` parameter, which digests of weights are computed with."""
    return _replace_prefix(name, {new: old for old, new in RENAMED.items()})


def _replace_prefix(name: str, prefixes: Mapping[str, str]) -> str:
    for old, new in prefixes.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name
