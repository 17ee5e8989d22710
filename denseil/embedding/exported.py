"""Exported models with the interface that embedding needs: clips by `ExportedModel`, single crops by `ImageNetwork`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from denseil.common.arguments import checked, checked_class
from denseil.embedding.export_files import WHOLE_FRAMES, check_parts, find_parts, open_exported
from denseil.embedding.image_network import ImageNetwork
from denseil.embedding.runtimes import Opened, Precision, Run
from denseil.embedding.seal import file_digest
from denseil.layers.checks import check_frame_mask, check_frames
from denseil.models.interface import Preprocessing


@checked_class
class ExportedModel(nn.Module):
    """An export of clips or of an encoder and a decoder, with the part of `DenseIL`'s interface that embedding needs.

    A model exported in parts keeps tokens of frames, as `DenseIL` does. One exported whole has none: its "tokens" are
    the frames, and `decode` runs everything. The mask is optional. Threads may share one.

    Args:
        path: The file of a whole model, or the folder of a frame encoder and a decoder.
        precision: Precision of OpenVINO; other runtimes use the file's own.

    Attributes:
        num_features: Width of the embedding.
        pretrained_cfg: Input size, mean and std.
        denseil_cfg: Clip length, frames policy, colour order, thresholds.
        name: The registered name of the model that was exported, or its class's.
        takes_mask: Whether clips may be padded under a mask.
        model_id: Identity of the model that was exported; empty in files of earlier versions.

    Raises:
        FileNotFoundError: If there is no such file, or the weights beside it are missing.
        ValueError: If a file is damaged or not an export of denseil, the parts are of two exports, or the precision is
            not available.
        ModuleNotFoundError: If the runtime is not installed; the text says what to install.
    """

    def __init__(self, path: str | Path, *, precision: Precision = "float32") -> None:
        super().__init__()
        self._use(path, {part: open_exported(file, precision) for part, file in find_parts(path).items()})

    @classmethod
    def _of(cls, path: str | Path, opened: dict[str, tuple[Opened, dict[str, Any]]]) -> ExportedModel:
        model = cls.__new__(cls)
        nn.Module.__init__(model)
        model._use(path, opened)
        return model

    def _use(self, path: str | Path, opened: dict[str, tuple[Opened, dict[str, Any]]]) -> None:
        """Keep opened files and their metadata."""
        data = check_parts(path, opened)
        self._runs = {part: on_tensors(file.run) for part, (file, _) in opened.items()}
        self._preprocessing = Preprocessing.from_cfg(data["pretrained_cfg"], data["denseil_cfg"])
        self.name: str = data["name"]
        self.num_features: int = data["num_features"]
        self.pretrained_cfg: dict[str, Any] = data["pretrained_cfg"]
        self.denseil_cfg: dict[str, Any] = data["denseil_cfg"]
        self.takes_mask: bool = data.get("takes_mask", True)
        self.model_id: str = data.get("model_id", "")
        self._place = nn.Parameter(torch.empty(0), requires_grad=False)  # says that answers are on the CPU

    @property
    def preprocessing(self) -> Preprocessing:
        """Preprocessing of frames."""
        return self._preprocessing

    @checked
    def encode_frames(self, frames: Tensor) -> Tensor:
        """Compute tokens of frames (N, 3, H, W); the frames themselves if the model was exported whole."""
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

    @checked
    def decode(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute embeddings (B, num_features) from tokens (B, T, ...) of `encode_frames` and a bool mask (B, T)."""
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

    @checked
    def forward(self, clips: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute embeddings (B, num_features) of clips (B, T, 3, H, W) under a bool mask (B, T)."""
        return self.decode(self.encode_frames(clips.flatten(0, 1)).unflatten(0, clips.shape[:2]), mask)


def open_network(
    path: str | Path, preprocessing: Preprocessing | None = None, *, precision: Precision = "float32"
) -> ExportedModel | ImageNetwork:
    """Open an export of denseil, or any other image network.

    Args:
        path: A file ending in .onnx, .xml or .pt2, or the folder of a frame encoder and a decoder.
        preprocessing: Preprocessing of crops, for an image network of another library.
        precision: See `ExportedModel`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file cannot be read, or is not an export of denseil and `preprocessing` is None.
        ModuleNotFoundError: If the runtime is not installed; the text says what to install.
    """
    foreign = preprocessing is not None
    opened = {part: open_exported(file, precision, foreign=foreign) for part, file in find_parts(path).items()}
    file, data = next(iter(opened.values()))
    if data["part"] != "crops" or len(opened) > 1:
        return ExportedModel._of(path, opened)
    return ImageNetwork(file, data, preprocessing, name=Path(path).stem, digest=file_digest(Path(path)))


def on_tensors(run: Run) -> Callable[..., Tensor]:
    """Wrap a function of arrays as one of tensors, with results on the CPU."""
    return lambda *inputs: torch.from_numpy(run(*(value.numpy(force=True) for value in inputs)))
