"""Result of an export."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from denseil.common.text import plain
from denseil.exporters.int8 import Price

Format: TypeAlias = Literal["onnx", "openvino", "pt2"]


@dataclass(frozen=True)
class ExportReport:
    """Result of `export`: the files, and their difference from torch.

    Attributes:
        path: The file, or the folder of the parts.
        files: Everything written.
        format: "onnx", "openvino" or "pt2".
        shapes: The input shapes at which the files were run in their own runtime: (B, T) of clips, or (N, H, W) of
            crops.
        error: The greatest difference of an embedding from torch's, relative to the greatest value; of int8, before
            quantisation.
        price: Accuracy lost and speed gained by int8; None without int8.
    """

    path: Path
    files: tuple[Path, ...]
    format: Format
    shapes: tuple[tuple[int, ...], ...]
    error: float
    price: Price | None = None

    def __str__(self) -> str:
        tried = ", ".join(" x ".join(map(str, shape)) for shape in self.shapes)
        size = sum(file.stat().st_size for file in self.files) / 1e6
        names = ", ".join(plain(file.name) for file in self.files if file != self.path)
        written = f"{plain(self.path)}: {names + ', ' if names else ''}{size:.1f} MB"
        clips = len(self.shapes[0]) == 2
        inputs = f"B x T of {tried}, without masks and, if it takes them, with" if clips else f"N x H x W of {tried}"
        checked = f"run by {self.format} at {inputs}: within {self.error:.1e} of torch"
        return "\n".join([written, checked, *([f"int8: {self.price}"] if self.price else [])])
