"""Re-association: a brute force as oracle, and roboflow's `reid` where it is installed."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from denseil.metrics import Sightings, reassociate


def sightings(seed: int, frames: int = 40, tracks: int = 6, *, seen: float = 0.8, width: int = 3) -> Sightings:
    """Tracks that are seen in some frames, with noisy vectors."""
    rng = np.random.default_rng(seed)
    rows = [(f, t) for f in range(1, frames + 1) for t in range(tracks) if rng.random() < seen]
    numbers = np.array(rows).reshape(-1, 2)
    vectors = rng.normal(size=(len(rows), width)) + np.eye(tracks)[numbers[:, 1], :width]
    return Sightings(vectors, numbers[:, 0], numbers[:, 1])


def brute_force(query: Sightings, gallery: Sightings, gap: int, stride: int) -> tuple[list[int], dict[str, int]]:
    ranks, skipped = [], {"no frame": 0, "one candidate": 0, "gone": 0}
    for vector, frame, track in zip(*query, strict=True):
        if frame % stride:
            continue
        later = [(v, t) for v, f, t in zip(*gallery, strict=True) if f == frame + gap]
        unit = [(v / np.linalg.norm(v), t) for v, t in later]
        if len(later) < 2:
            skipped["one candidate" if later else "no frame"] += 1
        elif track not in [t for _, t in later]:
            skipped["gone"] += 1
        else:
            order = sorted(unit, key=lambda one: -float(one[0] @ (vector / np.linalg.norm(vector))))
            ranks.append(1 + [t for _, t in order].index(track))
    return ranks, skipped


@given(st.integers(0, 10_000), st.sampled_from([1, 7, 20]), st.sampled_from([1, 5]), st.sampled_from([0.2, 0.9]))
def test_scores_are_those_of_a_brute_force(seed: int, gap: int, stride: int, seen: float):
    query, gallery = sightings(seed, seen=seen, width=6), sightings(seed + 1, seen=seen, width=6)
    ranks, skipped = brute_force(query, gallery, gap, stride)
    if not ranks:
        with pytest.raises(ValueError, match="no track is seen again"):
            reassociate(query, gallery, gap=gap, stride=stride)
        return
    found = reassociate(query, gallery, gap=gap, stride=stride)
    assert found.num_query == len(ranks)
    assert found.skipped == skipped
    assert found.rank1 == pytest.approx(np.mean([rank == 1 for rank in ranks]))
    assert found.mrr == pytest.approx(np.mean([1 / rank for rank in ranks]))


def test_equal_candidates_come_in_the_order_of_the_gallery():
    query = Sightings(np.eye(2), np.array([1, 1]), np.array([7, 8]))
    gallery = Sightings(np.eye(2)[[0, 0, 1]], np.array([2, 2, 2]), np.array([8, 7, 9]))
    assert reassociate(query, gallery, gap=1, stride=1).mrr == pytest.approx((1 / 2 + 1 / 2) / 2)


def test_chance_is_what_a_random_order_reaches():
    query = sightings(3, tracks=4, seen=1.0)
    noise = query._replace(vectors=np.random.default_rng(0).normal(size=(len(query.frames), 8)))
    found = reassociate(noise, gap=1, stride=1)
    assert found.chance == pytest.approx(0.25)
    assert found.candidates == 4
    assert found.rank1 == pytest.approx(0.25, abs=0.12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vectors": np.zeros((2, 3))}, "zero or not finite"),
        ({"frames": np.array([1])}, "give \\(N, D\\)"),
        ({"frames": np.array([1, 1]), "tracks": np.array([4, 4])}, "twice in one frame"),
        ({"frames": np.array([60.2, 60.9])}, "whole numbers"),
        ({"tracks": np.array([4, np.nan])}, "whole numbers"),
        ({"tracks": np.array(["4", "5"])}, "whole numbers"),
    ],
)
def test_bad_input_is_refused(change: dict[str, np.ndarray], message: str):
    good = Sightings(np.ones((2, 3)), np.array([1, 2]), np.array([4, 4]))
    with pytest.raises(ValueError, match=message):
        reassociate(good._replace(**change), gap=1, stride=1)
    with pytest.raises(ValueError, match="at least 1"):
        reassociate(good, gap=0)


@pytest.mark.slow
@pytest.mark.parametrize(("gap", "stride"), [(3, 1), (6, 4)])
def test_single_crops_have_the_scores_of_reid(tmp_path: Path, gap: int, stride: int):
    reid = pytest.importorskip("reid", reason='no reid: pip install "reid>=0.1.0rc1"')
    import torch
    from reid.eval import ReassociationProtocol
    from reid.preprocessing import ReIDPreprocessing

    rng = np.random.default_rng(0)
    crops = sightings(1, frames=24, tracks=5, seen=0.7)
    looks = 128 + rng.integers(-9, 9, (5, 16, 8, 3))
    for frame, track in zip(crops.frames.tolist(), crops.tracks.tolist(), strict=True):
        pixels = (looks[track] + rng.integers(-120, 120, looks[track].shape)).clip(0, 255).astype(np.uint8)
        folder = tmp_path / f"street_{track}"
        folder.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / f"street_{frame:06d}.png")
    model = reid.ReIDModel(torch.nn.Flatten(), torch.device("cpu"), ReIDPreprocessing(input_size=(16, 8)))
    data = reid.load_identity_folders(tmp_path)
    theirs = model.evaluate(data, protocol=ReassociationProtocol(gap_frames=gap, query_stride=stride))
    paths = [Path(path) for path in data.image_paths]
    own = Sightings(
        np.asarray(model.extract_embeddings_from_paths(data.image_paths)),
        np.array([int(path.stem.split("_")[1]) for path in paths]),
        np.array([int(path.parent.name.split("_")[1]) for path in paths]),
    )
    ours = reassociate(own, gap=gap, stride=stride)
    values, counts = theirs.metrics, theirs.metadata
    assert 100 * ours.rank1 == pytest.approx(values["rank1"], abs=1e-4)
    assert 0 < ours.rank1 < 1
    assert 100 * ours.mrr == pytest.approx(values["mrr"], abs=1e-4)
    assert ours.num_query == counts["num_query_crops"]
    assert ours.candidates == pytest.approx(counts["mean_candidates"])
    assert sum(ours.skipped.values()) == counts["num_skipped_queries"]
