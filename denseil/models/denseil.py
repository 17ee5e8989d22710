"""DenseIL: Dense Interaction Learning for Video-based Person Re-identification (He et al., ICCV 2021).

Written from the paper (https://arxiv.org/abs/2103.09013); its authors have not published code.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from timm.models import FeatureInfo
from torch import Tensor, nn

from denseil.common.arguments import checked
from denseil.layers import BaselineHead, BNNeck, DenseInteractionHead, FusionName, PosFormula, PosKind, ReIDOutput
from denseil.layers.checks import check_dropout, check_size
from denseil.models.clip_model import ClipModel
from denseil.models.frame_encoder import WITH_PREVIOUS, FrameEncoder, check_levels


class DenseIL(ClipModel):
    """Video re-ID model: frame encoder, Dense Interaction decoder and neck (Figure 2).

    The paper's other models are arguments: `depth=0` is the baseline (the encoder's mean and the neck),
    `fusion="none"` is CNN-TransEnc, `levels=(4,), attend_self=False` is CNN-TransDec, `fusion="sum"` and `"concat"` are
    Dense Sum. and Dense Concat.

    Args:
        backbone: A timm model name, or a feature network (see `FrameEncoder`).
        num_classes: Number of training identities; 0 for no classifier.
        pretrained_backbone: Load timm's weights of the backbone.
        levels: The encoder levels, of 1..4, that the fusion sees. H^0 is always computed from level 4.
        last_stride: 1 removes the stride of the encoder's last stage, None keeps it.
        num_parts: P, horizontal parts of a frame.
        dim: d, the decoder's width.
        depth: R, the number of decoder blocks.
        num_heads: Heads of every attention; must divide `dim`.
        ffn_dim: Hidden width of the feed-forward layers.
        backbone_args: More arguments for timm's backbone.
        fusion: "attention", "sum", "concat" or "none".
        attend_self: Whether Dense Attention attends to H^r too.
        pos_kind: "step", "spatial", "temporal" or "none" (Table 1b).
        pos_formula: "paper", "vaswani" or "factored" (see `SpatioTemporalPosEmb`).
        drop: Dropout on residual branches.
        attn_drop: Dropout on attention weights.

    Attributes:
        encoder: The `FrameEncoder`.
        decoder: A `DenseInteractionHead`, or a `BaselineHead` at `depth=0`.
        neck: The `BNNeck`.
        num_features: Width of the embedding: d, or that of the encoder's highest level at `depth=0`.
        preprocessing: Preprocessing of frames; set by `create_model`.
        pretrained_cfg: timm's cfg: input size, mean, std, source of the weights; set by `create_model`.
        denseil_cfg: Further settings: clip length, frames policy, colour order; set by `create_model`.

    Raises:
        ValueError: If an argument is out of its range.
        TypeError: If an argument is of the wrong type.
        KeyError: If timm has no such backbone.
    """

    _model_args: dict[str, Any]  # where timm keeps the arguments, for saving and loading

    @checked
    def __init__(
        self,
        backbone: str | nn.Module = "resnet50",
        *,
        num_classes: int = 0,
        pretrained_backbone: bool = False,
        levels: Sequence[int] = (2, 3, 4),
        last_stride: int | None = 1,
        num_parts: int = 4,
        dim: int = 2048,
        depth: int = 4,
        num_heads: int = 8,
        ffn_dim: int = 2048,
        backbone_args: Mapping[str, Any] | None = None,
        fusion: FusionName = "attention",
        attend_self: bool = True,
        pos_kind: PosKind = "step",
        pos_formula: PosFormula = "paper",
        drop: float = 0.1,
        attn_drop: float = 0.0,
    ) -> None:
        super().__init__()
        check_size("depth", depth, least=0)
        for name, size in {"dim": dim, "num_heads": num_heads, "ffn_dim": ffn_dim, "num_parts": num_parts}.items():
            check_size(name, size)
        check_levels(levels)
        check_dropout("drop", drop)
        check_dropout("attn_drop", attn_drop)
        fused_levels = () if fusion == "none" or depth == 0 else tuple(levels)
        self.encoder = FrameEncoder(
            backbone,
            levels=(*fused_levels, 4),
            last_stride=last_stride,
            pretrained=pretrained_backbone,
            backbone_args=backbone_args,
        )
        self.fused_levels = sorted(set(fused_levels))
        if depth == 0:
            self.decoder = BaselineHead(self.encoder.channels[-1])
        else:
            self.decoder = DenseInteractionHead(
                self.encoder.channels,
                dim,
                depth=depth,
                num_parts=num_parts,
                num_heads=num_heads,
                ffn_dim=ffn_dim,
                fusion=fusion,
                attend_self=attend_self,
                attend_last=4 in fused_levels,
                pos_kind=pos_kind,
                pos_formula=pos_formula,
                drop=drop,
                attn_drop=attn_drop,
            )
        self.neck = BNNeck(self.decoder.dim, num_classes)

    def encode_frames(self, frames: Tensor) -> Tensor:
        """Compute the part tokens of single frames; see `ClipModel.encode_frames`."""
        return self.decoder.pool(self.encoder(frames))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> ReIDOutput | Tensor:
        """Apply the neck to clip features (B, num_features); with `pre_logits` only its batch norm, in every mode."""
        output: ReIDOutput | Tensor = self.neck.bn(x) if pre_logits else self.neck(x)
        return output

    # timm's model contract

    @property
    def head_hidden_size(self) -> int:
        """Width of the embedding, under timm's name for it."""
        return self.decoder.dim

    @property
    def num_classes(self) -> int:
        """Number of training identities; 0 without a classifier."""
        return self.neck.num_classes

    @property
    def feature_info(self) -> FeatureInfo:
        """Timm's `feature_info` of the encoder levels in use; see `FrameEncoder`."""
        return self.encoder.feature_info

    def get_classifier(self) -> nn.Module | None:
        """Return the classifier, None at `num_classes=0`."""
        return self.neck.classifier

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the classifier with a new one for `num_classes` identities; 0 removes it."""
        self.neck.reset_classifier(num_classes)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute activations of the encoder and the decoder in the backward pass instead of storing them."""
        self.encoder.set_grad_checkpointing(enable)
        if isinstance(self.decoder, DenseInteractionHead):
            self.decoder.interaction.grad_checkpointing = enable

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Return timm's patterns that order the parameters by depth, for layer-wise learning rates.

        The backbone's own layers come first, as its own patterns order them; then the projections into the decoder,
        the decoder's blocks, and the neck as the last layer.

        Args:
            coarse: One layer for each stage of the backbone instead of one for each of its blocks.
        """
        blocks = [(r"^decoder\.interaction\.blocks\.(\d+)", None), (r"^decoder\.interaction\.norm", WITH_PREVIOUS)]
        inputs = r"^decoder\.(?:query|level)_"
        return {**self.encoder.group_matcher(coarse), "inputs": inputs, "blocks": blocks, "neck": r"^neck"}

    def no_weight_decay(self) -> set[str]:
        """Names of the backbone's parameters to exclude from weight decay, besides norms and biases."""
        return {f"encoder.{name}" for name in self.encoder.no_weight_decay()}


def check_made(model: ClipModel) -> None:
    """Raise TypeError unless a model was made by `create_model`, and so has a preprocessing."""
    if not hasattr(model, "denseil_cfg"):
        raise TypeError("the model was not made by denseil.create_model: it does not know how frames are prepared")


def check_made_float32(model: DenseIL) -> None:
    """Check as `check_made` does, and raise ValueError unless the weights are in float32."""
    check_made(model)
    dtype = next(model.parameters()).dtype
    if dtype != torch.float32:
        raise ValueError(f"the model is in {dtype}: give it in float32 (model.float()); lower precision is an option")
