"""Exported models, run by their own runtimes: onnxruntime, OpenVINO, or torch without the model's code."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from denseil.common.extras import need
from denseil.layers._checks import check_frame_mask, check_frames
from denseil.models.interface import Preprocessing

Precision: TypeAlias = Literal["float32", "bfloat16"]
Run: TypeAlias = Callable[..., Tensor]
KEY = "denseil"  # under which an exported file keeps our JSON
WHOLE_FRAMES = 16  # about as many in one call of a whole model: more leave a CPU's cache


class ExportedModel(nn.Module):
    """What `denseil.export` wrote, with the part of `DenseIL`'s interface that embedding needs.

    A model exported in parts keeps tokens of frames, as `DenseIL` does. One exported whole has none: its "tokens" are
    the frames, and `decode` runs everything. Threads may share one.

    Args:
        path: The file of a whole model, or the folder of a frame encoder and a decoder.
        precision: What OpenVINO computes in; the others compute in the file's own.

    Attributes:
        num_features: Width of the embedding.
        pretrained_cfg: Input size, mean and std.
        denseil_cfg: Clip length, frames policy, colour order, thresholds.
        name: The registered name of the model that was exported, or its class's.
        takes_mask: Whether clips may be padded under a mask.
        model_id: Identity of the model that was exported; empty in files of earlier versions.

    Raises:
        FileNotFoundError: If there is no such file, or the weights beside it are missing.
        ValueError: If a file is damaged or not an export of ours, the parts are of two exports, or the precision is not
            available.
        ModuleNotFoundError: If the runtime is not installed; the text says what to install.
    """

    def __init__(self, path: str | Path, *, precision: Precision = "float32") -> None:
        super().__init__()
        opened = {part: open_exported(file, precision) for part, file in find_parts(path).items()}
        self._runs = {part: run for part, (run, _) in opened.items()}
        for part, (_, data) in opened.items():
            if data["part"] != part:
                raise ValueError(f"{path} holds a {data['part']} where a {part} belongs: export the model again")
        if len({data.get("export") for _, data in opened.values()}) > 1:
            raise ValueError(f"{path} holds an encoder of one export and a decoder of another: export the model again")
        data = opened["whole" if "whole" in opened else "decoder"][1]
        self.name: str = data["name"]
        self.num_features: int = data["num_features"]
        self.pretrained_cfg: dict[str, Any] = data["pretrained_cfg"]
        self.denseil_cfg: dict[str, Any] = data["denseil_cfg"]
        self.takes_mask: bool = data.get("takes_mask", True)
        self.model_id: str = data.get("model_id", "")
        self._place = nn.Parameter(torch.empty(0), requires_grad=False)  # says that answers are on the CPU

    @property
    def preprocessing(self) -> Preprocessing:
        """How frames are prepared."""
        cfg = self.pretrained_cfg | self.denseil_cfg
        return Preprocessing(
            size=(cfg["input_size"][1], cfg["input_size"][2]),
            mean=cfg["mean"],
            std=cfg["std"],
            clip_len=cfg["clip_len"],
            frames=cfg["frames"],
            color_order=cfg["color_order"],
        )

    def encode_frames(self, frames: Tensor) -> Tensor:
        """Tokens of frames (N, 3, H, W); the frames themselves if the model was exported whole."""
        size = tuple(self.pretrained_cfg["input_size"])
        if frames.dim() != 4 or tuple(frames.shape[1:]) != size:
            raise ValueError(
                f"frames have shape {tuple(frames.shape)}; this export takes (N, {', '.join(map(str, size))})"
            )
        check_frames(frames)
        if "whole" in self._runs:
            return frames.float()
        if not len(frames):  # runtimes keep their last answer, or fail
            return self.encode_frames(frames.new_zeros(1, *size))[:0]
        return self._runs["encoder"](frames.float())

    def decode(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Embeddings (B, num_features) of what `encode_frames` gave, (B, T, ...), under a bool mask (B, T)."""
        batch, frames = tokens.shape[:2]
        check_frame_mask(mask, batch, frames)
        if not batch:
            return torch.empty(0, self.num_features)
        if not self.takes_mask and mask is not None and not mask.all():
            raise ValueError("this export takes no mask: give clips of real frames only, as denseil.Embedder does")
        mask = torch.ones(batch, frames, dtype=torch.bool) if mask is None else mask
        if "decoder" in self._runs:
            return self._runs["decoder"](tokens, mask)
        step = max(1, WHOLE_FRAMES // frames)
        parts = zip(tokens.split(step), mask.split(step), strict=True)
        run = self._runs["whole"]
        return torch.cat([run(clips, real) if self.takes_mask else run(clips) for clips, real in parts])

    def forward(self, clips: Tensor, mask: Tensor | None = None) -> Tensor:
        """Embeddings (B, num_features) of clips (B, T, 3, H, W) under a bool mask (B, T)."""
        return self.decode(self.encode_frames(clips.flatten(0, 1)).unflatten(0, clips.shape[:2]), mask)


def find_parts(path: str | Path) -> dict[str, Path]:
    """The files of an export: {"whole": file}, or {"encoder": ..., "decoder": ...} of a folder."""
    path = Path(path)
    if path.is_dir():
        formats = [{part: path / f"{part}{suffix}" for part in ("encoder", "decoder")} for suffix in _OPENERS]
        found = [parts for parts in formats if all(file.is_file() for file in parts.values())]
        if len(found) > 1:
            names = ", ".join(parts["encoder"].name for parts in found)
            raise ValueError(f"{path} holds {names}: which is meant? Keep each format in a folder of its own")
        if found:
            return found[0]
        raise FileNotFoundError(f"{path} holds no encoder and decoder; give what denseil.export wrote")
    if not path.is_file():
        raise FileNotFoundError(f"no exported model at {path}; give the file or the folder that denseil.export wrote")
    return {"whole": path}


def open_exported(path: Path, precision: Precision) -> tuple[Run, dict[str, Any]]:
    """A file as a function of tensors, and what it says of itself."""
    if path.suffix not in _OPENERS:
        raise ValueError(f"{path} ends in {path.suffix!r}; exported models end in {', '.join(_OPENERS)}")
    if precision not in get_args(Precision):
        raise ValueError(f"precision={precision!r}: choose one of {', '.join(get_args(Precision))}")
    if path.suffix == ".xml" and not path.with_suffix(".bin").is_file():
        raise FileNotFoundError(f"the weights of {path} are missing: {path.with_suffix('.bin')} belongs beside it")
    opener, module, extra = _OPENERS[path.suffix]
    runtime = need(module, to=f"run {path.name}", extra=extra)
    if precision != "float32" and path.suffix != ".xml":
        raise ValueError(f"precision={precision!r} is for OpenVINO; {path.name} computes in the file's own")
    try:
        run, text = opener(runtime, path, precision)
        data = json.loads(text)
        return run, {**data, "part": data["part"]}
    except Exception as error:  # each runtime has errors of its own, some of them bare
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        lines = [line for line in lines if not line.startswith("Exception from ")] or [type(error).__name__]
        raise ValueError(
            f"cannot open {path}: it is damaged, or not what denseil.export wrote; export the model again ({lines[0]})"
        ) from error


def _open_onnx(runtime: Any, path: Path, precision: Precision) -> tuple[Run, str]:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # what it says of a damaged file comes in the error
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]

    def run(*inputs: Tensor) -> Tensor:
        feed = {name: value.numpy(force=True) for name, value in zip(names, inputs, strict=True)}
        return torch.from_numpy(session.run(None, feed)[0])

    return run, session.get_modelmeta().custom_metadata_map[KEY]


@functools.cache
def openvino_core(openvino: Any) -> Any:
    """The one `openvino.Core` of the process, never closed.

    Each core gives its thread another stack for signals, and the first of two that go takes down memory that the second
    puts back: the next signal that Python handles, a worker's end for one, was then a segmentation fault.
    """
    return openvino.Core()


def _open_openvino(runtime: Any, path: Path, precision: Precision) -> tuple[Run, str]:
    core = openvino_core(runtime)
    model = core.read_model(path)
    hints = {"float32": "f32", "bfloat16": "bf16"}
    settings = {"INFERENCE_PRECISION_HINT": hints[precision], "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    compiled = core.compile_model(model, "CPU", settings)

    one_call = threading.Lock()  # all calls share one memory; each has every core, so that to wait costs nothing

    def run(*inputs: Tensor) -> Tensor:
        with one_call:
            answer = compiled([value.numpy(force=True) for value in inputs])[0]
            return torch.from_numpy(answer.copy())  # the next answer is written into the same memory

    return run, str(model.get_rt_info([KEY]).astype(str))


def _open_pt2(runtime: Any, path: Path, precision: Precision) -> tuple[Run, str]:
    extra = {KEY: ""}
    program = runtime.load(path, extra_files=extra).module()

    @torch.inference_mode()
    def run(*inputs: Tensor) -> Tensor:
        answer: Tensor = program(*inputs)
        return answer

    return run, extra[KEY]


_OPENERS: dict[str, tuple[Callable[[Any, Path, Precision], tuple[Run, str]], str, str]] = {
    ".onnx": (_open_onnx, "onnxruntime", "export"),
    ".xml": (_open_openvino, "openvino", "export"),
    ".pt2": (_open_pt2, "torch.export", "export"),
}
SUFFIXES = tuple(_OPENERS)
