"""Verified downloads of model files from the Hugging Face Hub, with short timeouts.

Files are stored in the Hub client's cache. They are not downloaded by `hf_hub_download`, which reports progress in
pieces of 10 MiB, restarts from zero on the next call, and compares no digest. Here the timeout counts the time without
any byte, a partial file is kept for the next attempt, and the file is compared with the digest given by the Hub.
"""

import contextlib
import hashlib
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import (
    HfFileMetadata,
    constants,
    get_hf_file_metadata,
    get_session,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import (  # type: ignore[attr-defined]
    WeakFileLock,
    build_hf_headers,
    hf_raise_for_status,
    tqdm,
)

from denseil.common.text import plain
from denseil.models._config import CONFIG_NAME, WEIGHTS_NAME

PATIENCE = 4.5  # seconds without a byte before a download fails
_COMMIT = re.compile(r"[0-9a-f]{40}")
_DIGEST = re.compile(r"[0-9a-f]{64}|[0-9a-f]{40}")  # SHA-256 of a large file, git's SHA-1 of a small one

_logger = logging.getLogger(__name__)


def fetch_folder(
    repo_id: str,
    *,
    weights: bool,
    check: Callable[[Path], None] | None = None,
    cache_dir: str | Path | None = None,
) -> Path:
    """Fetch the config and the weights of a saved model from one commit of a Hub repository.

    On any error, the copy in the cache is used if there is one, and a warning is logged.

    Args:
        repo_id: "owner/name" or "owner/name@revision".
        weights: Whether to fetch the weights.
        check: Called with the folder before weights are fetched; raises an error to reject the config.
        cache_dir: The Hub client's cache; None for its default.

    Returns:
        The folder in the cache, named by the commit.

    Raises:
        FileNotFoundError: If the repository, the revision or a file does not exist, or may not be read.
        ConnectionError: If the Hub cannot be reached or refuses, no byte comes for `PATIENCE` seconds, or a file was
            changed in transit.
    """
    repo_id, _, revision = repo_id.partition("@")
    names = (CONFIG_NAME, WEIGHTS_NAME) if weights else (CONFIG_NAME,)
    if _COMMIT.fullmatch(revision) and (cached := _cached_folder(repo_id, revision, names, cache_dir)):
        return cached
    try:
        folder = fetch_file(repo_id, CONFIG_NAME, revision=revision, cache_dir=cache_dir).parent
        if check:
            check(folder)
        if weights:
            fetch_file(repo_id, WEIGHTS_NAME, revision=folder.name, cache_dir=cache_dir)
    except (FileNotFoundError, ConnectionError) as error:
        cached = _cached_folder(repo_id, revision, names, cache_dir)
        if cached is None:
            raise
        say_cached(error, cached.name)
        return cached
    note_commit(folder, revision, complete=weights)
    return folder


def fetch_file(repo_id: str, filename: str, *, revision: str = "", cache_dir: str | Path | None = None) -> Path:
    """Fetch one file of a Hub repository into the cache, unless it exists; errors as in `fetch_folder`.

    Args:
        repo_id: "owner/name".
        filename: The file.
        revision: A branch, tag or commit; empty for the default branch.
        cache_dir: The Hub client's cache; None for its default.

    Returns:
        Its path in the cache, in a folder named by the commit.
    """
    where = f"{filename} of {repo_id}" + (f"@{revision}" if revision else "") + " on the Hugging Face Hub"
    try:
        url = hf_hub_url(repo_id, filename, revision=revision or None)
        metadata = get_hf_file_metadata(url, timeout=PATIENCE)
        blob = _storage(repo_id, cache_dir) / "blobs" / str(metadata.etag)
        if metadata.commit_hash is None or not _DIGEST.fullmatch(str(metadata.etag)):
            raise ConnectionError(f"the answer names no commit or digest, as the Hub does (ETag {metadata.etag!r})")
        if not blob.exists():
            _download(hf_hub_url(repo_id, filename, revision=metadata.commit_hash), metadata, blob)
        # Only links the file into the folder of its commit; it is already downloaded.
        return Path(
            hf_hub_download(
                repo_id, filename, revision=metadata.commit_hash, cache_dir=cache_dir, etag_timeout=PATIENCE
            )
        )
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403, 404):
            raise FileNotFoundError(
                f"cannot find {where}: check the name, or log in (`hf auth login`) if it is private or gated"
            ) from error
        reason = f"status {status}" + (", too many requests: wait a while" if status == 429 else "")
        raise _unreachable(where, reason) from error
    except Exception as error:  # the client passes on the errors of its HTTP library, which differs between versions
        if isinstance(error, OSError) and not isinstance(error, (ConnectionError, TimeoutError)) and error.errno:
            raise  # of the disk
        raise _unreachable(where, f"{type(error).__name__}: {str(error).partition(chr(10))[0]}") from error


def _download(url: str, metadata: HfFileMetadata, blob: Path) -> None:
    """Stream a file into the cache, resuming as long as each attempt receives bytes, and verify it."""
    blob.parent.mkdir(parents=True, exist_ok=True)
    part, size = blob.with_name(f"{blob.name}.part"), metadata.size
    with WeakFileLock(blob.with_name(f"{blob.name}.lock")):
        if blob.exists():  # another process has downloaded it
            return
        furthest = -1
        while (have := part.stat().st_size if part.exists() else 0) != size or not part.exists():
            if size is not None and have > size:
                part.unlink()
                continue
            if have <= furthest:
                raise ConnectionError(f"the connection was cut after {have:,} of {size} bytes")
            furthest = have
            if _append(url, part, have) and size is None:
                break
        if (found := _digest_like(str(metadata.etag), part)) != metadata.etag:
            part.unlink()
            raise ConnectionError(f"its digest is {found}, not {metadata.etag}: it was changed on its way, and deleted")
        part.replace(blob)


def _append(url: str, part: Path, start: int) -> bool:
    """Stream the rest of a file to the end of `part`; return False if the connection was cut."""
    headers = build_hf_headers() | {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with get_session().stream("GET", url, headers=headers, timeout=PATIENCE, follow_redirects=True) as response:
        hf_raise_for_status(response)
        resumed = response.status_code == 206
        with part.open("r+b" if part.exists() else "wb") as stream, _bar(response, start if resumed else 0) as bar:
            stream.seek(start if resumed else 0)
            stream.truncate()
            try:
                for piece in response.iter_bytes():
                    stream.write(piece)
                    bar.update(len(piece))
            except Exception as error:
                if "Timeout" in type(error).__name__ or isinstance(error, OSError):
                    raise
                return False  # a connection that was closed early; the type of error depends on the HTTP library
    return True


def _bar(response: Any, start: int) -> Any:
    length = response.headers.get("Content-Length")
    total = start + int(length) if length else None
    bar: Callable[..., Any] = tqdm
    return bar(total=total, initial=start, unit="B", unit_scale=True, desc="weights", disable=None)


def _digest_like(etag: str, path: Path) -> str:
    """Compute the digest of a file, of the same kind as the one given by the Hub."""
    content = path.read_bytes()
    if len(etag) == 64:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _storage(repo_id: str, cache_dir: str | Path | None) -> Path:
    """Return the folder of a repository in the Hub client's cache."""
    return Path(cache_dir or constants.HF_HUB_CACHE) / f"models--{repo_id.replace('/', '--')}"


def _cached_folder(repo_id: str, revision: str, names: tuple[str, ...], cache_dir: str | Path | None) -> Path | None:
    """Return the folder of a revision in the cache, if it holds all the files."""
    with contextlib.suppress(ValueError):  # the client refuses the name
        found = [
            try_to_load_from_cache(repo_id, name, cache_dir=cache_dir, revision=revision or None) for name in names
        ]
        if all(isinstance(path, str) for path in found):
            return Path(str(found[0])).parent
    return None


def note_commit(folder: Path, revision: str, *, complete: bool) -> None:
    """Record the commit of a branch in the cache; a commit without weights does not replace one with weights."""
    ref = folder.parent.parent / "refs" / (revision or "main")
    if _COMMIT.fullmatch(revision) or ".." in Path(revision).parts:
        return
    if complete or not ref.exists() or (folder / WEIGHTS_NAME).exists():
        ref.parent.mkdir(parents=True, exist_ok=True)
        ref.write_text(folder.name, encoding="utf-8")


def say_cached(error: Exception, commit: str) -> None:
    """Log that the cached copy is used, and why."""
    level = logging.INFO if isinstance(error.__cause__, OfflineModeIsEnabled) else logging.WARNING
    _logger.log(level, "%s. The copy in the cache is used (commit %s).", plain(error), commit)


def _unreachable(where: str, reason: str) -> ConnectionError:
    return ConnectionError(
        f"cannot get {where} ({plain(reason)}): "
        "try again, or pass local weights with checkpoint_path= or a 'local-dir:' name"
    )
