"""`export`: ONNX, OpenVINO IR and torch.export programs, run and compared before they take their names."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from denseil._version import __version__
from denseil.common.arguments import checked
from denseil.common.modes import evaluating
from denseil.data import Tracklet
from denseil.embedding.cache import model_name
from denseil.embedding.clip_encoder import ClipEncoder
from denseil.embedding.export_files import open_exported
from denseil.embedding.exported import ExportedModel, on_tensors
from denseil.embedding.tracklet_vectors import describe_policy
from denseil.exporters import checks
from denseil.exporters.int8 import quantize
from denseil.exporters.modules import crops_part, encoder_decoder_parts, whole_part
from denseil.exporters.report import ExportReport, Format
from denseil.exporters.writers import SUFFIXES, write_part
from denseil.models import model_id, unwrap
from denseil.models.interface import Preprocessing
from denseil.models.single_frame import SingleFrame, single_frame


@checked
def export(
    model: nn.Module,
    path: str | Path,
    format: Format | None = None,
    *,
    preprocessing: Preprocessing | None = None,
    parts: bool = False,
    crops: bool = False,
    normalize: bool = False,
    resize: bool = False,
    half: bool = False,
    size: tuple[int, int] | None = None,
    int8: Sequence[Tracklet] | None = None,
) -> ExportReport:
    """Write a model for another runtime.

    Batch and frames are dynamic; clips are (B, T, 3, H, W) normalised, masks bool (B, T), frames (N, 3, H, W). With
    `crops` it is a network (N, 3, H, W) to (N, D) for tools that embed single crops. Mean, std, sizes, names and what
    goes in are in the files' metadata under "denseil", as JSON, with a SHA-256 of the file. The files are run in their
    own runtime and compared with torch; only then do they take their names. `Embedder(path)` opens them.

    Args:
        model: A model made by `create_model`, or any module with the contract of `VideoEncoder`; one that
            takes no mask, or ignores it, is exported without that input.
        path: The file of a whole model, ending in .onnx, .xml (OpenVINO, with a .bin beside it) or .pt2; with `parts`
            a folder.
        format: "onnx", "openvino" or "pt2" (torch.export); None for what the file's suffix says, "onnx" for a folder.
        preprocessing: How frames are prepared; None for what the model says.
        parts: Write the frame encoder and the decoder apart, for callers that keep the tokens of frames.
        crops: Write a network for single crops: the embedding of a clip of one frame.
        normalize: Of crops: normalise inside the network, which then takes RGB in 0..1.
        resize: Of crops: resize inside the network, which then takes any height and width.
        half: Weights in float16. ONNX and .pt2 also compute in it; inputs and outputs stay float32.
        size: Height and width of frames; None for the model's own.
        int8: Tracklets to calibrate on: OpenVINO's model is then quantised by NNCF, and its price measured on them.

    Raises:
        ValueError: If an argument is out of its range or does not go with another, the folder holds parts in another
            format, the model is an optimised one or not in float32, or the result differs from torch by more than 1e-4
            of the greatest value (2e-2 with `half`).
        TypeError: If the model was not made by `create_model`, or an argument is of a wrong type.
        FileNotFoundError: If the folder that `path` lies in does not exist.
        FileExistsError: If a folder stands where the file would go, or a file where the folder would.
        ModuleNotFoundError: If a package is missing; the text says what to install.
        RuntimeError: If torch's ONNX exporter fails, as old ones do.
    """
    model, path = unwrap(model), Path(path)
    checks.check_model(model, parts=parts)
    format = checks.check_output(path, format, parts=parts)
    checks.check_options(
        format, parts=parts, crops=crops, normalize=normalize, resize=resize, half=half, size=size, int8=int8
    )
    encoder = ClipEncoder(model, preprocessing)
    prepared = encoder.preprocessing if size is None else replace(encoder.preprocessing, size=size)
    network = single_frame(model, prepared, normalize=normalize, resize=resize) if crops else None
    metadata = _crops_metadata(network, encoder) if network else _clips_metadata(encoder, prepared)
    shape, device = (3, *prepared.size), encoder.device
    near = path if parts and path.is_dir() else path.parent  # on the file system that the files will be on
    with (
        evaluating(network or model),
        torch.autocast(device.type, enabled=False),
        tempfile.TemporaryDirectory(dir=near, prefix=".exporting-") as temporary,
    ):
        folder = Path(temporary)
        if network is not None:
            found = crops_part(network, device)
        elif parts:
            found = encoder_decoder_parts(model, shape, device)
        else:
            found = whole_part(model, shape, device, masked=encoder.honours_mask())
        files = {name: folder / f"{name}{SUFFIXES[format]}" for name in found}
        for name, part in found.items():
            write_part(part, files[name], format, {**metadata, "part": name}, half=half)
        most = checks.HALF_TOLERANCE if half else checks.TOLERANCE
        shapes: tuple[tuple[int, ...], ...] = checks.SHAPES
        price = None
        if network is not None:
            shapes = tried = checks.crop_shapes(prepared.size, resize=resize)
            error = checks.compare_crops(
                network, on_tensors(open_exported(files["crops"], "float32")[0].run), tried, most
            )
        else:
            trial = folder if parts else files["whole"]
            error = checks.compare_clips(model, ExportedModel(trial), shape, device, most)
            price = quantize(trial, int8) if int8 is not None else None
        moved = _move(folder, path, parts)
    return ExportReport(path, moved, format, shapes, error, price)


def _clips_metadata(encoder: ClipEncoder, prepared: Preprocessing) -> dict[str, Any]:
    return {
        **_common_metadata(encoder.model, encoder.num_features, prepared),
        "takes_mask": encoder.honours_mask(),
        "model_id": model_id(encoder.model, encoder.preprocessing),
        "policy": describe_policy(prepared, prepared.frames),
    }


def _crops_metadata(network: SingleFrame, encoder: ClipEncoder) -> dict[str, Any]:
    prepared = replace(network.preprocessing, clip_len=1)  # a tracklet's vector is the mean of its frames'
    common = _common_metadata(network.model, network.num_features, prepared)
    common["denseil_cfg"].pop("thresholds", None)  # measured on clips
    if network.normalize:
        prepared = replace(prepared, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), color_order="RGB")
    return {
        **common,
        "model_id": model_id(network.model, replace(encoder.preprocessing, clip_len=1)),
        "input": {
            **prepared.to_dict(),
            "layout": "N, 3, H, W",
            "pixels": "RGB in 0..1" if network.normalize else "in 0..1, minus mean, divided by std",
            "resizes": network.resize,
        },
        "policy": describe_policy(prepared, prepared.frames),
    }


def _common_metadata(model: nn.Module, num_features: int, prepared: Preprocessing) -> dict[str, Any]:
    frames = {"clip_len": prepared.clip_len, "frames": prepared.frames, "color_order": prepared.color_order}
    return {
        "denseil": __version__,
        "export": secrets.token_hex(8),  # parts of two exports do not belong together
        "name": model_name(model),
        "num_features": num_features,
        "pretrained_cfg": {"input_size": (3, *prepared.size), "mean": prepared.mean, "std": prepared.std},
        "denseil_cfg": getattr(model, "denseil_cfg", {}) | frames,
    }


def _move(folder: Path, path: Path, parts: bool) -> tuple[Path, ...]:
    """Give checked files their names, weights first."""
    if parts:
        path.mkdir(exist_ok=True)
    moved = []
    for file in sorted(folder.iterdir()):  # .bin before .xml
        target = path / file.name if parts else path.with_suffix(file.suffix)
        moved.append(file.replace(target))
    return tuple(moved)
