"""Fetching a model's files from the Hugging Face Hub, or failing soon and in one sentence."""

import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]

PATIENCE = 4.5  # seconds without a byte before a fetch is given up

T = TypeVar("T")


def fetch(repo_id: str, filename: str, *, cache_dir: str | Path | None = None) -> Path:
    """The local path of one file of a Hub repository, downloaded unless it is in the cache.

    Args:
        repo_id: "owner/name" or "owner/name@revision".
        filename: The file.
        cache_dir: The Hub client's cache; None for its default.

    Raises:
        FileNotFoundError: If the repository, the revision or the file does not exist, or may not be read.
        ConnectionError: If the Hub cannot be reached, or no byte comes for `PATIENCE` seconds.
    """
    repo_id, _, revision = repo_id.partition("@")
    where = f"{filename} of {repo_id}" + (f"@{revision}" if revision else "") + " on the Hugging Face Hub"
    try:
        get_hf_file_metadata(hf_hub_url(repo_id, filename, revision=revision or None), timeout=PATIENCE)
        return Path(_download(repo_id, filename, revision or None, cache_dir))
    except (RepositoryNotFoundError, RevisionNotFoundError, EntryNotFoundError) as error:
        raise FileNotFoundError(
            f"cannot find {where}: check the name, or log in (`hf auth login`) if it is private or gated"
        ) from error
    except Exception as error:  # the client lets the errors of its HTTP library through, and has changed that library
        cached = try_to_load_from_cache(repo_id, filename, cache_dir=cache_dir, revision=revision or None)
        if isinstance(cached, str) and not isinstance(error, HfHubHTTPError):
            return Path(cached)
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise ConnectionError(
            f"cannot get {where} ({reason}): "
            "try again, or pass local weights with checkpoint_path= or a 'local-dir:' name"
        ) from error


def _download(repo_id: str, filename: str, revision: str | None, cache_dir: str | Path | None) -> str:
    """`hf_hub_download`, given up once no byte has come for `PATIENCE` seconds.

    The client resumes a broken download up to five times, ten seconds and more each; a person waiting wants to know.
    """
    last_byte = time.monotonic()

    class Watched(tqdm):
        def update(self, n: float | None = 1) -> bool | None:
            nonlocal last_byte
            last_byte = time.monotonic()
            shown: bool | None = super().update(n)
            return shown

    def download() -> str:
        path: str = hf_hub_download(repo_id, filename, revision=revision, cache_dir=cache_dir, tqdm_class=Watched)
        return path

    return _run_while(lambda: time.monotonic() - last_byte < PATIENCE, download)


def _run_while(alive: Callable[[], bool], work: Callable[[], T]) -> T:
    """Run `work` in a thread; leave the thread behind and raise TimeoutError once `alive()` is False."""
    results: queue.SimpleQueue[tuple[Any, Exception | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            results.put((work(), None))
        except Exception as error:  # handed to the waiting thread, whatever it is
            results.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    while True:
        try:
            value, error = results.get(timeout=0.1)
        except queue.Empty:
            if not alive():
                raise TimeoutError(f"no byte came for {PATIENCE} seconds") from None
            continue
        if error is not None:
            raise error
        result: T = value
        return result
