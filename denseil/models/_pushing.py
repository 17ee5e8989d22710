"""Pushing a model to the Hugging Face Hub, with errors of one line."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

from denseil.common.arguments import checked
from denseil.common.text import plain
from denseil.models._saving import CARD_NAME, check_saving, save_pretrained
from denseil.models.denseil import DenseIL

HTTP_LIBRARIES = ("httpx", "httpx2", "httpcore", "requests", "urllib3")  # of the Hub's client, by its version


@contextmanager
def hub_errors(repo_id: str) -> Iterator[None]:
    """Convert errors of the Hub, and of reaching it, to one line.

    Raises:
        PermissionError: If the token may not write there.
        ConnectionError: If the Hub refuses or cannot be reached.
    """
    try:
        yield
    except HfHubHTTPError as error:
        status, reason = error.response.status_code, plain(str(error).strip().rpartition("\n")[2])
        if status in (401, 403):
            raise PermissionError(
                f"the Hub does not let this token write to {repo_id} (status {status}): log in (`hf auth login`), or "
                "pass a token with write access"
            ) from error
        raise ConnectionError(f"the Hub refused {repo_id} (status {status}): {reason}") from error
    except Exception as error:  # the client passes on the errors of its HTTP library, which differs between versions
        if type(error).__module__.partition(".")[0] not in HTTP_LIBRARIES:
            raise
        reason = f"{type(error).__name__}: {plain(str(error).partition(chr(10))[0])}"
        raise ConnectionError(f"the Hub cannot be reached to write to {repo_id} ({reason}): try again") from error


@checked
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
    """Publish a model on the Hugging Face Hub, as safetensors with a model card.

    Args:
        model: A model made by `create_model`.
        repo_id: "owner/name"; created if it does not exist.
        card: Fields of the model card; without them an existing card is kept.
        token: A token with write access; None for the one that `hf auth login` stored.
        private: Whether a new repository is private.
        revision: The branch to commit to.
        create_pr: Open a pull request instead.
        commit_message: First line of the commit.

    Returns:
        The URL of the commit.

    Raises:
        ValueError: If the model cannot be saved.
        PermissionError: If the token may not write there.
        ConnectionError: If the Hub refuses or cannot be reached.
    """
    check_saving(model)  # before a repository is created for it
    api = HfApi(token=token, library_name="denseil")
    with tempfile.TemporaryDirectory() as folder, hub_errors(repo_id):
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
