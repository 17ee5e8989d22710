"""Verbs that judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

import denseil
from denseil.data import Tracklet
from denseil.metrics import RankingResult, rank_features
from denseil.models import DenseIL
from denseil.viz import Attention, attend, evaluation_page, shown_dataset, shown_features


def evaluate(
    model: str | None = None,
    dataset: str | None = None,
    root: Path | None = None,
    *,
    features: tuple[Path, Path] | None = None,
    frames: Literal["all", "even8"] = "all",
    protocol: str = "standard",
    metric: str = "cosine",
    checkpoint: Path | None = None,
    random_weights: bool = False,
    model_args: dict[str, Any] | None = None,
    data_args: dict[str, Any] | None = None,
    device: str = "auto",
    precision: Literal["fp32", "bf16", "fp16"] = "fp32",
    output: Path = Path("evaluation"),
    json: Path | None = None,
    plot: Path | None = None,
    page: Path | None = None,
    attention: bool = False,
) -> int:
    """Judge a model on a dataset, or saved features of any code base.

    Args:
        model: A folder that training or save_pretrained wrote, or a name with weights, as for create_model.
        dataset: mars, ilids_vid, prid2011, ls_vid, dukemtmc_videoreid or manifest.
        root: Where the dataset is.
        features: In place of all these, the queries' features file and the gallery's; for mars-official the gallery
            holds the queries too.
        frames: All frames of a tracklet, or 8 evenly spaced ones.
        protocol: Standard or mars-official.
        metric: Cosine or euclidean.
        checkpoint: Weights of the model, in a file.
        random_weights: Take the model without weights, to see that all runs.
        model_args: Arguments of the model, such as '{"backbone": "convnext_tiny", "dim": 256}'.
        data_args: Arguments of the dataset's reader, such as '{"split": 3}'.
        device: Auto, cpu, cuda, ...
        precision: What the model computes in; fp32 or, as autocast, bf16 or fp16.
        output: A folder for the result and for the embeddings, which are not computed again under another protocol.
        json: Another file to write the result to.
        plot: Where to draw its CMC curve; the suffix names the format.
        page: An HTML file to write: the scores, and the 200 queries that went worst with what they found.
        attention: Show on the page where the model looks in each query, dense attention by level and frame.
    """
    if attention and (page is None or features is not None):
        raise ValueError("--attention is shown on a page, by a model: give --page FILE.html, and no --features")
    look: Callable[[int], Attention] | None = None
    if features is not None:
        result, main = rank_features(*features, protocol=protocol, metric=metric), True
        ranked = [shown_features(path) for path in features] if page is not None else []
    elif model is None or dataset is None or root is None:
        raise ValueError(
            "nothing to evaluate: give MODEL DATASET ROOT, or --features QUERY.safetensors GALLERY.safetensors"
        )
    else:
        from denseil.common.processes import join_processes, wait_for_all

        where, main = join_processes(device)
        source = f"local-dir:{model}" if Path(model, "config.json").is_file() else model
        pretrained = checkpoint is None and not random_weights
        net = denseil.create_model(source, pretrained, checkpoint_path=checkpoint, **(model_args or {})).to(where)
        data = denseil.data.read_dataset(dataset, root, **(data_args or {}))
        dtype = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
        result = denseil.embedding.evaluate(
            net.eval(),
            data,
            frames=frames,
            protocol=protocol,
            metric=metric,
            cache=output,
            dtype=dtype,
            progress=True,
        )
        ranked = []
        if page is not None:
            wait_for_all()  # until the cache, from which all processes read, is written
            vectors = denseil.embedding.embed_dataset(net, data, frames=frames, cache=output, dtype=dtype)
            ranked = shown_dataset(data, vectors, with_queries=protocol == "mars-official")
        if attention:
            look = partial(_look, net, data.query)
        if main:
            _save(result, output / f"{Path(model).name}-{dataset}-{frames}-{protocol}-{metric}.json")
    if main:
        print(result)
        if json is not None:
            result.save(json)
        if plot is not None:
            result.plot(plot)
        if page is not None:
            query, items = ranked
            what = "saved features" if model is None else f"{Path(model).name} on {dataset}"
            evaluation_page(result, query, items, subtitle=what, attend=look).write(page)
            print(f"page: {page}")
    return 0


def _look(model: DenseIL, queries: Sequence[Tracklet], place: int) -> Attention:
    return attend(model, queries[place].frames)


def _save(result: RankingResult, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    result.save(path)
    print(f"saved to {path}")
