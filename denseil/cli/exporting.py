"""Verbs that export."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import denseil
from denseil.data import read_dataset


def export(
    model: str,
    output: Path,
    *,
    format: Literal["onnx", "openvino", "pt2"] = "onnx",
    parts: bool = False,
    size: tuple[int, int] | None = None,
    checkpoint: Path | None = None,
    random_weights: bool = False,
    model_args: dict[str, Any] | None = None,
    int8: Path | None = None,
    dataset: str = "manifest",
) -> int:
    """Export a model to another runtime, run it there, and compare it with torch.

    Args:
        model: A folder that training or save_pretrained wrote, or a name with weights, as for create_model.
        output: The file, ending in .onnx, .xml (OpenVINO) or .pt2; with --parts a folder.
        format: Onnx, openvino or pt2.
        parts: Write the frame encoder and the decoder apart.
        size: Height and width of frames, such as [256,128]; the model's own by default.
        checkpoint: Weights of the model, in a file.
        random_weights: Take the model without weights, to see that all runs.
        model_args: Arguments of the model, such as '{"backbone": "convnext_tiny", "dim": 256}'.
        int8: A dataset's root or a manifest, whose gallery, query or else training tracklets OpenVINO's model is
            quantised on; what that costs and gains is printed.
        dataset: How int8 is read, as for evaluate.
    """
    source = f"local-dir:{model}" if Path(model, "config.json").is_file() else model
    pretrained = checkpoint is None and not random_weights
    net = denseil.create_model(source, pretrained, checkpoint_path=checkpoint, **(model_args or {}))
    tracklets = None
    if int8 is not None:
        found = read_dataset(dataset, int8)
        tracklets = (found.query + found.gallery) or found.train
    print(denseil.export(net, output, format, parts=parts, size=size, int8=tracklets))
    return 0
