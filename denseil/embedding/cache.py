"""Cache of embeddings on disk, with a key of everything that they depend on."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from denseil._version import __version__
from denseil.data import Tracklet
from denseil.embedding.tracklet_vectors import FramesPolicy, describe_policy
from denseil.metrics import Embeddings, load_features, save_features
from denseil.models import model_id, unwrap
from denseil.models import weights_digest as weights_digest
from denseil.models.interface import Preprocessing

logger = logging.getLogger(__name__)


def features_key(
    model: nn.Module, tracklets: Sequence[Tracklet], *, preprocessing: Preprocessing, **policy: Any
) -> str:
    """Compute the cache key of a model's embeddings.

    It depends on the model's identity (weights, arguments, preprocessing), the path, size and time of change of every
    frame's file, the policy, and the version of denseil.

    Args:
        model: The model.
        tracklets: The tracklets, in order.
        preprocessing: Preprocessing of frames.
        policy: Further settings that affect embeddings, such as `frames="all"`.

    Returns:
        40 hexadecimal digits.
    """
    digest = hashlib.blake2b(model_id(model, preprocessing).encode(), digest_size=20)
    rest = [__version__, preprocessing.to_dict(), sorted(policy.items())]
    digest.update(json.dumps(rest, default=str).encode())
    for tracklet in tracklets:
        digest.update(b"tracklet")
        for path in tracklet.frames:
            digest.update(_file_state(path).encode(errors="surrogatepass"))
    return digest.hexdigest()


def model_name(model: nn.Module) -> str:
    """Return a readable name of a model: its registered name, or the name of its class."""
    inner = unwrap(model)
    cfg = getattr(inner, "pretrained_cfg", None) or {}
    return str(cfg.get("architecture") or type(inner).__name__)


def describe_vectors(
    model: nn.Module, preprocessing: Preprocessing, frames: FramesPolicy, *, flip: bool, normalized: bool
) -> dict[str, str]:
    """Return the metadata of a features file: the identity of the model, and how a tracklet became a vector.

    Args:
        model: The model.
        preprocessing: Preprocessing of frames.
        frames: Frames of a tracklet that its vector is of.
        flip: Whether vectors of mirrored frames were averaged in.
        normalized: Whether vectors have length 1.
    """
    metadata = {
        "frames": frames,
        "model": model_name(model),
        "weights": weights_digest(model),
        "model_id": model_id(model, preprocessing),
        "policy": json.dumps(describe_policy(preprocessing, frames, flip=flip, normalized=normalized)),
    }
    return metadata | {"normalized": "true"} if normalized else metadata


def _file_state(path: str) -> str:
    """Return path, size and time of change of a frame's file; a missing file is replaced by a neighbour when read."""
    try:
        stat = os.stat(path)  # noqa: PTH116 (a million of them: no Path for each)
    except OSError:
        return f"{path} unreadable"
    return f"{path} {stat.st_size} {stat.st_mtime_ns}"


def cached_vectors(path: Path, tracklets: Sequence[Tracklet], width: int, *, write: bool) -> Tensor | None:
    """Read the cached vectors (N, width) of tracklets; None if there is no intact file.

    Args:
        path: The file, which anyone may read as a features file.
        tracklets: The tracklets, in order.
        width: Width of the vectors.
        write: Whether to put the tracklets' identities and cameras into it where these were corrected.
    """
    if not path.exists():
        return None
    try:
        held, metadata = load_features(path)
    except (ValueError, TypeError) as error:
        logger.warning("%s; it is computed again", error)
        return None
    vectors = held.vectors
    if vectors.shape != (len(tracklets), width):
        logger.warning(
            "%s holds %s vectors, not %s; it is computed again", path, tuple(vectors.shape), (len(tracklets), width)
        )
        return None
    labels = label(tracklets, vectors)
    if write and not (torch.equal(labels.pids, held.pids) and torch.equal(labels.camids, held.camids)):
        keep_vectors(path, tracklets, vectors, metadata)
    return vectors


def keep_vectors(path: Path, tracklets: Sequence[Tracklet], vectors: Tensor, metadata: dict[str, str]) -> None:
    """Write vectors (N, D) as a features file, which `denseil evaluate --features` can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_features(path, label(tracklets, vectors), metadata=metadata)


def describe(tracklets: Sequence[Tracklet]) -> Iterator[dict[str, Any]]:
    """Yield the record of each tracklet for a features file: id, times if known, number of frames, a picture."""
    for tracklet in tracklets:
        record: dict[str, Any] = {"id": str(tracklet.key)}
        known = {"start": tracklet.start, "end": tracklet.end}
        record |= {key: value for key, value in known.items() if value is not None}
        middle = os.path.abspath(tracklet.middle)  # noqa: PTH100 (links stay as they are)
        yield {**record, "frames": len(tracklet.frames), "thumbnail": middle}


def label(tracklets: Sequence[Tracklet], vectors: Tensor) -> Embeddings:
    """Combine vectors (N, D) with the identities and cameras of their tracklets."""
    return Embeddings(vectors, [tracklet.pid for tracklet in tracklets], [tracklet.camid for tracklet in tracklets])
