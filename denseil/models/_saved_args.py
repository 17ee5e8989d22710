"""Arguments of models in config.json: written as JSON, and those of a `DenseIL` checked when they are read.

A backbone is built by `timm.create_model(backbone, **backbone_args)`, which can also read files and URLs named by an
argument. So a backbone must be a name, and its arguments must be parameters of the backbone's own classes.
"""

import inspect
import json
import sys
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import timm
import timm.models
from timm.models import PretrainedCfg
from torch import nn

from denseil.common.arguments import shown
from denseil.common.text import did_you_mean

_MOST = 4096  # largest number among the backbone's arguments, which are sizes of layers and images
MOST_PARAMS = 4_000_000_000  # largest model that a config may describe


def check_saved_args(args: Mapping[str, Any], known: frozenset[str]) -> None:
    """Check the saved arguments of a `DenseIL`, except the types and bounds that its constructor checks.

    Args:
        args: Names and values, from JSON.
        known: The valid names.

    Raises:
        ValueError: If a name is unknown, a value out of bounds, or the backbone could load a file.
        TypeError: If a value is of the wrong type.
    """
    if unknown := sorted(set(args) - known):
        raise ValueError(f"the saved argument {unknown[0]!r} is unknown here: it is damaged, or of a newer denseil")
    if not isinstance(args.get("attend_self", True), bool):
        raise TypeError(f"attend_self={args['attend_self']!r} in the saved arguments; it must be true or false")
    if not isinstance(args.get("backbone", "resnet50"), str):
        raise TypeError(f"backbone={args['backbone']!r} in the saved arguments; it must be a name")
    check_backbone(args.get("backbone", "resnet50"), args.get("backbone_args"))
    _check_plain("backbone_args", args.get("backbone_args") or {})


def check_backbone(backbone: Any, backbone_args: Any) -> None:
    """Refuse a backbone that is a URL, or whose arguments could make timm read a file or a URL.

    Raises:
        ValueError: If the backbone is a URL, or an argument is not one of the backbone's own.
        TypeError: If the arguments are not a mapping.
    """
    if backbone_args is not None and not isinstance(backbone_args, Mapping):
        raise TypeError(f"backbone_args={shown(backbone_args)}: give a dict of arguments for timm.create_model")
    if not isinstance(backbone, str):
        return
    if ":" in backbone:
        raise ValueError(
            f"backbone={shown(backbone)}: give the name of an architecture of timm; weights from elsewhere are loaded "
            "by denseil.models.load_backbone, or by init= of a training"
        )
    if backbone_args and timm.is_model(backbone.partition(".")[0]):
        known = _backbone_params(backbone.partition(".")[0])
        if unknown := sorted(set(backbone_args) - known):
            hint = did_you_mean(unknown[0], known) or "weights and files are given elsewhere"
            raise ValueError(
                f"backbone_args may not hold {unknown[0]!r}: backbone {shown(backbone)} has no such argument; {hint}"
            )


def _backbone_params(name: str) -> set[str]:
    """Return the parameters of the classes in the module of a timm model, except those that load files."""
    module = vars(sys.modules[timm.models.model_entrypoint(name).__module__])
    classes = [value for value in module.values() if inspect.isclass(value) and issubclass(value, nn.Module)]
    params = {param for cls in classes for param in inspect.signature(cls).parameters}
    loading = {
        *inspect.signature(timm.create_model).parameters,
        *inspect.signature(timm.models.build_model_with_cfg).parameters,
        *(field.name for field in fields(PretrainedCfg)),
        *("features_only", "out_indices", "feature_cls", "pruned", "pretrained_backbone", "self", "args", "kwargs"),
    }
    return params - loading


def _check_plain(name: str, value: Any) -> None:
    if isinstance(value, Mapping):
        for key, entry in value.items():
            _check_plain(f"{name}[{key!r}]", entry)
    elif isinstance(value, list):
        for entry in value:
            _check_plain(name, entry)
    elif isinstance(value, (int, float)) and abs(value) > _MOST:
        raise ValueError(f"{name}={shown(value)} in the saved arguments; numbers must be at most {_MOST}")


def as_json(args: Mapping[str, Any]) -> dict[str, Any]:
    """Return model arguments as JSON values; ValueError if one is none."""
    try:
        found: dict[str, Any] = json.loads(json.dumps(dict(args), default=_not_json))
    except (TypeError, ValueError) as error:
        raise ValueError(f"the model's arguments cannot be written to config.json: {error}") from error
    return found


def _not_json(value: object) -> object:
    raise TypeError(f"among them is a {type(value).__name__}; give names, numbers, lists and dicts to create_model")
