"""Last stride 1 (Section 4.2): the last stage of a CNN keeps the resolution of the stage before it.

timm's `output_stride=16` replaces the stride by dilation, and some families do not support it. Here the stride is
removed from the modules that halve the last level, in any family, and the result is checked by running the network.
"""

from collections.abc import Callable

import torch
from timm.layers import BlurPool2d  # type: ignore[attr-defined]
from torch import Tensor, nn

Maps = Callable[[Tensor], list[Tensor]]
_POOLS = (nn.AvgPool2d, nn.MaxPool2d, nn.LPPool2d)
_STRIDED = (nn.Conv2d, BlurPool2d, *_POOLS)


def remove_last_stride(net: nn.Module, levels: Maps, size: tuple[int, int]) -> None:
    """Give the last level of `net` the resolution of the level before it, in place and without dilation.

    Args:
        net: The network.
        levels: The network's last two maps of an image batch, (1, C, H, W) each.
        size: An image height and width in pixels that the network accepts.

    Raises:
        ValueError: If the stride cannot be removed. The network is then no longer usable.
    """
    parameter = next(net.parameters())
    image = torch.zeros(1, 3, *size, device=parameter.device, dtype=parameter.dtype)
    training = net.training
    net.eval()
    try:
        with torch.no_grad():
            fine, coarse, strided = _halving_modules(net, levels, image)
            if fine == coarse:
                return
            if not strided:
                raise ValueError(f"no convolution or pooling takes the last level from {fine} to {coarse}")
            for name, module in strided.items():
                _remove_stride(net, name, module)
            edited = _spatial(levels(image)[-1])
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"the network does not run with the stride removed ({error})") from error
    finally:
        net.train(training)
    if edited != fine:
        raise ValueError(f"with the stride removed the last level is {edited}, not {fine}")


def _spatial(level: Tensor) -> tuple[int, ...]:
    return tuple(level.shape[-2:])


def _halving_modules(
    net: nn.Module, levels: Maps, image: Tensor
) -> tuple[tuple[int, ...], tuple[int, ...], dict[str, nn.Module]]:
    """Return the sizes of both levels, and the strided modules, by name, between the first and the second.

    Only modules that run after the first level is computed count: an earlier one, such as the key reduction of PVT's
    attention, may halve maps of the same size.
    """
    calls: list[tuple[str, nn.Module, Tensor, Tensor]] = []  # in order of execution

    def watch(name: str) -> Callable[[nn.Module, tuple[object, ...], object], None]:
        def hook(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
            if inputs and isinstance(inputs[0], Tensor) and isinstance(output, Tensor):
                calls.append((name, module, inputs[0], output))

        return hook

    handles = [module.register_forward_hook(watch(name)) for name, module in net.named_modules()]
    try:
        first, second = levels(image)
    finally:
        for handle in handles:
            handle.remove()
    done = max((i for i, call in enumerate(calls) if _same_memory(call[3], first)), default=-1)
    fine, coarse = _spatial(first), _spatial(second)
    strided: dict[str, nn.Module] = {
        name: module
        for name, module, source, output in calls[done + 1 :]
        if isinstance(module, _STRIDED)
        and source.dim() == output.dim() == 4
        and (_spatial(source), _spatial(output)) == (fine, coarse)
    }
    return fine, coarse, strided


def _same_memory(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors share memory; works on the meta device too, which has no addresses."""
    return bool(a.untyped_storage()._cdata == b.untyped_storage()._cdata)


def _remove_stride(net: nn.Module, name: str, module: nn.Module) -> None:
    """Set the stride of one module to 1, padding it where its kernel would shrink the map."""
    if isinstance(module, nn.Conv2d):
        module.stride = (1, 1)
        if module.kernel_size[0] % 2 == 0:  # a patchify convolution, k = stride = 2
            module.padding = "same"
    elif isinstance(module, _POOLS) and module.kernel_size == module.stride:
        net.set_submodule(name, nn.Identity())  # without a stride it is the identity
    elif isinstance(module, (BlurPool2d, *_POOLS)):
        module.stride = 1
