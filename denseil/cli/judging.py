"""Verbs that judge."""

from __future__ import annotations

from pathlib import Path

from denseil.metrics import rank_features


def evaluate(
    features: tuple[Path, Path] | None = None,
    *,
    protocol: str = "standard",
    metric: str = "cosine",
    json: Path | None = None,
    plot: Path | None = None,
) -> int:
    """Judge saved features of any code base.

    Args:
        features: The queries' features file and the gallery's; for mars-official the gallery holds the queries too.
        protocol: Standard or mars-official.
        metric: Cosine or euclidean.
        json: Where to write the result.
        plot: Where to draw its CMC curve; the suffix names the format.
    """
    if features is None:
        raise ValueError("nothing to evaluate: give --features QUERY.safetensors GALLERY.safetensors")
    result = rank_features(*features, protocol=protocol, metric=metric)
    print(result)
    if json is not None:
        result.save(json)
    if plot is not None:
        result.plot(plot)
    return 0
