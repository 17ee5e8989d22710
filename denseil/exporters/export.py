"""`export`: ONNX, OpenVINO IR and torch.export programs, run and compared before they take their names."""

from __future__ import annotations

import copy
import io
import json
import logging
import secrets
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn
from torch.export import Dim

from denseil._version import __version__
from denseil.common.extras import need
from denseil.common.modes import evaluating
from denseil.common.text import plain
from denseil.data import Tracklet
from denseil.embedding.cache import model_name
from denseil.embedding.clip_encoder import ClipEncoder
from denseil.embedding.exported import KEY, ExportedModel
from denseil.embedding.tracklet_vectors import describe_policy
from denseil.exporters.int8 import Price, quantize
from denseil.models import ClipModel, DenseIL, OptimizedDenseIL, model_id, unwrap
from denseil.models.denseil import check_made_float32
from denseil.models.interface import Preprocessing

Format: TypeAlias = Literal["onnx", "openvino", "pt2"]
SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "openvino": ".xml", "pt2": ".pt2"}
SHAPES = ((1, 1), (2, 3), (3, 8), (1, 20))  # (B, T) that every export is tried at, with random masks and without
TOLERANCE = 1e-4
MOST = 65536  # of batch, frames; torch 2.6 wants a bound


@dataclass(frozen=True)
class ExportReport:
    """What `export` wrote, and how near it is to torch.

    Attributes:
        path: The file, or the folder of the parts.
        files: Everything written.
        format: "onnx", "openvino" or "pt2".
        shapes: The (B, T) at which it was run in its own runtime.
        error: The greatest difference of an embedding there, relative to the greatest value; of int8, before it.
        price: What int8 costs and gains; None without.
    """

    path: Path
    files: tuple[Path, ...]
    format: Format
    shapes: tuple[tuple[int, int], ...]
    error: float
    price: Price | None = None

    def __str__(self) -> str:
        tried = ", ".join(f"{batch} x {frames}" for batch, frames in self.shapes)
        size = sum(file.stat().st_size for file in self.files) / 1e6
        written = f"{plain(self.path)}: {', '.join(file.name for file in self.files)}, {size:.1f} MB"
        checked = f"run by {self.format} at B x T of {tried}, with masks and without: within {self.error:.1e} of torch"
        return "\n".join([written, checked, *([f"int8: {self.price}"] if self.price else [])])


def export(
    model: nn.Module,
    path: str | Path,
    format: Format = "onnx",
    *,
    preprocessing: Preprocessing | None = None,
    parts: bool = False,
    size: tuple[int, int] | None = None,
    int8: Sequence[Tracklet] | None = None,
) -> ExportReport:
    """Write a model for another runtime.

    Batch and frames are dynamic; clips are (B, T, 3, H, W) normalised, masks bool (B, T), frames (N, 3, H, W). Mean,
    std, sizes and names stand in the files' metadata under "denseil", as JSON. The files are run in their own runtime
    and compared with torch; only then do they take their names. `Embedder.from_exported(path)` runs them.

    Args:
        model: A model made by `create_model`, or any module with the contract of `VideoEncoder`; one that
            takes no mask, or ignores it, is exported without that input.
        path: The file of a whole model, ending in .onnx, .xml (OpenVINO, with a .bin beside it) or .pt2; with `parts`
            a folder.
        format: "onnx", "openvino" or "pt2" (torch.export).
        preprocessing: How frames are prepared; None for what the model says.
        parts: Write the frame encoder and the decoder apart, for callers that keep the tokens of frames.
        size: Height and width of frames; None for the model's own.
        int8: Tracklets to calibrate on: OpenVINO's model is then quantised by NNCF, and its price measured on them.

    Raises:
        ValueError: If the format, the ending or the size is wrong, the folder holds parts in another format, the model
            is an optimised one or not in float32, or the result differs from torch by more than 1e-4 of the greatest
            value.
        TypeError: If the model was not made by `create_model`.
        FileNotFoundError: If the folder that `path` lies in does not exist.
        FileExistsError: If a folder stands where the file would go, or a file where the folder would.
        ModuleNotFoundError: If a package is missing; the text says what to install.
        RuntimeError: If torch's ONNX exporter fails, as old ones do.
    """
    model = unwrap(model)
    path, suffix = Path(path), _check(model, Path(path), format, parts, int8)
    _check_size(size)
    encoder = ClipEncoder(model, preprocessing)
    prepared = encoder.preprocessing if size is None else replace(encoder.preprocessing, size=size)
    frames = {"clip_len": prepared.clip_len, "frames": prepared.frames, "color_order": prepared.color_order}
    data = {
        "denseil": __version__,
        "export": secrets.token_hex(8),  # parts of two exports do not belong together
        "name": model_name(model),
        "num_features": encoder.num_features,
        "pretrained_cfg": {"input_size": (3, *prepared.size), "mean": prepared.mean, "std": prepared.std},
        "denseil_cfg": getattr(model, "denseil_cfg", {}) | frames,
        "takes_mask": encoder.honours_mask(),
        "model_id": model_id(model, encoder.preprocessing),
        "policy": describe_policy(prepared, prepared.frames),
    }
    whole = _WholeMasked if encoder.honours_mask() else _Whole
    near = path if parts and path.is_dir() else path.parent  # on the file system that the files will be on
    input_size, device = (3, *prepared.size), encoder.device
    with (
        evaluating(model),
        torch.autocast(device.type, enabled=False),
        tempfile.TemporaryDirectory(dir=near, prefix=".exporting-") as temporary,
    ):
        folder = Path(temporary)
        for part, (module, inputs, dynamic) in _parts(model, whole, input_size, device, parts).items():
            text = json.dumps(data | {"part": part})
            _WRITERS[format](module, inputs, dynamic, folder / f"{part}{suffix}", text)
        trial = folder if parts else folder / f"whole{suffix}"
        error = _verify(model, ExportedModel(trial), input_size, device)
        price = quantize(trial, int8) if int8 is not None else None
        files = _move(folder, path, parts)
    return ExportReport(path, files, format, SHAPES, error, price)


def _check(model: nn.Module, path: Path, format: Format, parts: bool, int8: Sequence[Tracklet] | None) -> str:
    """The suffix of the format's files; raises where something does not fit, and where a package is missing."""
    if format not in SUFFIXES:
        raise ValueError(f"format={format!r}: choose one of {', '.join(get_args(Format))}")
    if isinstance(model, OptimizedDenseIL):
        raise ValueError("an optimised model is made for torch: export the model that create_model made")
    if isinstance(model, DenseIL):
        check_made_float32(model)
    elif other := {value.dtype for value in model.parameters() if value.is_floating_point()} - {torch.float32}:
        raise ValueError(f"the model is in {other.pop()}: give it in float32 (model.float())")
    if parts and not isinstance(model, ClipModel):
        raise ValueError(f"{type(model).__name__} has no frame encoder and decoder to write apart: leave parts out")
    suffix = SUFFIXES[format]
    if parts and path.suffix in SUFFIXES.values():
        raise ValueError(f"{path} is a file's name: give a folder for an encoder and a decoder, or leave parts out")
    if not parts and path.suffix != suffix:
        raise ValueError(f"{path} does not end in {suffix}, as a whole model in {format} does")
    if path.exists() and path.is_dir() != parts:
        raise FileExistsError(f"{path} is a {'file' if parts else 'folder'} already: choose another name, or remove it")
    others = [file for end in set(SUFFIXES.values()) - {suffix} if (file := path / f"encoder{end}").is_file()]
    if parts and others:
        raise ValueError(f"{path} holds {others[0].name}, parts in another format: give a folder of its own")
    if int8 is not None and format != "openvino":
        raise ValueError(f"int8 is for format='openvino', not {format!r}")
    if int8 is not None and len(int8) < 3:
        raise ValueError(f"int8 holds {len(int8)} tracklets: it takes at least 3 to calibrate on, better 64")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: there is no folder {path.parent}; create it")
    for module in () if format == "pt2" else ("onnx", "onnxscript", "onnxruntime" if format == "onnx" else "openvino"):
        need(module, to=f"export to {format}", extra="export")
    if int8 is not None:
        need("nncf", to="quantise to int8", extra="int8")
    return suffix


def _check_size(size: tuple[int, int] | None) -> None:
    if size is not None and not (
        isinstance(size, Sequence) and len(size) == 2 and all(isinstance(pixels, int) and pixels > 0 for pixels in size)
    ):
        raise ValueError(f"size={size!r}: give the height and the width of frames in pixels, such as (256, 128)")


class _Call(nn.Module):
    """One method of the model as a module's forward."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model


class _Whole(_Call):
    def forward(self, clips: Tensor) -> Any:
        return self.model(clips)


class _WholeMasked(_Call):
    def forward(self, clips: Tensor, mask: Tensor) -> Any:
        return self.model(clips, mask=mask)


class _Encoder(_Call):
    def forward(self, frames: Tensor) -> Any:
        return self.model.encode_frames(frames)


class _Decoder(_Call):
    def forward(self, tokens: Tensor, mask: Tensor) -> Any:
        return self.model.decode(tokens, mask)


Part: TypeAlias = tuple[nn.Module, tuple[Tensor, ...], tuple[dict[int, Any], ...]]


def _parts(model: Any, whole: type[_Call], size: Sequence[int], device: torch.device, apart: bool) -> dict[str, Part]:
    """What is exported: modules, examples of their inputs, and which axes are dynamic."""
    batch, frames, count = (Dim(name, min=1, max=MOST) for name in ("batch", "frames", "count"))
    clips = torch.zeros(2, 3, *size, device=device)  # neither 1, nor equal to each other: both would be specialised
    mask = torch.ones(2, 3, dtype=torch.bool, device=device)
    if not apart:
        inputs, axes = ((clips, mask) if whole is _WholeMasked else (clips,)), {0: batch, 1: frames}
        return {"whole": (whole(model), inputs, (axes,) * len(inputs))}
    with torch.no_grad():
        tokens = model.encode_frames(clips.flatten(0, 1)).unflatten(0, (2, 3))
    encoder, decoder = _keep(model, "encoder", "decoder"), _keep(model, "decoder", "neck")
    encoder.decoder = _keep(model.decoder, "pool_parts")
    return {
        "encoder": (_Encoder(encoder), (clips.flatten(0, 1),), ({0: count},)),
        "decoder": (_Decoder(decoder), (tokens, mask), ({0: batch, 1: frames}, {0: batch, 1: frames})),
    }


def _keep(module: Any, *names: str) -> Any:
    """A module with some of its children alone: .pt2 files hold the weights of all, in use or not."""
    kept = copy.copy(module)
    kept._modules = {name: module._modules[name] for name in names}
    return kept


def _write_onnx(
    module: nn.Module, inputs: tuple[Tensor, ...], dynamic: tuple[dict[int, Any], ...], path: Path, text: str
) -> None:
    with _quiet():
        name = "tokens" if isinstance(module, _Encoder) else "embedding"
        try:
            program: Any = torch.onnx.export(
                module, inputs, dynamic_shapes=dynamic, dynamo=True, verbose=False, output_names=[name]
            )
        except torch.onnx.OnnxExporterError as error:
            raise RuntimeError(
                f"the ONNX exporter of torch {torch.__version__} failed; that of 2.14 is known to work, that of 2.6 not"
            ) from error
        program.model.metadata_props[KEY] = text
        program.save(path, external_data=False)


def _write_openvino(
    module: nn.Module, inputs: tuple[Tensor, ...], dynamic: tuple[dict[int, Any], ...], path: Path, text: str
) -> None:
    openvino = need("openvino", to="export to openvino", extra="export")
    intermediate = path.with_suffix(".onnx")
    _write_onnx(module, inputs, dynamic, intermediate, text)
    model = openvino.convert_model(intermediate)
    model.set_rt_info(text, [KEY])
    openvino.save_model(model, path, compress_to_fp16=False)
    intermediate.unlink()


def _write_pt2(
    module: nn.Module, inputs: tuple[Tensor, ...], dynamic: tuple[dict[int, Any], ...], path: Path, text: str
) -> None:
    with torch.no_grad():
        program = torch.export.export(module, inputs, dynamic_shapes=dynamic)
    buffer = io.BytesIO()  # torch's own writer ends the process when a disk is full
    torch.export.save(program, buffer, extra_files={KEY: text})
    path.write_bytes(buffer.getbuffer())


_WRITERS = {"onnx": _write_onnx, "openvino": _write_openvino, "pt2": _write_pt2}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's warnings about its own parts."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


@torch.inference_mode()
def _verify(model: nn.Module, exported: ExportedModel, size: Sequence[int], device: torch.device) -> float:
    """The greatest relative difference over all shapes; raises if it is above the tolerance, or not a number."""
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for batch, frames in SHAPES:
        clips = torch.randn(batch, frames, *size, generator=generator)
        mask = torch.rand(batch, frames, generator=generator) > 0.4
        mask[torch.arange(batch), torch.randint(frames, (batch,), generator=generator)] = True
        for real in (mask, None) if exported.takes_mask else (None,):
            masked = {} if real is None else {"mask": real.to(device)}
            expected: Any = model(clips.to(device), **masked)
            difference = (exported(clips, real) - expected.cpu()).abs().max() / expected.abs().max().cpu()
            if not difference <= TOLERANCE:
                raise ValueError(
                    f"the exported model differs from torch by {difference:.1e} of the greatest value at B={batch}, "
                    f"T={frames}; at most {TOLERANCE} may be: it was not written"
                )
            worst = max(worst, difference.item())
    return worst


def _move(folder: Path, path: Path, parts: bool) -> tuple[Path, ...]:
    """Give checked files their names, weights first."""
    if parts:
        path.mkdir(exist_ok=True)
    moved = []
    for file in sorted(folder.iterdir()):  # .bin before .xml
        target = path / file.name if parts else path.with_suffix(file.suffix)
        moved.append(file.replace(target))
    return tuple(moved)
