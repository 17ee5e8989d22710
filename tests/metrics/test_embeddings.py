from __future__ import annotations

import numpy as np
import pytest
import torch

from denseil.metrics import Embeddings

VECTORS = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]


@pytest.mark.parametrize("make", [list, np.array, torch.tensor, tuple])
def test_lists_arrays_and_tensors_are_the_same(make: type) -> None:
    embeddings = Embeddings(make(VECTORS), make([1, 0, -1]), make([1, 2, 3]))
    assert torch.equal(embeddings.vectors, torch.tensor(VECTORS))
    assert embeddings.pids.tolist() == [1, 0, -1]
    assert embeddings.camids.dtype == torch.int64
    assert len(embeddings) == 3


def test_float32_is_not_copied() -> None:
    vectors = torch.rand(4, 2)
    assert Embeddings(vectors, range(4), range(4)).vectors.data_ptr() == vectors.data_ptr()
    assert Embeddings(vectors.numpy(), range(4), range(4)).vectors.data_ptr() == vectors.data_ptr()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int8])
def test_other_numbers_become_float32(dtype: torch.dtype) -> None:
    assert torch.equal(Embeddings(torch.tensor(VECTORS).to(dtype), [1] * 3, [1] * 3).vectors, torch.tensor(VECTORS))


def test_a_graph_is_cut_and_reversed_views_are_read() -> None:
    assert not Embeddings(torch.rand(3, 2, requires_grad=True), [1] * 3, [1] * 3).vectors.requires_grad
    assert Embeddings(np.array(VECTORS)[::-1], [1] * 3, [1] * 3).vectors[0].tolist() == [5, 6]


def test_an_array_that_may_not_be_written_to_warns_of_nothing(recwarn: pytest.WarningsRecorder) -> None:
    array = np.ones((2, 3), np.float32)
    array.setflags(write=False)
    Embeddings(array, [1, 2], [1, 1])
    assert not recwarn.list


def test_selection_keeps_labels_with_their_vectors() -> None:
    chosen = Embeddings(VECTORS, [7, 8, 9], [1, 2, 3])[torch.tensor([2, 0])]
    assert (chosen.vectors[:, 0].tolist(), chosen.pids.tolist(), chosen.camids.tolist()) == ([5, 1], [9, 7], [3, 1])


@pytest.mark.parametrize(
    ("vectors", "pids", "camids", "error", "text"),
    [
        (VECTORS, [1, 1], [1, 1, 1], ValueError, r"pids.*\(2,\).*3 vectors"),
        # One camera a frame in place of one a tracklet: published code has scored with this.
        (VECTORS, [1, 1, 1], [1] * 24, ValueError, r"camids.*\(24,\).*one a frame"),
        (VECTORS, [[1], [1], [1]], [1, 1, 1], ValueError, r"pids.*\(3, 1\)"),
        (VECTORS, [1.0, 1.0, 1.0], [1, 1, 1], TypeError, "pids.*integers"),
        (VECTORS, [True, True, True], [1, 1, 1], TypeError, "pids.*integers"),
        (VECTORS, [1, 1, 1], ["a", "b", "c"], TypeError, "camids"),
        (VECTORS, [1, -2, 1], [1, 1, 1], ValueError, "-2"),
        (VECTORS[0], [1], [1], ValueError, r"\(2,\).*\(N, D\)"),
        (np.empty((0, 4)), [], [], ValueError, r"\(0, 4\)"),
        (np.empty((3, 0)), [1] * 3, [1] * 3, ValueError, r"\(3, 0\)"),
        ([], [], [], ValueError, r"\(0,\)"),
        ([[1.0, 2.0], [1.0]], [1, 1], [1, 1], TypeError, "vectors"),
        ([[True, False]], [1], [1], TypeError, "bool"),
        (np.array([[1j]]), [1], [1], TypeError, "complex"),
        ([["a"]], [1], [1], TypeError, "vectors"),
        ([[0.0, 1.0], [0.0, float("nan")]], [1, 1], [1, 1], ValueError, "NaN or infinity.*row 1"),
        ([[0.0, float("-inf")]], [1], [1], ValueError, "NaN or infinity.*row 0"),
        ([[0.0, 1e300]], [1], [1], ValueError, "float32"),
        ([[1.0, 1e-200], [1e-200, 1e-200]], [1, 1], [1, 1], ValueError, "vector 1 is too short"),
        (torch.eye(2).to_sparse(), [1, 1], [1, 1], TypeError, "give a dense one"),
        (torch.zeros(2, 2, device="meta"), [1, 1], [1, 1], TypeError, "give a dense one"),
        (VECTORS, np.array([1, 2, 2**64 - 1], np.uint64), [1] * 3, ValueError, "do not fit"),  # -1 would be junk
    ],
)
def test_errors(vectors: object, pids: object, camids: object, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        Embeddings(vectors, pids, camids)  # type: ignore[arg-type]
