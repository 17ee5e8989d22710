"""The paper's Figures 4 and 5 from trained weights: where dense attention looks, and what is found.

    denseil data synth people-v1 --benchmark people-v1
    python examples/paper_figures.py people-v1 --output figures
    python examples/paper_figures.py tests/data/mars_tiny --output figures --name real

Figure 4 is the mean over the clips of all queries, block by block: shares of levels, of frames and of parts. Figure 5
has the queries on which the two models differ most, or the first ones where they are few.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import denseil
from denseil.data import Tracklet, read_dataset, read_frame, sample_even
from denseil.embedding import embed_tracklets
from denseil.metrics import Embeddings, nearest, rank
from denseil.metrics.figures import new_figure, save_figure
from denseil.viz import attend

MODEL, BASELINE = "denseil_mobilenetv2.people_v2", "denseil_mobilenetv2_mean.people_v2"
RIGHT, WRONG, QUERY = "#1a7f37", "#cf222e", "#57606a"


def figure_4(model: denseil.DenseIL, clips: Sequence[Tracklet], path: Path) -> None:
    """Shares of attention by level, by level and frame, and by level and part; a row is a block."""
    depth, levels = len(model.decoder.interaction.blocks), len(model.fused_levels) + 1
    shares = np.zeros((depth, levels, model.denseil_cfg["clip_len"], model.decoder.pool_parts.num_parts))
    for clip in clips:
        for block in range(depth):
            look = attend(model, clip.frames, block=block)
            shares[block] += look.shares.numpy() / len(clips)
    names = [f"Z{level}" if level else "H" for level in look.levels]
    figure = new_figure(9, 2.1 * depth)
    for block, row in enumerate(figure.subplots(depth, 3, squeeze=False)):
        row[0].barh(names, 100 * shares[block].sum((1, 2)), color="C0")
        row[0].set(xlabel="% of attention", title=f"block {block + 1}: levels", xlim=(0, 100))
        row[0].invert_yaxis()
        for axes, (what, axis) in zip(row[1:], (("frames", 2), ("parts, top to bottom", 1)), strict=True):
            cells = 100 * shares[block].sum(axis)
            axes.imshow(cells, cmap="Blues", vmin=0, aspect="auto")
            for (y, x), value in np.ndenumerate(cells):
                dark = value > cells.max() / 2
                axes.text(x, y, f"{value:.1f}", ha="center", va="center", color="white" if dark else "black")
            axes.set_yticks(range(len(names)), names)
            axes.set_xticks(range(cells.shape[1]), range(1, cells.shape[1] + 1))
            axes.set_title(f"block {block + 1}: {what}")
    figure.suptitle(f"Dense Attention, mean over {len(clips)} clips, heads and queries")
    save_figure(figure, path)


def strip(tracklet: Tracklet, count: int, colour: str) -> np.ndarray:
    """Evenly spaced crops side by side in a frame of one colour."""
    size, border = (64, 128), 3
    places = sample_even(len(tracklet.frames), count)
    images = [Image.fromarray(read_frame(tracklet.frames, int(place))).resize(size) for place in places]
    inner = np.concatenate([np.asarray(image) for image in images], axis=1)
    rgb = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    framed = np.full((inner.shape[0] + 2 * border, inner.shape[1] + 2 * border, 3), rgb, np.uint8)
    framed[border:-border, border:-border] = inner
    return np.pad(framed, ((2, 2), (2, 8), (0, 0)), constant_values=255)


def figure_5(models: dict[str, denseil.DenseIL], dataset: denseil.data.VideoReIDDataset, path: Path, rows: int) -> None:
    """A query a pair of rows: its frames and the five nearest, by the first model above, by the second below."""
    both = [*dataset.query, *dataset.gallery]
    pids, camids = [one.pid for one in both], [one.camid for one in both]
    precision, found = [], []
    for model in models.values():
        vectors = Embeddings(torch.stack(list(embed_tracklets(model, both))), pids, camids)
        query, gallery = vectors[: len(dataset.query)], vectors[len(dataset.query) :]
        precision.append(np.nan_to_num(rank(query, gallery).average_precision))
        found.append([places.tolist() for places, _ in nearest(query, gallery, 5)])
    differ = np.argsort(precision[0] - precision[1], kind="stable")  # where the second is better, then the other way
    half = rows // 2
    chosen = list(dict.fromkeys([*differ[: rows - half].tolist(), *differ[len(differ) - half :].tolist()]))
    lines = []
    for place in chosen:
        for ranks in found:
            one = dataset.query[place]
            hits = [dataset.gallery[at] for at in ranks[place]]
            strips = [strip(one, 3, QUERY), *(strip(hit, 1, RIGHT if hit.pid == one.pid else WRONG) for hit in hits)]
            lines.append(np.concatenate(strips, axis=1))
        lines[-1] = np.pad(lines[-1], ((0, 14), (0, 0), (0, 0)), constant_values=255)
    width = max(line.shape[1] for line in lines)
    padded = [np.pad(line, ((0, 0), (0, width - line.shape[1]), (0, 0)), constant_values=255) for line in lines]
    Image.fromarray(np.concatenate(padded)).save(path, quality=88)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", help="a dataset in MARS layout")
    parser.add_argument("--model", default=MODEL, help="a name with weights, or local-dir:FOLDER")
    parser.add_argument("--baseline", default=BASELINE, help="the same, of a model that averages frames (depth=0)")
    parser.add_argument("--output", type=Path, default=Path("figures"))
    parser.add_argument("--name", default="rendered", help="what the files are called after their number")
    parser.add_argument("--queries", type=int, default=6, help="of Figure 5")
    options = parser.parse_args(arguments)

    dataset = read_dataset("mars", options.root)
    model = denseil.create_model(options.model, pretrained=True).eval()
    baseline = denseil.create_model(options.baseline, pretrained=True).eval()
    options.output.mkdir(parents=True, exist_ok=True)
    figure_4(model, dataset.query, options.output / f"figure4_{options.name}.png")
    models = {"baseline": baseline, "DenseIL": model}
    figure_5(models, dataset, options.output / f"figure5_{options.name}.jpg", options.queries)
    print(f"figures 4 and 5 are in {options.output}")


if __name__ == "__main__":
    main()
