"""Evaluation of a model on a dataset: embed on all ranks, then rank under a named protocol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from denseil.common.arguments import checked
from denseil.common.files import check_output_folder
from denseil.common.processes import rank_and_world
from denseil.common.progress import progress_bar
from denseil.data.tracklet import Tracklet, as_dataset
from denseil.embedding.cache import cached_vectors, describe_vectors, features_key, keep_vectors, label
from denseil.embedding.clip_encoder import ClipEncoder
from denseil.embedding.tracklet_vectors import FramesPolicy, embed_tracklets
from denseil.metrics import Embeddings, KReciprocal, RankingResult, rank
from denseil.metrics.counting import get_metric
from denseil.metrics.protocols import get_protocol
from denseil.models.interface import Preprocessing


@checked
def evaluate(
    model: nn.Module,
    dataset: Any,
    *,
    preprocessing: Preprocessing | None = None,
    frames: FramesPolicy = "all",
    flip: bool = False,
    protocol: str = "standard",
    metric: str = "cosine",
    rerank: KReciprocal | None = None,
    cache: str | Path | None = None,
    dtype: torch.dtype | None = None,
    budget: int = 256,
    threads: int = 2,
    progress: bool = False,
) -> RankingResult:
    """Embed a dataset's queries and gallery, and score the ranking.

    Under `mars-official` the queries are in the gallery, under `standard` they are not. With several processes (those
    of `accelerate launch` or `torchrun`) each embeds its share, and all return the same result.

    Args:
        model: A model made by `create_model`, or any module that implements `denseil.models.VideoEncoder`.
        dataset: A dataset from `denseil.data.read_dataset`, or any object with lists `query` and `gallery`.
        preprocessing: Preprocessing of frames; None for the model's own.
        frames: "all" frames of a tracklet as interleaved clips, or "even8", one clip of 8.
        flip: Whether to average the vectors of frames and of mirrored frames; recorded in the result's `frames`.
        protocol: A name in `denseil.metrics.PROTOCOLS`.
        metric: "cosine" or "euclidean".
        rerank: Re-ranking, such as `denseil.metrics.KReciprocal()`; see `denseil.metrics.rank`.
        cache: A folder for embeddings. Embeddings of the same weights, files and `frames` are read from it, under
            any protocol. None stores none.
        dtype: The type to autocast to, such as `torch.bfloat16`.
        budget: Maximum number of frames per batch; see `embed_tracklets`.
        threads: Number of threads that read images.
        progress: Whether to show a progress bar.

    Raises:
        TypeError: If the dataset's `query` or `gallery` is not a list of tracklets.
        ValueError: If the dataset has no query or no gallery, an argument is unknown, a tracklet is unreadable, or no
            query has a match.
    """
    dataset = as_dataset(dataset, "query", "gallery")
    if not dataset.query or not dataset.gallery:
        raise ValueError(
            f"dataset {dataset.name!r} has {len(dataset.query)} queries and {len(dataset.gallery)} gallery tracklets: "
            "nothing can be evaluated"
        )
    get_metric(metric)  # before hours of computing
    rules = get_protocol(protocol)
    everything = embed_dataset(
        model,
        dataset,
        preprocessing=preprocessing,
        frames=frames,
        flip=flip,
        cache=cache,
        dtype=dtype,
        budget=budget,
        threads=threads,
        progress=progress,
    )
    queries = dataset.gallery_with_queries()[1]
    return rank(
        everything[queries.start :],
        everything[rules.gallery(queries)],
        protocol=protocol,
        metric=metric,
        frames=f"{frames}, mirrored too" if flip else frames,
        rerank=rerank,
    )


@checked
def embed_dataset(
    model: nn.Module,
    dataset: Any,
    *,
    preprocessing: Preprocessing | None = None,
    frames: FramesPolicy = "all",
    flip: bool = False,
    cache: str | Path | None = None,
    dtype: torch.dtype | None = None,
    budget: int = 256,
    threads: int = 2,
    progress: bool = False,
) -> Embeddings:
    """Compute the embeddings of a dataset's gallery, then queries, on all ranks, or read them from the cache.

    Arguments are those of `evaluate`, in the order of `VideoReIDDataset.gallery_with_queries`.
    """
    tracklets, _ = as_dataset(dataset, "query", "gallery").gallery_with_queries()
    encoder = ClipEncoder(model, preprocessing)
    prepared, width = encoder.preprocessing, encoder.num_features
    path, (rank_, world) = None, rank_and_world()
    if cache is not None:
        check_output_folder(Path(cache))  # before hours of computing
        key = features_key(model, tracklets, preprocessing=prepared, frames=frames, flip=flip, dtype=dtype)
        path = Path(cache) / f"features-{key}.safetensors"
        found = cached_vectors(path, tracklets, width, write=rank_ == 0)
        if _all_ranks(found is not None, model):
            assert found is not None
            return label(tracklets, found)
    own = tracklets[rank_::world]
    vectors = torch.zeros(len(tracklets), width)
    stream = embed_tracklets(
        model,
        _counting(own, progress and rank_ == 0),
        preprocessing=prepared,
        frames=frames,
        flip=flip,
        dtype=dtype,
        budget=budget,
        threads=threads,
    )
    for place, vector in zip(range(rank_, len(tracklets), world), stream, strict=True):
        vectors[place] = vector
    vectors = _sum_over_ranks(vectors, model)
    if path is not None and rank_ == 0:
        keep_vectors(path, tracklets, vectors, describe_vectors(model, prepared, frames, flip=flip, normalized=False))
    return label(tracklets, vectors)


def _counting(tracklets: Sequence[Tracklet], show: bool) -> Iterator[Tracklet]:
    """Yield the tracklets, with a progress bar of their frames."""
    total = sum(len(tracklet.frames) for tracklet in tracklets)
    with progress_bar(total, unit="frame", show=show, desc="embed", leave=False) as bar:
        for tracklet in tracklets:
            yield tracklet
            bar.update(len(tracklet.frames))


def _sum_over_ranks(values: Tensor, model: nn.Module) -> Tensor:
    """Sum a CPU tensor over ranks; exact if each row is zero on all ranks but one."""
    if rank_and_world()[1] == 1:
        return values
    summed = values.to(next(model.parameters()).device)  # NCCL takes no tensor of the CPU
    dist.all_reduce(summed)
    return summed.cpu()


def _all_ranks(condition: bool, model: nn.Module) -> bool:
    """Whether a condition holds on every rank, so that all take the same branch."""
    return int(_sum_over_ranks(torch.tensor([int(condition)]), model)) == rank_and_world()[1]
