"""The forward pass from clips to embeddings, shared by `DenseIL` and its optimised form (Figure 2)."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from denseil.common.modes import evaluating
from denseil.layers import AttentionHead, ClipHead, ReIDOutput
from denseil.layers.checks import check_frame_mask, check_frames, check_tensor
from denseil.models.attention_maps import AttentionMap, label_keys
from denseil.models.interface import RESIZE, Preprocessing


class ClipModel(nn.Module, ABC):
    """Base class of models with a frame encoder and a decoder.

    Subclasses set the attributes and implement `encode_frames` and `forward_head`.

    Attributes:
        decoder: From part tokens to clip features.
        fused_levels: The encoder levels that the decoder attends to, ascending.
        pretrained_cfg: timm's cfg: input size, mean, std, source of the weights.
        denseil_cfg: Further settings: clip length, frames policy, colour order, thresholds.
    """

    decoder: ClipHead
    fused_levels: list[int]
    pretrained_cfg: dict[str, Any]
    denseil_cfg: dict[str, Any]

    @abstractmethod
    def encode_frames(self, frames: Tensor) -> Tensor:
        """Compute the part tokens of single frames, which `decode` can use any number of times.

        Args:
            frames: Float (N, 3, H, W), normalised.

        Returns:
            (N, P, sum of the levels' widths); P = 1 for the baseline.
        """

    @abstractmethod
    def forward_head(self, x: Tensor, pre_logits: bool = False) -> ReIDOutput | Tensor:
        """Apply the neck to clip features (B, num_features)."""

    def forward(self, clips: Tensor, mask: Tensor | None = None) -> ReIDOutput | Tensor:
        """Embed clips.

        Args:
            clips: Float (B, T, 3, H, W), normalised as `preprocessing` says; any T >= 1.
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
        """Compute clip features (B, num_features) before the neck; arguments as in `forward`."""
        return self.decoder.decode(self._encode_clips(clips, mask), mask)

    def decode(self, tokens: Tensor, mask: Tensor | None = None) -> ReIDOutput | Tensor:
        """Return what `forward` returns, from tokens (B, T, P, W) of `encode_frames` and a bool mask (B, T)."""
        return self.forward_head(self.decoder.decode(tokens, mask))

    def attention_maps(self, clips: Tensor, mask: Tensor | None = None) -> list[AttentionMap]:
        """Compute the Dense Attention weights of every block, in eval mode; arguments as in `forward`.

        Raises:
            ValueError: If the model has no Dense Attention.
        """
        decoder = self.decoder
        if not isinstance(decoder, AttentionHead) or not decoder.has_dense_attention:
            raise ValueError("this model has no Dense Attention to show; build it with fusion='attention', depth >= 1")
        with evaluating(self):
            blocks = decoder.attention_maps(self._encode_clips(clips, mask), mask)
        return label_keys(blocks, self.fused_levels, clips.shape[1], decoder.pool_parts.num_parts)

    @property
    def num_features(self) -> int:
        """Width of the embedding."""
        return self.decoder.dim

    @property
    def preprocessing(self) -> Preprocessing:
        """Preprocessing of frames, from `pretrained_cfg` and `denseil_cfg`.

        Setting it changes both. A model that was not made by `create_model` has none until it is set.
        """
        return Preprocessing.from_cfg(self.pretrained_cfg, self.denseil_cfg)

    @preprocessing.setter
    def preprocessing(self, value: Preprocessing) -> None:
        cfg = {"input_size": (3, *value.size), "mean": value.mean, "std": value.std, **RESIZE}
        block = {"clip_len": value.clip_len, "frames": value.frames, "color_order": value.color_order}
        self.pretrained_cfg = {**getattr(self, "pretrained_cfg", {}), **cfg}
        self.denseil_cfg = {**getattr(self, "denseil_cfg", {}), **block}

    def _encode_clips(self, clips: Tensor, mask: Tensor | None) -> Tensor:
        """Compute part tokens (B, T, P, sum of widths), zero where the mask is False."""
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


def _check_clips(clips: Tensor) -> None:
    check_tensor("clips", clips)
    if clips.dim() != 5 or clips.shape[2] != 3:
        raise ValueError(
            f"clips have shape {tuple(clips.shape)}; they must be (B, T, 3, H, W): for one tracklet use B=1"
        )
    check_frames(clips)
