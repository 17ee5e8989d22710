"""`optimize`: the same model for inference, faster, checked against the original."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from denseil.layers import DenseInteractionHead
from denseil.layers._checks import check_frames
from denseil.layers.dense_attention import DenseAttention
from denseil.models.denseil import DenseIL, check_made_float32
from denseil.models.optimized.fold import fold_batch_norms
from denseil.models.optimized.fused_decoder import FusedHead

MIN_COSINE = 0.98
MIN_NEIGHBOURS = 0.8
CPU_CHUNK = 16
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Agreement:
    """How near the embeddings of a faster model are to those of the original.

    Embeddings are compared after the mean over all clips is taken off: what clips have in common would hide what is
    lost.

    Attributes:
        mean_cosine: Of the centred embeddings, the mean over clips.
        min_cosine: The least.
        same_neighbour: The share of clips whose nearest other clip, by cosine, is the same.
        clips: How many were compared.
    """

    mean_cosine: float
    min_cosine: float
    same_neighbour: float
    clips: int

    def __str__(self) -> str:
        return (
            f"centred cosine {self.mean_cosine:.4f} (least {self.min_cosine:.4f}), "
            f"same nearest neighbour {self.same_neighbour:.0%}, on {self.clips} clips"
        )


def agreement(expected: Tensor, found: Tensor) -> Agreement:
    """Compare embeddings (B, D) of the same clips; B is at least 3. Non-finite values make every figure 0.

    Raises:
        ValueError: If there are fewer than 3 clips, or the shapes differ.
    """
    if expected.shape != found.shape or len(expected) < 3:
        raise ValueError(f"compare at least 3 clips: got {tuple(expected.shape)} and {tuple(found.shape)}")
    if not found.isfinite().all():
        return Agreement(0.0, 0.0, 0.0, len(found))
    expected, found = expected.double(), found.double()
    cosine = F.cosine_similarity(expected - expected.mean(0), found - found.mean(0))
    neighbours = [_nearest(vectors) for vectors in (expected, found)]
    same = (neighbours[0] == neighbours[1]).double().mean()
    return Agreement(cosine.mean().item(), cosine.min().item(), same.item(), len(found))


def _nearest(vectors: Tensor) -> Tensor:
    unit = F.normalize(vectors)
    return (unit @ unit.T).fill_diagonal_(-2).argmax(1)


class OptimizedDenseIL(DenseIL):
    """An inference model that `optimize` made: the interface of `DenseIL`, but for training and saving.

    Attributes:
        dtype: Of the products.
        steps: What was done, a line each.
        agreement: How near it is to the original.
    """

    agreement: Agreement

    def __init__(self, model: DenseIL, dtype: torch.dtype, *, compile: bool = False) -> None:
        nn.Module.__init__(self)
        self.dtype, self.fused_levels = dtype, model.fused_levels
        self.pretrained_cfg, self.denseil_cfg = dict(model.pretrained_cfg), dict(model.denseil_cfg)
        self.encoder = copy.deepcopy(model.encoder).eval()
        device = next(model.parameters()).device
        frame = torch.zeros(1, 3, *self.pretrained_cfg["input_size"][1:], device=device)
        folded = fold_batch_norms(self.encoder, lambda: self.encoder(frame))
        self.encoder.to(dtype).to(memory_format=torch.channels_last)
        self.decoder, decoder = _head(model.decoder, dtype)
        self.neck = copy.deepcopy(model.neck).float()
        self.requires_grad_(False).eval()
        self.steps = [
            f"{folded} batch norms folded into convolutions",
            f"weights and products in {str(dtype).removeprefix('torch.')}, frames channels_last",
            *decoder,
        ]
        if compile:
            self.encoder.net.compile(options={"freezing": True})
            self.steps.append("encoder compiled, at its first use with each kind of shape")

    def encode_frames(self, frames: Tensor) -> Tensor:
        """As `DenseIL.encode_frames`; tokens of `dtype`. On a CPU a few frames at a time, which fit its cache."""
        check_frames(frames)
        frames = frames.to(self.dtype, memory_format=torch.channels_last)
        parts = frames.split(CPU_CHUNK) if frames.is_cpu else [frames]
        return torch.cat([self.decoder.pool(self.encoder(part)) for part in parts])

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Any:
        """As `DenseIL.forward_head`; float32."""
        return super().forward_head(x.float(), pre_logits)

    def train(self, mode: bool = True) -> OptimizedDenseIL:
        """Refuse training mode.

        Raises:
            ValueError: If `mode` is True.
        """
        if mode:
            raise ValueError("an optimised model cannot be trained: train the model that it was made from")
        super().train(False)
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> OptimizedDenseIL:
        probe = torch.empty(0, dtype=self.dtype)
        if fn(probe).dtype != self.dtype or fn(probe.float()).dtype != torch.float32:
            raise ValueError(f"an optimised model keeps its types, {self.dtype} here: choose with optimize(dtype=...)")
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call, no-any-return]


def optimize(
    model: DenseIL,
    dtype: Literal["auto", "float32", "bfloat16"] | torch.dtype = "auto",
    compile: bool = False,
    *,
    clips: Tensor | None = None,
    verbose: bool = True,
) -> OptimizedDenseIL:
    """Make an inference model of the same interface, for the device that the model is on.

    Batch norms are folded into convolutions, frames go channels_last, and products are computed in bfloat16 where the
    machine is faster in it. In the decoder, keys and values of all levels and blocks come from one product, queries,
    keys and values of a block from one, positions are looked up, and on x86 the weights lie in oneDNN's order. The
    original is left as it is.

    The result is then compared with the original on clips. It is refused if the mean cosine of the centred embeddings
    is below 0.98, or fewer than 0.8 of the nearest neighbours are the same; with "auto", bfloat16 that fails gives way
    to float32.

    Args:
        model: A model made by `create_model`.
        dtype: "float32", "bfloat16", or "auto" for the faster one.
        compile: Compile the encoder too, by torch's inductor with frozen weights: some seconds at first use.
        clips: Float (B, T, 3, H, W), normalised, B at least 3, to compare on: real ones tell most. None for 16 clips of
            one coloured pattern each.
        verbose: Print what was done, and how near the result is.

    Raises:
        ValueError: If `dtype` is unknown, the model is not in float32, the clips are too few, or the result is too far
            from the original.
        TypeError: If the model was not made by `create_model`.
    """
    if isinstance(model, OptimizedDenseIL):
        raise ValueError("the model is optimised already: give the one that create_model made")
    check_made_float32(model)
    wanted = _DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if dtype != "auto" and wanted not in _DTYPES.values():
        raise ValueError(f"dtype={dtype!r}: choose 'auto', 'float32' or 'bfloat16'")
    device = next(model.parameters()).device
    clips = patterns(model.pretrained_cfg["input_size"]) if clips is None else clips
    expected = _embed(model, clips.to(device))
    first = wanted or (torch.bfloat16 if _fast_bfloat16(device) else torch.float32)
    notes: list[str] = []
    for choice in [first] if wanted or first == torch.float32 else [first, torch.float32]:
        fast = OptimizedDenseIL(model, choice, compile=compile)
        fast.agreement = agreement(expected, _embed(fast, clips.to(device)))
        if fast.agreement.mean_cosine >= MIN_COSINE and fast.agreement.same_neighbour >= MIN_NEIGHBOURS:
            fast.steps += notes
            if verbose:
                print("\n".join([*fast.steps, f"against the original: {fast.agreement}"]))  # noqa: T201 (asked for)
            return fast
        notes.append(f"{str(choice).removeprefix('torch.')} was refused: {fast.agreement}")
    other = "Use dtype='float32', or compare" if wanted == torch.bfloat16 else "Compare"
    raise ValueError(
        f"{'; '.join(notes)}; at least {MIN_COSINE} and {MIN_NEIGHBOURS:.0%} are asked for. {other} on real clips "
        "(clips=) that differ: an untrained model tells clips apart by very little"
    )


def patterns(input_size: tuple[int, int, int], count: int = 16, frames: int = 2) -> Tensor:
    """Clips (count, frames, 3, H, W) that differ as normalised images do: one coarse colour pattern each, and noise."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(count, 3, 8, 4, generator=generator)
    smooth = F.interpolate(coarse, size=input_size[1:], mode="bicubic")
    return smooth[:, None] + 0.1 * torch.randn(count, frames, *input_size, generator=generator)


@torch.inference_mode()
def _embed(model: DenseIL, clips: Tensor) -> Tensor:
    """Embeddings (B, D) in eval mode, a few clips at a time, and every module left in the mode that it was in."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        features = torch.cat([model.forward_features(part) for part in clips.split(4)])
        embeddings = model.forward_head(features, pre_logits=True)
        assert isinstance(embeddings, Tensor)
        return embeddings.float()
    finally:
        for module in training:
            module.training = True


def _head(head: nn.Module, dtype: torch.dtype) -> tuple[Any, list[str]]:
    """The head for inference, and what was done to it."""
    if isinstance(head, DenseInteractionHead):
        fusion = head.interaction.blocks[0].fusion
        if fusion is None or isinstance(fusion, DenseAttention):
            steps = ["queries, keys and values of a block from one product, positions looked up"]
            if fusion is not None:
                steps.insert(
                    0, f"keys and values of all levels for all {len(head.interaction.blocks)} blocks in one product"
                )
            return FusedHead(head, dtype), steps
        # Dense Sum. and Dense Concat. are for comparisons: nothing to rearrange
        return copy.deepcopy(head).to(dtype), []
    return copy.deepcopy(head), []


def _fast_bfloat16(device: torch.device) -> bool:
    """Whether products are faster in bfloat16 than in float32: tried, since no name of a processor says it."""
    if device.type != "cpu":
        return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    best = {}
    for dtype in _DTYPES.values():
        square = torch.ones(512, 512, dtype=dtype)
        times = []
        for _ in range(5):
            begin = time.perf_counter()
            square @ square
            times.append(time.perf_counter() - begin)
        best[dtype] = min(times)
    return best[torch.bfloat16] < 0.75 * best[torch.float32]
