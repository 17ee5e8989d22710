"""`TrackletEmbedder`: vectors of the tracks of a live tracker, frame by frame."""

from __future__ import annotations

import logging
import os
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from denseil.common.arguments import checked, checked_class, shown
from denseil.common.text import counted
from denseil.common.track_ids import confirmed_ids, id_values
from denseil.data import sample_all
from denseil.data.images import resize_image
from denseil.embedding.clip_encoder import ClipEncoder, unit_embeddings
from denseil.embedding.inputs import Pixels, open_model, to_rgb
from denseil.embedding.kept_frames import KeptFrames, frames_to_keep
from denseil.embedding.pixels import ColorOrder, check_color_order, has_pixels
from denseil.models.interface import Preprocessing

logger = logging.getLogger(__name__)
TrackIds: TypeAlias = Sequence[Any] | Tensor | NDArray[Any] | None
DECODE_CLIPS = 32  # clips in one call of the decoder


@checked_class
class TrackletEmbedder:
    """Vectors of growing tracks: each crop is encoded once, and a few well-spread frames of each track are kept.

    The vector of a track is exactly that of `Embedder(frames="all")` for the kept frames, whatever the frames policy of
    the model, but only the decoder runs. It is available from the first frame on. Memory is at most `max_frames` times
    the number of tracks: `drop` those that ended. Iterating gives the ids of the tracks, in the order of their first
    frames.

    Args:
        model: As for `Embedder`. A module without `encode_frames` keeps crops in place of tokens.
        preprocessing: As for `Embedder`.
        max_frames: Frames kept of a track, at least 2; None for the clip length that the model was trained with, or 8
            for models of single frames.
        device: As for `Embedder`.
        dtype: As for `Embedder`.
        color_order: As for `Embedder`; "BGR" for what OpenCV reads.

    Attributes:
        skipped: Number of crops without a pixel that `update` has skipped.
        unconfirmed: Number of crops with a negative id, of tracks that a tracker has not confirmed yet; their frames
            are added to no track.

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
        model: nn.Module | str | os.PathLike[str],
        *,
        preprocessing: Preprocessing | None = None,
        max_frames: int | None = None,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
        color_order: ColorOrder = "RGB",
    ) -> None:
        check_color_order(color_order)
        self.model = open_model(model, device, preprocessing)
        self.encoder = ClipEncoder(self.model, preprocessing, dtype=dtype)
        self.clip_len = self.encoder.preprocessing.clip_len
        self.max_frames = frames_to_keep(max_frames, self.clip_len)
        self.color_order = color_order
        self.skipped = self.unconfirmed = 0
        self._tracks: dict[Hashable, KeptFrames[Tensor]] = {}

    @checked
    def update(self, track_ids: TrackIds, crops: Sequence[Pixels]) -> None:
        """Add a frame to each of some tracks, with one pass of the encoder over the crops, whatever the tracks' length.

        A crop without a pixel, of a box outside of the picture, is skipped and counted in `skipped`; one with a
        negative id in `unconfirmed`.

        Args:
            track_ids: The track of each crop: values of a tensor or an array, or anything that a dictionary takes as a
                key. None, as trackers give before they track, adds nothing.
            crops: As many arrays (H, W, 3), PIL images or tensors (3, H, W), uint8 and of any size.

        Raises:
            ValueError: If there is not one crop for each id, an id occurs twice, or a crop has a wrong shape; nothing
                has changed then.
            TypeError: If a crop is not uint8 pixels.
        """
        if track_ids is None:
            return
        ids, confirmed = confirmed_ids(track_ids, len(crops))
        filled = [place for place in confirmed if has_pixels(crops[place])]
        tokens = self.encode([crops[place] for place in filled])
        self.unconfirmed += len(ids) - len(confirmed)
        self.count_skipped(len(confirmed) - len(filled))
        self.add([ids[place] for place in filled], tokens)

    @checked
    def encode(self, crops: Sequence[Pixels]) -> Tensor:
        """Compute tokens (N, P, sum of widths) of crops; for `add`, if their tracks are known only later."""
        height, width = self.encoder.preprocessing.size
        pixels = np.empty((len(crops), height, width, 3), dtype=np.uint8)
        for place, (crop, target) in enumerate(zip(crops, pixels, strict=True)):
            target[:] = resize_image(to_rgb(crop, self.color_order, name=f"crop {place}"), (height, width))
        if not len(crops):
            return torch.empty(0)
        return self.encoder.encode(torch.from_numpy(pixels).movedim(-1, -3))

    def vectors(self, crops: Sequence[Pixels]) -> Tensor:
        """Compute vectors (N, D) of single crops, of length 1, for comparing detections; no track changes."""
        return self.decode([own[None] for own in self.encode(crops)])

    def add(self, track_ids: Sequence[Hashable], tokens: Tensor) -> None:
        """Add a frame to each of some tracks from tokens of their crops; negative ids and errors as for `update`."""
        ids, confirmed = confirmed_ids(track_ids, len(tokens), of="tokens of ")
        self.unconfirmed += len(ids) - len(confirmed)
        for place in confirmed:
            # A copy: a part of the batch would keep all of it in memory.
            self._tracks.setdefault(ids[place], KeptFrames()).add(tokens[place].clone(), self.max_frames)

    @checked
    def embedding(self, track_id: Hashable) -> Tensor:
        """Compute the vector (D,) of a track, of length 1.

        Raises:
            KeyError: If it has had no frame, or was dropped.
        """
        return self.embeddings([track_id])[0]

    @checked
    def embeddings(self, track_ids: Sequence[Hashable]) -> Tensor:
        """Compute the vectors (N, D) of some tracks together; errors as for `embedding`."""
        return self.decode([torch.stack(self._track(track_id).tokens) for track_id in track_ids])

    @checked
    def decode(self, tracklets: Sequence[Tensor]) -> Tensor:
        """Compute vectors (N, D) of tracklets from tokens (frames, P, sum of widths) of each, in time order."""
        clips, masks, owners = [], [], []
        for owner, tokens in enumerate(tracklets):
            rows, mask = sample_all(len(tokens), self.clip_len)  # (C, T), as `embed_tracklets` has it for "all"
            clips += list(tokens[torch.from_numpy(rows).to(tokens.device)])
            masks += list(torch.from_numpy(mask))
            owners += [owner] * len(rows)
        total = torch.zeros(len(tracklets), self.encoder.num_features)
        for start in range(0, len(clips), DECODE_CLIPS):
            part = slice(start, start + DECODE_CLIPS)
            vectors = self.encoder.decode(torch.stack(clips[part]), torch.stack(masks[part]))
            total.index_add_(0, torch.tensor(owners[part]), vectors)
        return unit_embeddings(total, [f"tracklet {owner}" for owner in range(len(tracklets))])  # the mean's direction

    @checked
    def kept(self, track_id: Hashable) -> list[int]:
        """Return the indices of a track's kept frames, from 0; errors as for `embedding`."""
        return list(self._track(track_id).ranks)

    @checked
    def drop(self, track_id: Hashable) -> None:
        """Forget a track; nothing happens if there is no such track."""
        self._tracks.pop(id_values([track_id])[0], None)

    def __contains__(self, track_id: Hashable) -> bool:
        return id_values([track_id])[0] in self._tracks

    def __len__(self) -> int:
        return len(self._tracks)

    def __iter__(self) -> Iterator[Hashable]:
        return iter(list(self._tracks))  # tracks may be dropped on the way

    def count_skipped(self, crops: int) -> None:
        """Count crops without a pixel."""
        if crops:
            self.skipped += crops
            logger.warning("%s without a pixel passed over, %d so far", counted(crops, "crop"), self.skipped)

    def _track(self, track_id: Hashable) -> KeptFrames[Tensor]:
        value = id_values([track_id])[0]
        if value not in self._tracks:
            raise KeyError(f"no track {shown(value)}: it has had no frame, or was dropped")
        return self._tracks[value]
