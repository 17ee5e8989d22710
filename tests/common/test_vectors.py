"""One check of vectors for galleries and for linking."""

import numpy as np
import pytest
import torch

from denseil.common.vectors import unit_vectors


@pytest.mark.parametrize(
    "vectors",
    [
        [[3, 4], [0, -2]],
        np.array([[3, 0, 4, 0], [0, 0, -2, 0]], np.float64)[:, ::2],
        np.array([[3, 4], [0, -2]], ">f4"),
        torch.tensor([[3.0, 4], [0, -2]], dtype=torch.bfloat16),
        torch.tensor([[3.0, 4], [0, -2]], requires_grad=True),
        torch.tensor([[3, 4], [0, -2]], dtype=torch.int64),
        [torch.tensor([3.0, 4], requires_grad=True), torch.tensor([0.0, -2], dtype=torch.bfloat16)],
    ],
)
def test_vectors_of_any_kind_of_numbers(vectors):
    found = unit_vectors(vectors)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[0.6, 0.8], [0, -1]], atol=1e-6)
    np.testing.assert_array_equal(unit_vectors(found), found)


@pytest.mark.parametrize(
    ("vectors", "error", "words"),
    [
        ([[1.0, 0], [0, 0]], ValueError, "row 1 holds NaN or infinity, or zeros alone"),
        ([[1.0, np.nan]], ValueError, "row 0 holds"),
        ([[1e300, 1]], ValueError, "row 0 holds"),
        ([[1, 2], [3]], ValueError, "rows of different lengths"),
        (np.ones((2, 0)), ValueError, "have shape"),
        (np.ones((2, 2, 2)), ValueError, "have shape"),
        ([[True, False]], TypeError, "are bool"),
        ([["1", "2"]], TypeError, "must be real numbers"),
        ([[1j, 2]], TypeError, "are complex128"),
        (None, TypeError, "are object"),
    ],
)
def test_what_is_refused(vectors, error, words):
    with pytest.raises(error, match=words):
        unit_vectors(vectors)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_squares_beyond_float32_do_not_matter(scale: float):
    vectors = np.array([[3.0, 4], [0, -2]], np.float32)
    mixed = np.concatenate([vectors, vectors * np.float32(scale)])
    np.testing.assert_allclose(unit_vectors(mixed), unit_vectors(np.concatenate([vectors, vectors])), rtol=1e-6)
    assert np.array_equal(unit_vectors(mixed)[:2], unit_vectors(vectors))
