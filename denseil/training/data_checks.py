"""Checks of the data before the first step: files, matches, and a fingerprint that a resumed run compares."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from denseil.data import Tracklet, VideoReIDDataset
from denseil.embedding.cache import label
from denseil.metrics import rank
from denseil.metrics.protocols import get_protocol


def fingerprint(tracklets: Iterable[Tracklet]) -> str:
    """Digest names, identities, cameras, frame counts and file sizes of tracklets; their folder may move.

    Raises:
        FileNotFoundError: If a frame is missing.
    """
    digest = hashlib.blake2b(digest_size=16)
    for each in tracklets:
        sizes = [_size(each, path) for path in each.frames]
        digest.update(repr((Path(each.name).name, each.pid, each.camid, sizes)).encode())
    return digest.hexdigest()


def check_evaluation(dataset: VideoReIDDataset, protocol: str) -> None:
    """Check that a dataset can be evaluated: files exist, and a query has a match under the protocol.

    Raises:
        FileNotFoundError: If a frame is missing.
        ValueError: If there is no query, no gallery, or no query with a match in another camera.
    """
    otherwise = "set validate_every=0 and test_frames=none to train without evaluation"
    if not (dataset.query and dataset.gallery):
        raise ValueError(
            f"dataset {dataset.name!r} has {len(dataset.query)} queries and {len(dataset.gallery)} gallery tracklets: "
            + otherwise
        )
    tracklets, queries = dataset.gallery_with_queries()
    gallery = get_protocol(protocol).gallery(queries)
    fingerprint(tracklets)
    generator = torch.Generator().manual_seed(0)
    vectors = label(tracklets, torch.rand(len(tracklets), 2, generator=generator))  # whether there are matches only
    try:
        rank(vectors[queries.start :], vectors[gallery], protocol=protocol)
    except ValueError as error:
        cameras = sorted({each.camid for each in tracklets if each.pid >= 0})
        raise ValueError(
            f"dataset {dataset.name!r} cannot be evaluated under {protocol!r} ({error}; its cameras: "
            f"{', '.join(map(str, cameras))}): {otherwise}"
        ) from error


def rendered_people(root: str | Path, part: str, *fields: str) -> list[dict[str, Any]]:
    """Return the entries with given fields in a part of the manifest of rendered people; empty if there is none."""
    path = Path(root, "manifest.json")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError:  # a file of another kind may have that name
        manifest = {}
    entries = manifest.get(part) if isinstance(manifest, dict) else None
    found = entries if isinstance(entries, list) else []
    return [entry for entry in found if isinstance(entry, dict) and entry.keys() >= set(fields)]


def wardrobe_groups(root: str | Path) -> dict[int, int]:
    """Return the wardrobe group of each identity that is in one, from the manifest of rendered people.

    Raises:
        ValueError: If there is no manifest, or it has no groups.
    """
    people = rendered_people(root, "people", "pid", "family", "detail")
    groups = {person["pid"]: person["family"] for person in people if person["detail"] == "wardrobe"}
    if not groups:
        raise ValueError(f"group_share: {root} has no wardrobe groups; render some by denseil data synth --groups 0.5")
    return groups


def _size(tracklet: Tracklet, path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError as error:
        reason = error.strerror
        raise FileNotFoundError(f"frame {path} of tracklet {tracklet.name!r} cannot be read: {reason}") from error
