"""Batch norms folded into the convolutions before them, for inference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norms(net: nn.Module, run: Callable[[], object]) -> int:
    """Fold, in place, each batch norm that reads what a convolution wrote.

    Which reads what is seen on a run, not guessed from names or the order of modules, so any network will do. timm's
    batch norms with an activation leave the activation behind.

    Args:
        net: A network in eval mode.
        run: Runs it once, on any input.

    Returns:
        The number of folded batch norms.
    """
    written: dict[int, tuple[str, nn.Conv2d, Tensor]] = {}  # by the identity of the output, which is kept alive
    pairs: list[tuple[str, str]] = []
    calls: dict[str, int] = {}

    def note(name: str) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
            calls[name] = calls.get(name, 0) + 1
            if type(module) is nn.Conv2d:  # a subclass may change its weights on the way
                written[id(output)] = (name, module, output)
            elif isinstance(module, nn.BatchNorm2d) and id(inputs[0]) in written:
                pairs.append((written[id(inputs[0])][0], name))

        return hook

    handles = [
        module.register_forward_hook(note(name))
        for name, module in net.named_modules()
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d)
    ]
    try:
        with torch.no_grad():
            run()
    finally:
        for handle in handles:
            handle.remove()
    pairs = [pair for pair in pairs if calls[pair[0]] == calls[pair[1]] == 1]  # shared modules stay as they are
    for conv, norm in pairs:
        old: Any = net.get_submodule(norm)
        net.set_submodule(conv, fuse_conv_bn_eval(cast(nn.Conv2d, net.get_submodule(conv)), old))
        net.set_submodule(norm, getattr(old, "act", nn.Identity()))
    return len(pairs)
