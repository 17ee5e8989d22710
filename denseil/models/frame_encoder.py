"""The CNN encoder (Section 3.1): feature maps of single frames from any timm backbone."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import timm
import torch
from timm.models import FeatureInfo
from torch import Tensor, nn

from denseil.common import imagenet
from denseil.common.arguments import checked, shown
from denseil.common.text import did_you_mean
from denseil.layers.checks import check_frames
from denseil.models._fetch_backbone import backbone_weights
from denseil.models.last_stride import remove_last_stride

WITH_PREVIOUS = (99999,)  # timm's mark for parameters that belong to the layer before
DOT = r"\."
_OWN_ARGS = {"features_only", "out_indices", "pretrained", "pretrained_cfg_overlay"}


class FrameEncoder(nn.Module):
    """Feature maps of single frames at up to four levels of a timm backbone.

    Levels 1..4 are the last four feature maps; in a plain ViT, the outputs of its blocks at 1/4, 2/4, 3/4 and 4/4 of
    the depth. Widths and strides come from the backbone's `feature_info`.

    Args:
        backbone: A timm model name, or a network of your own that has timm's `feature_info` and returns a list of
            feature maps that ends with the levels.
        levels: Which levels to return, in 1..4.
        last_stride: 1 removes the stride of the last stage, without dilation (Section 4.2); None keeps it.
        pretrained: Load timm's weights of the backbone.
        backbone_args: More arguments for `timm.create_model`, such as `img_size` for a ViT, Swin or LeViT.

    Attributes:
        levels: The levels returned, ascending.
        feature_info: timm's record of the returned levels, with `channels()`, `reduction()` (pixels per cell) and
            `module_name()`; also indexed by level, as in `feature_info[-1]["num_chs"]`.
        mean, std: Normalisation of the input, per channel, as the backbone's weights expect it.

    Raises:
        ValueError: If an argument is out of its range, the backbone cannot give the levels, or its stride cannot be
            removed.
        KeyError: If timm has no such backbone.
    """

    net: Any  # timm has no type for its feature networks

    @checked
    def __init__(
        self,
        backbone: str | nn.Module = "resnet50",
        *,
        levels: Sequence[int] = (4,),
        last_stride: int | None = None,
        pretrained: bool = False,
        backbone_args: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        _check(backbone, backbone_args)
        check_levels(levels)
        if not levels:
            raise ValueError("levels=(): choose among 1, 2, 3, 4; 4 is the highest")
        if last_stride not in (1, None):
            raise ValueError(f"last_stride={last_stride}: 1 removes the last stage's stride, None keeps it")
        args = self._args = dict(backbone_args or {})
        self.levels = sorted(set(levels))
        taps = sorted({3, 4, *levels})  # level 3 tells what the last stride is
        if isinstance(backbone, str):
            self.name, self.net = backbone, _create_features(backbone, taps, pretrained, args)
        else:
            self.name, self.net = type(backbone).__name__, backbone
            taps = [1, 2, 3, 4]
        self._positions = [taps.index(level) - len(taps) for level in self.levels]  # counted from the end
        self._channels_last = getattr(self.net, "output_fmt", "NCHW") == "NHWC"
        info = self.net.feature_info.get_dicts()
        if len(info) < -min(self._positions):
            raise ValueError(
                f"{self.name} returns {len(info)} feature maps, and level {self.levels[0]} is the last but "
                f"{-min(self._positions) - 1}: take higher levels, or return more maps"
            )
        self.feature_info = FeatureInfo([dict(info[i]) for i in self._positions], tuple(range(len(self.levels))))
        cfg: dict[str, Any] = getattr(self.net, "pretrained_cfg", {})
        self.mean: tuple[float, ...] = tuple(cfg.get("mean", imagenet.MEAN))
        self.std: tuple[float, ...] = tuple(cfg.get("std", imagenet.STD))
        self.img_size = _fixed_size(cfg, args)
        if last_stride == 1:
            self._remove_last_stride()

    @property
    def channels(self) -> list[int]:
        """Width C_l of each level returned."""
        widths: list[int] = self.feature_info.channels()
        return widths

    def forward(self, frames: Tensor) -> list[Tensor]:
        """Encode frames (N, 3, H, W), normalised, to one map (N, C_l, H_l, W_l) per level, lowest level first."""
        check_frames(frames)
        if frames.dim() != 4:
            raise ValueError(f"frames have shape {tuple(frames.shape)}; they must be (N, 3, H, W)")
        if self.img_size and tuple(frames.shape[-2:]) != self.img_size and not torch.compiler.is_compiling():
            raise ValueError(
                f"backbone {self.name!r} is built for frames of {self.img_size}, not {tuple(frames.shape[-2:])}; "
                f"resize them, or build it with backbone_args={{'img_size': {tuple(frames.shape[-2:])}}}"
            )
        maps = self._all_maps(frames)
        return [maps[i] for i in self._positions]

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute the backbone's activations in the backward pass instead of storing them.

        NOTE: timm recomputes whole stages, batch norms included, so their running statistics are updated twice.

        Raises:
            ValueError: If the backbone has no such mode.
        """
        net = self.net if hasattr(self.net, "set_grad_checkpointing") else getattr(self.net, "model", self.net)
        for child in net.children() if enable else ():
            if getattr(child, "inplace", False):  # before 1.0.31, timm recomputes it over its own input
                child.inplace = False
        try:
            net.set_grad_checkpointing(enable)
        except (AttributeError, AssertionError) as error:
            if enable:
                raise ValueError(f"backbone {self.name!r} has no gradient checkpointing in timm") from error

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        r"""Return the backbone's own patterns that order its parameters by depth, for layer-wise learning rates.

        They are written for names that begin with `encoder.net.`, as in a `DenseIL`. A backbone that has no patterns,
        such as a network of your own, is one group.

        Args:
            coarse: One layer for each stage of the backbone instead of one for each of its blocks.
        """
        prefix = r"^encoder\.net\.(?:model\.)?"
        groups: dict[str, Any] = {}
        for group, patterns in self._backbone_matcher(coarse).items():
            pairs = [(patterns, None)] if isinstance(patterns, str) else patterns or ()
            # timm's feature networks join the names of nested modules by underscores: "blocks.0" becomes "blocks_0"
            groups[f"encoder_{group}"] = [
                (f"{prefix}(?:{_unanchored(pattern).replace(DOT, '[._]')})", suffix) for pattern, suffix in pairs
            ]
        rest = (prefix, WITH_PREVIOUS if groups else None)
        return {**groups, "encoder_rest": [rest]}

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters that the backbone excludes from weight decay, such as positional embeddings."""
        found = self._backbone_with("no_weight_decay")
        excluded: set[str] = set() if found is None else found.no_weight_decay()
        flat = {name.replace(".", "_") for name in excluded}
        names = [name for name, _ in self.net.named_parameters()]
        return {f"net.{name}" for name in names if name.removeprefix("model.").replace(".", "_") in flat}

    def _backbone_matcher(self, coarse: bool) -> dict[str, Any]:
        """Return the backbone's group matcher; empty if it has none."""
        found = self._backbone_with("group_matcher")
        matcher = None if found is None else found.group_matcher(coarse=coarse)
        return matcher if isinstance(matcher, dict) else {}

    def _backbone_with(self, method: str) -> Any:
        """Return the backbone as a module with the given method of timm; None if it has no such method.

        timm's feature networks lack these methods; the classifiers that they are made from have them.
        """
        nets = [self.net, getattr(self.net, "model", None)]
        if not any(hasattr(net, method) for net in nets) and timm.is_model(self.name.split(".")[0]):
            with torch.device("meta"):
                nets.append(timm.create_model(self.name, **self._args))
        return next((net for net in nets if hasattr(net, method)), None)

    def _all_maps(self, frames: Tensor) -> list[Tensor]:
        maps: Sequence[Tensor] = self.net(frames)
        return [level.permute(0, 3, 1, 2) for level in maps] if self._channels_last else list(maps)

    def _remove_last_stride(self) -> None:
        try:
            remove_last_stride(self.net, lambda image: self._all_maps(image)[-2:], self.img_size or (128, 64))
        except ValueError as error:
            raise ValueError(
                f"backbone {self.name!r} cannot take last_stride=1: {error}; use last_stride=None"
            ) from error
        if 4 in self.levels:
            self.feature_info[-1]["reduction"] = self.net.feature_info.get_dicts()[-2]["reduction"]


def check_levels(levels: object) -> None:
    """Raise TypeError unless `levels` are integers, ValueError unless each is one of 1 to 4."""
    if not isinstance(levels, Collection) or not all(type(level) is int for level in levels):
        raise TypeError(f"levels={shown(levels)}: give integers among 1, 2, 3, 4, such as (2, 3, 4)")
    if not set(levels) <= {1, 2, 3, 4}:
        raise ValueError(f"levels={tuple(levels)}: choose among 1, 2, 3, 4; 4 is the highest")


def _check(backbone: object, args: object) -> None:
    if not isinstance(backbone, str | nn.Module):
        raise TypeError(f"backbone={shown(backbone)}: give the name of a timm model, or a feature network")
    if not isinstance(args, Mapping | None):
        raise TypeError(f"backbone_args={shown(args)}: give a dict of arguments for timm.create_model")


def _create_features(name: str, taps: Sequence[int], pretrained: bool, args: Mapping[str, Any]) -> Any:
    """Build the timm backbone with the given levels, 1..4, as its outputs."""
    if clash := _OWN_ARGS & set(args):
        raise ValueError(f"backbone_args may not hold {sorted(clash)}: FrameEncoder sets them")
    if ":" not in name and not timm.is_model(name.split(".")[0]):
        hint = did_you_mean(name, timm.list_models(), n=3)
        raise KeyError(f"timm has no backbone {shown(name)}{f'; {hint}' * bool(hint)}")
    try:
        net: Any = timm.create_model(
            name,
            pretrained=pretrained,
            pretrained_cfg_overlay=backbone_weights(name) if pretrained else None,
            features_only=True,
            out_indices=tuple(tap - 5 for tap in taps),
            **args,
        )
        info = net.feature_info
    except (RuntimeError, AssertionError, TypeError, AttributeError, KeyError, IndexError) as error:
        raise ValueError(
            f"backbone {shown(name)} gives no feature maps for levels {list(taps)}; timm says: "
            f"{type(error).__name__}: {str(error).strip() or 'nothing more'}"
        ) from error
    if len(info) > 4 and len({info[i]["reduction"] for i in range(len(info))}) == 1:
        # A plain ViT: every block is a level, all of the same stride. Spread the levels over the depth.
        net.out_indices = [len(info) * tap // 4 - 1 for tap in taps]
        info.out_indices = tuple(net.out_indices)
    return net


def _unanchored(pattern: str) -> str:
    return re.sub(r"(?<![\[\\])\^", "", pattern)


def _fixed_size(cfg: Mapping[str, Any], args: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return the fixed input height and width of the backbone; None if it takes any."""
    if not cfg.get("fixed_input_size") or args.get("dynamic_img_size") or args.get("strict_img_size") is False:
        return None
    size = args.get("img_size", cfg["input_size"][-2:])
    return (size, size) if isinstance(size, int) else (size[0], size[1])
