"""Publishing a complete saved folder on the Hugging Face Hub."""

import json
import logging
import shutil
import tempfile
from pathlib import Path

import torch
from huggingface_hub import HfApi
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from denseil.common.arguments import checked
from denseil.common.modes import evaluating
from denseil.common.text import plain
from denseil.models._card import card_gaps
from denseil.models._config import CONFIG_NAME, WEIGHTS_NAME, read_config
from denseil.models._digests import file_sha256
from denseil.models._factory import create_model
from denseil.models._pushing import hub_errors
from denseil.models._saving import CARD_NAME
from denseil.models.clip_model import ClipModel

SAMPLE_NAME = "sample.json"
SUMS_NAME = "SHA256SUMS"
_AS_THEY_ARE = (CONFIG_NAME, WEIGHTS_NAME, "LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE", SUMS_NAME)
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".npy", ".joblib")

_logger = logging.getLogger(__name__)


@checked
def publish(
    folder: str | Path,
    repo_id: str,
    *,
    token: str | None = None,
    private: bool = False,
    revision: str | None = None,
    create_pr: bool = False,
    commit_message: str = "Add a denseil model",
) -> str:
    """Check a saved folder and publish it on the Hugging Face Hub.

    Card, config, weights and a `sample.json` with which others can check their installation are uploaded in one commit,
    with LICENSE, NOTICE and SHA256SUMS if they exist. Other files on the Hub are kept. Checksums are compared before,
    the digest of the weights on the Hub afterwards.

    Args:
        folder: A folder that `save_pretrained` wrote, with its card completed.
        repo_id: "owner/name"; created if it does not exist.
        token: A token with write access; None for the one that `hf auth login` stored.
        private: Whether a new repository is private.
        revision: The branch to commit to.
        create_pr: Open a pull request instead.
        commit_message: First line of the commit.

    Returns:
        The URL of the commit.

    Raises:
        FileNotFoundError: If the folder has no config, weights or card.
        ValueError: If anything is missing or wrong; the message lists all of it.
        PermissionError: If the token may not write there.
        ConnectionError: If the Hub cannot be reached or refuses, or its weights differ afterwards.
    """
    validate_repo_id(repo_id)
    folder = Path(folder)
    if gaps := publishing_gaps(folder):
        raise ValueError(f"{folder} is not ready to be published: {'; '.join(gaps)}")
    api = HfApi(token=token, library_name="denseil")
    with tempfile.TemporaryDirectory() as temporary, hub_errors(repo_id):
        _gather(folder, Path(temporary), repo_id)
        repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        commit = api.upload_folder(
            repo_id=repo_id,
            folder_path=temporary,
            revision=revision,
            create_pr=create_pr,
            commit_message=commit_message,
        )
        _compare_weights(api, repo_id, commit.oid, read_config(folder).digests["weights"])
    return str(commit.commit_url)


@checked
def publishing_gaps(folder: str | Path) -> list[str]:
    """List what is missing before a saved folder can be published; empty if it is ready.

    Raises:
        FileNotFoundError: If it has no config or weights.
        ValueError: If it cannot be opened.
    """
    folder = Path(folder)
    config = read_config(folder)
    create_model(folder, pretrained=True)
    gaps = [] if config.digests else ["its config has no digests: save the model again, or call renew_digests(folder)"]
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in _PICKLES)
    if pickles:
        gaps.append(f"{', '.join(pickles)} may run code when it is opened: move it elsewhere")
    if (folder / SUMS_NAME).is_file():
        gaps += _wrong_sums(folder)
    if (folder / CARD_NAME).is_file():
        gaps += [f"{CARD_NAME}: {gap}" for gap in card_gaps((folder / CARD_NAME).read_text(encoding="utf-8"))]
    else:
        gaps.append(f"it has no {CARD_NAME}: write one, or save the model with card={{...}}")
    return gaps


def _wrong_sums(folder: Path) -> list[str]:
    """List the lines of SHA256SUMS that do not hold for the files to be published."""
    gaps = []
    for line in filter(str.strip, (folder / SUMS_NAME).read_text(encoding="utf-8").splitlines()):
        digest, _, name = line.partition(" ")
        name = name.removeprefix(" ").removeprefix("*")  # sha256sum marks files read as binary
        if name not in _AS_THEY_ARE or not (folder / name).is_file():
            gaps.append(f"{SUMS_NAME} names {plain(name)!r}, which is not published as it is: remove the line")
        elif file_sha256(folder / name) != digest.lower():
            gaps.append(f"{name} has another SHA-256 than in {SUMS_NAME}: copy the file again, or renew {SUMS_NAME}")
    return gaps


@checked
def sample_clip(model: ClipModel, frames: int = 2) -> torch.Tensor:
    """Make a clip (1, T, 3, H, W) in [-1, 1] that is the same on every machine: a sine over its values, in order.

    Raises:
        ValueError: If `frames` is not from 1 to 1000.
    """
    if not 1 <= frames <= 1000:
        raise ValueError(f"frames={frames}: give a number of frames from 1 to 1000")
    height, width = model.preprocessing.size
    steps = torch.arange(frames * 3 * height * width, dtype=torch.float64)
    return torch.sin(steps * 0.013).float().view(1, frames, 3, height, width)


def _gather(folder: Path, target: Path, repo_id: str) -> None:
    """Copy the files to publish, set the repository's name in the card, and write the sample."""
    for name in _AS_THEY_ARE:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, target / name)
    card = (folder / CARD_NAME).read_text(encoding="utf-8")
    (target / CARD_NAME).write_text(card.replace("hf-hub:owner/name", f"hf-hub:{repo_id}"), encoding="utf-8")
    model = create_model(folder, pretrained=True)
    with evaluating(model), torch.inference_mode():
        vector = model(sample_clip(model))[0]
    sample = {
        "input": "torch.sin(torch.arange(2 * 3 * H * W).double() * 0.013).float().view(1, 2, 3, H, W), not normalised",
        "size": list(model.preprocessing.size),
        "first_values": [round(value, 6) for value in vector[:16].tolist()],
        "tolerance": 1e-3,
    }
    (target / SAMPLE_NAME).write_text(json.dumps(sample, indent=2) + "\n", encoding="utf-8")
    left = sorted(path.name for path in folder.iterdir() if not (target / path.name).exists())
    if left:
        _logger.info("Not published: %s", plain(", ".join(left)))


def _compare_weights(api: HfApi, repo_id: str, commit: str, digest: str) -> None:
    """Raise ConnectionError if the digest of the weights on the Hub differs."""
    for found in api.get_paths_info(repo_id, [WEIGHTS_NAME], revision=commit):
        lfs = getattr(found, "lfs", None)
        if lfs is not None and lfs.sha256 != digest:
            raise ConnectionError(f"the weights on the Hub have SHA-256 {lfs.sha256}, not {digest}: publish them again")
