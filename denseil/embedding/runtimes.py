"""Files of networks opened by their own runtimes: onnxruntime, OpenVINO, or torch without the model's code.

Importing this module does not import torch, and only `.pt2` files need it.
"""

from __future__ import annotations

import functools
import io
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from denseil.common.arguments import shown
from denseil.common.extras import need

Precision: TypeAlias = Literal["float32", "bfloat16"]
Run: TypeAlias = Callable[..., NDArray[Any]]
KEY = "denseil"  # under which an exported file keeps our JSON


@dataclass(frozen=True)
class Opened:
    """A network file, ready to run.

    Attributes:
        run: Its first output as a function of its inputs, arrays.
        metadata: Our JSON in it; None in other files.
        shape: Shape of its first input, None for a dynamic size; empty if it is not known.
    """

    run: Run
    metadata: str | None
    shape: tuple[int | None, ...] = ()


def find_opener(path: Path, precision: Precision) -> Callable[[], Opened]:
    """Find the runtime that a file's suffix names.

    Returns:
        A function that opens the file; it raises what the runtime raises.

    Raises:
        FileNotFoundError: If the .bin beside an .xml is missing.
        ValueError: If the suffix or the precision is wrong.
        ModuleNotFoundError: If the runtime is not installed; the text says what to install.
    """
    if path.suffix not in OPENERS:
        raise ValueError(f"{path} ends in {path.suffix!r}; exported models end in {', '.join(OPENERS)}")
    if precision not in get_args(Precision):
        raise ValueError(f"precision={shown(precision)}: choose one of {', '.join(get_args(Precision))}")
    if path.suffix == ".xml" and not path.with_suffix(".bin").is_file():
        raise FileNotFoundError(f"the weights of {path} are missing: {path.with_suffix('.bin')} belongs beside it")
    opener, module, extra = OPENERS[path.suffix]
    runtime = need(module, to=f"run {path.name}", extra=extra)
    if precision != "float32" and path.suffix != ".xml":
        raise ValueError(f"precision={shown(precision)} is for OpenVINO; {path.name} computes in the file's own")
    return functools.partial(opener, runtime, path, precision)


def num_threads() -> int:
    """Return torch's number of threads if torch is loaded, else the number of usable processors."""
    if (torch := sys.modules.get("torch")) is not None:
        return int(torch.get_num_threads())
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _open_onnx(runtime: Any, path: Path, precision: Precision) -> Opened:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = num_threads()
    options.log_severity_level = 4  # its message about a damaged file is in the error
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]

    def run(*inputs: NDArray[Any]) -> NDArray[Any]:
        answer: NDArray[Any] = session.run(None, dict(zip(names, inputs, strict=True)))[0]
        return answer

    shape = tuple(size if isinstance(size, int) else None for size in session.get_inputs()[0].shape)
    return Opened(run, session.get_modelmeta().custom_metadata_map.get(KEY), shape)


@functools.cache
def openvino_core(openvino: Any) -> Any:
    """The one `openvino.Core` of the process, never closed.

    Each core gives its thread another stack for signals, and the first of two that is closed frees memory that the
    second restores: the next signal that Python handles, such as the end of a worker, was then a segmentation fault.
    """
    return openvino.Core()


def _open_openvino(runtime: Any, path: Path, precision: Precision) -> Opened:
    core = openvino_core(runtime)
    model = core.read_model(path)
    hints = {"float32": "f32", "bfloat16": "bf16"}
    settings = {"INFERENCE_PRECISION_HINT": hints[precision], "INFERENCE_NUM_THREADS": num_threads()}
    compiled = core.compile_model(model, "CPU", settings)

    one_call = threading.Lock()  # all calls share one memory; each uses every core, so waiting costs nothing

    def run(*inputs: NDArray[Any]) -> NDArray[Any]:
        with one_call:
            return np.array(compiled(list(inputs))[0])  # a copy: the next answer is written into the same memory

    shape = tuple(size.get_length() if size.is_static else None for size in model.inputs[0].partial_shape)
    metadata = str(model.get_rt_info([KEY]).astype(str)) if model.has_rt_info([KEY]) else None
    return Opened(run, metadata, shape)


def _open_pt2(runtime: Any, path: Path, precision: Precision) -> Opened:
    import torch

    from denseil.embedding.pt2_check import check_program

    data = path.read_bytes()  # what is checked is what is loaded
    check_program(data)
    extra = {KEY: ""}
    program = runtime.load(io.BytesIO(data), extra_files=extra).module()

    @torch.inference_mode()
    def run(*inputs: NDArray[Any]) -> NDArray[Any]:
        answer: NDArray[Any] = program(*map(torch.from_numpy, inputs)).numpy()
        return answer

    return Opened(run, extra[KEY] or None)


OPENERS: dict[str, tuple[Callable[[Any, Path, Precision], Opened], str, str]] = {
    ".onnx": (_open_onnx, "onnxruntime", "export"),
    ".xml": (_open_openvino, "openvino", "export"),
    ".pt2": (_open_pt2, "torch.export", "export"),
}
SUFFIXES = tuple(OPENERS)
