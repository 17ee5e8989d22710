"""A Gradio app: the nearest tracklets of one, two tracklets compared, and where dense attention looks.

python app.py  # then open the address that it prints
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gradio as gr
import numpy as np
from PIL import Image, ImageDraw

import denseil
from denseil.data import decode_image, read_dataset, sample_even
from denseil.synth import sample
from denseil.viz import attend

SIZE = (64, 128)
MOST = 32  # crops of a tracklet
PEOPLE = read_dataset("mars", sample())
MODEL = denseil.create_model("denseil_mobilenetv2", pretrained=True).eval()
EMBEDDER = denseil.Embedder(MODEL)
FIRST, SECOND = (list(PEOPLE.query[place].frames) for place in (0, 1))
GALLERY = PEOPLE.gallery
VECTORS = EMBEDDER.embed(GALLERY)


def check(paths: Sequence[str] | None) -> list[str]:
    """Some evenly spaced crops of a tracklet; an error if there are none, or one cannot be read."""
    if not paths:
        raise gr.Error("Give the crops of one person, at least one picture.")
    kept = [paths[int(place)] for place in sample_even(len(paths), min(len(paths), MOST))]
    path = ""
    try:
        for path in kept:
            decode_image(path)
    except (ValueError, FileNotFoundError) as error:
        raise gr.Error(f"{Path(path).name} is no picture that can be read.") from error
    return kept


def nearest(paths: Sequence[str] | None, count: float = 8) -> list[tuple[str, str]]:
    """The nearest tracklets, nearest first: a picture and a caption each."""
    similar = VECTORS @ EMBEDDER(check(paths))
    order = similar.argsort(descending=True)[: int(count)].tolist()
    same = EMBEDDER.threshold()
    return [
        (
            GALLERY[place].frames[len(GALLERY[place].frames) // 2],
            f"person {GALLERY[place].pid}: {similar[place]:.2f}, {'same' if similar[place] >= same else 'another'}",
        )
        for place in order
    ]


def compare(first: Sequence[str] | None, second: Sequence[str] | None) -> str:
    """One person or two."""
    one, other = EMBEDDER(check(first)), EMBEDDER(check(second))
    answer = "the same person" if EMBEDDER.same(one, other) else "two persons"
    return f"Cosine similarity {float(one @ other):.3f}: {answer}, by a threshold of {EMBEDDER.threshold():.2f}."


def look(paths: Sequence[str] | None) -> Image.Image:
    """The crops, tinted where the last block attends."""
    attention = attend(MODEL, check(paths))
    shares = attention.shares.sum(0).numpy()  # (frames, parts)
    strength = (shares - shares.min()) / (np.ptp(shares) or 1.0)
    strip = Image.new("RGB", (SIZE[0] * len(attention.frames), SIZE[1]))
    for number, (path, parts) in enumerate(zip(attention.frames, strength, strict=True)):
        crop = Image.fromarray(decode_image(path)).resize(SIZE).convert("RGBA")
        tint = Image.new("RGBA", SIZE)
        height = SIZE[1] // len(parts)
        for part, share in enumerate(parts.tolist()):
            box = (0, part * height, SIZE[0], (part + 1) * height)
            ImageDraw.Draw(tint).rectangle(box, fill=(255, 138, 0, round(160 * share)))
        strip.paste(Image.alpha_composite(crop, tint).convert("RGB"), (number * SIZE[0], 0))
    return strip


def build() -> gr.Blocks:
    """The app."""
    crops = {"file_count": "multiple", "file_types": ["image"], "type": "filepath"}
    with gr.Blocks(title="denseil") as app:
        gr.Markdown(
            "# denseil\nThe crops of one person from one camera become one vector; near vectors show one person."
        )
        with gr.Tab("Find"):
            asked = gr.File(label="Crops of one person", value=FIRST, **crops)
            find = gr.Button("Find", variant="primary")
            shown = gr.Gallery(label="Nearest first", columns=4, object_fit="contain", height=420)
            find.click(nearest, asked, shown, api_name="nearest")
        with gr.Tab("Compare"):
            with gr.Row():
                one = gr.File(label="One", value=FIRST, **crops)
                other = gr.File(label="Other", value=SECOND, **crops)
            button = gr.Button("Compare", variant="primary")
            answer = gr.Textbox(label="Answer")
            button.click(compare, [one, other], answer, api_name="compare")
        with gr.Tab("Attention"):
            seen = gr.File(label="Crops of one person", value=FIRST, **crops)
            show = gr.Button("Show", variant="primary")
            picture = gr.Image(label="Stronger tint: more attention, summed over levels", type="pil")
            show.click(look, seen, picture, api_name="look")
    return app


if __name__ == "__main__":
    build().launch(allowed_paths=[str(sample())])
