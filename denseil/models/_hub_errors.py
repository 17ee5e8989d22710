"""Errors of writing to the Hugging Face Hub, as errors of one line."""

from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub.errors import HfHubHTTPError

from denseil.common.text import plain

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
