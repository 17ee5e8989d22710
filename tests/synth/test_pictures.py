"""The renderer draws the published pictures bit by bit, and its compiled loops do what numpy and scipy do."""

import hashlib

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from denseil.synth import BENCHMARKS, People, Recipe
from denseil.synth.loops import blur
from denseil.synth.raster import covered, depth_map, rasterize
from denseil.synth.render import _kernel

DIGESTS = {  # of the frames of a tracklet, by the renderer that people-v1 was published with
    "0009C2T0002": "2493a2bb3f4e92de",
    "0123C4T0004": "f980b7cb585e7059",
    "0302C1T0001": "8f448553f012e0cc",
}
LARGE = "4c0ae005a6adce0a"  # height 256, easy


def arithmetic() -> str:
    """Digest of what numpy and its BLAS compute here: both differ in the last bit between processors."""
    rng = np.random.default_rng(0)
    a, b = rng.random((4096, 3), dtype=np.float32), rng.random((3, 3), dtype=np.float32)
    wide = rng.random((512, 20), dtype=np.float32) @ rng.random((20, 12), dtype=np.float32)
    parts = (a**2.2, np.sin(75 * a), np.hypot(a, a[::-1]), a @ b.T, a @ b[0], wide, np.cos(a.astype(np.float64)))
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()[:16]


ARITHMETIC = "a4c6026b6ffcb984"


def digest(people: People, name: str) -> str:
    take = next(take for take in people.all_takes() if take.name == name)
    frames = b"".join(image.tobytes() for image in people.render(take))
    return hashlib.sha256(frames).hexdigest()[:16]


def test_frames_are_those_of_people_v1_to_the_bit():
    if arithmetic() != ARITHMETIC:
        pytest.skip("this processor's numpy rounds other last bits than the one that the digests were taken on")
    people = People(BENCHMARKS["people-v1"])
    assert {name: digest(people, name) for name in DIGESTS} == DIGESTS
    assert digest(People(Recipe(9, frames=2, seed=5, difficulty="easy", height=256, width=128)), "0004C3T0003") == LARGE


def test_frames_do_not_depend_on_how_many_are_rendered_at_once(monkeypatch: pytest.MonkeyPatch):
    people = People(Recipe(4, frames=3, height=64, width=32, difficulty="hard"))
    take = people.takes(people.identities[1])[0]
    together = people.render(take)
    monkeypatch.setattr("denseil.synth.passage.BATCH", 1)
    assert [image.tobytes() for image in people.render(take)] == [image.tobytes() for image in together]


def test_blur_is_a_gaussian():
    image = np.zeros((40, 20), dtype=np.float32)
    image[5:9, 3:11], image[-1, -2] = 1, 1
    for sigma in (0.8, 4.3, 12.0):
        np.testing.assert_array_equal(blur(image, _kernel(sigma)), gaussian_filter(image, sigma))


def test_rasterisers_agree_and_the_nearest_triangle_is_seen():
    rng = np.random.default_rng(1)
    faces = rng.integers(0, 60, (80, 3)).astype(np.int32)
    screen = (rng.random((60, 3)) * [30, 20, 5] + [0, 0, 1]).astype(np.float32)
    seen, weights, near = rasterize(screen, faces, 20, 30)
    at = faces[seen]
    assert (seen >= 0).mean() > 0.5
    depth = (weights * screen[at, 2]).sum(-1)
    np.testing.assert_allclose(depth[seen >= 0], near[seen >= 0], rtol=1e-5)
    x, y = ((weights * screen[at, k]).sum(-1) for k in (0, 1))  # where the pixel's centre is, by its triangle
    rows, columns = np.nonzero(seen >= 0)
    np.testing.assert_allclose(x[rows, columns], columns + 0.5, atol=1e-3)
    np.testing.assert_allclose(y[rows, columns], rows + 0.5, atol=1e-3)
    for f in rng.permutation(80)[:20]:  # no triangle alone is nearer than what is seen
        alone = rasterize(screen, faces[f : f + 1], 20, 30)[2]
        assert (near <= alone).all()
    np.testing.assert_array_equal(covered(screen, faces, 20, 30), (seen >= 0).astype(np.float32))
    filled = np.full((20, 30), np.inf, dtype=np.float32)
    filled[:5] = -np.inf
    depth_map(screen, faces, filled)
    np.testing.assert_array_equal(filled[5:], near[5:])
    assert (filled[:5] == -np.inf).all()
