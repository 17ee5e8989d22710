"""Saving a model to a folder that `create_model` opens, and publishing it."""

import copy
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import HfApi
from timm.models import save_for_hf

from denseil.models._card import model_card
from denseil.models._config import CONFIG_NAME
from denseil.models._weights import WEIGHTS_NAME
from denseil.models.denseil import DenseIL

CARD_NAME = "README.md"


def save_pretrained(
    model: DenseIL,
    folder: str | Path,
    *,
    card: Mapping[str, str] | None = None,
    repo_id: str = "owner/name",
) -> Path:
    """Save a model as `model.safetensors`, `config.json` and a model card.

    Each file is written under a temporary name and renamed, so that a crash leaves the old files whole.
    Open the folder with `create_model("local-dir:FOLDER", pretrained=True)`.

    Args:
        model: A model made by `create_model`.
        folder: Where to; it is made if it does not exist.
        card: Fields of the model card (see `model_card`); an existing card is kept unless given.
        repo_id: The Hub repository that the card names.

    Returns:
        The folder.

    Raises:
        ValueError: If the model was not made by `create_model`, or its arguments cannot be written as JSON.
    """
    if not hasattr(model, "_model_args"):
        raise ValueError(
            "only a model made by denseil.create_model(...) can be saved: its arguments are recorded there"
        )
    if not all(parameter.is_contiguous() for parameter in model.parameters()):  # channels_last: safetensors refuses it
        model = copy.deepcopy(model).to(memory_format=torch.contiguous_format)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".saving-") as temporary:
        save_for_hf(
            model,
            temporary,
            model_config={"denseil": model.denseil_cfg},
            model_args=_json_ready(model._model_args) | {"pretrained_backbone": False},
            safe_serialization=True,
        )
        if card is not None or not (folder / CARD_NAME).exists():
            text = model_card(model, repo_id=repo_id, fields=card)
            Path(temporary, CARD_NAME).write_text(text, encoding="utf-8")
        # safetensors lets nobody but the owner read what it writes
        shutil.copymode(Path(temporary, CONFIG_NAME), Path(temporary, WEIGHTS_NAME))
        for file in sorted(Path(temporary).iterdir()):
            file.replace(folder / file.name)
    return folder


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


def _json_ready(args: Mapping[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in args.items()}
