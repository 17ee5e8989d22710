"""Verbs that judge."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch

import denseil
from denseil.metrics import RankingResult, rank_features


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
    """
    if features is not None:
        result, main = rank_features(*features, protocol=protocol, metric=metric), True
    elif model is None or dataset is None or root is None:
        raise ValueError(
            "nothing to evaluate: give MODEL DATASET ROOT, or --features QUERY.safetensors GALLERY.safetensors"
        )
    else:
        from denseil.engine.processes import join_processes

        where, main = join_processes(device)
        source = f"local-dir:{model}" if Path(model, "config.json").is_file() else model
        pretrained = checkpoint is None and not random_weights
        net = denseil.create_model(source, pretrained, checkpoint_path=checkpoint, **(model_args or {})).to(where)
        result = denseil.engine.evaluate(
            net.eval(),
            denseil.data.read_dataset(dataset, root, **(data_args or {})),
            frames=frames,
            protocol=protocol,
            metric=metric,
            cache=output,
            dtype={"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision],
            progress=True,
        )
        if main:
            _save(result, output / f"{Path(model).name}-{dataset}-{frames}-{protocol}-{metric}.json")
    if main:
        print(result)
        if json is not None:
            result.save(json)
        if plot is not None:
            result.plot(plot)
    return 0


def _save(result: RankingResult, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    result.save(path)
    print(f"saved to {path}")
