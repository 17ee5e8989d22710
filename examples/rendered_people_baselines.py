"""How hard rendered people are: chance, a histogram of colours, untrained and trained networks.

    denseil data synth people-v1 --benchmark people-v1
    python examples/rendered_people_baselines.py people-v1 --trained runs/*/final --encoder mobilenet_v2.pth

mAP and rank-1 on all queries, and on those whose identity shares everything with others but one fine detail.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import denseil
from denseil.data import Tracklet, read_dataset
from denseil.embedding import embed_tracklets
from denseil.metrics import Embeddings, rank
from denseil.models import load_backbone, read_weights
from denseil.training.ablate import fine_queries

STRIPES, BINS = 6, 8


def histogram(tracklet: Tracklet) -> np.ndarray:
    """Hue, saturation and value of six horizontal stripes (432,), roots of shares, the mean over all frames."""
    found = []
    for path in tracklet.frames:
        with Image.open(path) as image:
            stripes = np.array_split(np.asarray(image.convert("HSV")), STRIPES)
        counts = [np.histogram(s[..., c], BINS, (0, 256))[0] / s[..., c].size for s in stripes for c in range(3)]
        found.append(np.sqrt(np.concatenate(counts)))
    return np.mean(found, axis=0)


def network(model: denseil.DenseIL, tracklets: list[Tracklet]) -> np.ndarray:
    return torch.stack(list(embed_tracklets(model, tracklets, frames="all", size=(128, 64)))).numpy()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", help="people that `denseil data synth` rendered")
    parser.add_argument("--trained", nargs="*", default=[], help="folders of trained models")
    parser.add_argument("--encoder", help="a file of MobileNetV2's weights, whose features are averaged")
    options = parser.parse_args(arguments)

    dataset = read_dataset("mars", options.root)
    tracklets, queries = dataset.gallery_with_queries()
    fine = torch.tensor(fine_queries(dataset.query, Path(options.root)))
    torch.manual_seed(0)
    untrained = denseil.create_model("denseil_mobilenetv2").eval()
    vectors = {
        "chance": np.random.default_rng(0).normal(size=(len(tracklets), 64)),
        "HSV histogram of 6 stripes": np.stack([histogram(tracklet) for tracklet in tracklets]),
        "untrained network": network(untrained, tracklets),
    }
    if options.encoder:
        averaged = denseil.create_model("denseil_mobilenetv2", depth=0).eval()
        load_backbone(averaged, read_weights(options.encoder), origin=options.encoder)
        vectors["encoder, frames averaged"] = network(averaged, tracklets)
    for name in denseil.list_pretrained():
        vectors[name] = network(denseil.create_model(name, pretrained=True).eval(), tracklets)
    for folder in options.trained:
        vectors[folder] = network(denseil.create_model(f"local-dir:{folder}", pretrained=True).eval(), tracklets)

    print(f"{len(fine)} queries, {int(fine.sum())} of them on a fine detail; {len(dataset.gallery)} gallery tracklets")
    wide = max(map(len, vectors))
    print(f"{'':{wide}} {'mAP':>6} {'R-1':>6}   {'fine mAP':>8} {'R-1':>6}")
    for name, found in vectors.items():
        both = Embeddings(found, [t.pid for t in tracklets], [t.camid for t in tracklets])
        query, gallery = both[queries.start :], both[: queries.start]
        all_of_them = rank(query, gallery)
        line = f"{name:{wide}} {100 * all_of_them.mAP:6.1f} {100 * all_of_them.cmc[0]:6.1f}"
        if fine.any():
            some = rank(query[fine], gallery)
            line += f"   {100 * some.mAP:8.1f} {100 * some.cmc[0]:6.1f}"
        print(line)


if __name__ == "__main__":
    main()
