"""Exported models with the interface that embedding needs: clips by `ExportedModel`, single crops by `ImageNetwork`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from denseil.common.text import plain
from denseil.embedding.image_network import ImageNetwork
from denseil.embedding.runtimes import OPENERS, Opened, Precision, find_opener
from denseil.embedding.seal import check_seal, file_digest
from denseil.layers._checks import check_frame_mask, check_frames
from denseil.models.interface import Preprocessing

WHOLE_FRAMES = 16  # about as many in one call of a whole model: more leave a CPU's cache


class ExportedModel(nn.Module):
    """An export of clips or of an encoder and a decoder, with the part of `DenseIL`'s interface that embedding needs.

    A model exported in parts keeps tokens of frames, as `DenseIL` does. One exported whole has none: its "tokens" are
    the frames, and `decode` runs everything. The mask is optional. Threads may share one.

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
        """Take the files that were opened, and what they say."""
        self._runs = {part: file.run for part, (file, _) in opened.items()}
        for part, (_, data) in opened.items():
            if data["part"] == "crops":
                raise ValueError(f"{path} is a network for single crops: open it with denseil.Embedder")
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

    def forward(self, clips: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute embeddings (B, num_features) of clips (B, T, 3, H, W) under a bool mask (B, T)."""
        return self.decode(self.encode_frames(clips.flatten(0, 1)).unflatten(0, clips.shape[:2]), mask)


def open_network(
    path: str | Path, preprocessing: Preprocessing | None = None, *, precision: Precision = "float32"
) -> ExportedModel | ImageNetwork:
    """Open an export of denseil, or anybody's image network.

    Args:
        path: A file ending in .onnx, .xml or .pt2, or the folder of a frame encoder and a decoder.
        preprocessing: How crops are prepared for a network of others, which does not say so itself.
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


def find_parts(path: str | Path) -> dict[str, Path]:
    """Find the files of an export: {"whole": file}, or {"encoder": ..., "decoder": ...} of a folder."""
    path = Path(path)
    if path.is_dir():
        formats = [{part: path / f"{part}{suffix}" for part in ("encoder", "decoder")} for suffix in OPENERS]
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


def open_exported(path: Path, precision: Precision, *, foreign: bool = False) -> tuple[Opened, dict[str, Any]]:
    """Open a file and read its metadata, after comparing it with its digest.

    Args:
        path: The file.
        precision: See `ExportedModel`.
        foreign: Whether a file without our metadata is taken for an image network of others.
    """
    opener = find_opener(path, precision)
    try:
        sealed = check_seal(path)
        opened = opener()
        if opened.metadata is None:
            if foreign and not sealed:
                return opened, {"part": "crops"}
            raise ValueError(
                "it has no metadata of denseil. For an image network of your own, (N, 3, H, W) to (N, D), pass "
                "preprocessing=denseil.Preprocessing(...)"
            )
        data = json.loads(opened.metadata)
        if data.get("sealed") and not sealed:
            raise ValueError("its digest is unreadable")
        return opened, {**data, "part": data["part"]}
    except Exception as error:  # each runtime has errors of its own, some of them bare
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        lines = [line for line in lines if not line.startswith("Exception from ")] or [type(error).__name__]
        raise ValueError(
            f"cannot open {path}: it is damaged, or not what denseil.export wrote; export the model again "
            f"({plain(lines[0])})"
        ) from error
