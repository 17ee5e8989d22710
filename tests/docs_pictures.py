"""Two pictures of the docs: what goes into the library and comes out, and the model after the paper's Figure 2c.

`python -m tests.docs_pictures` draws them into docs/images; a test draws them again and compares.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from PIL import Image

import denseil
from denseil.data import Tracklet, read_dataset
from denseil.metrics import Embeddings, nearest
from denseil.synth import sample
from tests.docs_tables import DOCS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MODEL = "denseil_mobilenetv2"
QUERY = 0
SHOWN = 5
RIGHT, WRONG, PLAIN = "#1a7f37", "#c62828", "0.35"


def draw_start(path: Path) -> None:
    """Draw crops of tracklets, the vector of one, and the gallery in order of distance; all are computed."""
    dataset = read_dataset("mars", sample())
    query, gallery = dataset.query[QUERY], dataset.gallery
    embedder = denseil.Embedder(denseil.create_model(MODEL, pretrained=True), device="cpu")
    vector, others = embedder(query), embedder.embed(gallery)
    found = nearest(
        Embeddings(vector[None], [query.pid], [query.camid]),
        Embeddings(others, [t.pid for t in gallery], [t.camid for t in gallery]),
        k=SHOWN,
    )[0]
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, middle, right = figure.subfigures(1, 3, width_ratios=[5, 2.4, 5])
    left.suptitle("in: tracklets, the crops of one\nperson from one camera", fontsize=11)
    middle.suptitle("out: one vector\nfor each", fontsize=11)
    right.suptitle(f"and a ranked list: the nearest\nof {len(gallery)} other tracklets", fontsize=11)
    rows = [query, *(gallery[place] for place in found.places[:2])]
    for row, (tracklet, axes) in enumerate(zip(rows, left.subplots(3, 1), strict=True)):
        show(axes, np.concatenate(crops(tracklet), axis=1))
        axes.set_ylabel(f"camera {tracklet.camid}\n{'the query' if row == 0 else 'the gallery'}", fontsize=9)
    strip = middle.subplots()
    strip.imshow(np.asarray(vector).reshape(-1, 8), cmap="coolwarm", aspect="auto")
    strip.set(xticks=[], yticks=[], xlabel=f"{len(vector)} numbers, length 1")
    ranked = [gallery[place] for place in found.places]
    for rank, (tracklet, distance, axes) in enumerate(
        zip(ranked, found.distances, right.subplots(1, SHOWN), strict=True), 1
    ):
        show(axes, crops(tracklet)[0], RIGHT if tracklet.pid == query.pid else WRONG)
        axes.set_title(f"{rank}", fontsize=10)
        axes.set_xlabel(f"{distance:.2f}\ncamera {tracklet.camid}", fontsize=9)
    figure.savefig(path, dpi=100, metadata={"Software": None})


def crops(tracklet: Tracklet) -> list[np.ndarray]:
    """The frames of a tracklet, (H, W, 3) uint8."""
    return [np.asarray(Image.open(frame).convert("RGB")) for frame in tracklet.frames]


def show(axes: Axes, picture: np.ndarray, colour: str = PLAIN) -> None:
    """Show a picture without ticks, in a frame of one colour."""
    axes.imshow(picture)
    axes.set(xticks=[], yticks=[])
    for side in axes.spines.values():
        side.set(color=colour, linewidth=1 if colour == PLAIN else 3)


def draw_model(path: Path) -> None:
    """Draw the encoder's levels and one decoder block with its three residuals (after the paper's Figure 2c)."""
    figure = Figure(figsize=(8.5, 5), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(0, 17), ylim=(0, 9.8))
    axes.axis("off")
    stages = ["clip\nT frames", *(f"encoder, stage {level}\nZ{level}" for level in (1, 2, 3, 4))]
    middles = [
        box(axes, 0.2, 8.5 - 1.7 * row, text, "#e8eef7" if row else "#f2f2f2") for row, text in enumerate(stages)
    ]
    for high, low in pairwise(middles):
        arrow(axes, (1.7, high - 0.55), (1.7, low + 0.55))
    for middle in middles[2:]:
        box(axes, 5, middle - 0.55, "PartPool, linear,\nLayerNorm, + position", "#eef5ea", 4.2)
        arrow(axes, (3.2, middle), (5, middle))
        arrow(axes, (9.2, middle), (11, 4.15), "#35507a")
    box(axes, 5, 0.1, "H0: PartPool, linear,\nLayerNorm, + position", "#eef5ea", 4.2)
    arrow(axes, (3.2, middles[4] - 0.3), (5, 0.65))
    axes.plot([9.2, 13.4], [0.65, 0.65], color="0.35", linewidth=1)
    arrow(axes, (13.4, 0.65), (13.4, 1.9))
    axes.add_patch(Rectangle((10.6, 1.5), 5.6, 5.6, fill=False, linestyle="--", edgecolor="0.5"))
    axes.text(10.75, 6.75, "R blocks", fontsize=9, color="0.4")
    box(axes, 11, 1.9, "+ self-attention,\nEq. 1 and 2", "#fdf1e0", 4.8)
    box(axes, 11, 3.6, "+ Dense Attention, Eq. 3;\nkeys: Z2, Z3, Z4 and H", "#fbe3c5", 4.8)
    box(axes, 11, 5.3, "+ feed-forward", "#fdf1e0", 4.8)
    box(axes, 11, 8.0, "mean over frames and parts,\nbatch norm: the vector", "#f2f2f2", 4.8)
    for low, high in ((3.0, 3.6), (4.7, 5.3), (6.4, 8.0)):
        arrow(axes, (13.4, low), (13.4, high))
    figure.savefig(path, dpi=100, metadata={"Software": None})


def box(axes: Axes, x: float, y: float, text: str, colour: str, width: float = 3.0) -> float:
    """Draw a box of height 1.1 with its lower left corner at (x, y); returns the height of its middle."""
    axes.add_patch(
        FancyBboxPatch((x, y), width, 1.1, boxstyle="round,pad=0,rounding_size=0.15", facecolor=colour, edgecolor="0.4")
    )
    axes.text(x + width / 2, y + 0.55, text, ha="center", va="center", fontsize=9.5)
    return y + 0.55


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str = "0.35") -> None:
    """Draw an arrow."""
    axes.annotate("", xy=end, xytext=start, arrowprops={"arrowstyle": "->", "color": colour})


PICTURES = {"start.png": draw_start, "model.png": draw_model}

if __name__ == "__main__":
    for name, draw in PICTURES.items():
        draw(DOCS / "images" / name)
