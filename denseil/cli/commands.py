"""All verbs, in the order of the help."""

from __future__ import annotations

from denseil.cli import (
    adapting,
    calibration,
    completion,
    data,
    demo,
    evaluation,
    exporting,
    features,
    gallery,
    linking,
    models,
    publishing,
    reembedding,
    training,
    video,
)
from denseil.cli.parser import Verbs

FILES = (
    demo,
    models,
    data,
    training,
    adapting,
    evaluation,
    video,
    features,
    calibration,
    linking,
    gallery,
    reembedding,
    exporting,
    publishing,
    completion,
)
"""Files with a `declare(verbs)`. Linking, adapting and publishing have a file each of their own."""


def all_verbs() -> Verbs:
    """Declare every verb."""
    verbs = Verbs("Video-based person re-identification: data, training, evaluation, embedding, galleries, export.")
    for file in FILES:
        file.declare(verbs)
    return verbs
