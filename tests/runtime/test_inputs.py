"""What `denseil.runtime` takes, with the mean colour of a crop as the network, so that no export is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from denseil import runtime
from denseil.models.interface import Preprocessing
from denseil.runtime.network import Network

ORANGE = (250, 120, 10)


class MeanColour(Network):
    """A network for single crops whose vector is their mean colour, RGB."""

    def __init__(self, path: Any, *, precision: str = "float32") -> None:
        self._runs = {"whole": lambda frames: frames.mean((2, 3))}
        self._crops = True
        self.preprocessing = Preprocessing(size=(8, 4), mean=(0, 0, 0), std=(1, 1, 1), clip_len=1)
        self.num_features = 3


@pytest.fixture(autouse=True)
def network(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (runtime.embedder, runtime.online):
        monkeypatch.setattr(module, "Network", MeanColour)


@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_the_colour_order_is_that_of_arrays(tmp_path: Path, order: str):
    image = Image.new("RGB", (4, 8), ORANGE)
    image.save(tmp_path / "a.png")
    pixels = np.asarray(image) if order == "RGB" else np.asarray(image)[..., ::-1]
    embedder = runtime.Embedder("crops.onnx", color_order=order)
    for frame in (pixels, image, tmp_path / "a.png", str(tmp_path / "a.png")):
        np.testing.assert_allclose(embedder([frame]), ORANGE / np.linalg.norm(ORANGE), atol=1e-6)


@pytest.mark.parametrize("tracklet", [[], "crops", Path("crops")])
def test_a_folder_is_not_a_tracklet(tracklet: Any):
    with pytest.raises(ValueError, match="give a tracklet's frames, at least one"):
        runtime.Embedder("crops.onnx")(tracklet)


def test_a_live_loop_takes_ids_as_trackers_give_them():
    tracks = runtime.TrackletEmbedder("crops.onnx")
    crop, empty = np.full((8, 4, 3), ORANGE, np.uint8), Image.new("RGB", (0, 8))
    tracks.update(None, [])
    tracks.update([-1, -1, 7, 8], [crop, crop, crop, empty])  # unconfirmed ones may have one id
    for ids in (torch.tensor([7]), [torch.tensor(7)], np.array([7.0]), [np.int64(7)]):
        tracks.update(ids, [crop])
    assert list(tracks) == [7]
    assert torch.tensor(7) in tracks
    np.testing.assert_array_equal(tracks.embedding(torch.tensor(7)), tracks.embedding(7))
    for ids, error, words in (
        ([7, 7.0], ValueError, "track id 7 occurs twice in one frame"),
        ([7], ValueError, "1 track id for 2 crops; give one crop for each id"),
        ([7, float("nan")], TypeError, "track id nan: give whole numbers or names"),
    ):
        with pytest.raises(error, match=words):
            tracks.update(ids, [crop, crop])
    tracks.drop(torch.tensor(7))
    assert len(tracks) == 0


def test_a_damaged_picture_is_named(tmp_path: Path):
    Image.effect_noise((64, 128), 90).convert("RGB").save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:-300])
    with pytest.raises(ValueError, match="crop 0, a PIL image, is not usable"):
        runtime.TrackletEmbedder("crops.onnx").update([1], [Image.open(tmp_path / "a.jpg")])
