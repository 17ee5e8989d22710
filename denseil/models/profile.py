"""Cost of a model: parameters, and multiply-adds for a given number of frames."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from denseil.common.arguments import checked
from denseil.common.modes import evaluating
from denseil.common.text import counted
from denseil.models.interface import FrameTokenEncoder
from denseil.models.optimized import OptimizedDenseIL

MOST = 10_000  # frames of a clip, and pixels of a side


@dataclass(frozen=True)
class Profile:
    """Cost of one clip.

    Encoder and decoder are counted separately for a `FrameTokenEncoder`; for other models the three fields of the
    parts are None.

    Attributes:
        params: Parameters of the model.
        encoder_params: Parameters of `model.encoder`.
        macs: Multiply-adds of one clip in convolutions and matrix products.
        encoder_macs: Those of `encode_frames`, for all frames of the clip.
        decoder_macs: Those of `decode`.
        frames: T, the frames of the clip.
        size: Height and width of a frame in pixels.
    """

    params: int
    encoder_params: int | None
    macs: int
    encoder_macs: int | None
    decoder_macs: int | None
    frames: int
    size: tuple[int, int]

    def __str__(self) -> str:
        height, width = self.size
        params, macs = f"{self.params / 1e6:.1f} M parameters", f"{self.macs / 1e9:.2f} GMACs"
        clip = f"for T = {counted(self.frames, 'frame')} of {height} x {width}"
        if self.encoder_params is not None:
            params += f" (encoder {self.encoder_params / 1e6:.1f} M)"
        if self.encoder_macs is not None and self.decoder_macs is not None:
            clip += f" (encoder {self.encoder_macs / 1e9:.2f}, decoder {self.decoder_macs / 1e9:.2f})"
        return f"{params}; {macs} {clip}"


@checked
def profile(model: nn.Module, *, frames: int = 8, size: tuple[int, int] = (256, 128)) -> Profile:
    """Count a model's parameters and the multiply-adds of one clip, from shapes only, without running it.

    Args:
        model: A `DenseIL`, or any module called as `model(clips)` (`denseil.models.VideoEncoder`), on any device,
            "meta" included.
        frames: T, the frames of the clip.
        size: Height and width of a frame in pixels.

    Returns:
        The counts for a batch of one clip.

    Raises:
        ValueError: If `frames` or `size` is out of its range, the frames are too small for the encoder, the model is
            optimised, or it cannot be run on tensors without values (torch's "meta" device).
    """
    if isinstance(model, OptimizedDenseIL):
        raise ValueError("an optimised model computes in other products: profile the model that create_model made")
    if not 1 <= frames <= MOST:
        raise ValueError(f"frames={frames}: a clip has from 1 to {MOST:,} frames")
    if min(size) < 32 or max(size) > MOST:
        raise ValueError(f"size={tuple(size)}: height and width are from 32 to {MOST:,} pixels")
    clip = torch.empty(frames, 3, *size, device="meta")
    encoder = getattr(model, "encoder", None)
    in_parts = isinstance(model, FrameTokenEncoder)
    encoder_macs = decoder_macs = None
    if in_parts:
        encoder_macs, tokens = _count_macs(model, lambda net: net.encode_frames(clip))
        decoder_macs, _ = _count_macs(model, lambda net: net.decode(tokens.unsqueeze(0)))
        macs = encoder_macs + decoder_macs
    else:
        macs, _ = _count_macs(model, lambda net: net(clip.unsqueeze(0)))
    return Profile(
        params=_count(model),
        encoder_params=_count(encoder) if in_parts and isinstance(encoder, nn.Module) else None,
        macs=macs,
        encoder_macs=encoder_macs,
        decoder_macs=decoder_macs,
        frames=frames,
        size=size,
    )


class _Call(nn.Module):
    """Module whose forward is an arbitrary call on the model, for `functional_call`."""

    def __init__(self, model: nn.Module, call: Callable[[Any], Any]) -> None:
        super().__init__()
        self.model = model
        self.call = call

    def forward(self) -> Any:
        return self.call(self.model)


def _count_macs(model: nn.Module, call: Callable[[Any], Any]) -> tuple[int, Any]:
    """Count the multiply-adds of a call on the model, in eval mode on the meta device, and return its result."""
    runner = _Call(model, call)
    tensors = chain(runner.named_parameters(), runner.named_buffers())  # with buffers that no state dict has
    state = {name: torch.empty_like(value, device="meta") for name, value in tensors}
    try:
        with evaluating(model), torch.no_grad(), FlopCounterMode(display=False) as counter:
            result: Any = functional_call(runner, state, ())
    except RuntimeError as error:
        if "meta" not in str(error):
            raise
        raise ValueError(
            f"{type(model).__name__} cannot be profiled, since it reads the values of its tensors ({error})"
        ) from error
    return int(counter.get_total_flops() // 2), result  # torch counts a multiply-add as two operations


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
