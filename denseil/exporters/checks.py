"""Checks of the arguments of `export`, and comparison of its files with torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor, nn

from denseil.common.arguments import shown
from denseil.common.extras import need
from denseil.common.files import check_parent
from denseil.common.text import counted
from denseil.data import Tracklet
from denseil.embedding.clip_encoder import ClipEncoder
from denseil.embedding.exported import ExportedModel
from denseil.embedding.image_network import ImageNetwork
from denseil.exporters.report import Format
from denseil.exporters.writers import SUFFIXES
from denseil.models import ClipModel, DenseIL, OptimizedDenseIL
from denseil.models.denseil import check_made_float32

SHAPES = ((1, 1), (2, 3), (3, 8), (1, 20))  # (B, T) at which every export of clips is run, with masks and without
TOLERANCE, HALF_TOLERANCE = 1e-4, 2e-2


def check_model(model: nn.Module, *, parts: bool) -> None:
    """Raise an error for a model that cannot be exported."""
    if isinstance(model, OptimizedDenseIL):
        raise ValueError("an optimised model runs in torch only: export the model from create_model")
    if isinstance(model, ExportedModel | ImageNetwork):
        raise ValueError(f"{model.name} is an export already: give the model that it was made from")
    if isinstance(model, DenseIL):
        check_made_float32(model)
    elif other := {value.dtype for value in model.parameters() if value.is_floating_point()} - {torch.float32}:
        raise ValueError(f"the model is in {other.pop()}: give it in float32 (model.float())")
    if parts and not isinstance(model, ClipModel):
        raise ValueError(f"{type(model).__name__} has no separate frame encoder and decoder: leave parts out")


def check_answer(encoder: ClipEncoder, frames: int) -> None:
    """Run a model on one clip: its own errors say more than those of an exporter.

    Raises:
        TypeError: If it does not return one tensor (B, num_features).
        ValueError: If it does not take frames of the size of the preprocessing.
    """
    pixels = torch.zeros(frames, 3, *encoder.preprocessing.size, dtype=torch.uint8)
    encoder.decode(encoder.encode(pixels)[None], torch.ones(1, frames, dtype=torch.bool))


def check_format(path: Path, format: Format | None, *, parts: bool) -> Format:
    """Return the format, from the suffix if None; raise an error if the path does not fit it."""
    if format is None:
        format = next((name for name, end in SUFFIXES.items() if path.suffix == end), "onnx")
    if format not in SUFFIXES:
        raise ValueError(f"format={shown(format)}: choose one of {', '.join(get_args(Format))}")
    suffix = SUFFIXES[format]
    if parts and path.suffix in SUFFIXES.values():
        raise ValueError(f"{path} is a file's name: give a folder for an encoder and a decoder, or leave parts out")
    if not parts and path.suffix != suffix:
        raise ValueError(
            f"{path} does not end in {suffix}, the suffix of format {format!r}; choose .onnx, .xml or .pt2"
        )
    if path.exists() and path.is_dir() != parts:
        raise FileExistsError(f"{path} is a {'file' if parts else 'folder'} already: choose another name, or remove it")
    weights = path.with_suffix(".bin")
    if format == "openvino" and not parts and weights.exists() and not path.exists():
        raise FileExistsError(f"{weights} exists without {path.name}, and would be replaced: choose another name")
    others = [file for end in set(SUFFIXES.values()) - {suffix} if (file := path / f"encoder{end}").is_file()]
    if parts and others:
        raise ValueError(f"{path} holds {others[0].name}, parts in another format: give a folder of its own")
    check_parent(path)
    return format


def check_options(
    format: Format,
    *,
    parts: bool,
    crops: bool,
    normalize: bool,
    resize: bool,
    half: bool,
    size: tuple[int, int] | None,
    int8: Sequence[Tracklet] | None,
) -> None:
    """Raise an error for options that exclude each other, and for a missing package."""
    if (normalize or resize) and not crops:
        raise ValueError("normalize and resize are for single crops: give crops=True, or prepare the frames of clips")
    if parts and (crops or half):
        raise ValueError(f"{'crops' if crops else 'half'} is for a whole model: leave parts out")
    if int8 is not None and (half or crops):
        raise ValueError(f"int8 and {'half' if half else 'crops'} do not go together: choose one")
    if int8 is not None and format != "openvino":
        raise ValueError(f"int8 is for format='openvino', not {shown(format)}")
    if int8 is not None and len(int8) < 3:
        raise ValueError(f"int8 holds {counted(len(int8), 'tracklet')}: it takes at least 3 to calibrate on, better 64")
    if size is not None and not (
        isinstance(size, Sequence) and len(size) == 2 and all(isinstance(pixels, int) and pixels > 0 for pixels in size)
    ):
        raise ValueError(f"size={shown(size)}: give the height and the width of frames in pixels, such as (256, 128)")
    for module in () if format == "pt2" else ("onnx", "onnxscript", "onnxruntime" if format == "onnx" else "openvino"):
        need(module, to=f"export to {format}", extra="export")
    if int8 is not None:
        need("nncf", to="quantise to int8", extra="int8")


@torch.inference_mode()
def compare_clips(model: nn.Module, exported: Any, size: Sequence[int], device: torch.device, most: float) -> float:
    """Greatest relative difference over all shapes; raises ValueError if one is above `most` or not a number."""
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for batch, frames in SHAPES:
        clips = torch.randn(batch, frames, *size, generator=generator)
        mask = torch.rand(batch, frames, generator=generator) > 0.4
        mask[torch.arange(batch), torch.randint(frames, (batch,), generator=generator)] = True
        for real in (mask, None) if exported.takes_mask else (None,):
            masked = {} if real is None else {"mask": real.to(device)}
            expected: Tensor = model(clips.to(device), **masked)
            worst = max(worst, _difference(exported(clips, real), expected.cpu(), f"B={batch}, T={frames}", most))
    return worst


@torch.inference_mode()
def compare_crops(
    network: nn.Module, run: Callable[..., Tensor], shapes: Sequence[tuple[int, int, int]], most: float
) -> float:
    """Greatest relative difference of a network of single crops over `shapes` (N, H, W), as `compare_clips`."""
    generator = torch.Generator().manual_seed(0)
    device = next(network.buffers()).device
    worst = 0.0
    for count, height, width in shapes:
        crops = torch.rand(count, 3, height, width, generator=generator)
        expected = network(crops.to(device)).cpu()
        worst = max(worst, _difference(run(crops), expected, f"N={count}, H={height}, W={width}", most))
    return worst


def crop_shapes(size: tuple[int, int], *, resize: bool) -> tuple[tuple[int, int, int], ...]:
    """The shapes (N, H, W) at which a network of single crops is run."""
    height, width = size
    odd = ((2 * height + 3, width - width // 3), (height // 2 + 1, 3 * width)) if resize else (size, size)
    return ((1, height, width), (3, *odd[0]), (8, *odd[1]))


def _difference(found: Tensor, expected: Tensor, where: str, most: float) -> float:
    difference = (found - expected).abs().max() / expected.abs().max()
    if not difference <= most:
        raise ValueError(
            f"the exported model differs from torch by {difference:.1e} of the greatest value at {where}; at most "
            f"{most} is allowed: nothing was written"
        )
    return difference.item()
