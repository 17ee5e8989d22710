"""DenseIL: Dense Interaction Learning for Video-based Person Re-identification (He et al., ICCV 2021).

Written from the paper; no code of its authors is public. https://arxiv.org/abs/2103.09013
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from denseil.layers import BaselineHead, BNNeck, ClipHead, DenseInteractionHead, FusionName, PosFormula, PosKind
from denseil.layers import ReIDOutput as ReIDOutput
from denseil.layers._checks import check_frame_mask, check_frames
from denseil.models.frame_encoder import WITH_PREVIOUS, FrameEncoder
from denseil.models.interface import Preprocessing


@dataclass(frozen=True)
class AttentionMap:
    """The Dense Attention weights of one decoder block, with a label on every key (Figure 4 is drawn from these).

    Attributes:
        weights: (B, heads, T * P, K); the queries run over (frame, part). The last axis sums to 1.
        level: (K,) int64, the encoder level 1..4 of each key, 0 for H^r.
        frame: (K,) int64, the position 0..T-1 of the key's frame in the clip.
        part: (K,) int64, the key's part 0..P-1, top to bottom.
    """

    weights: Tensor
    level: Tensor
    frame: Tensor
    part: Tensor


class DenseIL(nn.Module):
    """A tracklet in, one embedding out: frame encoder, DI decoder and neck (Figure 2).

    The paper's other models are arguments: `depth=0` is the baseline (the encoder's mean and the neck),
    `fusion="none"` is CNN-TransEnc, `levels=(4,), attend_self=False` is CNN-TransDec, `fusion="sum"` and `"concat"` are
    Dense Sum. and Dense Concat.

    Args:
        backbone: A timm model name, or a feature network (see `FrameEncoder`).
        num_classes: Training identities; 0 for no classifier.
        pretrained_backbone: Load timm's weights of the backbone.
        levels: The encoder levels, of 1..4, that the fusion sees. H^0 is always made from level 4.
        last_stride: 1 removes the stride of the encoder's last stage, None leaves it.
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
        num_features: Width of the embedding: d, or that of the encoder's highest level at `depth=0`.
        pretrained_cfg: Set by `create_model`, timm's record: input size, mean, std, where the weights come from.
        denseil_cfg: Set by `create_model`, what timm's record cannot hold: clip length, frames policy, colour order.

    Raises:
        ValueError: If an argument is out of its range.
        KeyError: If timm has no such backbone.
    """

    pretrained_cfg: dict[str, Any]
    denseil_cfg: dict[str, Any]
    _model_args: dict[str, Any]  # timm's record of the arguments, for save and load

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
        fused_levels = () if fusion == "none" or depth == 0 else tuple(levels)
        self.encoder = FrameEncoder(
            backbone,
            levels=(*fused_levels, 4),
            last_stride=last_stride,
            pretrained=pretrained_backbone,
            backbone_args=backbone_args,
        )
        self.fused_levels = sorted(set(fused_levels))
        self.decoder: ClipHead
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

    def forward(self, clips: Tensor, mask: Tensor | None = None) -> ReIDOutput | Tensor:
        """Embed clips.

        Args:
            clips: Float (B, T, 3, H, W), normalised as `pretrained_cfg` says; any T >= 1.
            mask: Bool (B, T), True where a frame is real. Other frames have no effect and, in eager mode, no cost.

        Returns:
            In eval mode the embedding (B, num_features), after the neck's batch norm, not L2-normalised; while training
            `ReIDOutput(logits, features)`.

        Raises:
            ValueError: If a shape is wrong, or a row of the mask is all False.
            TypeError: If the clips are not floating point, or the mask is not boolean.
        """
        return self.forward_head(self.forward_features(clips, mask))

    def forward_features(self, clips: Tensor, mask: Tensor | None = None) -> Tensor:
        """Clip features (B, num_features) before the neck; arguments as in `forward`."""
        return self.decoder.decode(self._encode_clips(clips, mask), mask)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> ReIDOutput | Tensor:
        """The neck on clip features (B, num_features); with `pre_logits` its batch norm alone, in every mode."""
        output: ReIDOutput | Tensor = self.neck.bn(x) if pre_logits else self.neck(x)
        return output

    def encode_frames(self, frames: Tensor) -> Tensor:
        """Part tokens of single frames, for `decode` to use as often as it likes.

        Args:
            frames: Float (N, 3, H, W), normalised.

        Returns:
            (N, P, sum of the levels' widths); P = 1 for the baseline.
        """
        return self.decoder.pool(self.encoder(frames))

    def decode(self, tokens: Tensor, mask: Tensor | None = None) -> ReIDOutput | Tensor:
        """What `forward` returns, from tokens (B, T, P, sum of widths) of `encode_frames` and a bool mask (B, T)."""
        return self.forward_head(self.decoder.decode(tokens, mask))

    def attention_maps(self, clips: Tensor, mask: Tensor | None = None) -> list[AttentionMap]:
        """The Dense Attention weights of every block, on the explicit path; arguments as in `forward`.

        Raises:
            ValueError: If the model has no Dense Attention.
        """
        if not isinstance(self.decoder, DenseInteractionHead) or not self.decoder.has_dense_attention:
            raise ValueError("this model has no Dense Attention to show; build it with fusion='attention', depth >= 1")
        weights: list[Tensor] = []
        self.decoder.decode(self._encode_clips(clips, mask), mask, weights=weights)
        frames, parts = clips.shape[1], self.decoder.pool_parts.num_parts
        keys = weights[0].shape[-1]
        levels = torch.tensor([*self.fused_levels, 0], device=clips.device)
        level, frame, part = (
            axis.flatten()[:keys]  # H^r's keys come last, and are not there without attend_self
            for axis in torch.meshgrid(
                levels,
                torch.arange(frames, device=clips.device),
                torch.arange(parts, device=clips.device),
                indexing="ij",
            )
        )
        return [AttentionMap(block, level, frame, part) for block in weights]

    def _encode_clips(self, clips: Tensor, mask: Tensor | None) -> Tensor:
        """Part tokens (B, T, P, sum of widths), zero where the mask is False."""
        _check_clips(clips)
        batch, frames = clips.shape[:2]
        check_frame_mask(mask, batch, frames)
        if mask is None:
            return self._encode_all(clips)
        if torch.compiler.is_compiling():
            if self.training:
                raise ValueError("a mask while training needs eager mode: compiled, batch norm would see the padding")
            return self._encode_all(torch.where(mask[:, :, None, None, None], clips, 0))
        real = self.encode_frames(clips[mask])  # (number of real frames, P, sum of widths)
        tokens = real.new_zeros(batch, frames, *real.shape[1:])
        tokens[mask] = real
        return tokens

    def _encode_all(self, clips: Tensor) -> Tensor:
        tokens: Tensor = self.encode_frames(clips.flatten(0, 1)).unflatten(0, clips.shape[:2])
        return tokens

    @property
    def preprocessing(self) -> Preprocessing:
        """How frames are prepared: `pretrained_cfg` and `denseil_cfg` in one record.

        Setting it changes both. A model that was not made by `create_model` has none until it is set.
        """
        cfg, block = self.pretrained_cfg, self.denseil_cfg
        return Preprocessing(
            size=(cfg["input_size"][1], cfg["input_size"][2]),
            mean=tuple(cfg["mean"]),
            std=tuple(cfg["std"]),
            clip_len=block["clip_len"],
            frames=block["frames"],
            color_order=block["color_order"],
        )

    @preprocessing.setter
    def preprocessing(self, value: Preprocessing) -> None:
        cfg = {"input_size": (3, *value.size), "mean": value.mean, "std": value.std}
        block = {"clip_len": value.clip_len, "frames": value.frames, "color_order": value.color_order}
        self.pretrained_cfg = {**getattr(self, "pretrained_cfg", {}), **cfg}
        self.denseil_cfg = {**getattr(self, "denseil_cfg", {}), **block}

    # timm's model contract

    @property
    def num_features(self) -> int:
        """Width of the embedding."""
        return self.decoder.dim

    @property
    def head_hidden_size(self) -> int:
        """Width of the embedding, by timm's other name for it."""
        return self.decoder.dim

    @property
    def num_classes(self) -> int:
        """Training identities; 0 without a classifier."""
        return self.neck.num_classes

    @property
    def feature_info(self) -> list[dict[str, Any]]:
        """Record of the encoder levels in use: `num_chs`, `reduction`, `module`."""
        return self.encoder.feature_info

    def get_classifier(self) -> nn.Module | None:
        """The classifier, None at `num_classes=0`."""
        return self.neck.classifier

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the classifier by a fresh one; 0 removes it."""
        self.neck.reset_classifier(num_classes)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute activations of the encoder and the decoder in the backward pass instead of keeping them."""
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
        """Names that weight decay should leave alone, besides norms and biases: none."""
        return set()


def check_made(model: DenseIL) -> None:
    """Raise a TypeError unless a model was made by `create_model`, and so knows how frames are prepared."""
    if not hasattr(model, "denseil_cfg"):
        raise TypeError("the model was not made by denseil.create_model: it does not know how frames are prepared")


def check_made_float32(model: DenseIL) -> None:
    """As `check_made`; a ValueError too unless its weights are in float32, as `create_model` makes them."""
    check_made(model)
    dtype = next(model.parameters()).dtype
    if dtype != torch.float32:
        raise ValueError(f"the model is in {dtype}: give it in float32 (model.float()); lower precision is an option")


def _check_clips(clips: Tensor) -> None:
    if clips.dim() != 5 or clips.shape[2] != 3:
        raise ValueError(
            f"clips have shape {tuple(clips.shape)}; they must be (B, T, 3, H, W): for one tracklet use B=1"
        )
    check_frames(clips)
