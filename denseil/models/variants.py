"""The registered models. timm's registry is global, so there are only a few; the paper's other rows are arguments."""

from pathlib import Path
from typing import Any

from timm.models import generate_default_cfgs

from denseil.models._builder import build_denseil
from denseil.models._registry import register_model
from denseil.models.denseil import DenseIL
from denseil.models.interface import RESIZE

__all__: list[str] = []  # `register_model` adds each name

# Hugging Face Hub account with the weights; None until the maintainer has one.
HUB_OWNER: str | None = None

# Folders of the packaged weights, by architecture and tag.
SHIPPED = Path(__file__).parent / "shipped"

ALIASES = {"denseil_r50": "denseil_resnet50", "denseil_d121": "denseil_densenet121"}


def _cfg(hub_name: str | None = None, **entries: Any) -> dict[str, Any]:
    return {
        "hf_hub_id": f"{HUB_OWNER}/{hub_name}" if HUB_OWNER and hub_name else None,
        "hf_hub_filename": "model.safetensors",
        "input_size": (3, 256, 128),
        "num_classes": 0,
        "classifier": "neck.classifier",
        **RESIZE,
        "paper_name": "Dense Interaction Learning for Video-based Person Re-identification",
        "paper_ids": "arXiv:2103.09013",
        **entries,
    }


def _shipped_cfg(name: str) -> dict[str, Any]:
    return _cfg(file=str(SHIPPED / name), input_size=(3, 128, 64), license="apache-2.0")


default_cfgs = generate_default_cfgs(
    {
        "denseil_resnet50.mars": _cfg("denseil_resnet50.mars"),
        "denseil_densenet121.mars": _cfg("denseil_densenet121.mars"),
        "denseil_resnet50_d256.mars": _cfg("denseil_resnet50_d256.mars"),
        **{
            f"{name}.{tag}": _shipped_cfg(f"{name}.{tag}")
            for name in ("denseil_mobilenetv2", "denseil_mobilenetv2_mean")
            for tag in ("people_v2", "people_v1")  # the first is the default
        },
        "denseil": _cfg(),
    }
)


@register_model
def denseil_resnet50(pretrained: bool = False, **kwargs: Any) -> DenseIL:
    """The paper's model: ResNet-50, last stride 1, R = 4 blocks of d = 2048."""
    args: dict[str, Any] = {"backbone": "resnet50", "last_stride": 1, "dim": 2048, "depth": 4}
    return build_denseil("denseil_resnet50", pretrained, **(args | kwargs))


@register_model
def denseil_resnet50_d256(pretrained: bool = False, **kwargs: Any) -> DenseIL:
    """The paper's light row (Table 1e): ResNet-50, last stride 1, R = 4 blocks of d = 256."""
    args: dict[str, Any] = {"backbone": "resnet50", "last_stride": 1, "dim": 256, "depth": 4}
    return build_denseil("denseil_resnet50_d256", pretrained, **(args | kwargs))


@register_model
def denseil_densenet121(pretrained: bool = False, **kwargs: Any) -> DenseIL:
    """The paper's second encoder: DenseNet-121, last stride 1. The paper gives no d; here d is its width, 1024."""
    args: dict[str, Any] = {"backbone": "densenet121", "last_stride": 1, "dim": 1024, "depth": 4}
    return build_denseil("denseil_densenet121", pretrained, **(args | kwargs))


@register_model
def denseil_mobilenetv2(pretrained: bool = False, **kwargs: Any) -> DenseIL:
    """A light model for trackers and CPUs: MobileNetV2, last stride 1, R = 2 blocks of d = 256."""
    args: dict[str, Any] = {"backbone": "mobilenetv2_100", "last_stride": 1, "dim": 256, "depth": 2, "ffn_dim": 512}
    return build_denseil("denseil_mobilenetv2", pretrained, **(args | kwargs))


@register_model
def denseil_mobilenetv2_mean(pretrained: bool = False, **kwargs: Any) -> DenseIL:
    """The lightest model: MobileNetV2, last stride 1, and the mean over frames (R = 0 in Table 1c)."""
    args: dict[str, Any] = {"backbone": "mobilenetv2_100", "last_stride": 1, "depth": 0}
    return build_denseil("denseil_mobilenetv2_mean", pretrained, **(args | kwargs))


@register_model
def denseil(pretrained: bool = False, **kwargs: Any) -> DenseIL:
    """Any backbone, with its own last stride: `create_model("denseil", backbone="convnext_tiny", dim=256)`."""
    return build_denseil("denseil", pretrained, **({"last_stride": None} | kwargs))
