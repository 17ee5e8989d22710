"""`optimize`: a faster inference form of a model, checked against the original."""

from __future__ import annotations

import time
from typing import Any, Literal

import torch
from torch import Tensor, nn

from denseil.common.arguments import checked, shown
from denseil.common.modes import evaluating
from denseil.models.clip_model import ClipModel
from denseil.models.denseil import DenseIL, check_made_float32
from denseil.models.optimized.agreement import agreement, patterns
from denseil.models.optimized.model import OptimizedDenseIL

MIN_COSINE = 0.98
MIN_NEIGHBOURS = 0.8
TINY = 8  # pixels
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@checked
def optimize(
    model: DenseIL,
    dtype: Literal["auto", "float32", "bfloat16"] | torch.dtype = "auto",
    compile: bool = False,
    *,
    clips: Tensor | None = None,
    verbose: bool = True,
) -> OptimizedDenseIL:
    """Make a faster inference model with the same interface, for the device that the model is on.

    Batch norms are folded into convolutions, frames go channels_last, and products are computed in bfloat16 where the
    machine is faster in it. In the decoder, keys and values of all levels and blocks come from one product, queries,
    keys and values of a block from one, positions are looked up, and on x86 the weights are stored in oneDNN's order.
    The original is not changed.

    The result is compared with the original on clips. It is refused if the mean cosine of the centred embeddings is
    below 0.98, or fewer than 0.8 of the nearest neighbours are the same; with "auto", float32 is used if bfloat16
    fails. On a CPU "auto" also uses it if a convolution with a stride sees maps of at most 8 pixels: torch's bfloat16
    kernels were seen to read memory there that nothing had written.

    Args:
        model: A model made by `create_model`.
        dtype: "float32", "bfloat16", or "auto" for the faster one.
        compile: Compile the encoder too, by torch's inductor with frozen weights: some seconds at first use.
        clips: Float (B, T, 3, H, W), normalised, B at least 3, for the comparison; real clips are the best check. None
            for 16 synthetic clips, each of one coloured pattern.
        verbose: Print the optimisations and the agreement.

    Raises:
        ValueError: If `dtype` is unknown, the model is optimised already or not in float32, the clips are too few, or
            the result differs too much from the original.
        TypeError: If the model is not a `DenseIL`, or was not made by `create_model`.
    """
    _check(model)
    wanted = _DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if dtype != "auto" and wanted not in _DTYPES.values():
        raise ValueError(f"dtype={shown(dtype)}: choose 'auto', 'float32' or 'bfloat16'")
    device = next(model.parameters()).device
    clips = (patterns(model.preprocessing.size) if clips is None else clips).to(device)
    expected = _embed(model, clips)
    notes: list[str] = []
    first = wanted or (torch.bfloat16 if _fast_bfloat16(device) else torch.float32)
    if not wanted and first == torch.bfloat16 and device.type == "cpu" and _smallest_strided(model) <= TINY:
        first = torch.float32
        notes.append(f"bfloat16 was not tried: a convolution with a stride sees maps of at most {TINY} pixels")
    for choice in [first] if wanted or first == torch.float32 else [first, torch.float32]:
        fast = OptimizedDenseIL(model, choice, compile=compile)
        fast.agreement = agreement(expected, _embed(fast, clips))
        if fast.agreement.mean_cosine >= MIN_COSINE and fast.agreement.same_neighbour >= MIN_NEIGHBOURS:
            fast.steps += notes
            if verbose:
                print("\n".join([*fast.steps, f"against the original: {fast.agreement}"]))  # noqa: T201 (asked for)
            return fast
        notes.append(f"{str(choice).removeprefix('torch.')} was refused: {fast.agreement}")
    other = "Use dtype='float32', or compare" if wanted == torch.bfloat16 else "Compare"
    raise ValueError(
        f"{'; '.join(notes)}; at least {MIN_COSINE} and {MIN_NEIGHBOURS:.0%} are required. {other} on real clips "
        "(clips=) that differ: the clips of an untrained model hardly differ"
    )


def _check(model: object) -> None:
    if isinstance(model, OptimizedDenseIL):
        raise ValueError("the model is optimised already: give the one that create_model made")
    if not isinstance(model, DenseIL):
        raise TypeError(
            f"optimize takes a DenseIL made by denseil.create_model, not a {type(model).__name__}: for other modules "
            "use torch.compile(model.eval()), or denseil.export"
        )
    check_made_float32(model)


@torch.inference_mode()
def _embed(model: ClipModel, clips: Tensor) -> Tensor:
    """Compute embeddings (B, D) in float32, a few clips at a time, and restore the model's modes."""
    with evaluating(model):
        features = torch.cat([model.forward_features(part) for part in clips.split(4)])
        embeddings = model.forward_head(features, pre_logits=True)
        assert isinstance(embeddings, Tensor)
        return embeddings.float()


@torch.inference_mode()
def _smallest_strided(model: DenseIL) -> int:
    """Number of pixels of the smallest map that a convolution with a stride sees."""
    found: list[int] = []

    def see(module: Any, inputs: tuple[Tensor, ...]) -> None:
        if max(module.stride) > 1:
            found.append(inputs[0].shape[-2] * inputs[0].shape[-1])

    hooks = [each.register_forward_pre_hook(see) for each in model.modules() if isinstance(each, nn.Conv2d)]
    try:
        with evaluating(model):
            model.forward_features(torch.zeros(1, 1, 3, *model.preprocessing.size))
    finally:
        for hook in hooks:
            hook.remove()
    return min(found, default=TINY + 1)


def _fast_bfloat16(device: torch.device) -> bool:
    """Measure whether products are faster in bfloat16 than in float32."""
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
