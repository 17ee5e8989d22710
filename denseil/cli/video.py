"""Verbs that turn videos into tracklets and vectors."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from denseil.cli import options, values
from denseil.cli.computing import begin, dtype_of
from denseil.cli.output import progressing, show
from denseil.cli.parser import Verbs

if TYPE_CHECKING:
    from denseil.data import Tracklet

logger = logging.getLogger(__name__)


def declare(verbs: Verbs) -> None:
    """Declare `tracklets` and `embed`."""
    _declare_tracklets(verbs)
    _declare_embed(verbs)


def _declare_tracklets(verbs: Verbs) -> None:
    verb = verbs.add(
        "tracklets",
        tracklets,
        "Cut tracklets out of a video.",
        examples=(
            "denseil tracklets street.mp4 street.txt crops --camid 3",
            "denseil tracklets street.mp4 street.txt crops --start 2026-05-01T08:30:00+02:00 --max-gap 2",
        ),
        more="The exit status is 1 if frames of the video are damaged, or if it and the boxes do not seem to belong "
        "together.",
    )
    what = verb.subject("input and output")
    what.add(
        "video", type=values.path, help="a video, a folder of frames such as img1, or a pattern such as img1/%06d.jpg"
    )
    what.add(
        "tracks",
        type=values.path,
        help="boxes of a tracker in the format of MOT Challenge: frame,id,left,top,width,height in each line",
    )
    what.add("output", type=values.new_folder, help="output folder for the crops and manifest.csv")
    how = verb.subject("camera and time")
    how.add("--camid", type=values.whole(0, 2**31 - 1), default=1, metavar="N", help="number of the camera")
    how.add("--start", metavar="TIME", help="start of the video, such as 2026-05-01T08:30:00+02:00; times are then UTC")
    how.add(
        "--source",
        metavar="NAME",
        help="name of the video in ids (default: that of the file); videos of one camera that have the same file name "
        "and no --start need one each",
    )
    how.add(
        "--max-gap",
        type=values.number(0),
        default=math.inf,
        metavar="SECONDS",
        help="longest pause within a tracklet; after a longer one a new tracklet begins",
    )
    how.add(
        "--fps",
        type=values.number(0),
        metavar="N",
        help="frames per second of a sequence of images (default: as seqinfo.ini says, else 25)",
    )
    options.general(verb, json=True)


def _declare_embed(verbs: Verbs) -> None:
    verb = verbs.add(
        "embed",
        embed,
        "Embed tracklets into a file of vectors and records.",
        examples=(
            "denseil embed crops --model runs/mars/final -o vectors.safetensors",
            "denseil embed /data/mars --dataset mars --split query --model runs/mars/final -o q.safetensors",
        ),
        more="The exit status is 1 if tracklets were skipped because none of their frames can be read. `accelerate "
        "launch -m denseil embed ...` splits the work over processes.",
        again="run the same command again: it continues after the last 2,048 frames that it has stored",
    )
    what = verb.subject("input and output")
    what.add("source", type=values.path, help="a manifest, a folder of folders of crops, or the root of a --dataset")
    what.add(
        "--model",
        required=True,
        help="saved folder, model name with weights, or hf-hub:OWNER/NAME",
        metavar="MODEL",
    )
    what.add("-o", "--output", type=values.new(".safetensors"), required=True, metavar="FILE", help="output file")
    what.add("--dataset", metavar="NAME", help=options.DATASETS)
    what.add(
        "--split",
        choices=("all", "train", "query", "gallery", "gallery_with_queries"),
        default="all",
        help="the part of a dataset; gallery_with_queries for the protocol mars-official",
    )
    how = verb.subject("vectors")
    how.add("--frames", choices=options.FRAMES, help="frames of a tracklet (default: those of the model)")
    how.add(
        "--shard",
        type=values.shard,
        default=(1, 1),
        shown="all of them",
        metavar="I/N",
        help="embed the I-th of N shares of the tracklets; `denseil features merge` joins the files",
    )
    how.add("--budget", type=values.whole(1, 10**6), default=256, metavar="N", help="maximum frames in memory")
    options.compute(verb, precision=True)
    more = options.general(verb, json=True, modules=True)
    more.flag("--progress", default=True, help="show a progress bar")


def tracklets(
    video: Path,
    tracks: Path,
    output: Path,
    camid: int,
    start: str | None,
    max_gap: float,
    fps: float | None,
    source: str | None,
    json: bool,
) -> int:
    """Cut tracklets out of a video."""
    from denseil.data import cut_tracklets

    report = cut_tracklets(video, tracks, output, camid=camid, start=start, max_gap=max_gap, fps=fps, source=source)
    show(report, as_json=json)
    return 1 if report.damaged or report.doubts else 0


def embed(
    source: Path,
    model: str,
    output: Path,
    dataset: str | None,
    split: Literal["all", "train", "query", "gallery", "gallery_with_queries"],
    frames: Literal["all", "even8"] | None,
    shard: tuple[int, int],
    budget: int,
    device: str,
    precision: Literal["fp32", "bf16", "fp16"],
    seed: int,
    json: bool,
    progress: bool,
) -> int:
    """Embed tracklets into a file of vectors and records."""
    from denseil.embedding import Embedder, embed_to_file
    from denseil.embedding.to_file import parts_folder

    parts_folder(output)  # refuses a file that is there
    where, _ = begin(device, seed)
    found = read_tracklets(source, dataset, split)  # before a model is loaded or downloaded
    embedder = Embedder(model, device=where, dtype=dtype_of(precision), frames=frames, budget=budget)
    report = embed_to_file(embedder, found, output, shard=shard, progress=progress and progressing())
    if report is None:  # not the main process
        return 0
    show(report, as_json=json)
    return 1 if report.skipped else 0


def _warn_of_manifest(crops: Path) -> None:
    """Warn about a folder of crops whose manifest, with cameras and times, is in a folder above or inside it."""
    above = crops.absolute().parents[:2]  # of a folder of folders, or of one tracklet
    found = next((folder / "manifest.csv" for folder in above if (folder / "manifest.csv").is_file()), None)
    if found:
        logger.warning("%s is read without cameras and times, which are in %s: give that instead", crops, found)
    elif inside := sorted([*crops.glob("*/manifest.csv"), *crops.glob("*/*/manifest.csv")]):
        more = f" and {len(inside) - 1} more" * (len(inside) > 1)
        logger.warning(
            "%s is read without cameras and times, which are in %s%s: give these instead", crops, inside[0], more
        )


def read_tracklets(source: Path, dataset: str | None, split: str) -> list[Tracklet]:
    """Read the tracklets of a manifest, of a folder of crops, or of a split of a dataset.

    Raises:
        FileNotFoundError: If the path does not exist.
        ValueError: If a split is given for a folder of crops.
    """
    from denseil.data import read_dataset, read_folder
    from denseil.data.readers.manifest import SPLITS

    if not source.exists():
        raise FileNotFoundError(f"no {source}: give a manifest, a folder of crops, or a dataset's root")
    named = any((source / f"manifest.{suffix}").is_file() for suffix in ("csv", "parquet"))
    if dataset is None and not named and source.is_dir():
        if split != "all":
            raise ValueError(f"a folder of crops has no split {split!r}: leave --split out, or name the --dataset")
        _warn_of_manifest(source)
        return read_folder(source)
    found = read_dataset(dataset or "manifest", source)
    if split == "gallery_with_queries":
        return found.gallery_with_queries()[0]
    return [tracklet for part in SPLITS if split in ("all", part) for tracklet in getattr(found, part)]
