"""Operating points of the packaged weights: `python -m tests.benchmarks.operating_point ROOT`.

    denseil data synth people-2023 --num-ids 400 --difficulty hard --seed 2023
    python -m tests.benchmarks.operating_point people-2023 --write    # a maintainer's step: into the packaged configs
    denseil data synth people-v1 --benchmark people-v1
    python -m tests.benchmarks.operating_point people-v1              # error rates of these thresholds on other people

ROOT holds rendered people in the layout of MARS; their queries and gallery count.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from denseil import create_model, list_pretrained
from denseil.data import read_dataset
from denseil.embedding import calibrate, embed_dataset
from denseil.embedding.cache import weights_digest
from denseil.metrics import Embeddings, save_features, verify
from denseil.metrics.verification import BINS
from denseil.models import model_id, update_config
from denseil.models.variants import SHIPPED


def write(folder: Path, embeddings: Embeddings, people: str) -> None:
    """Calibrate on embeddings, and keep the intervals of all thresholds and the name of the set beside them."""
    model = create_model(f"local-dir:{folder}", pretrained=True)
    metadata = {"weights": weights_digest(model), "model_id": model_id(model), "frames": "all"}
    with tempfile.TemporaryDirectory() as temporary:
        features = Path(temporary, "features.safetensors")
        save_features(features, embeddings, metadata=metadata)
        found = calibrate(features, folder)
    block = create_model(f"local-dir:{folder}", pretrained=True).denseil_cfg["thresholds"]
    intervals = {f"{rate:g}": list(interval) for rate, interval in found.intervals.items()}
    update_config(folder, {"thresholds": {**block, "far_intervals": intervals, "measured_on": people}})
    print(f"{folder.name}: written\n{found}")


def compare(folder: Path, embeddings: Embeddings) -> None:
    """Print the error rates of the packaged thresholds on other people."""
    block = create_model(f"local-dir:{folder}", pretrained=True).denseil_cfg["thresholds"]
    found = verify(embeddings)
    similarity = np.linspace(-1, 1, BINS + 1)
    print(f"{folder.name}: {found.genuine:,} pairs of one person, {found.impostors:,} of two")
    points = [("equal error", block["eer"]["threshold"], block["eer"]["interval"], found.eer_threshold)]
    points += [
        (f"rate {rate}", threshold, block["far_intervals"][rate], found.thresholds.get(float(rate), float("nan")))
        for rate, threshold in block["far"].items()
    ]
    for name, threshold, (low, high), own in points:
        at = int(np.searchsorted(similarity, threshold))
        inside = "within" if low <= own <= high else "outside"
        print(
            f"  {name:12} threshold {threshold:.4f}: false accepts {found.far[at]:.3%}, "
            f"false rejects {found.frr[at]:.2%}; their own threshold {own:.4f} is {inside} {low:.4f}..{high:.4f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="rendered people in the layout of MARS")
    parser.add_argument(
        "--write", action="store_true", help="write thresholds measured on them into the packaged configs"
    )
    parser.add_argument("--names", nargs="+", default=list_pretrained(), help="packaged weights; all by default")
    options = parser.parse_args()
    dataset = read_dataset("mars", options.root)
    for folder in (SHIPPED / name for name in options.names):
        model = create_model(f"local-dir:{folder}", pretrained=True).eval()
        embeddings = embed_dataset(model, dataset)
        if options.write:
            write(folder, embeddings, options.root.absolute().name)
        else:
            compare(folder, embeddings)


if __name__ == "__main__":
    main()
