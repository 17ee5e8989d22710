"""Writers of modules with metadata, one for each format."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from denseil.common.extras import need
from denseil.embedding.runtimes import KEY
from denseil.embedding.seal import PLACEHOLDER, seal
from denseil.exporters.modules import Half, Part
from denseil.exporters.report import Format

SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "openvino": ".xml", "pt2": ".pt2"}


def write_part(part: Part, path: Path, format: Format, metadata: Mapping[str, Any], *, half: bool = False) -> None:
    """Write one module with its metadata, and seal the file with a digest."""
    text = json.dumps({**metadata, "sealed": 1, "sha256": PLACEHOLDER})
    if half and format != "openvino":  # OpenVINO has its own compression
        part = (Half(part[0]), *part[1:])
    if format == "onnx":
        _write_onnx(part, path, text)
    elif format == "openvino":
        _write_openvino(part, path, text, half=half)
    else:
        _write_pt2(part, path, text)
    seal(path)


def _write_onnx(part: Part, path: Path, text: str | None) -> None:
    module, inputs, dynamic = part
    names = list(_input_names(module))
    with _quiet():
        try:
            program: Any = torch.onnx.export(
                module,
                inputs,
                dynamic_shapes=(dynamic,) if isinstance(module, Half) else dynamic,
                dynamo=True,
                verbose=False,
                input_names=names,
                output_names=[getattr(module, "output", "embedding")],
            )
        except torch.onnx.OnnxExporterError as error:
            raise RuntimeError(
                f"the ONNX exporter of torch {torch.__version__} failed; that of 2.14 is known to work, that of 2.6 not"
            ) from error
        if text is not None:
            program.model.metadata_props[KEY] = text
        program.save(path, external_data=False)


def _write_openvino(part: Part, path: Path, text: str, *, half: bool) -> None:
    openvino = need("openvino", to="export to openvino", extra="export")
    intermediate = path.with_suffix(".onnx")
    _write_onnx(part, intermediate, None)  # OpenVINO would keep its metadata, too
    model = openvino.convert_model(intermediate)
    model.set_rt_info(text, [KEY])
    openvino.save_model(model, path, compress_to_fp16=half)
    intermediate.unlink()


def _write_pt2(part: Part, path: Path, text: str) -> None:
    module, inputs, dynamic = part
    with torch.no_grad():
        shapes = (dynamic,) if isinstance(module, Half) else dynamic
        program = torch.export.export(module, inputs, dynamic_shapes=shapes)
    buffer = io.BytesIO()  # torch's own writer ends the process when a disk is full
    torch.export.save(program, buffer, extra_files={KEY: text})
    path.write_bytes(buffer.getbuffer())


def _input_names(module: Any) -> Iterator[str]:
    forward: Callable[..., Any] = (module.module if isinstance(module, Half) else module).forward
    code = forward.__code__
    yield from code.co_varnames[1 : code.co_argcount]


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's warnings about itself."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
