"""Building the page of the demo."""

from __future__ import annotations

from pathlib import Path

import torch

from denseil.data import read_dataset
from denseil.demo.parts import add_attention, add_ranks
from denseil.demo.rendered import add_people, add_scores, encode
from denseil.demo.video import add_video
from denseil.embedding import TrackletEmbedder
from denseil.models import create_model
from denseil.synth import sample
from denseil.viz import Page

DENSE = "denseil_mobilenetv2.people_v2"
MODELS = {"dense interaction": DENSE, "frames averaged": "denseil_mobilenetv2_mean.people_v2"}


def demo(
    real: Path | None = None,
    *,
    video: Path | None = None,
    tracks: Path | None = None,
    output: Path = Path("demo"),
    device: str | torch.device = "cpu",
) -> Path:
    """Write a page that shows in pictures what the weights in the package do.

    It shows your own video and real tracklets, if given; then rendered people whom the weights were not trained on:
    their cameras, ranked lists, dense attention, and scores. Nothing is trained.

    Args:
        real: A folder of real tracklets in the layout of MARS; None for none.
        video: A video of your own, with `tracks`.
        tracks: A tracker's boxes in it; see `denseil.data.read_tracks`.
        output: Output folder.
        device: Device to compute on.

    Returns:
        Path of the page, `output/report.html`, a self-contained file.

    Raises:
        ModuleNotFoundError: If the extra `demo` is not installed.
        FileNotFoundError: If `real` is not in the layout of MARS, or a file does not exist.
        ValueError: If one of `video` and `tracks` is given without the other, or no track has four crops.
    """
    if (video is None) != (tracks is None):
        raise ValueError("a video and a tracker's boxes in it go together: give both --video and --tracks, or neither")
    shown = None if real is None else read_dataset("mars", real)
    people = read_dataset("mars", sample())
    model = create_model(DENSE, pretrained=True).to(device).eval()
    embedder = TrackletEmbedder(model, device=device)
    page = Page(
        "denseil", "The crops of one person from one camera become one vector; near vectors are the same person."
    )
    if video is not None and tracks is not None:
        add_video(page, model, embedder, video, tracks)
    if shown is not None:
        both = [*shown.query, *shown.gallery]
        vectors = embedder.decode([encode(embedder, tracklet) for tracklet in both])
        add_ranks(page, shown, vectors, "Real people")
        add_attention(page, model, shown.query, "Where dense attention looks on real people")
    add_people(page, people)
    both = [*people.query, *people.gallery]
    tokens = [encode(embedder, tracklet) for tracklet in both]
    add_ranks(page, people, embedder.decode(tokens), "Rendered people, ranked")
    add_attention(page, model, people.query, "Where dense attention looks on rendered people")
    encoded = {DENSE: (embedder, tokens)}
    for name in set(MODELS.values()) - set(encoded):
        other = TrackletEmbedder(create_model(name, pretrained=True), device=device)
        encoded[name] = other, [encode(other, tracklet) for tracklet in both]
    add_scores(page, people, {title: (name, *encoded[name]) for title, name in MODELS.items()})
    output.mkdir(parents=True, exist_ok=True)
    page.write(output / "report.html")
    return output / "report.html"
