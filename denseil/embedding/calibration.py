"""Calibration: thresholds of a model, measured on a labelled set and stored in the model's folder."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from denseil.common.arguments import checked
from denseil.embedding.cache import weights_digest
from denseil.metrics import Verification, load_features, verify
from denseil.models import create_model, model_id, update_config


@checked
def calibrate(features: str | Path, folder: str | Path, *, rates: Sequence[float] | None = None) -> Verification:
    """Measure thresholds on labelled vectors, and write them into the `denseil` block of the model's config.json.

    `Embedder.same` uses them once the folder is opened again. Thresholds of other rates, found by an earlier call with
    the same frames policy and flip, are kept.

    Args:
        features: A features file, from `denseil embed` with this model, of tracklets with known pids and camids.
        folder: The model's folder.
        rates: False-accept rates; see `denseil.metrics.verify`.

    Raises:
        FileNotFoundError: If the file or folder does not exist.
        ValueError: If the vectors are not from this model, or as `verify`.
    """
    embeddings, metadata = load_features(features)
    model = create_model(f"local-dir:{os.fspath(folder)}", pretrained=True)
    digest = weights_digest(model)
    identity = model_id(model)
    if metadata.get("weights") != digest or metadata.get("model_id", identity) != identity:
        made_by = "another model" if "weights" in metadata else "nobody knows which model"
        raise ValueError(f"{features} was made by {made_by}: run `denseil embed --model {folder}` on the labelled set")
    found = verify(embeddings, rates=rates)
    policy = {"frames": metadata.get("frames"), "flip": bool(json.loads(metadata.get("policy", "{}")).get("flip"))}
    thresholds = {
        "similarity": "cosine",
        **policy,
        "genuine": found.genuine,
        "impostors": found.impostors,
        "identities": found.identities,
        "eer": {"rate": found.eer, "threshold": found.eer_threshold, "interval": list(found.eer_interval)},
        "far": {
            **_earlier_rates(model, policy),
            **{repr(float(rate)): threshold for rate, threshold in found.thresholds.items()},  # looked up by its value
        },
    }
    update_config(folder, {"thresholds": thresholds})
    return found


def _earlier_rates(model: nn.Module, policy: dict[str, Any]) -> dict[str, float]:
    """Thresholds by false-accept rate that labelled vectors of the same frames policy and flip have given before."""
    earlier = getattr(model, "denseil_cfg", {}).get("thresholds") or {}
    same = {"flip": False, **earlier}.items() >= policy.items()
    if {"source", "measured_on"} & set(earlier) or not same:  # of other people, or other vectors
        return {}
    return dict(earlier.get("far", {}))
