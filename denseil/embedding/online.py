"""Beside a tracker: vectors of tracks that grow frame by frame."""

from __future__ import annotations

import logging
import os
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from denseil.data import sample_all
from denseil.data.images import resize_image
from denseil.embedding.inputs import ColorOrder, Pixels, check_color_order, open_model, to_rgb
from denseil.embedding.tracklet_vectors import decode_clips, encode_pixels
from denseil.models import DenseIL

logger = logging.getLogger(__name__)
DECODE_CLIPS = 32  # clips in one call of the decoder


@dataclass
class _Track:
    """The frames kept of one track.

    Attributes:
        seen: Frames that it has had.
        ranks: Which of them are kept, from 0, ascending.
        tokens: What the encoder made of those, (P, sum of widths) each.
    """

    seen: int = 0
    ranks: list[int] = field(default_factory=list)
    tokens: list[Tensor] = field(default_factory=list)

    def add(self, tokens: Tensor, most: int) -> None:
        """Keep a frame; where that makes one too many, give up the one whose neighbours are nearest to each other.

        The first and the newest frame always stay. After n frames no two neighbours of the k kept are further apart
        than max(1, 2 (n - 1) / (k - 1)): at most about twice the even spacing.
        """
        self.ranks.append(self.seen)
        self.tokens.append(tokens)
        self.seen += 1
        if len(self.ranks) > most:
            out = min(range(1, most), key=lambda place: self.ranks[place + 1] - self.ranks[place - 1])
            del self.ranks[out], self.tokens[out]


class TrackletEmbedder:
    """Vectors of growing tracks: each crop is encoded once, and a few well-spread frames of each track are kept.

    The vector of a track is exactly what `Embedder` makes of the frames kept, but it costs the decoder alone. It is
    there from the first frame on. Memory is at most `max_frames` times the number of tracks: `drop` those that ended.

    Args:
        model: As for `Embedder`.
        max_frames: Frames kept of a track, at least 2; None for the clip length that the model was trained with.
        device: As for `Embedder`.
        dtype: As for `Embedder`.
        color_order: As for `Embedder`; "BGR" for what OpenCV reads.

    Attributes:
        skipped: Crops without a pixel that `update` has passed over.

    Raises:
        ValueError: If an argument is out of its range.

    Examples:
        >>> import denseil
        >>> model = denseil.create_model("denseil", backbone="test_resnet", dim=64, num_heads=4)
        >>> tracks = TrackletEmbedder(model)
        >>> crop = torch.randint(0, 256, (3, 120, 50), dtype=torch.uint8)
        >>> tracks.update(["anna", "bert"], [crop, crop])
        >>> tracks.embedding("anna").shape
        torch.Size([64])
    """

    def __init__(
        self,
        model: DenseIL | str | os.PathLike[str],
        *,
        max_frames: int | None = None,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
        color_order: ColorOrder = "RGB",
    ) -> None:
        check_color_order(color_order)
        self.model = open_model(model, device)
        self.clip_len = int(self.model.denseil_cfg["clip_len"])
        self.max_frames = self.clip_len if max_frames is None else max_frames
        if self.max_frames < 2:
            raise ValueError(f"max_frames is at least 2, the first and the newest, got {max_frames}")
        self.dtype, self.color_order = dtype, color_order
        self.skipped = 0
        self._tracks: dict[Hashable, _Track] = {}

    def update(self, track_ids: Sequence[Hashable], crops: Sequence[Pixels]) -> None:
        """Add a frame to each of some tracks: one pass of the encoder over the crops, whatever the tracks' length.

        A crop without a pixel, of a box outside of the picture, is passed over and counted in `skipped`.

        Args:
            track_ids: Whose crops they are: anything that a dictionary takes as a key.
            crops: As many arrays (H, W, 3), PIL images or tensors (3, H, W), uint8 and of any size.

        Raises:
            ValueError: If there is not one crop for each id, or a crop has a wrong shape.
            TypeError: If a crop is not uint8 pixels.
        """
        if len(track_ids) != len(crops):
            raise ValueError(f"{len(track_ids)} track ids for {len(crops)} crops; give one crop for each id")
        filled = [place for place, crop in enumerate(crops) if has_pixels(crop)]
        self.count_skipped(len(crops) - len(filled))
        self.add([track_ids[place] for place in filled], self.encode([crops[place] for place in filled]))

    def encode(self, crops: Sequence[Pixels]) -> Tensor:
        """What the encoder makes of crops, (N, P, sum of widths); for `add`, where tracks are known only later."""
        height, width = self.model.pretrained_cfg["input_size"][1:]
        pixels = np.empty((len(crops), height, width, 3), dtype=np.uint8)
        for place, (crop, target) in enumerate(zip(crops, pixels, strict=True)):
            target[:] = resize_image(to_rgb(crop, self.color_order, name=f"crop {place}"), (height, width))
        if not len(crops):
            return torch.empty(0)
        return encode_pixels(self.model, torch.from_numpy(pixels).movedim(-1, -3), dtype=self.dtype)

    def add(self, track_ids: Sequence[Hashable], tokens: Tensor) -> None:
        """Add a frame to each of some tracks from what `encode` made of their crops."""
        for track_id, own in zip(track_ids, tokens, strict=True):
            # A copy: a part of the batch would keep all of it in memory.
            self._tracks.setdefault(track_id, _Track()).add(own.clone(), self.max_frames)

    def embedding(self, track_id: Hashable) -> Tensor:
        """The vector (D,) of a track, of length 1.

        Raises:
            KeyError: If it has had no frame, or was dropped.
        """
        return self.embeddings([track_id])[0]

    def embeddings(self, track_ids: Sequence[Hashable]) -> Tensor:
        """The vectors (N, D) of some tracks, decoded together; errors as for `embedding`."""
        return self.decode([torch.stack(self._track(track_id).tokens) for track_id in track_ids])

    def decode(self, tracklets: Sequence[Tensor]) -> Tensor:
        """The vectors (N, D) of tracklets, each the tokens (frames, P, sum of widths) of its frames in time order."""
        clips, masks, owners = [], [], []
        for owner, tokens in enumerate(tracklets):
            rows, mask = sample_all(len(tokens), self.clip_len)  # (C, T), as `embed_tracklets` has it for "all"
            clips += list(tokens[torch.from_numpy(rows).to(tokens.device)])
            masks += list(torch.from_numpy(mask))
            owners += [owner] * len(rows)
        total = torch.zeros(len(tracklets), self.model.num_features)
        for start in range(0, len(clips), DECODE_CLIPS):
            part = slice(start, start + DECODE_CLIPS)
            vectors = decode_clips(self.model, torch.stack(clips[part]), torch.stack(masks[part]), dtype=self.dtype)
            total.index_add_(0, torch.tensor(owners[part]), vectors)
        return F.normalize(total, dim=1)  # the mean's direction is the sum's

    def kept(self, track_id: Hashable) -> list[int]:
        """Which of a track's frames are kept, counted from 0 in its own; errors as for `embedding`."""
        return list(self._track(track_id).ranks)

    def drop(self, track_id: Hashable) -> None:
        """Forget a track; nothing happens if there is no such track."""
        self._tracks.pop(track_id, None)

    def __contains__(self, track_id: Hashable) -> bool:
        return track_id in self._tracks

    def __len__(self) -> int:
        return len(self._tracks)

    def count_skipped(self, crops: int) -> None:
        """Count crops without a pixel."""
        if crops:
            self.skipped += crops
            logger.warning("%d crops without a pixel were passed over, %d so far", crops, self.skipped)

    def _track(self, track_id: Hashable) -> _Track:
        if track_id not in self._tracks:
            raise KeyError(f"no track {track_id!r}: it has had no frame, or was dropped")
        return self._tracks[track_id]


def has_pixels(crop: Pixels) -> bool:
    """Whether a crop is not empty; what is no picture at all is left for `encode` to refuse."""
    if isinstance(crop, (np.ndarray, Tensor)):
        return 0 not in crop.shape
    return 0 not in getattr(crop, "size", (1, 1))
