"""What lower precision and other runtimes do to trained weights: `python -m tests.benchmarks.forms [ROOT]`.

Accuracy, not speed: the weights in the package, in every form that the installed runtimes can run, evaluated on a
dataset in MARS layout. By default on the sample of rendered people in the package; `people-v1` says more.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from importlib.util import find_spec
from pathlib import Path

import torch

import denseil
from denseil.data import Tracklet, read_dataset
from denseil.metrics import Embeddings, rank
from denseil.models import DenseIL, agreement


def embedders(model: DenseIL, folder: Path, calibration: list[Tracklet]) -> dict[str, denseil.Embedder]:
    """The model in float32 first, then its other forms."""
    found = {
        "float32": denseil.Embedder(model),
        "optimised, float32": denseil.Embedder(denseil.optimize(model, "float32", verbose=False)),
        "optimised, bfloat16": denseil.Embedder(denseil.optimize(model, "bfloat16", verbose=False)),
        "autocast to bfloat16": denseil.Embedder(model, dtype=torch.bfloat16),
    }
    denseil.export(model, folder / "m.pt2", "pt2")
    found["torch.export, float32"] = denseil.Embedder.from_exported(folder / "m.pt2")
    if find_spec("onnxruntime"):
        denseil.export(model, folder / "m.onnx")
        found["onnxruntime, float32"] = denseil.Embedder.from_exported(folder / "m.onnx")
    if find_spec("openvino"):
        denseil.export(model, folder / "m.xml", "openvino")
        for precision in ("float32", "bfloat16"):
            found[f"OpenVINO, {precision}"] = denseil.Embedder.from_exported(folder / "m.xml", precision=precision)
    if find_spec("nncf"):
        denseil.export(model, folder / "int8.xml", "openvino", int8=calibration)
        found["OpenVINO, int8"] = denseil.Embedder.from_exported(folder / "int8.xml")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", nargs="?", default=denseil.synth.sample())
    parser.add_argument("--model", default="denseil_mobilenetv2")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    dataset = read_dataset("mars", options.root)
    tracklets = [*dataset.query, *dataset.gallery]
    queries, rows, expected = len(dataset.query), {}, torch.empty(0)
    print(f"{options.model} on {queries} queries, {len(dataset.gallery)} in the gallery")
    print(f"{'':24}{'mAP':>7}{'R-1':>7}{'change':>8}  centred cosine: mean, least; same neighbour")
    with tempfile.TemporaryDirectory() as folder:
        model = denseil.create_model(options.model, pretrained=True).eval()
        for name, embedder in embedders(model, Path(folder), dataset.train).items():
            vectors = embedder.embed(tracklets)
            both = Embeddings(vectors, [one.pid for one in tracklets], [one.camid for one in tracklets])
            result = rank(both[:queries], both[queries:], frames="all")
            expected = vectors if name == "float32" else expected
            near = agreement(expected, vectors)
            rows[name] = {"mAP": result.mAP, "R-1": float(result.cmc[0]), **vars(near)}
            change = result.mAP - rows["float32"]["mAP"]
            print(
                f"{name:24}{100 * result.mAP:7.2f}{100 * float(result.cmc[0]):7.2f}{100 * change:+8.2f}  "
                f"{near.mean_cosine:.4f}, {near.min_cosine:.4f}; {near.same_neighbour:.3f}",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps({"queries": queries, "rows": rows}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
