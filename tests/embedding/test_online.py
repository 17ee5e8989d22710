"""`TrackletEmbedder`: the same vectors as `Embedder`, one encoder pass a crop, memory that stays."""

import dataclasses
import gc
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from denseil import DenseIL, Embedder, TrackletEmbedder
from denseil.embedding.kept_frames import KeptFrames

CROPS = [
    np.array(Image.open(path).convert("RGB"))
    for path in sorted((Path(__file__).parent.parent / "data" / "mars_tiny" / "bbox_train").rglob("*.jpg"))
]


@pytest.mark.parametrize("max_frames", [None, 3, 20])
def test_the_vector_is_embedders_on_the_frames_kept(model: DenseIL, max_frames):
    tracks = TrackletEmbedder(model, max_frames=max_frames, device="cpu")
    embedder = Embedder(model, device="cpu")
    seen: dict[int, list[np.ndarray]] = {2**31 + 5: [], 7: []}
    for step, crop in enumerate(CROPS[:44]):
        both = [crop, CROPS[-step - 1]]
        tracks.update(list(seen), both)
        for own, new in zip(seen.values(), both, strict=True):
            own.append(new)
        if step % 10 in (0, 3):
            for track_id, own in seen.items():
                expected = embedder([own[place] for place in tracks.kept(track_id)])
                torch.testing.assert_close(tracks.embedding(track_id), expected, rtol=0, atol=1e-5)
    together = tracks.embeddings(list(seen))
    alone = torch.stack([tracks.embedding(track_id) for track_id in seen])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


def test_all_kept_frames_count_whatever_the_policy_of_the_model(model: DenseIL):
    even = dataclasses.replace(model.preprocessing, frames="even8")
    tracks = TrackletEmbedder(model, preprocessing=even, max_frames=20, device="cpu")
    for crop in CROPS[:12]:
        tracks.update([1], [crop])
    everything, eight = (
        Embedder(model, preprocessing=even, frames=frames, device="cpu")(CROPS[:12]) for frames in ("all", None)
    )
    torch.testing.assert_close(tracks.embedding(1), everything, rtol=0, atol=1e-5)
    assert not torch.allclose(everything, eight, atol=1e-4)


def test_an_update_is_one_encoder_pass_a_crop_whatever_the_length(model: DenseIL):
    encoded = []
    hook = model.encoder.register_forward_pre_hook(lambda _, inputs: encoded.append(len(inputs[0])))
    decoded = []
    watch = model.decoder.interaction.register_forward_pre_hook(lambda _, inputs: decoded.append(inputs[0].shape[:2]))
    try:
        tracks = TrackletEmbedder(model, device="cpu")
        for step in range(60):
            tracks.update(["a", "b", "c"], [CROPS[step % len(CROPS)]] * 3)
            assert sum(encoded) == 3 * (step + 1)
        assert not decoded
        tracks.embedding("b")
        assert sum(encoded) == 180
        assert len(decoded) == 1
    finally:
        hook.remove()
        watch.remove()


@given(frames=st.integers(1, 400), most=st.integers(2, 16))
def test_frames_kept_are_bounded_and_spread_over_the_whole_track(frames, most):
    track: KeptFrames[torch.Tensor] = KeptFrames()
    for n in range(1, frames + 1):
        track.add(torch.empty(0), most)
        assert len(track.ranks) == len(track.tokens) == min(n, most)
        assert (track.ranks[0], track.ranks[-1]) == (0, n - 1)
        gaps = np.diff(track.ranks)
        assert (gaps > 0).all()
        assert max(gaps, default=0) <= max(1, 2 * (n - 1) / (most - 1))


def held_bytes(tracks: TrackletEmbedder) -> int:
    """What the tensors of all tracks keep alive."""
    tensors = [tokens for track in tracks._tracks.values() for tokens in track.tokens]
    return sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}.values())


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads memory from /proc")
@pytest.mark.parametrize("updates", [500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_memory_is_flat_once_all_tracks_are_full(model: DenseIL, updates: int):
    tracks, num_tracks = TrackletEmbedder(model, device="cpu", max_frames=4), updates // 20
    sizes = []
    for step in range(updates // 25):
        ids = [(25 * step + place) % num_tracks for place in range(25)]
        tracks.update(ids, [CROPS[(step + place) % len(CROPS)] for place in range(25)])
        if (step + 1) % (updates // 100) == 0:
            gc.collect()
            sizes.append((len(tracks), held_bytes(tracks), resident_bytes()))
    per_frame = tracks._tracks[0].tokens[0].nbytes
    assert [(count, held) for count, held, _ in sizes] == [(num_tracks, num_tracks * 4 * per_frame)] * 4
    assert abs(sizes[-1][2] - sizes[1][2]) < 8 * 2**20
    for track_id in range(num_tracks):
        tracks.drop(track_id)
    assert (len(tracks), held_bytes(tracks)) == (0, 0)


def test_colour_orders_and_kinds_of_crops(model: DenseIL):
    rgb, bgr = TrackletEmbedder(model, device="cpu"), TrackletEmbedder(model, device="cpu", color_order="BGR")
    crop = CROPS[0]
    rgb.update([1, 2, 3], [crop, Image.fromarray(crop), torch.from_numpy(crop).movedim(-1, 0)])
    bgr.update([1], [crop[..., ::-1]])
    for vector in (rgb.embedding(2), rgb.embedding(3), bgr.embedding(1)):
        torch.testing.assert_close(vector, rgb.embedding(1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_vectors_of_single_crops_are_those_of_one_frame(model: DenseIL, order: str):
    tracks = TrackletEmbedder(model, device="cpu", color_order=order)
    crops = [crop if order == "RGB" else crop[..., ::-1] for crop in CROPS[:3]]
    expected = Embedder(model, device="cpu").embed([[crop] for crop in CROPS[:3]])  # of the RGB pictures
    torch.testing.assert_close(tracks.vectors(crops), expected, rtol=0, atol=1e-5)
    assert tracks.vectors([]).shape == (0, 32)
    assert not len(tracks)


def test_an_empty_crop_is_passed_over_and_counted(model: DenseIL, caplog):
    tracks = TrackletEmbedder(model, device="cpu")
    tracks.update([1, 2], [CROPS[0][:0], CROPS[0]])
    assert (tracks.skipped, 1 in tracks, 2 in tracks, list(tracks)) == (1, False, True, [2])
    assert "1 crop without a pixel passed over" in caplog.text
    tracks.update([1], [CROPS[0][:, :0]])
    assert tracks.skipped == 2
    tracks.update([], [])


def test_tokens_are_added_as_crops_are(model: DenseIL):
    tracks = TrackletEmbedder(model, device="cpu")
    tokens = tracks.encode(CROPS[:3])
    with pytest.raises(ValueError, match="2 track ids for tokens of 3 crops"):
        tracks.add([1, 2], tokens)
    assert len(tracks) == 0
    tracks.add([-1, -1, 7], tokens)
    assert (list(tracks), tracks.unconfirmed) == ([7], 2)
    tracks.update([-1, 7], CROPS[:2])
    assert (list(tracks), tracks.unconfirmed, tracks.kept(7)) == ([7], 3, [0, 1])


def test_what_is_wrong_is_said(model: DenseIL):
    tracks = TrackletEmbedder(model, device="cpu")
    with pytest.raises(KeyError, match="no track 5: it has had no frame, or was dropped"):
        tracks.embedding(5)
    tracks.drop(5)
    with pytest.raises(ValueError, match="2 track ids for 1 crop;"):
        tracks.update([1, 2], CROPS[:1])
    with pytest.raises(TypeError, match="crop 0 is of float64; give uint8"):
        tracks.update([1], [CROPS[0] / 255])
    with pytest.raises(ValueError, match="max_frames is at least 2"):
        TrackletEmbedder(model, max_frames=1)
    assert len(tracks) == 0
