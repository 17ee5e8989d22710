"""Options of `evaluate` that measure re-association on a video and a tracker's boxes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from denseil.cli import values
from denseil.cli.output import show_and_write
from denseil.cli.parser import UsageError, Verb

if TYPE_CHECKING:
    import torch

    from denseil.metrics import Reassociation
    from denseil.models import DenseIL

GAPS, STRIDE, WINDOWS = (30,), 60, (1, 8)


def declare(verb: Verb) -> None:
    """Declare the options."""
    what = verb.subject("re-association, in place of a dataset")
    what.add(
        "--mot", type=values.path, metavar="FILE", help="tracks with correct identities: frame,id,left,top,width,height"
    )
    what.add("--video", type=values.path, metavar="FILE", help="the video of these boxes, or a folder such as img1")
    what.add(
        "--gap",
        type=values.wholes(1),
        default=GAPS,
        shown="30",
        metavar="N,N",
        help="frames after which a track is searched again",
    )
    what.add("--stride", type=values.whole(1), default=STRIDE, metavar="N", help="search at frames divisible by N")
    what.add(
        "--window",
        type=values.wholes(1),
        default=WINDOWS,
        shown="1,8",
        metavar="N,N",
        help="maximum number of frames that a vector is computed from; 1 is a single crop",
    )


def given(gap: tuple[int, ...], stride: int, window: tuple[int, ...]) -> dict[str, bool]:
    """Whether each option differs from its default."""
    return {"--gap": gap != GAPS, "--stride": stride != STRIDE, "--window": window != WINDOWS}


def check(
    model: str | None,
    mot: Path | None,
    video: Path | None,
    *,
    dataset: str | None,
    features: list[Path] | None,
) -> None:
    """Raise UsageError for options that exclude each other, or lack another."""
    if mot is None or video is None or model is None:
        raise UsageError("re-association needs a model, boxes and their video: give MODEL --mot FILE --video FILE")
    if dataset is not None or features is not None:
        raise UsageError("--mot and --video take the place of DATASET ROOT and of --features: give one of them")


def evaluate(
    model: DenseIL,
    mot: Path,
    video: Path,
    gaps: tuple[int, ...],
    stride: int,
    windows: tuple[int, ...],
    dtype: torch.dtype | None,
) -> list[Reassociation]:
    """Measure the re-association of a model."""
    from denseil.data import read_tracks
    from denseil.embedding import TrackletEmbedder, evaluate_reassociation

    tracks = read_tracks(mot)
    device = next(model.parameters()).device
    embedder = TrackletEmbedder(model, device=device, dtype=dtype)
    return evaluate_reassociation(embedder, video, tracks, gaps=gaps, stride=stride, windows=windows)


def show_results(found: list[Reassociation], json: Path | None) -> None:
    """Print a table, or JSON; write JSON to a file if one is given."""
    from denseil.metrics.reassociation import HEADER

    lines = [f"re-association, cosine distance; queries at every {found[0].stride}th frame", HEADER]
    show_and_write(found, json, text="\n".join([*lines, *map(str, found)]))
