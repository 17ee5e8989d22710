"""Building a registered model with timm's machinery, and loading its weights strictly."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import PretrainedCfg, build_model_with_cfg, resolve_pretrained_cfg

from denseil.models._config import DENSEIL_BLOCK, WEIGHTS_NAME, read_config
from denseil.models._fetch import fetch_folder
from denseil.models._saved_args import MOST_PARAMS, check_backbone, check_saved_args
from denseil.models._weights import build_from_file
from denseil.models.denseil import DenseIL
from denseil.models.frame_encoder import FrameEncoder

_DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
MODEL_ARGS = frozenset(inspect.signature(DenseIL).parameters) - {"num_classes"} | {"drop_rate"}  # timm's name of drop


def build_denseil(
    variant: str,
    pretrained: bool,
    *,
    pretrained_cfg: str | Mapping[str, Any] | PretrainedCfg | None = None,
    pretrained_cfg_overlay: Mapping[str, Any] | None = None,
    cache_dir: str | Path | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    **model_args: Any,
) -> DenseIL:
    """Build a registered model; timm's entry points call this.

    Args:
        variant: The registered name.
        pretrained: Load the weights that the cfg names.
        pretrained_cfg: A tag of the variant, or a complete cfg, as in a saved model.
        pretrained_cfg_overlay: Entries that replace those of the cfg.
        cache_dir: The Hub client's cache.
        device: Device of the parameters; None for torch's default device.
        dtype: Type of the parameters; None for float32.
        model_args: Arguments of `DenseIL`; `features_only=True`, as in timm, for its encoder of frames alone.

    Raises:
        KeyError: If the tag is unknown.
        RuntimeError: If `pretrained`, and no weights are published for the tag.
        ValueError: If an argument is out of its range, or the weights do not fit.
    """
    check_dtype(dtype)
    cfg = _resolve_cfg(variant, pretrained_cfg, pretrained_cfg_overlay)
    features_only = model_args.pop("features_only", False)
    _translate_timm_args(variant, model_args)
    check_backbone(model_args.get("backbone"), model_args.get("backbone_args"))
    if pretrained:
        require_weights(variant, cfg)
    folder = _saved_folder(cfg, cache_dir, weights=pretrained)
    saved = read_config(folder) if folder else None
    complete = isinstance(pretrained_cfg, Mapping | PretrainedCfg)  # with the mean, std and frame size of a saved model
    opened = saved is not None and complete
    if saved and opened:  # local-dir: or hf-hub:, from which timm reads more than is safe
        check_saved_args(saved.model_args, MODEL_ARGS)
        hub_id = cfg["hf_hub_id"] if cfg.get("source") == "hf-hub" else None
        sources = {"file": str(folder), "source": cfg.get("source"), "hf_hub_id": hub_id}
        cfg = _resolve_cfg(variant, saved.pretrained_cfg, pretrained_cfg_overlay) | sources
    levels = model_args.get("levels")
    if saved and features_only and pretrained:  # the weights are those of the saved decoder's levels
        model_args.pop("levels", None)
        model_args |= {name: value for name, value in saved.model_args.items() if name == "levels"}
    if pretrained or opened:
        model_args["pretrained_backbone"] = False  # the weights of the whole model replace them

    build = partial(_build, variant, cfg, model_args, complete=complete)
    if opened and not pretrained:
        _check_size(build, folder)
    with torch.device(device) if device is not None else nullcontext():
        if pretrained:
            path = folder / WEIGHTS_NAME if folder else Path(cfg["file"])
            digest = saved.digests.get("weights") if saved else None
            model = build_from_file(build, path, origin=cfg.get("hf_hub_id") or str(cfg.get("file")), digest=digest)
        else:
            model = build()
    if dtype is not None:
        model.to(dtype)
    model._model_args = {k: v for k, v in model_args.items() if k not in ("num_classes", "pretrained_backbone")}
    model.denseil_cfg = dict(saved.denseil if saved else DENSEIL_BLOCK)
    if not pretrained:
        model.denseil_cfg.pop("thresholds", None)  # measured with the weights that are not loaded
    if features_only:
        encoder: Any = _chosen_levels(model.encoder, levels, model_args)
        encoder.pretrained_cfg = model.pretrained_cfg
        return encoder  # type: ignore[no-any-return]  # as in timm, another class of module
    return model


def _build(variant: str, cfg: dict[str, Any], model_args: Mapping[str, Any], *, complete: bool) -> DenseIL:
    """Build a model with random weights.

    Args:
        variant: The registered name.
        cfg: Its cfg.
        model_args: Arguments of `DenseIL`.
        complete: Whether mean, std and frame size are those of the cfg, not of the backbone.
    """
    model: DenseIL = build_model_with_cfg(
        DenseIL,
        variant,
        pretrained=False,
        pretrained_cfg=cfg,
        kwargs_filter=("in_chans", "global_pool", "img_size"),  # type: ignore[arg-type]  # timm means tuple[str, ...]
        **model_args,
    )
    if not complete:
        model.pretrained_cfg.update(mean=model.encoder.mean, std=model.encoder.std)
        if size := (model_args.get("backbone_args") or {}).get("img_size"):  # it takes only frames of that size
            model.pretrained_cfg["input_size"] = (3, *((size, size) if isinstance(size, int) else size))
    return model


def _chosen_levels(encoder: FrameEncoder, levels: Sequence[int] | None, model_args: Mapping[str, Any]) -> FrameEncoder:
    """Return an encoder of the chosen levels, with the weights of a model's, which may have others for the decoder."""
    if levels is None or encoder.levels == sorted(set(levels)):
        return encoder
    args = {name: model_args[name] for name in ("backbone", "last_stride", "backbone_args") if name in model_args}
    like = next(encoder.parameters())
    with torch.device(like.device):
        chosen = FrameEncoder(levels=levels, **args)
    chosen.to(like.dtype).load_state_dict(encoder.state_dict())
    return chosen


def _translate_timm_args(variant: str, model_args: dict[str, Any]) -> None:
    """Replace timm's arguments by those of `DenseIL`, in place, and raise ValueError for those that it cannot take."""
    if model_args.pop("out_indices", None) is not None:
        raise ValueError(f"{variant!r} takes levels= in place of out_indices, such as levels=(2, 3, 4)")
    if model_args.pop("in_chans", 3) != 3:
        raise ValueError(f"{variant!r} takes colour frames: in_chans must be 3")
    for name, fix in {"img_size": "backbone_args={'img_size': ...}", "global_pool": "num_parts= or depth=0"}.items():
        if model_args.pop(name, None) not in (None, ""):
            raise ValueError(f"{variant!r} takes {fix} in place of {name}")
    if (rate := model_args.pop("drop_rate", None)) is not None:
        model_args["drop"] = rate
    model_args.pop("pretrained_model_args", None)


def _check_size(build: Callable[[], DenseIL], folder: Path | None) -> None:
    """Refuse a config of an unreasonably large model, before memory is allocated."""
    with torch.device("meta"):
        params = sum(param.numel() for param in build().parameters())
    if params > MOST_PARAMS:
        raise ValueError(f"{folder} describes a model of {params:,} parameters; the limit is {MOST_PARAMS:,}")


def require_weights(variant: str, cfg: Mapping[str, Any]) -> None:
    """Raise RuntimeError, with the alternatives, unless the cfg names weights."""
    if cfg.get("file") or cfg.get("hf_hub_id"):
        return
    name = f"{variant}.{cfg['tag']}" if cfg.get("tag") else variant
    shipped = timm.list_pretrained("denseil*")
    raise RuntimeError(
        f"no weights are published for {name!r}: pass checkpoint_path= to load your own, train it, "
        + (f"take one of {', '.join(shipped)}, " if shipped else "")
        + "or start from timm's ImageNet encoder with pretrained_backbone=True"
    )


def tags_of(variant: str) -> list[str]:
    """List the tags of a registered name."""
    return [name.partition(".")[2] for name in timm.list_models(f"{variant}.*", include_tags=True)]


def check_dtype(dtype: torch.dtype | None) -> None:
    """Raise ValueError unless a type of parameters is one of real numbers in at least 16 bits."""
    if dtype is not None and dtype not in _DTYPES:
        raise ValueError(f"dtype={dtype}: give one of {', '.join(map(str, _DTYPES))}")


def _resolve_cfg(variant: str, cfg: Any, overlay: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the cfg of a tag, or the given cfg, as a dict; raise KeyError for unknown tags."""
    if isinstance(cfg, str):
        tags = tags_of(variant)
        if cfg not in tags:
            raise KeyError(f"{variant!r} has no tag {cfg!r}; its tags: {', '.join(filter(None, tags)) or 'none'}")
    elif isinstance(cfg, PretrainedCfg):
        cfg = cfg.to_dict()
    resolved: dict[str, Any] = resolve_pretrained_cfg(variant, cfg, dict(overlay or {})).to_dict()
    return resolved


def _saved_folder(cfg: Mapping[str, Any], cache_dir: str | Path | None, *, weights: bool) -> Path | None:
    """Return the folder of a saved model, fetched from the Hub if necessary; None if there is no folder."""
    if cfg.get("source") != "hf-hub" and cfg.get("file"):
        return Path(cfg["file"]) if Path(cfg["file"]).is_dir() else None
    if cfg.get("hf_hub_id") and (weights or cfg.get("source") == "hf-hub"):
        return fetch_folder(cfg["hf_hub_id"], weights=weights, cache_dir=cache_dir)
    return None
