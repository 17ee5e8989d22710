"""Saving a model to a folder."""

import logging
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import save_for_hf
from torch import Tensor, nn

from denseil.common.arguments import checked
from denseil.common.tensor_files import disk_errors
from denseil.models._builder import MODEL_ARGS
from denseil.models._card import model_card
from denseil.models._config import CONFIG_NAME, WEIGHTS_NAME, parse_config, saved_config, write_config
from denseil.models._digests import file_sha256
from denseil.models._own_models import check_own_model, origin_of, write_own_model
from denseil.models._reading import read_weights
from denseil.models._saved_args import as_json
from denseil.models._unwrap import COMPILED, unwrap
from denseil.models._weights import fitting_weights
from denseil.models.clip_model import ClipModel
from denseil.models.denseil import DenseIL
from denseil.models.identity import OTHER, model_id, stale_thresholds
from denseil.models.interface import Preprocessing

CARD_NAME = "README.md"
SAVED_ARGS = MODEL_ARGS - {"pretrained_backbone", "drop_rate"}  # entries that timm adds to its cfg are set on opening

_logger = logging.getLogger(__name__)


@checked
def save_pretrained(
    model: nn.Module,
    folder: str | Path,
    *,
    card: Mapping[str, str] | None = None,
    repo_id: str = "owner/name",
    preprocessing: Preprocessing | None = None,
) -> Path:
    """Save a model as `model.safetensors`, `config.json` and a model card.

    Wrappers of `torch.compile`, DDP, DataParallel and averaged weights are removed. Each file is written
    atomically, so that a crash leaves the old files intact. The config holds the digests of both files,
    which are checked on opening. Thresholds measured with other weights, arguments or preprocessing are left out, and
    this is logged.

    Open the folder with `create_model(folder, pretrained=True)`. A module that was not made by `create_model`
    can be saved too unless it is a `DenseIL`; to open it, build it and use `load_weights`.

    Args:
        model: A model made by `create_model`, or any `VideoEncoder`.
        folder: Output folder; created if it does not exist.
        card: Fields of the model card (see `model_card`). Without them an existing card is kept, as is the card of
            packaged weights that were not changed.
        repo_id: The Hub repository that the card names.
        preprocessing: Preprocessing of frames, for a module without an attribute `preprocessing`.

    Returns:
        The folder.

    Raises:
        ValueError: If a `DenseIL` was not made by `create_model`, its arguments cannot be written as JSON, or its
            weights do not fit a model made from them: parametrised, pruned, with adapters or replaced layers, or
            not finite.
        TypeError: If the model is sharded, has adapters of PEFT, or has no preprocessing.
    """
    model = unwrap(model)
    created = _as_created(model) if isinstance(model, ClipModel) else None
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".saving-") as name:
        temporary = Path(name)
        if created:
            identity = model_id(created)
            config = _write_created(created, temporary)
        else:
            args = as_json(origin_of(model)[1])
            config = write_own_model(model, _plain_state(model), args, temporary, preprocessing)
            identity = model_id(model, preprocessing)
        if stale_thresholds(model, preprocessing):
            del config["denseil"]["thresholds"]
            _logger.warning("Thresholds measured with %s are left out: calibrate the folder again.", OTHER)
        config["denseil"] |= {"model_id": identity, "digests": {"weights": file_sha256(temporary / WEIGHTS_NAME)}}
        write_config(temporary, config)
        if card is not None or not (folder / CARD_NAME).exists():
            kept = _card_of_source(created) if created and card is None else None
            text = kept or model_card(model, repo_id=repo_id, fields=card, config=saved_config(config))
            (temporary / CARD_NAME).write_text(text, encoding="utf-8")
        # safetensors makes its files readable by their owner only
        shutil.copymode(temporary / CONFIG_NAME, temporary / WEIGHTS_NAME)
        # The config comes last: until then a folder with new weights does not match the digest, and is not opened.
        for file in sorted(temporary.iterdir(), key=lambda path: path.name == CONFIG_NAME):
            file.replace(folder / file.name)
    return folder


@checked
def check_saving(model: nn.Module) -> None:
    """Check that `save_pretrained` can save a model, without writing anything.

    Raises:
        ValueError: As `save_pretrained` raises; also its TypeErrors.
    """
    model = unwrap(model)
    if isinstance(model, ClipModel):
        _as_created(model)
        return
    as_json(origin_of(model)[1])
    check_own_model(model, _plain_state(model))


def _write_created(model: DenseIL, folder: Path) -> dict[str, Any]:
    """Write the files of a model as timm does, and return its config."""
    with disk_errors(folder / WEIGHTS_NAME):
        save_for_hf(
            model,
            str(folder),
            model_config={"denseil": dict(model.denseil_cfg)},
            model_args=model._model_args | {"pretrained_backbone": False},
            safe_serialization=True,
        )
    return parse_config(folder / CONFIG_NAME)


def _as_created(model: ClipModel) -> DenseIL:
    """Build the model that `create_model` will make from the saved arguments, and load the weights into it."""
    if not isinstance(model, DenseIL) or not hasattr(model, "_model_args"):
        raise ValueError(
            f"only a model made by denseil.create_model(...) can be saved, not this {type(model).__name__}: its "
            "arguments are recorded there"
        )
    args = as_json({name: value for name, value in model._model_args.items() if name in SAVED_ARGS})
    architecture = model.pretrained_cfg["architecture"]
    with torch.device("meta"):
        fresh: DenseIL = timm.model_entrypoint(architecture)(num_classes=model.num_classes, **args)
    state = _plain_state(model)
    _check_layers(model, fresh)
    origin = f"the {architecture} to be saved"
    try:
        fitting_weights(fresh.state_dict(), state, origin=origin)
    except ValueError as error:
        raise ValueError(
            f"{error}. Before saving, remove parametrisations (torch.nn.utils.parametrize.remove_parametrizations), "
            "pruning masks (torch.nn.utils.prune.remove) and weight norms, and merge adapters"
        ) from error
    _check_settings(model, fresh)  # last, since the weights' shapes say more
    fresh.load_state_dict(state, assign=True)
    fresh.pretrained_cfg, fresh.denseil_cfg = dict(model.pretrained_cfg), dict(model.denseil_cfg)
    fresh._model_args = args
    return fresh.train(model.training)


def _check_layers(model: nn.Module, fresh: nn.Module) -> None:
    """Raise ValueError if a layer was replaced by one of another type, which the weights do not show."""
    batch_norm, modules = torch.nn.modules.batchnorm._BatchNorm, _layers(model)
    for name, expected in fresh.named_modules():
        found = modules.get(name)
        if found is None or type(found) is type(expected):
            continue
        # torch's never calls timm's activation
        idle = type(found) is torch.nn.SyncBatchNorm and hasattr(expected, "act")
        if isinstance(found, batch_norm) and isinstance(expected, batch_norm) and not idle:  # SyncBatchNorm
            continue
        raise ValueError(
            f"{name or 'the model'} is a {type(found).__name__}, where create_model makes a "
            f"{type(expected).__name__} of the model's arguments: opened again, it would give other vectors"
        )


def _check_settings(model: nn.Module, fresh: nn.Module) -> None:
    """Raise ValueError if an argument of a layer was changed, such as a stride, which the weights do not show."""
    modules = _layers(model)
    for name, expected in fresh.named_modules():
        if name in modules and (found := _settings(modules[name])) != (made := _settings(expected)):
            raise ValueError(
                f"{name} is {type(expected).__name__}({found}), where create_model makes one with ({made}): opened "
                "again, it would give other vectors"
            )


def _settings(module: nn.Module) -> str:
    """Return the arguments that a layer prints, without those that have no effect in eval mode."""
    if "drop" in type(module).__name__.lower():
        return ""
    return re.sub(r"(momentum=[^,]*|inplace=?\w*)(, )?", "", module.extra_repr())


def _layers(model: nn.Module) -> dict[str, nn.Module]:
    """The modules by their names without prefixes of `torch.compile`."""
    return {
        name.replace(f"{COMPILED}.", "").removesuffix(COMPILED).removesuffix("."): module
        for name, module in model.named_modules()
        if type(module).__name__ != "OptimizedModule"
    }


def _plain_state(model: nn.Module) -> dict[str, Tensor]:
    """Return the weights without prefixes of `torch.compile`, contiguous and not shared, as safetensors requires."""
    seen: set[int] = set()
    state = {}
    for name, value in model.state_dict().items():
        value = value.detach()
        shared = value.untyped_storage().data_ptr() in seen or value.untyped_storage().nbytes() != value.nbytes
        plain = value.clone(memory_format=torch.contiguous_format) if shared else value.contiguous()
        state[name.replace(f"{COMPILED}.", "")] = plain
        seen.add(value.untyped_storage().data_ptr())
    return state


def _card_of_source(model: DenseIL) -> str | None:
    """Return the card of the folder that a model was loaded from, if its weights are unchanged."""
    source = Path(str(model.pretrained_cfg.get("file") or ""))
    if not (source / CARD_NAME).is_file() or not (source / WEIGHTS_NAME).is_file():
        return None
    theirs, own = read_weights(source / WEIGHTS_NAME), model.state_dict()
    same = all(name in theirs and torch.equal(value.cpu(), theirs[name].to(value.dtype)) for name, value in own.items())
    return (source / CARD_NAME).read_text(encoding="utf-8") if same else None
