"""A few components of many vectors, which bound their products with another vector from above."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WIDTH = 32  # components kept
SAMPLE = 2048  # vectors from which the components are chosen
SLACK = 1e-4  # for rounding, relative to the lengths


class Sketch:
    """Components of vectors along the directions in which a sample of them is longest, and the length of the rest.

    The product of two vectors is at most that of their components plus the product of the lengths of their rests
    (Cauchy and Schwarz), so a product with the few components tells which vectors can reach a threshold at all.

    Args:
        vectors: Vectors (M, D).
    """

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        rng = np.random.default_rng(0)
        sample = vectors[rng.choice(len(vectors), SAMPLE, replace=False)] if len(vectors) > SAMPLE else vectors
        basis = rng.normal(size=(vectors.shape[1], min(WIDTH, vectors.shape[1]))).astype(np.float32)
        for _ in range(3):  # subspace iteration
            basis = np.linalg.qr(sample.T @ (sample @ basis))[0]
        self.basis: NDArray[np.float32] = np.ascontiguousarray(basis)  # (D, WIDTH)
        self.parts, self.rests = self.project(vectors)  # (M, WIDTH), (M,)

    def project(self, vectors: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Components (..., WIDTH) of vectors (..., D), and the lengths (...) of what they leave out."""
        parts = vectors @ self.basis
        left = vectors - parts @ self.basis.T
        return parts, np.sqrt((left * left).sum(-1))

    def set(self, row: int, vector: NDArray[np.float32]) -> None:
        """Replace a vector."""
        self.parts[row], self.rests[row] = self.project(vector)

    def reach(self, vector: NDArray[np.float32], least: NDArray[np.float32], count: int) -> NDArray[np.int64]:
        """Rows, of the first `count`, whose product with a vector may reach the least one (M,) for each."""
        part, rest = self.project(vector)
        bound = self.parts[:count] @ part
        bound += self.rests[:count] * rest
        return np.flatnonzero(bound >= least[:count])
