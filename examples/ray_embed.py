"""Embed tracklets on a cluster with Ray Data: actors hold the model, Parquet or a gallery comes out.

    pip install "ray[data]"
    python examples/ray_embed.py people.csv vectors --model denseil_mobilenetv2 --workers 2
    python examples/ray_embed.py people.csv vectors --model model --workers 64 --gallery http://milvus:19530

Without a running cluster (RAY_ADDRESS) Ray starts on this machine. The crops must have the same paths on all
machines. Parquet gets a row per tracklet: its id, pid, camid, times, number of frames, and vector. A task whose machine
dies is run again by Ray. With --gallery each actor also adds its records; those that it holds already stay as they are.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import ray

import denseil
from denseil import gallery
from denseil.data import Tracklet, read_dataset
from denseil.models import model_id


class Embed:
    """An actor: a batch of tracklets in, the same with vectors out."""

    def __init__(self, model: str, uri: str | None) -> None:
        self.embedder = denseil.Embedder(model)
        identity = model_id(self.embedder.model, self.embedder.preprocessing)
        self.gallery = gallery.open(uri, dim=self.embedder.num_features, model=identity) if uri else None
        self.ready = time.time()

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        tracklets = [json.loads(frames) for frames in batch.pop("paths")]
        vectors = self.embedder.embed(tracklets).numpy()
        if self.gallery is not None:
            columns = zip(batch["id"], batch["pid"], batch["camid"], batch["start"], batch["end"], strict=True)
            records = [
                gallery.Record(
                    str(id), camid=int(camid), pid=int(pid) if pid >= 0 else None, start=float(start), end=float(end)
                )
                for id, pid, camid, start, end in columns
            ]
            self.gallery.add(records, vectors)
        return {**batch, "vector": vectors, "ready": np.full(len(vectors), self.ready)}


def row(tracklet: Tracklet) -> dict[str, Any]:
    """What travels to an actor: paths, not pixels."""
    start = 0.0 if tracklet.start is None else tracklet.start
    return {
        "id": str(tracklet.key),
        "pid": tracklet.pid,
        "camid": tracklet.camid,
        "start": start,
        "end": start if tracklet.end is None else tracklet.end,
        "frames": len(tracklet.frames),
        "paths": json.dumps([os.path.abspath(path) for path in tracklet.frames]),  # noqa: PTH100 (links stay)
    }


def main(arguments: list[str] | None = None) -> float:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="a manifest, or the root of a --dataset")
    parser.add_argument("output", type=Path, help="a folder for Parquet files; it must not exist")
    parser.add_argument("--dataset", default="manifest", help="mars, ... (default: manifest)")
    parser.add_argument(
        "--model", default="denseil_mobilenetv2", help="a name with weights, a saved folder or an export"
    )
    parser.add_argument("--workers", type=int, default=1, help="actors, a processor each")
    parser.add_argument("--batch", type=int, default=16, help="tracklets of a task")
    parser.add_argument("--gallery", metavar="URI", help="a folder (LanceDB), or the address of a Milvus server")
    options = parser.parse_args(arguments)
    if options.output.exists():
        parser.error(f"{options.output} is there already: give another folder")

    found = read_dataset(options.dataset, options.source)
    rows = [row(tracklet) for tracklet in [*found.train, *found.query, *found.gallery]]
    model = str(Path(options.model).resolve()) if Path(options.model).exists() else options.model
    embedded = (
        ray.data.from_items(rows, override_num_blocks=max(1, len(rows) // options.batch))
        .map_batches(
            Embed,
            fn_constructor_args=(model, options.gallery),
            batch_size=options.batch,
            num_cpus=1,
            compute=ray.data.ActorPoolStrategy(size=options.workers),
        )
        .materialize()
    )
    seconds = time.time() - embedded.min("ready")  # without starting Ray and loading the model
    embedded.drop_columns(["ready"]).write_parquet(str(options.output.absolute()))
    rate = len(rows) / seconds
    frames = sum(one["frames"] for one in rows)
    print(f"{len(rows)} tracklets, {frames} frames: {rate:.1f} tracklets/s, {options.workers} workers")
    return rate


if __name__ == "__main__":
    main()
