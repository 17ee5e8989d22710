"""The exported modules, with example inputs and dynamic axes."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.export import Dim

from denseil.models.single_frame import SingleFrame

MOST = 65536  # of batch and frames; torch 2.6 needs a bound
MOST_PIXELS = 16384  # of a crop's side

Part: TypeAlias = tuple[nn.Module, tuple[Tensor, ...], tuple[dict[int, Any], ...]]
"""A module, examples of its inputs, and the dynamic axes of each."""


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
    output = "tokens"

    def forward(self, frames: Tensor) -> Any:
        return self.model.encode_frames(frames)


class _Decoder(_Call):
    def forward(self, tokens: Tensor, mask: Tensor) -> Any:
        return self.model.decode(tokens, mask)


class Half(nn.Module):
    """A copy of a module with weights and arithmetic in float16; inputs and outputs stay float32."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = copy.deepcopy(module).half()

    def forward(self, *inputs: Tensor) -> Any:
        """Compute in float16."""
        return self.module(*(value.half() if value.is_floating_point() else value for value in inputs)).float()


def whole_part(model: nn.Module, size: Sequence[int], device: torch.device, *, masked: bool) -> dict[str, Part]:
    """The whole model on clips of frames of `size` (3, H, W)."""
    inputs = (*_example(size, device),)[: 2 if masked else 1]
    axes = {0: _dim("batch"), 1: _dim("frames")}
    return {"whole": ((_WholeMasked if masked else _Whole)(model), inputs, (axes,) * len(inputs))}


def encoder_decoder_parts(model: Any, size: Sequence[int], device: torch.device) -> dict[str, Part]:
    """The frame encoder and the decoder of a `ClipModel`, each with only its own weights."""
    clips, mask = _example(size, device)
    with torch.no_grad():
        tokens = model.encode_frames(clips.flatten(0, 1)).unflatten(0, clips.shape[:2])
    encoder, decoder = _keep(model, "encoder", "decoder"), _keep(model, "decoder", "neck")
    encoder.decoder = _keep(model.decoder, "pool_parts")
    axes = {0: _dim("batch"), 1: _dim("frames")}
    return {
        "encoder": (_Encoder(encoder), (clips.flatten(0, 1),), ({0: _dim("count")},)),
        "decoder": (_Decoder(decoder), (tokens, mask), (axes, axes)),
    }


def crops_part(network: SingleFrame, device: torch.device) -> dict[str, Part]:
    """A network for single crops (N, 3, H, W); H and W are dynamic where it resizes."""
    height, width = network.preprocessing.size
    axes = {0: _dim("count")}
    if network.resize:
        axes |= {2: _dim("height", MOST_PIXELS), 3: _dim("width", MOST_PIXELS)}
        height, width = height + 10, width + 7  # not the size that the model sees
    crops = torch.rand(2, 3, height, width, device=device)
    return {"crops": (network, (crops,), (axes,))}


def _example(size: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Clips and a mask with B = 2, T = 3: torch.export would make axes of 1, or equal ones, constants."""
    return torch.zeros(2, 3, *size, device=device), torch.ones(2, 3, dtype=torch.bool, device=device)


def _dim(name: str, most: int = MOST) -> Any:
    return Dim(name, min=1, max=most)


def _keep(module: Any, *names: str) -> Any:
    """A copy of a module with only some of its children, since .pt2 files store unused weights too."""
    kept = copy.copy(module)
    kept._modules = {name: module._modules[name] for name in names}
    return kept
