"""Saving a model to a folder that `create_model` opens, and publishing it."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import timm
import torch
from huggingface_hub import HfApi
from timm.models import save_for_hf
from torch import Tensor, nn

from denseil.models._builder import MODEL_ARGS
from denseil.models._card import model_card
from denseil.models._config import CONFIG_NAME, WEIGHTS_NAME, parse_config, write_config
from denseil.models._unwrap import COMPILED, unwrap
from denseil.models._weights import fitting_weights, read_weights
from denseil.models.denseil import DenseIL
from denseil.models.identity import model_id

CARD_NAME = "README.md"
SAVED_ARGS = MODEL_ARGS - {"pretrained_backbone", "drop_rate"}  # what timm adds to its record is set on opening


def save_pretrained(
    model: nn.Module,
    folder: str | Path,
    *,
    card: Mapping[str, str] | None = None,
    repo_id: str = "owner/name",
) -> Path:
    """Save a model as `model.safetensors`, `config.json` and a model card.

    Wrappers of `torch.compile`, DDP, DataParallel and averaged weights are removed. Each file is written under a
    temporary name and renamed, so that a crash leaves the old files whole. The config holds the digests of both files,
    which are checked on opening. Open the folder with `create_model("local-dir:FOLDER", pretrained=True)`.

    Args:
        model: A model made by `create_model`.
        folder: Where to; created if it does not exist.
        card: Fields of the model card (see `model_card`). An existing card is kept unless these are given; so is the
            card of packaged weights that were not changed.
        repo_id: The Hub repository that the card names.

    Returns:
        The folder.

    Raises:
        ValueError: If the model was not made by `create_model`, its arguments cannot be written as JSON, or its weights
            are not those of a model that `create_model` makes from them: parametrised, pruned, with adapters, with
            replaced layers, or not finite.
        TypeError: If the model is sharded, or has adapters of PEFT.
    """
    plain = _as_created(unwrap(model))
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".saving-") as temporary:
        save_for_hf(
            plain,
            temporary,
            model_config={"denseil": dict(plain.denseil_cfg)},
            model_args=plain._model_args | {"pretrained_backbone": False},
            safe_serialization=True,
        )
        weights = Path(temporary, WEIGHTS_NAME)
        config = parse_config(Path(temporary, CONFIG_NAME))
        config["denseil"] |= {"model_id": model_id(plain), "digests": {"weights": _sha256(weights), "config": ""}}
        write_config(temporary, config)
        if card is not None or not (folder / CARD_NAME).exists():
            text = (_card_of_source(plain) if card is None else None) or model_card(plain, repo_id=repo_id, fields=card)
            Path(temporary, CARD_NAME).write_text(text, encoding="utf-8")
        # safetensors lets nobody but the owner read what it writes
        shutil.copymode(Path(temporary, CONFIG_NAME), weights)
        # The config last: its digest fits no other weights, and without it a folder of new weights is not opened.
        for file in sorted(Path(temporary).iterdir(), key=lambda path: path.name == CONFIG_NAME):
            file.replace(folder / file.name)
    return folder


def _as_created(model: nn.Module) -> DenseIL:
    """The model that `create_model` makes from a model's arguments, with its weights: what will be opened again."""
    if not isinstance(model, DenseIL) or not hasattr(model, "_model_args"):
        raise ValueError(
            f"only a model made by denseil.create_model(...) can be saved, not this {type(model).__name__}: its "
            "arguments are recorded there"
        )
    try:
        own = {name: value for name, value in model._model_args.items() if name in SAVED_ARGS}
        args = json.loads(json.dumps(own, default=_not_json))
    except (TypeError, ValueError) as error:
        raise ValueError(f"the model's arguments cannot be written to {CONFIG_NAME}: {error}") from error
    architecture = model.pretrained_cfg["architecture"]
    with torch.device("meta"):
        fresh: DenseIL = timm.model_entrypoint(architecture)(num_classes=model.num_classes, **args)
    state = {name.replace(f"{COMPILED}.", ""): value.detach() for name, value in model.state_dict().items()}
    _check_layers(model, fresh)
    origin = f"the {architecture} to be saved"
    try:
        fitting_weights(fresh.state_dict(), state, origin=origin)
    except ValueError as error:
        raise ValueError(
            f"{error}. Before saving, remove parametrisations (torch.nn.utils.parametrize.remove_parametrizations), "
            "pruning masks (torch.nn.utils.prune.remove) and weight norms, and merge adapters"
        ) from error
    fresh.load_state_dict(_separate(state), assign=True)
    fresh.pretrained_cfg, fresh.denseil_cfg, fresh._model_args = (
        dict(model.pretrained_cfg),
        dict(model.denseil_cfg),
        args,
    )
    return fresh.train(model.training)


def _check_layers(model: nn.Module, fresh: nn.Module) -> None:
    """Raise a ValueError if a layer was replaced by one of another kind, which weights do not tell."""
    batch_norm = torch.nn.modules.batchnorm._BatchNorm
    modules = {
        name.replace(f"{COMPILED}.", "").removesuffix(COMPILED).removesuffix("."): module
        for name, module in model.named_modules()
        if type(module).__name__ != "OptimizedModule"
    }
    for name, expected in fresh.named_modules():
        found = modules.get(name)
        if found is None or type(found) is type(expected):
            continue
        if isinstance(found, batch_norm) and isinstance(expected, batch_norm):  # SyncBatchNorm
            continue
        raise ValueError(
            f"{name or 'the model'} is a {type(found).__name__}, where create_model makes a "
            f"{type(expected).__name__} of the model's arguments: opened again, it would give other vectors"
        )


def _separate(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors that are contiguous and share no memory, as safetensors wants them."""
    seen: set[int] = set()
    separate = {}
    for name, value in state.items():
        shared = value.untyped_storage().data_ptr() in seen or value.untyped_storage().nbytes() != value.nbytes
        separate[name] = value.clone(memory_format=torch.contiguous_format) if shared else value.contiguous()
        seen.add(value.untyped_storage().data_ptr())
    return separate


def _card_of_source(model: DenseIL) -> str | None:
    """The card of the folder that a model was loaded from, if its weights are still those."""
    source = Path(str(model.pretrained_cfg.get("file") or ""))
    if not (source / CARD_NAME).is_file() or not (source / WEIGHTS_NAME).is_file():
        return None
    theirs, own = read_weights(source / WEIGHTS_NAME), model.state_dict()
    same = all(name in theirs and torch.equal(value.cpu(), theirs[name].to(value.dtype)) for name, value in own.items())
    return (source / CARD_NAME).read_text(encoding="utf-8") if same else None


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _not_json(value: object) -> object:
    raise TypeError(f"among them is a {type(value).__name__}; give names, numbers, lists and dicts to create_model")


def push_to_hub(
    model: DenseIL,
    repo_id: str,
    *,
    card: Mapping[str, str] | None = None,
    token: str | None = None,
    private: bool = False,
    revision: str | None = None,
    create_pr: bool = False,
    commit_message: str = "Add a denseil model",
) -> str:
    """Publish a model on the Hugging Face Hub: safetensors only, with its model card.

    Args:
        model: A model made by `create_model`.
        repo_id: "owner/name"; made if it does not exist.
        card: Fields of the model card; a card that is there already is kept unless given.
        token: A token with write access; None for the one that `hf auth login` stored.
        private: Whether a new repository is private.
        revision: The branch to commit to.
        create_pr: Open a pull request instead.
        commit_message: First line of the commit.

    Returns:
        The address of the commit.

    Raises:
        ValueError: If the model cannot be saved.
        OSError: If the Hub refuses or cannot be reached.
    """
    api = HfApi(token=token, library_name="denseil")
    with tempfile.TemporaryDirectory() as folder:
        repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        save_pretrained(model, folder, card=card, repo_id=repo_id)
        if card is None and api.file_exists(repo_id, CARD_NAME, revision=revision):
            Path(folder, CARD_NAME).unlink()
        commit = api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            revision=revision,
            create_pr=create_pr,
            commit_message=commit_message,
        )
    return str(commit.commit_url)
