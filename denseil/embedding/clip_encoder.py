"""Encoding of frames and clips by any module, with its preprocessing, on its device, whether it takes a mask or not."""

from __future__ import annotations

import inspect

import torch
from torch import Tensor, nn

from denseil.common.arguments import shown
from denseil.common.modes import evaluating
from denseil.embedding.exported import ExportedModel
from denseil.embedding.image_network import ImageNetwork
from denseil.models import unwrap
from denseil.models.interface import FrameTokenEncoder, Preprocessing, num_features_of, preprocessing_of

CPU_CHUNK, CHUNK = 16, 64  # frames in one call of the encoder; on a CPU more leave its cache


class ClipEncoder:
    """Compute tokens of frames and embeddings of clips with any model that implements `VideoEncoder`.

    A `FrameTokenEncoder` encodes each frame once, however many clips it is in. For any other module, the "tokens" are
    the pixels of frames, and it is run on whole clips. If padding would change the embedding, because the module takes
    no mask or ignores it, it is run on clips of real frames only.

    Args:
        model: The module; wrappers of `torch.compile` and DDP are removed if they hide its methods.
        preprocessing: Preprocessing of frames; None for the model's own.
        dtype: The type to autocast to, such as `torch.bfloat16`; None computes in the model's own.

    Raises:
        TypeError: If the model is not a module, or has no `num_features` or preprocessing, or `dtype` is no type.
        ValueError: If `num_features` is not a positive number, or the model cannot autocast to `dtype`.
    """

    def __init__(
        self, model: nn.Module, preprocessing: Preprocessing | None = None, *, dtype: torch.dtype | None = None
    ) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"model={shown(model)}: give a torch.nn.Module")
        self.model = model
        inner = unwrap(model)
        self.num_features = num_features_of(inner)
        # An image network has its own, in which a clip is one frame.
        self.preprocessing = preprocessing_of(inner, None if isinstance(inner, ImageNetwork) else preprocessing)
        _check_dtype(dtype, inner)
        self.dtype = dtype
        self._frames: FrameTokenEncoder | None = None
        self._pads: bool | None = False if getattr(inner, "takes_mask", True) is False else None
        if isinstance(inner, FrameTokenEncoder) and self._pads is None:
            self._frames, self._pads = inner, True

    @property
    def device(self) -> torch.device:
        """Device of the model's first parameter or buffer; the CPU if it has none."""
        return self._like.device

    @property
    def _like(self) -> Tensor:
        """A tensor of the model's type, on its device."""
        for value in (*self.model.parameters(), *self.model.buffers()):
            if value.is_floating_point():
                return value
        return torch.empty(0)

    @torch.inference_mode()
    def encode(self, pixels: Tensor, *, chunk: int | None = None) -> Tensor:
        """Compute the tokens (N, ...) of frames (N, 3, H, W), RGB uint8.

        Args:
            pixels: The frames, of the size of the preprocessing.
            chunk: Frames per call of the encoder; None for 16 on a CPU, 64 elsewhere.

        Returns:
            Tokens on the model's device; the pixels themselves for a module without `encode_frames`.
        """
        if self._frames is None or not len(pixels):
            return pixels
        like, device = self._like, self.device
        with evaluating(self.model), torch.autocast(device.type, self.dtype, enabled=self.dtype is not None):
            return torch.cat(
                [
                    self._frames.encode_frames(self._normalized(part, like))
                    for part in pixels.split(chunk or (CPU_CHUNK if device.type == "cpu" else CHUNK))
                ]
            )

    @torch.inference_mode()
    def decode(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Compute the embeddings (B, num_features) of clips of tokens (B, T, ...) under a bool mask (B, T).

        Returns:
            Float32, on the CPU.

        Raises:
            TypeError: If the model returns anything but one tensor (B, num_features) in eval mode.
        """
        with evaluating(self.model), torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None):
            if self._frames is not None:
                vectors = self._frames.decode(tokens, None if mask.all() else mask.to(tokens.device))
                return self._checked(vectors, len(tokens))
            if mask.all():
                return self._run(tokens, None)
            if self.honours_mask():
                return self._run(tokens, mask)
            vectors = torch.empty(len(tokens), self.num_features)
            for count in mask.sum(1).unique().tolist():  # clips of equally many real frames together
                rows = (mask.sum(1) == count).nonzero().flatten()
                real = torch.stack([tokens[row][mask[row]] for row in rows.tolist()])
                vectors[rows] = self._run(real, None)
            return vectors

    def _run(self, clips: Tensor, mask: Tensor | None) -> Tensor:
        """Compute embeddings of clips of pixels (B, T, 3, H, W), by the whole model."""
        batch, frames = clips.shape[:2]
        like = self._like
        normalized = self._normalized(clips.flatten(0, 1), like).unflatten(0, (batch, frames))
        if mask is None:
            return self._checked(self.model(normalized), batch)
        return self._checked(self.model(normalized, mask=mask.to(like.device)), batch)

    def _normalized(self, pixels: Tensor, like: Tensor) -> Tensor:
        """Normalise frames (N, 3, H, W) for the model."""
        return self.preprocessing.normalize(pixels.to(like.device)).to(like.dtype)

    def _checked(self, vectors: object, batch: int) -> Tensor:
        if not isinstance(vectors, Tensor) or vectors.shape != (batch, self.num_features):
            found = tuple(vectors.shape) if isinstance(vectors, Tensor) else f"a {type(vectors).__name__}"
            raise TypeError(
                f"{type(unwrap(self.model)).__name__} returned {found} in eval mode for {batch} clips; it must return "
                f"the embeddings, one tensor of shape ({batch}, {self.num_features})"
            )
        return vectors.float().cpu()

    @torch.inference_mode()
    def honours_mask(self) -> bool:
        """Test on one clip whether padding under a mask leaves its embedding unchanged."""
        if self._pads is None:
            with evaluating(self.model):
                self._pads = self._try_mask()
        return self._pads

    def _try_mask(self) -> bool:
        takes = inspect.signature(unwrap(self.model).forward).parameters.values()
        if not any(each.name == "mask" or each.kind is inspect.Parameter.VAR_KEYWORD for each in takes):
            return False
        frames = max(2, self.preprocessing.clip_len)
        generator = torch.Generator().manual_seed(0)
        clip = torch.randint(0, 256, (1, frames, 3, *self.preprocessing.size), dtype=torch.uint8, generator=generator)
        mask = torch.arange(frames)[None] < frames - 1
        padded, real = self._run(clip, mask), self._run(clip[:, :-1], None)
        return bool((padded - real).abs().max() <= 1e-3 * real.abs().max())


def _check_dtype(dtype: object, model: nn.Module) -> None:
    """Refuse types that autocast would pass over without an error."""
    if dtype is None:
        return
    if not isinstance(dtype, torch.dtype):
        raise TypeError(f"dtype={shown(dtype)}: give torch.bfloat16, torch.float16 or None")
    if dtype not in (torch.bfloat16, torch.float16):
        raise ValueError(
            f"dtype={dtype}: autocast is to torch.bfloat16 or torch.float16; None computes in the model's own type"
        )
    if isinstance(model, (ExportedModel, ImageNetwork)):
        raise ValueError(f"dtype={dtype}: an exported file has its own precision; leave dtype (--precision) out")


def unit_embeddings(vectors: Tensor, names: list[str]) -> Tensor:
    """Scale vectors (N, D) to length 1.

    Raises:
        RuntimeError: If one is not finite or all zeros: it has no direction; the message names its tracklet.
    """
    lengths = torch.linalg.vector_norm(vectors.double(), dim=1)
    for name, length in zip(names, lengths.tolist(), strict=True):
        if not 0 < length < float("inf"):
            what = "an all-zero vector" if length == 0 else "NaN or infinity"
            raise RuntimeError(f"the model gives {what} for {name}: compute it in fp32, or check its weights")
    unit: Tensor = vectors / lengths[:, None]
    return unit.float()
