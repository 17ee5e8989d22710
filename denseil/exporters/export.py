"""`export`: write ONNX, OpenVINO IR or torch.export programs, and compare them with torch."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from denseil.common.arguments import checked
from denseil.common.files import check_utf8
from denseil.common.modes import evaluating
from denseil.data import Tracklet
from denseil.embedding.clip_encoder import ClipEncoder
from denseil.exporters import checks
from denseil.exporters.int8 import quantize
from denseil.exporters.kinds import ClipExport, CropExport, Export
from denseil.exporters.report import ExportReport, Format
from denseil.exporters.writers import SUFFIXES, write_part
from denseil.models import unwrap
from denseil.models.interface import Preprocessing
from denseil.models.single_frame import single_frame


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
    """Export a model to ONNX, OpenVINO or a torch.export program.

    Batch and number of frames are dynamic. Inputs are normalised clips (B, T, 3, H, W) with a bool mask (B, T); of the
    encoder part, frames (N, 3, H, W). With `crops`, the file is a network (N, 3, H, W) to (N, D) for tools that
    embed single crops. Preprocessing, names and a SHA-256 of the file are stored in its metadata under "denseil", as
    JSON. Each file is run in its own runtime and compared with torch before it appears at `path`.
    `Embedder(path)` opens it.

    Args:
        model: A model made by `create_model`, or any module with the contract of `VideoEncoder`; one that
            takes no mask, or ignores it, is exported without that input.
        path: Output file, ending in .onnx, .xml (OpenVINO, with a .bin beside it) or .pt2; with `parts`, a folder.
        format: "onnx", "openvino" or "pt2" (torch.export). Default: by the suffix of `path`; "onnx" for a folder.
        preprocessing: How frames are prepared. Default: that of the model. A file with another one, or another `size`,
            has another `model_id` and no thresholds, because its vectors are others.
        parts: Write the frame encoder and the decoder to separate files, for callers that cache tokens of frames.
        crops: Export a network for single crops: the embedding of a clip of one frame.
        normalize: With `crops`: normalise inside the network, which then takes RGB in [0, 1].
        resize: With `crops`: resize inside the network, which then takes any height and width.
        half: Store weights in float16. ONNX and .pt2 also compute in it; inputs and outputs stay float32.
        size: Height and width of frames in pixels. Default: those of the model.
        int8: Tracklets to calibrate on. The OpenVINO model is quantised by NNCF, and the loss of accuracy measured on
            them.

    Raises:
        ValueError: If an argument is out of range or excludes another, the folder holds parts in another format, the
            model is optimised or not in float32, or the result differs from torch by more than 1e-4 of the greatest
            value (2e-2 with `half`).
        TypeError: If an argument is of a wrong type, or the model does not have the contract of `VideoEncoder`.
        FileNotFoundError: If the parent folder of `path` does not exist.
        FileExistsError: If `path` is a folder and a file would be written, or the reverse, or the .bin beside an .xml
            would replace a file that is not of an export.
        ModuleNotFoundError: If a package is missing; the message says what to install.
        RuntimeError: If torch's ONNX exporter fails, as old versions do.
    """
    model, path = unwrap(model), Path(path)
    checks.check_model(model, parts=parts)
    check_utf8(path.absolute(), of="an exported model")  # for ONNX Runtime and OpenVINO
    format = checks.check_format(path, format, parts=parts)
    checks.check_options(
        format, parts=parts, crops=crops, normalize=normalize, resize=resize, half=half, size=size, int8=int8
    )
    encoder = ClipEncoder(model, preprocessing)
    prepared = encoder.preprocessing
    if size is not None:
        prepared = replace(prepared, size=size)
        encoder = ClipEncoder(model, prepared)
    checks.check_answer(encoder, frames=1 if crops else 2)
    what: Export = ClipExport(encoder, prepared, parts)
    if crops:
        what = CropExport(encoder, single_frame(model, prepared, normalize=normalize, resize=resize))
    near = path if parts and path.is_dir() else path.parent  # on the file system that the files will be on
    with (
        evaluating(what.module),
        torch.autocast(encoder.device.type, enabled=False),
        tempfile.TemporaryDirectory(dir=near, prefix=".exporting-") as temporary,
    ):
        folder, metadata = Path(temporary), what.metadata()
        written = folder
        for name, part in what.modules().items():
            file = folder / f"{name}{SUFFIXES[format]}"
            write_part(part, file, format, {**metadata, "part": name}, half=half)
            written = folder if parts else file
        shapes, error = what.compare(written, checks.HALF_TOLERANCE if half else checks.TOLERANCE)
        price = quantize(written, int8) if int8 is not None else None
        moved = _move(folder, path, parts)
    return ExportReport(path, moved, format, shapes, error, price)


def _move(folder: Path, path: Path, parts: bool) -> tuple[Path, ...]:
    """Move the checked files to `path`, weights first."""
    if parts:
        path.mkdir(exist_ok=True)
    moved = []
    for file in sorted(folder.iterdir()):  # .bin before .xml
        target = path / file.name if parts else path.with_suffix(file.suffix)
        moved.append(file.replace(target))
    return tuple(moved)
