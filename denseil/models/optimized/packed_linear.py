"""Linear layer for inference, with weights in the memory layout of the processor's kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PackedLinear(nn.Module):
    """Several linear layers in one product, with concatenated outputs, in `dtype`.

    On an x86 processor the weights are converted to oneDNN's blocked layout once, not in every call as in `nn.Linear`.
    Elsewhere they are not changed. If the input requires a gradient, it computes as `nn.Linear` does.

    Args:
        linears: Linear layers of one input width, all with a bias or none.
        dtype: Precision of the product.
        relu: Apply ReLU to the result.
    """

    bias: Tensor | None

    def __init__(self, linears: Sequence[nn.Module], dtype: torch.dtype, *, relu: bool = False) -> None:
        super().__init__()
        parts = [linear for linear in linears if isinstance(linear, nn.Linear)]
        assert len(parts) == len(linears)
        weight = torch.cat([part.weight.detach().to(dtype) for part in parts])
        has_bias = parts[0].bias is not None
        self.register_buffer("bias", torch.cat([part.bias.detach().to(dtype) for part in parts]) if has_bias else None)
        self.in_features = weight.shape[1]
        self.relu = relu
        self.weight = _pack(weight)  # not a parameter: packed weights have no storage that modules can move

    def forward(self, x: Tensor) -> Tensor:
        """Float (..., in_features) to (..., out_features) of `dtype`."""
        x = x.to(self.weight.dtype)
        wants_gradient = x.requires_grad and torch.is_grad_enabled()  # oneDNN's product has no gradient
        if self.weight.is_mkldnn and not wants_gradient:
            after = "relu" if self.relu else "none"
            result: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, after, [], "")
            return result
        result = F.linear(x, _unpack(self.weight), self.bias)
        return result.relu_() if self.relu else result

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> PackedLinear:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.weight = _pack(fn(_unpack(self.weight)))
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "weight": _unpack(self.weight)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({**state, "weight": _pack(state["weight"])})  # type: ignore[no-untyped-call]


def _pack(weight: Tensor) -> Tensor:
    """Convert a weight to oneDNN's layout where it is faster."""
    x86 = weight.device.type == "cpu" and torch.backends.cpu.get_cpu_capability().startswith("AVX")
    if not x86 or not torch.backends.mkldnn.is_available():
        return weight
    if weight.dtype == torch.float32 or (
        weight.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    ):
        packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, None)
        return packed
    return weight


def _unpack(weight: Tensor) -> Tensor:
    return weight.to_dense() if weight.is_mkldnn else weight
