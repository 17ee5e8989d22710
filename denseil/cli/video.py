"""Verbs from a video to vectors."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import torch

from denseil.common.processes import join_processes
from denseil.data import Tracklet, cut_tracklets, read_dataset, read_folder
from denseil.data.readers.manifest import SPLITS
from denseil.embedding import Embedder, embed_to_file


def tracklets(
    video: Path, tracks: Path, output: Path, *, camid: int = 1, start: str | None = None, max_gap: float = math.inf
) -> int:
    """Cut tracklets out of a video.

    Args:
        video: The video.
        tracks: A tracker's boxes in MOT Challenge format, frame,id,left,top,width,height a line.
        output: A folder for the crops and their manifest.csv.
        camid: The camera's number.
        start: When the video began, such as 2026-05-01T08:30:00+02:00; times are then seconds since 1970.
        max_gap: Seconds that a track may pause; after a longer pause it goes on as another tracklet.
    """
    report = cut_tracklets(video, tracks, output, camid=camid, start=start, max_gap=max_gap)
    print(report)
    return 1 if report.damaged else 0


def embed(
    source: Path,
    *,
    model: str,
    output: Path,
    dataset: str | None = None,
    split: Literal["all", "train", "query", "gallery", "gallery_with_queries"] = "all",
    frames: Literal["all", "even8"] | None = None,
    device: str = "auto",
    precision: Literal["fp32", "bf16", "fp16"] = "fp32",
    budget: int = 256,
    progress: bool = True,
) -> int:
    """Embed tracklets into a file of vectors and records.

    Run the same command again to go on after a kill. `accelerate launch -m denseil.cli embed ...` shares the work out
    over processes.

    Args:
        source: A manifest (or a folder that holds one), a folder of folders of crops, or with --dataset its root.
        model: The name of a model with weights, a folder that has been saved, or hf-hub:OWNER/NAME.
        output: The features file to write.
        dataset: How the source is read: mars, ilids_vid, prid2011, ls_vid or manifest.
        split: What to embed of a dataset or manifest; gallery_with_queries for the protocol mars-official.
        frames: Frames of a tracklet, all or even8; what the model says by default.
        device: Auto, cpu, cuda, ...
        precision: What the model computes in; fp32 or, as autocast, bf16 or fp16.
        budget: Most frames in memory at once.
        progress: Show a bar; --no-progress for none.
    """
    where, _ = join_processes(device)
    dtype = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    embedder = Embedder(model, device=where, dtype=dtype, frames=frames, budget=budget)
    report = embed_to_file(embedder, _tracklets(source, dataset, split), output, progress=progress)
    if report is not None:  # the first process alone
        print(report)
    return 0


def _tracklets(source: Path, dataset: str | None, split: str) -> list[Tracklet]:
    if not source.exists():
        raise FileNotFoundError(f"no {source}: give a manifest, a folder of crops, or a dataset's root")
    named = any((source / f"manifest.{suffix}").is_file() for suffix in ("csv", "parquet"))
    if dataset is None and not named and source.is_dir():
        if split != "all":
            raise ValueError(f"a folder of crops has no split {split!r}: leave --split out, or name the --dataset")
        return read_folder(source)
    found = read_dataset(dataset or "manifest", source)
    if split == "gallery_with_queries":
        return found.gallery_with_queries()[0]
    return [tracklet for part in SPLITS if split in ("all", part) for tracklet in getattr(found, part)]
