"""What a model costs: parameters and multiply-adds, with the number of frames stated."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from denseil.models.denseil import DenseIL
from denseil.models.optimized.optimize import OptimizedDenseIL


@dataclass(frozen=True)
class Profile:
    """The cost of one clip.

    Attributes:
        params: Parameters of the model.
        encoder_params: Those of the frame encoder.
        macs: Multiply-adds of one clip: those of convolutions and matrix products.
        encoder_macs: Those of the frame encoder, for all frames of the clip.
        decoder_macs: Those of everything after it.
        frames: T, the frames of the clip.
        size: Height and width of a frame in pixels.
    """

    params: int
    encoder_params: int
    macs: int
    encoder_macs: int
    decoder_macs: int
    frames: int
    size: tuple[int, int]

    def __str__(self) -> str:
        height, width = self.size
        return (
            f"{self.params / 1e6:.1f} M parameters (encoder {self.encoder_params / 1e6:.1f} M); "
            f"{self.macs / 1e9:.2f} GMACs for T = {self.frames} frames of {height} x {width} "
            f"(encoder {self.encoder_macs / 1e9:.2f}, decoder {self.decoder_macs / 1e9:.2f})"
        )


def profile(model: DenseIL, *, frames: int = 8, size: tuple[int, int] = (256, 128)) -> Profile:
    """Count a model's parameters and the multiply-adds of one clip, without running it: shapes alone are computed.

    Args:
        model: The model, on any device, "meta" included.
        frames: T, the frames of the clip.
        size: Height and width of a frame in pixels.

    Returns:
        The counts for a batch of one clip.

    Raises:
        ValueError: If `frames` is less than 1, the frames are too small for the encoder, or the model is optimised.
    """
    if isinstance(model, OptimizedDenseIL):
        raise ValueError("an optimised model computes in other products: profile the model that create_model made")
    if frames < 1:
        raise ValueError(f"frames={frames}: a clip has at least 1 frame")
    if min(size) < 32:
        raise ValueError(f"size={tuple(size)}: height and width are at least 32 pixels")
    clip = torch.empty(frames, 3, *size, device="meta")
    tokens: list[Tensor] = []
    encoder_macs = _macs(model, lambda net: tokens.append(net.encode_frames(clip)))
    decoder_macs = _macs(model, lambda net: net.decode(tokens[0].unsqueeze(0)))
    return Profile(
        params=_count(model),
        encoder_params=_count(model.encoder),
        macs=encoder_macs + decoder_macs,
        encoder_macs=encoder_macs,
        decoder_macs=decoder_macs,
        frames=frames,
        size=size,
    )


class _Call(nn.Module):
    """A module whose forward is any call on the model, for `functional_call`."""

    def __init__(self, model: DenseIL, call: Callable[[DenseIL], object]) -> None:
        super().__init__()
        self.model = model
        self.call = call

    def forward(self) -> None:
        self.call(self.model)


def _macs(model: DenseIL, call: Callable[[DenseIL], object]) -> int:
    """Multiply-adds of a call on the model with its tensors on the meta device, in eval mode."""
    runner = _Call(model, call)
    state = {name: torch.empty_like(value, device="meta") for name, value in runner.state_dict().items()}
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            functional_call(runner, state, ())
    finally:
        model.train(training)
    return int(counter.get_total_flops() // 2)  # torch counts a multiply-add as two operations


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
