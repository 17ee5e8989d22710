"""Removal of the wrappers of training and compilation from a model."""

from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from denseil.common.arguments import checked

_WRAPPERS: tuple[type[nn.Module], ...] = (DataParallel, DistributedDataParallel, AveragedModel)
_WRAPPER_NAMES = {"ModelEma", "ModelEmaV2", "ModelEmaV3"}  # timm's averages of weights
COMPILED = "_orig_mod"  # attribute, and prefix of the weights' names, of a module after torch.compile


@checked
def unwrap(model: nn.Module) -> nn.Module:
    """Return the model inside wrappers: of `torch.compile`, DDP, DataParallel and averaged weights.

    Args:
        model: A model, with any number of wrappers.

    Raises:
        TypeError: If its weights are sharded over processes (FSDP, DeepSpeed), or it has adapters of PEFT.
    """
    while True:
        name = type(model).__name__
        if name == "OptimizedModule":
            model = model.get_submodule(COMPILED)
        elif isinstance(model, _WRAPPERS) or name in _WRAPPER_NAMES:
            model = model.get_submodule("module")
        elif name in ("FullyShardedDataParallel", "DeepSpeedEngine") or name.startswith("FSDP"):
            raise TypeError(f"the model is sharded ({name}): gather its weights into a plain model first")
        elif hasattr(model, "merge_and_unload"):
            raise TypeError(f"the model has adapters of PEFT ({name}): give model.merge_and_unload()")
        else:
            return model
