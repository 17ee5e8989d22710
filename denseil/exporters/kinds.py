"""The kinds of export: a model of clips, whole or as two parts, and a network for single crops."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from denseil._version import __version__
from denseil.embedding.cache import model_name
from denseil.embedding.clip_encoder import ClipEncoder
from denseil.embedding.export_files import open_exported
from denseil.embedding.exported import ExportedModel, on_tensors
from denseil.embedding.tracklet_vectors import describe_policy
from denseil.exporters import checks
from denseil.exporters.modules import Part, crops_part, encoder_decoder_parts, whole_part
from denseil.models import model_id
from denseil.models.identity import stale_thresholds
from denseil.models.interface import Preprocessing
from denseil.models.single_frame import SingleFrame

Compared = tuple[tuple[tuple[int, ...], ...], float]
"""The input shapes that were compared, and the greatest relative difference from torch."""


class Export(Protocol):
    """Files that one call of `export` writes."""

    @property
    def module(self) -> nn.Module:
        """The module that is written."""

    def metadata(self) -> dict[str, Any]:
        """Return the metadata of the files, besides the name of their part."""

    def modules(self) -> dict[str, Part]:
        """The modules of the files, by name."""

    def compare(self, written: Path, tolerance: float) -> Compared:
        """Run the file, or the folder of files, in its own runtime and compare it with torch."""


@dataclass(frozen=True)
class ClipExport:
    """A model of clips (B, T, 3, H, W): one file, or a frame encoder and a decoder."""

    encoder: ClipEncoder
    preprocessing: Preprocessing
    parts: bool

    @property
    def module(self) -> nn.Module:
        """The model."""
        return self.encoder.model

    @property
    def frame(self) -> tuple[int, int, int]:
        """Shape of a frame, (3, H, W)."""
        return (3, *self.preprocessing.size)

    def metadata(self) -> dict[str, Any]:
        """Preprocessing, policy and identity of the model."""
        encoder = self.encoder
        return {
            **_common_metadata(encoder.model, encoder.num_features, self.preprocessing),
            "takes_mask": encoder.honours_mask(),
            "model_id": model_id(encoder.model, self.preprocessing),
            "policy": describe_policy(self.preprocessing, self.preprocessing.frames),
        }

    def modules(self) -> dict[str, Part]:
        """The whole model, or its two parts."""
        encoder = self.encoder
        if self.parts:
            return encoder_decoder_parts(encoder.model, self.frame, encoder.device)
        return whole_part(encoder.model, self.frame, encoder.device, masked=encoder.honours_mask())

    def compare(self, written: Path, tolerance: float) -> Compared:
        """Compare embeddings of clips, with masks and without."""
        exported = ExportedModel(written)
        error = checks.compare_clips(self.encoder.model, exported, self.frame, self.encoder.device, tolerance)
        return checks.SHAPES, error


@dataclass(frozen=True)
class CropExport:
    """A network for single crops, (N, 3, H, W) to (N, D)."""

    encoder: ClipEncoder
    network: SingleFrame

    @property
    def module(self) -> nn.Module:
        """The network."""
        return self.network

    def metadata(self) -> dict[str, Any]:
        """Preprocessing, policy and identity, and what remains for the caller to do before a crop goes in."""
        network = self.network
        prepared = replace(network.preprocessing, clip_len=1)  # a tracklet's vector is the mean of its frames'
        common = _common_metadata(network.model, network.num_features, prepared)
        common["denseil_cfg"].pop("thresholds", None)  # measured on clips
        identity = model_id(network.model, prepared)  # whether it normalises does not change vectors
        if network.normalize:
            prepared = replace(prepared, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), color_order="RGB")
        return {
            **common,
            "model_id": identity,
            "input": {
                **prepared.to_dict(),
                "layout": "N, 3, H, W",
                "pixels": "RGB in 0..1" if network.normalize else "in 0..1, minus mean, divided by std",
                "resizes": network.resize,
            },
            "policy": describe_policy(prepared, prepared.frames),
        }

    def modules(self) -> dict[str, Part]:
        """The network."""
        return crops_part(self.network, self.encoder.device)

    def compare(self, written: Path, tolerance: float) -> Compared:
        """Compare embeddings of crops, of several sizes where the network resizes."""
        shapes = checks.crop_shapes(self.network.preprocessing.size, resize=self.network.resize)
        run = on_tensors(open_exported(written, "float32")[0].run)
        return shapes, checks.compare_crops(self.network, run, shapes, tolerance)


def _common_metadata(model: nn.Module, num_features: int, prepared: Preprocessing) -> dict[str, Any]:
    frames = {"clip_len": prepared.clip_len, "frames": prepared.frames, "color_order": prepared.color_order}
    own = getattr(model, "preprocessing", None)
    block = dict(getattr(model, "denseil_cfg", {}))
    if (isinstance(own, Preprocessing) and replace(prepared, frames=own.frames) != own) or stale_thresholds(model):
        block.pop("thresholds", None)  # measured on vectors of the model's own preprocessing, or of other weights
    return {
        "denseil": __version__,
        "export": secrets.token_hex(8),  # parts of two exports do not belong together
        "name": model_name(model),
        "num_features": num_features,
        "pretrained_cfg": {"input_size": (3, *prepared.size), "mean": prepared.mean, "std": prepared.std},
        "denseil_cfg": block | frames,
    }
