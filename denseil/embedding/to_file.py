"""Embedding tracklets into a features file: resumable, and split over processes and machines."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from denseil.common.arguments import checked
from denseil.common.files import PLAN, check_output, keep_plan, replacing
from denseil.common.processes import rank_and_world, wait_for_all
from denseil.common.progress import progress_bar
from denseil.common.tensor_files import disk_errors, load_tensors
from denseil.common.text import counted, plain
from denseil.common.track_key import check_unique
from denseil.data import Tracklet
from denseil.embedding.cache import describe, describe_vectors, features_key, label
from denseil.embedding.embedder import Embedder
from denseil.metrics import load_records, save_features
from denseil.metrics.merging import SHARD

logger = logging.getLogger(__name__)
PART_FRAMES = 2048  # frames per part, which a kill can lose; also the unit of work of a process


@dataclass(frozen=True)
class EmbedReport:
    """Result of `embed_to_file`; prints as one line, and a second for skipped tracklets.

    Attributes:
        path: The features file.
        vectors: Number of vectors.
        skipped: Names of tracklets without a readable frame.
    """

    path: Path
    vectors: int
    skipped: tuple[str, ...]

    def __str__(self) -> str:
        text = f"{counted(self.vectors, 'vector')}: {plain(self.path)}"
        if self.skipped:
            names = plain(", ".join(self.skipped))
            text += f"\nskipped: {counted(len(self.skipped), 'tracklet')} without a readable frame: {names}"
        return text


@checked
def embed_to_file(
    embedder: Embedder,
    tracklets: Sequence[Tracklet],
    output: str | Path,
    *,
    shard: tuple[int, int] = (1, 1),
    progress: bool = False,
) -> EmbedReport | None:
    """Embed tracklets into a features file (see `denseil.metrics.save_features`), each vector with its record.

    Finished parts are kept in `OUTPUT.parts/` until the file is complete. Called again with the same tracklets, model
    and settings, it continues from there, with any number of processes, wherever it was killed; parts that lack
    unreadable tracklets are done again. With several processes (see `denseil.common.processes.join_processes`), on one
    machine or on several that share the folder, each computes its share of the parts, and the main process writes the
    file. Vectors do not depend on the number of processes.

    A record says `id` (see `Tracklet.key`), `frames` (how many), `start` and `end` where known, and `thumbnail`, the
    path of the middle frame.

    Args:
        embedder: The embedder.
        tracklets: The tracklets.
        output: The features file.
        shard: (i, n) embeds the i-th of n shares of the tracklets, from (1, n) to (n, n), for machines that share no
            folder; `denseil.metrics.merge_features` joins the n files.
        progress: Whether the main process shows a progress bar.

    Returns:
        A report; None in all processes except the main one.

    Raises:
        FileExistsError: If the file exists.
        FileNotFoundError: If its folder does not exist.
        ValueError: If there are no tracklets, two have the same id, a label is out of range, no frame of any can be
            read, the parts are those of another run, or there is no such shard.
        RuntimeError: If the model makes NaN of a tracklet.
    """
    output = Path(output)
    check_output(output)
    rank, world = rank_and_world()
    folder = parts_folder(output)
    if not tracklets:
        raise ValueError("no tracklets to embed: is it the right part of the dataset?")
    check_unique(tracklet.key for tracklet in tracklets)
    tracklets = _share(tracklets, *shard)
    if rank == 0:
        otherwise = "the parts of another run (other tracklets, weights or settings): remove it to start anew"
        keep_plan(folder, _key(embedder, tracklets), otherwise=otherwise)
    wait_for_all()
    if output.exists():  # killed between the file and the end of its parts
        wait_for_all()
        return _clean(tracklets, folder, output) if rank == 0 else None
    parts = list(_parts(tracklets))
    own = [number for number in range(rank, len(parts), world) if not _is_done(_part_file(folder, number))]
    frames = sum(len(tracklet.frames) for number in own for tracklet in tracklets[parts[number]])
    with progress_bar(frames, unit="frame", show=progress and rank == 0, desc="embed") as bar:
        for number in own:
            vectors = _embed_part(embedder, tracklets[parts[number]], bar)
            part = _part_file(folder, number)
            with replacing(part) as temporary, disk_errors(part):
                save_file({"vectors": vectors}, temporary)
    wait_for_all()
    return _finish(embedder, tracklets, folder, output, len(parts), shard) if rank == 0 else None


def _share(tracklets: Sequence[Tracklet], number: int, shards: int) -> Sequence[Tracklet]:
    """Return a share of the tracklets, in order; shares differ by at most one tracklet."""
    if not 1 <= number <= shards <= len(tracklets):
        raise ValueError(
            f"shard={(number, shards)!r}: give (i, n), where i is from 1 to n, and n is at most {len(tracklets)}, the "
            "number of tracklets"
        )
    first, after = (len(tracklets) * place // shards for place in (number - 1, number))
    return tracklets[first:after]


def _parts(tracklets: Sequence[Tracklet]) -> Iterator[slice]:
    """Split tracklets into parts of about `PART_FRAMES` frames, independently of the number of processes."""
    start = frames = 0
    for stop, tracklet in enumerate(tracklets, start=1):
        frames += len(tracklet.frames)
        if frames >= PART_FRAMES or stop == len(tracklets):
            yield slice(start, stop)
            start, frames = stop, 0


def _embed_part(embedder: Embedder, part: Sequence[Tracklet], bar: Any) -> Tensor:
    """Compute the vectors (N, D) of a part, in its own batches; NaN for an unreadable tracklet."""
    vectors: list[Tensor] = []
    start = bar.n
    try:
        for tracklet, vector in zip(part, embedder.stream(part), strict=True):
            vectors.append(vector)
            bar.update(len(tracklet.frames))
    except (ValueError, OSError):  # again, one by one, to find the unreadable ones
        vectors = [_vector(embedder, tracklet) for tracklet in part]
        bar.update(sum(len(tracklet.frames) for tracklet in part) - (bar.n - start))
    return torch.stack(vectors)


def _vector(embedder: Embedder, tracklet: Tracklet) -> Tensor:
    try:
        return embedder(tracklet)
    except (ValueError, OSError) as error:
        logger.warning("tracklet %r is skipped: %s", tracklet.name, error)
        return torch.full((embedder.num_features,), torch.nan)


def parts_folder(output: Path) -> Path:
    """Return the folder of the parts of a file; raise FileExistsError if the file is there, but not of such a run."""
    folder = output.with_name(output.name + ".parts")
    if output.exists() and not (folder / PLAN).exists():
        raise FileExistsError(f"{output} is there already: give another name, or remove it")
    return folder


def _finish(
    embedder: Embedder,
    tracklets: Sequence[Tracklet],
    folder: Path,
    output: Path,
    parts: int,
    shard: tuple[int, int],
) -> EmbedReport:
    """Join the parts, write the file, remove the parts."""
    vectors = torch.cat([load_tensors(_part_file(folder, number))["vectors"] for number in range(parts)])
    readable = vectors.isfinite().all(dim=1).nonzero().flatten().tolist()
    if not readable:
        raise ValueError(
            f"no frame of {counted(len(tracklets), 'tracklet')} can be read, first of {tracklets[0].frames[0]}"
        )
    kept, records = [tracklets[place] for place in readable], list(describe(tracklets))
    metadata = describe_vectors(
        embedder.model, embedder.preprocessing, embedder.frames, flip=embedder.flip, normalized=True
    )
    if shard != (1, 1):
        metadata[SHARD] = "{}/{}".format(*shard)
    save_features(
        output, label(kept, vectors[readable]), metadata=metadata, records=[records[place] for place in readable]
    )
    return _clean(tracklets, folder, output)


def _clean(tracklets: Sequence[Tracklet], folder: Path, output: Path) -> EmbedReport:
    """Remove the parts of a finished file; while the plan is there, the run can be called again."""
    kept = {record.get("id") for record in load_records(output) or ()}
    if not kept or not kept.issubset(str(one.key) for one in tracklets):
        raise FileExistsError(f"{output} is there already, and is not of the run in {folder}: give another name")
    for path in folder.iterdir():
        if path.name != PLAN:
            path.unlink()
    shutil.rmtree(folder)
    return EmbedReport(output, len(kept), tuple(one.name for one in tracklets if str(one.key) not in kept))


def _part_file(folder: Path, number: int) -> Path:
    return folder / f"{number:06}.safetensors"


def _is_done(part: Path) -> bool:
    """Whether an earlier call left this part whole: what it could not read may be readable now."""
    return part.exists() and bool(load_tensors(part)["vectors"].isfinite().all())


def _key(embedder: Embedder, tracklets: Sequence[Tracklet]) -> str:
    """Compute the key of the parts. They hold vectors only, so corrected labels keep them."""
    return features_key(
        embedder.model,
        tracklets,
        preprocessing=embedder.preprocessing,
        flip=embedder.flip,
        frames=embedder.frames,
        dtype=embedder.dtype,
        budget=embedder.budget,
        part_frames=PART_FRAMES,
        lengths=[len(tracklet.frames) for tracklet in tracklets],
    )
