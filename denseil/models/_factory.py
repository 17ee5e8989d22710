"""Creating and listing models by name: timm's registry, with aliases, saved folders and strict loading."""

import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import timm
import torch

from denseil.common.arguments import checked, shown
from denseil.common.processes import usable_device
from denseil.common.text import did_you_mean
from denseil.models import variants
from denseil.models._builder import MODEL_ARGS, check_dtype, tags_of
from denseil.models._config import CONFIG_NAME, SavedConfig, read_architecture, read_config
from denseil.models._fetch import fetch_folder
from denseil.models._own_models import open_own_model, record_origin
from denseil.models._reading import read_weights
from denseil.models._registry import register_alias, registered_models
from denseil.models._saved_args import check_saved_args
from denseil.models._weights import build_with_weights
from denseil.models.denseil import DenseIL
from denseil.models.identity import model_id

for _alias, _name in variants.ALIASES.items():
    register_alias(_alias, _name)


MOST_CLASSES = 10_000_000


@checked
def create_model(
    name: str | Path,
    pretrained: bool = False,
    *,
    num_classes: int = 0,
    checkpoint_path: str | Path | None = None,
    cache_dir: str | Path | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    **model_args: Any,
) -> DenseIL:
    """Create a model.

    Args:
        name: A registered name ("denseil_resnet50", or one of your own; see `register_model`), an alias
            ("denseil_r50"), either with a tag ("denseil_resnet50.mars"), a Hub repository ("hf-hub:owner/name",
            "hf-hub:owner/name@revision"), or a folder that `save_pretrained` wrote ("path", "local-dir:path").
        pretrained: Load the whole model's weights. For timm's weights of the encoder alone, pass
            `pretrained_backbone=True` instead.
        num_classes: Training identities; 0 for no classifier. If the number differs from that of the
            weights, the classifier is newly initialised; everything else is loaded strictly.
        checkpoint_path: Weights to load: a safetensors file, or a checkpoint of tensors and plain data. Prefixes of
            Lightning, DDP and `torch.compile` are removed.
        cache_dir: Cache folder of the Hub client.
        device: Device of the parameters, such as "cuda" or "meta"; None for torch's default device.
        dtype: Type of the parameters; None for float32.
        model_args: Arguments of `DenseIL`, such as `backbone`, `dim`, `depth`.

    Raises:
        KeyError: If the name, the tag or the backbone is unknown.
        TypeError: If an argument is unknown, or of the wrong type.
        RuntimeError: If `pretrained`, and no weights are published under the name.
        ValueError: If an argument is out of its range, or the weights are damaged or do not fit.
        FileNotFoundError: If the folder, the repository or the checkpoint does not exist.
        ConnectionError: If the Hub cannot be reached.

    Examples:
        >>> model = create_model("denseil", backbone="test_resnet", dim=64, num_heads=4).eval()
        >>> model(torch.randn(2, 8, 3, 256, 128)).shape
        torch.Size([2, 64])
    """
    _check_call(pretrained, num_classes, checkpoint_path, cache_dir)
    check_dtype(dtype)
    if pretrained and checkpoint_path is not None:
        raise ValueError(f"pretrained=True and checkpoint_path={str(checkpoint_path)!r}: choose one source of weights")
    architecture, cfg, saved_args = _resolve_name(name, cache_dir, weights=pretrained)
    own = architecture not in variants.__all__
    if not own:
        _check_model_args(model_args)
    folder = Path(cfg["file"]) if own and isinstance(cfg, dict) else None  # a saved module that is not a DenseIL
    saved = read_config(folder) if folder else None
    args = saved_args | model_args

    def build() -> DenseIL:
        sources = {} if folder else {"pretrained_cfg": cfg, "cache_dir": cache_dir}
        classes = num_classes or (saved.pretrained_cfg["num_classes"] if saved else 0)
        model: DenseIL = timm.model_entrypoint(architecture)(
            pretrained=pretrained and folder is None, num_classes=classes, **sources, **args
        )
        if own:
            record_origin(model, architecture, {**args, "num_classes": classes})
        return model

    with usable_device(device, also="meta") if device is not None else nullcontext():
        if saved and folder:
            model = open_own_model(build, folder, saved, pretrained=pretrained, weights=checkpoint_path)
            if pretrained:
                _set_thresholds(model, saved)
        elif checkpoint_path is None:
            model = build()
        else:
            args.pop("pretrained_backbone", None)  # the weights of the whole model replace them
            model = build_with_weights(build, lambda: read_weights(checkpoint_path), origin=str(checkpoint_path))
    return model if dtype is None else model.to(dtype)


@checked
def list_models(filter: str = "") -> list[str]:
    """List registered names that match a wildcard filter, all by default; aliases are hidden.

    Examples:
        >>> "denseil_resnet50" in list_models("denseil_res*")
        True
    """
    return [name for name in timm.list_models(filter or "*") if name in registered_models()]


@checked
def list_pretrained(filter: str = "") -> list[str]:
    """List names with tags that have published weights and match a wildcard filter."""
    return [name for name in timm.list_pretrained(filter or "*") if name.partition(".")[0] in registered_models()]


@checked
def is_model(name: str) -> bool:
    """Return whether `create_model` knows a name, an alias, or either with a tag."""
    try:
        architecture, tag = _resolve_registered(name)
    except KeyError:
        return False
    # The factory of a module of one's own knows its tags itself.
    return not tag or architecture not in variants.__all__ or tag in tags_of(architecture)


def _resolve_name(name: str | Path, cache_dir: str | Path | None, *, weights: bool) -> tuple[str, Any, dict[str, Any]]:
    """Return the architecture of a name, its tag or saved cfg, and its saved model arguments."""
    if isinstance(name, Path):
        name = f"local-dir:{name}"
    if not isinstance(name, str):
        raise TypeError(f"name={shown(name)}: give a model name, such as 'denseil_resnet50'")
    source, _, place = name.partition(":")
    if source not in ("local-dir", "hf-hub"):
        if is_model(name) or not Path(name, CONFIG_NAME).is_file():
            architecture, tag = _resolve_registered(name)
            return architecture, tag or None, {}
        source, place = "local-dir", name
    entries: dict[str, Any] = {"source": source}
    if source == "local-dir":
        folder = Path(place)
        entries["file"] = place
    else:
        folder = fetch_folder(place, weights=weights, check=_check_architecture, cache_dir=cache_dir)
        entries["hf_hub_id"] = f"{place.partition('@')[0]}@{folder.name}"  # pins the commit
    _check_architecture(folder)
    config = read_config(folder)
    if config.architecture not in variants.__all__:
        return config.architecture, config.pretrained_cfg | entries | {"file": str(folder)}, config.model_args
    check_saved_args(config.model_args, MODEL_ARGS)
    return config.architecture, config.pretrained_cfg | entries, config.model_args | {"pretrained_backbone": False}


def _check_architecture(folder: Path) -> None:
    """Raise KeyError unless the model in a folder is registered."""
    architecture = read_architecture(folder)
    if architecture not in registered_models():
        way = "timm.create_model" if timm.is_model(architecture) else "your own code and denseil.models.load_weights"
        raise KeyError(
            f"{folder} holds a {shown(architecture)}, which is not registered here and not a denseil model; register "
            f"it (denseil.register_model), or open it with {way}"
        )


def _resolve_registered(name: str) -> tuple[str, str]:
    """Return the architecture and tag of a registered name, with aliases resolved."""
    architecture, _, tag = name.partition(".")
    architecture = variants.ALIASES.get(architecture, architecture)
    if architecture not in registered_models():
        known = [*registered_models(), *variants.ALIASES]
        hint = did_you_mean(architecture, known, n=2) or f"known: {', '.join(known)}"
        raise KeyError(f"no denseil model {shown(name)}; {_no_model_in(name)}{hint}")
    return architecture, tag


def _no_model_in(name: str) -> str:
    """Say what is at a path that was given as a model and is none: a run, another folder, or a file; "" if nothing."""
    path = Path(name)
    if (path / "final" / CONFIG_NAME).is_file():
        return f"{name} is the folder of a run, with its model in {path / 'final'}; "
    if path.is_dir():
        return f"the folder {name} has no {CONFIG_NAME}, which `denseil.save_pretrained` writes; "
    if path.is_file():
        return f"{name} is a file; give the folder of a saved model, or weights by checkpoint_path=; "
    return ""


def _set_thresholds(model: DenseIL, saved: SavedConfig) -> None:
    """Set the thresholds of a saved module that is not a DenseIL."""
    thresholds = saved.denseil.get("thresholds")
    if not thresholds:
        return
    if thresholds.get("model_id") == saved.model_id:  # its class may have moved, which changes its identity
        thresholds = {**thresholds, "model_id": model_id(model)}
    model.__dict__["denseil_cfg"] = {**getattr(model, "denseil_cfg", {}), "thresholds": thresholds}


def _check_call(pretrained: object, num_classes: object, checkpoint_path: object, cache_dir: object) -> None:
    if not isinstance(pretrained, bool):
        raise TypeError(
            f"pretrained={shown(pretrained)}: give True or False; a tag is part of the name, as in 'name.tag'"
        )
    if isinstance(num_classes, bool) or not isinstance(num_classes, int):
        raise TypeError(f"num_classes={shown(num_classes)}: give an integer, 0 for no classifier")
    if not 0 <= num_classes <= MOST_CLASSES:
        raise ValueError(f"num_classes={num_classes}: give 0 for no classifier, at most {MOST_CLASSES:,}")
    for name, path in {"checkpoint_path": checkpoint_path, "cache_dir": cache_dir}.items():
        if not isinstance(path, str | os.PathLike | None):
            raise TypeError(f"{name}={shown(path)}: give a path")


def _check_model_args(model_args: dict[str, Any]) -> None:
    unknown = [key for key in model_args if key not in MODEL_ARGS]
    if unknown:
        hint = did_you_mean(unknown[0], MODEL_ARGS)
        raise TypeError(
            f"unknown argument {unknown[0]!r}{f' ({hint})' * bool(hint)}; a model takes {', '.join(sorted(MODEL_ARGS))}"
        )
    if {"drop", "drop_rate"} <= set(model_args):
        raise ValueError("drop and drop_rate, timm's name of it, are one argument: give one of them")
