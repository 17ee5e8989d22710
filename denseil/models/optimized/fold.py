"""Batch norms folded into the convolutions before them, for inference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def fold_batch_norms(net: nn.Module, run: Callable[[], object]) -> int:
    """Fold each batch norm that reads a convolution's output into that convolution, in place.

    The pairs are found by running the network, not from names or the order of modules, so any network works. A
    convolution is left alone if anything else reads its output too, such as a shortcut (MaxViT's stem). The activation
    in timm's batch norms with an activation is kept.

    Args:
        net: A network in eval mode.
        run: Function that runs it once, on any input.

    Returns:
        The number of batch norms folded.
    """
    written: dict[int, tuple[str, nn.Conv2d, Tensor]] = {}  # by the id of the output, which is kept alive
    pairs: list[tuple[str, nn.Conv2d, str, nn.BatchNorm2d]] = []
    calls: dict[str, int] = {}
    uses = _Uses()

    def note(name: str) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
            calls[name] = calls.get(name, 0) + 1
            if type(module) is nn.Conv2d:  # a subclass may transform its weights
                written[id(output)] = (name, module, output)
                uses.count[id(output)] = 0
            elif isinstance(module, nn.BatchNorm2d) and id(inputs[0]) in written:
                conv_name, conv, _ = written[id(inputs[0])]
                pairs.append((conv_name, conv, name, module))

        return hook

    handles = [
        module.register_forward_hook(note(name))
        for name, module in net.named_modules()
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d)
    ]
    try:
        with torch.no_grad(), uses:
            uses.note(run())
    finally:
        for handle in handles:
            handle.remove()
    shared = {name for name, _, output in written.values() if uses.count[id(output)] > 1}
    pairs = [pair for pair in pairs if calls[pair[0]] == calls[pair[2]] == 1 and pair[0] not in shared]
    for conv_name, conv, norm_name, norm in pairs:
        net.set_submodule(conv_name, fuse_conv_bn_eval(conv, norm))
        net.set_submodule(norm_name, getattr(norm, "act", nn.Identity()))
    return len(pairs)


class _Uses(TorchDispatchMode):
    """Counts how many operations read each tensor, by its id."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count: dict[int, int] = {}

    def note(self, values: object) -> None:
        """Count one use of each tensor in nested values."""
        for value in tree_leaves(values):
            if isinstance(value, Tensor):
                self.count[id(value)] = self.count.get(id(value), 0) + 1

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.note((args, kwargs))
        return func(*args, **(kwargs or {}))
