"""Identity of a model. Vectors of different models must not be compared, so features files record it."""

import hashlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from denseil.common.arguments import checked
from denseil.models._own_models import origin_of
from denseil.models._reading import original_name
from denseil.models._unwrap import unwrap
from denseil.models.denseil import DenseIL
from denseil.models.interface import Preprocessing

_NOT_IN_VECTORS = {
    "num_classes",
    "pretrained_backbone",
    "drop",
    "attn_drop",
}  # arguments that only affect training
_OF_DECODER = {"levels", "num_parts", "dim", "num_heads", "ffn_dim", "fusion", "attend_self", "pos_kind", "pos_formula"}

OTHER = "other weights, arguments or preprocessing than the model's"


@checked
def model_id(model: nn.Module, preprocessing: Preprocessing | None = None) -> str:
    """Identify a model: two models with the same identity give the same vectors.

    It is a digest of the weights (in float32, without the classifier), of the arguments that affect vectors, and of
    the preprocessing except for the frames policy, which is the caller's choice. An optimised model, or a module with a
    string attribute `model_id`, such as an exported model, has the identity of the model it was made from, unless the
    given preprocessing is another.

    Args:
        model: The model; wrappers such as those of DDP and `torch.compile` are ignored.
        preprocessing: Preprocessing of frames; None for the model's own.

    Returns:
        40 hexadecimal digits.
    """
    model = unwrap(model)
    own = getattr(model, "preprocessing", None)
    frames = preprocessing or (own if isinstance(own, Preprocessing) else None)
    source = getattr(model, "source_weights", None)  # of an optimised model
    carried = None if source else getattr(model, "model_id", None)
    if isinstance(carried, str) and carried:
        if frames is None or not isinstance(own, Preprocessing) or replace(frames, frames=own.frames) == own:
            return carried
        return make_id(carried, kind="export", model_args={}, preprocessing=frames)
    kind, args = _kind_and_args(model)
    return make_id(source or weights_digest(model), kind=kind, model_args=args, preprocessing=frames)


def _kind_and_args(model: nn.Module) -> tuple[str, Mapping[str, Any]]:
    """Return "denseil" or the full name of another class, and the arguments that `create_model` was given."""
    ours = hasattr(model, "source_weights") or isinstance(model, DenseIL)
    kind = "denseil" if ours else f"{type(model).__module__}.{type(model).__qualname__}"
    return kind, getattr(model, "_model_args", None) or origin_of(model)[1]


def settings_of_vectors(model: nn.Module) -> dict[str, Any]:
    """Return what vectors depend on besides the weights and the preprocessing: a model's class and arguments."""
    kind, args = _kind_and_args(unwrap(model))
    return {"class": kind, **_args_of_vectors(kind, args)}


def stale_thresholds(model: nn.Module, preprocessing: Preprocessing | None = None) -> bool:
    """Return whether a model's thresholds were measured with other weights, arguments or preprocessing.

    It is False for thresholds that do not name the model they were measured with, and for weights in half precision,
    which are rounded.
    """
    model = unwrap(model)
    thresholds = getattr(model, "denseil_cfg", {}).get("thresholds", {})
    halves = any(value.dtype in (torch.float16, torch.bfloat16) for value in model.parameters())
    if "model_id" not in thresholds or (halves and not hasattr(model, "source_weights")):
        return False
    return bool(thresholds["model_id"] != model_id(model, preprocessing))


def make_id(weights: str, *, kind: str, model_args: Mapping[str, Any], preprocessing: Preprocessing | None) -> str:
    """Return the identity of a model from the digest of its weights; see `model_id`."""
    args = _args_of_vectors(kind, model_args)
    frames = preprocessing.to_dict() if preprocessing else {}
    content = [weights, kind, args, {name: value for name, value in frames.items() if name != "frames"}]
    text = json.dumps(
        content, sort_keys=True, default=lambda value: f"{type(value).__module__}.{type(value).__qualname__}"
    )
    return hashlib.blake2b(text.encode(), digest_size=20).hexdigest()


def _args_of_vectors(kind: str, model_args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that affect vectors, with defaults filled in and equal spellings made one."""
    args = dict(model_args)
    if kind == "denseil":
        defaults = {name: param.default for name, param in inspect.signature(DenseIL).parameters.items()}
        args = {name: args.get(name, value) for name, value in defaults.items()}
        args["backbone"] = str(args["backbone"]).partition(".")[0]
        args["levels"] = sorted(args["levels"])
        args = {name: value for name, value in args.items() if args["depth"] or name not in _OF_DECODER}
    return {name: value or None for name, value in args.items() if name not in _NOT_IN_VECTORS}


@checked
def weights_digest(weights: nn.Module | Mapping[str, Tensor]) -> str:
    """Compute the digest of all weights that affect embeddings: all except the classifier's, in float32.

    Args:
        weights: A model, or its state dict.

    Returns:
        40 hexadecimal digits, the same as of earlier versions for the same weights.
    """
    state = unwrap(weights).state_dict() if isinstance(weights, nn.Module) else weights
    digest = hashlib.blake2b(digest_size=20)
    for name, value in sorted(state.items(), key=lambda item: original_name(item[0])):
        if name.startswith("neck.classifier."):
            continue
        value = value.detach().cpu()
        if value.is_floating_point() and not value.is_quantized:  # half precision on disk becomes float32 when loaded
            value = value.float()
        digest.update(f"{original_name(name)} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
