"""The verb that exports."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from denseil.cli import options, values
from denseil.cli.computing import begin, open_model
from denseil.cli.output import show
from denseil.cli.parser import Verbs, refuse_unused


def declare(verbs: Verbs) -> None:
    """Declare `export`."""
    verb = verbs.add(
        "export",
        export,
        "Export a model to another runtime, run it there, and compare it with torch.",
        examples=(
            "denseil export runs/mars/final model.onnx",
            "denseil export denseil_mobilenetv2 model.xml --int8 manifest.csv",
            "denseil export runs/mars/final crop.onnx --crops --normalize",
        ),
    )
    what = verb.subject("input")
    what.add("model", help="a saved model's folder, or the name of a model with weights")
    options.weights(what)
    out = verb.subject("output")
    out.add("output", type=values.new_path, help="output file, .onnx, .xml (OpenVINO) or .pt2; with --parts a folder")
    out.add("--format", choices=("onnx", "openvino", "pt2"), help="format of the runtime (default: that of the suffix)")
    out.flag("--parts", help="export the frame encoder and the decoder separately")
    out.add(
        "--size",
        type=values.size,
        metavar="HxW",
        help="height and width of frames in pixels (default: the model's own)",
    )
    out.flag("--half", help="weights in float16")
    single = verb.subject("single crops")
    single.flag("--crops", help="export a network for single crops, (N, 3, H, W) to (N, D)")
    single.flag("--normalize", help="normalise inside the network, which then takes RGB in 0..1")
    single.flag("--resize", help="resize inside the network, which then takes crops of any size")
    small = verb.subject("int8 (OpenVINO)")
    small.add(
        "--int8",
        type=values.path,
        metavar="ROOT",
        help="quantise on the gallery and query tracklets of a dataset, or its training tracklets if it has none",
    )
    small.add("--dataset", metavar="NAME", help="type of the dataset of --int8, as for evaluate (default: manifest)")
    options.compute(verb)
    options.general(verb, json=True, modules=True)


def export(
    model: str,
    checkpoint: Path | None,
    random_weights: bool,
    model_args: dict[str, Any] | None,
    output: Path,
    format: Literal["onnx", "openvino", "pt2"] | None,
    parts: bool,
    crops: bool,
    normalize: bool,
    resize: bool,
    half: bool,
    size: tuple[int, int] | None,
    int8: Path | None,
    dataset: str | None,
    device: str,
    seed: int,
    json: bool,
) -> int:
    """Export a model to another runtime, run it there, and compare it with torch."""
    import denseil

    if int8 is None:
        refuse_unused("export without --int8", {"--dataset": dataset})
    where, _ = begin("cpu" if device == "auto" else device, seed)
    net = open_model(model, where, checkpoint=checkpoint, random_weights=random_weights, model_args=model_args)
    tracklets = None
    if int8 is not None:
        found = denseil.data.read_dataset(dataset or "manifest", int8)
        tracklets = (found.query + found.gallery) or found.train
    report = denseil.export(
        net,
        output,
        format,
        parts=parts,
        crops=crops,
        normalize=normalize,
        resize=resize,
        half=half,
        size=size,
        int8=tracklets,
    )
    show(report, as_json=json)
    return 0
