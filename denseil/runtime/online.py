"""Beside a tracker: vectors of tracks that grow frame by frame, without torch."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from denseil.common.arguments import shown
from denseil.common.track_ids import confirmed_ids, id_values
from denseil.embedding.kept_frames import KeptFrames, frames_to_keep
from denseil.embedding.pixels import ColorOrder, check_color_order, has_pixels
from denseil.embedding.runtimes import Precision
from denseil.runtime.network import Array, Network

TrackIds: TypeAlias = Iterable[Any] | None


class TrackletEmbedder:
    """Vectors of growing tracks, of a few well-spread frames of each: `denseil.TrackletEmbedder`, in numpy.

    Args:
        path: The file of an export, or the folder of an encoder and a decoder.
        max_frames: Frames kept of a track, at least 2; None for the model's clip length, or 8 for single crops.
        precision: As for `Embedder`.
        color_order: As for `Embedder`.

    Raises:
        ValueError: If an argument is out of its range; see also `Network`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_frames: int | None = None,
        precision: Precision = "float32",
        color_order: ColorOrder = "RGB",
    ) -> None:
        check_color_order(color_order)
        self.network = Network(path, precision=precision)
        self.color_order: ColorOrder = color_order
        self.max_frames = frames_to_keep(max_frames, self.network.preprocessing.clip_len)
        self._tracks: dict[Hashable, KeptFrames[Array]] = {}

    def update(self, track_ids: TrackIds, crops: Sequence[NDArray[np.uint8] | Image.Image]) -> None:
        """Add a frame to each of some tracks. Crops without pixels, and ids below 0, are left out.

        Args:
            track_ids: The track of each crop: values of an array or a tensor, or anything that a dictionary takes as a
                key. None, as trackers give before they track, adds nothing.
            crops: As many arrays (H, W, 3) uint8 or PIL images.

        Raises:
            ValueError: If there is not one crop for each id, an id that is not negative occurs twice, or a crop has a
                wrong shape; nothing has changed then.
            TypeError: If a crop is not uint8 pixels, or an id is neither a whole number nor a name, such as NaN.
        """
        if track_ids is None:
            return
        ids, confirmed = confirmed_ids(track_ids, len(crops))
        usable = [place for place in confirmed if has_pixels(crops[place])]
        if not usable:
            return
        tokens = self.network.encode(self.network.prepare([crops[place] for place in usable], self.color_order))
        for place, own in zip(usable, tokens, strict=True):
            # A copy: a part of the batch would keep all of it in memory.
            self._tracks.setdefault(ids[place], KeptFrames()).add(own.copy(), self.max_frames)

    def embedding(self, track_id: Hashable) -> Array:
        """Compute the vector (D,) of a track, of length 1.

        Raises:
            KeyError: If it has had no frame, or was dropped.
        """
        value = id_values([track_id])[0]
        if value not in self._tracks:
            raise KeyError(f"no track {shown(value)}: it has had no frame, or was dropped")
        return self.network.embed(np.stack(self._tracks[value].tokens), "all")

    def embeddings(self, track_ids: Sequence[Hashable]) -> Array:
        """Compute the vectors (N, D) of some tracks; errors as for `embedding`."""
        vectors = [self.embedding(track_id) for track_id in track_ids]
        return np.stack(vectors) if vectors else np.empty((0, self.network.num_features), np.float32)

    def drop(self, track_id: Hashable) -> None:
        """Forget a track; nothing happens if there is no such track."""
        self._tracks.pop(id_values([track_id])[0], None)

    def __contains__(self, track_id: Hashable) -> bool:
        return id_values([track_id])[0] in self._tracks

    def __len__(self) -> int:
        return len(self._tracks)

    def __iter__(self) -> Iterator[Hashable]:
        return iter(list(self._tracks))  # tracks may be dropped on the way
