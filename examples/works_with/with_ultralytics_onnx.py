"""Ultralytics' BoT-SORT with an export of single crops as its re-ID model.

python examples/works_with/with_ultralytics_onnx.py VIDEO [DETECTOR] [MODEL]

DETECTOR is any detection model of Ultralytics.
"""

import sys
from pathlib import Path

from clip import MODEL
from ultralytics import YOLO
from ultralytics.utils import YAML
from ultralytics.utils.checks import check_yaml

import denseil


def tracker_config(model: str = MODEL, folder: str = ".") -> str:
    """Export the model, and write Ultralytics' own configuration of BoT-SORT with it as the re-ID model."""
    network, config = Path(folder, "crop.onnx"), Path(folder, "botsort_denseil.yaml")
    denseil.export(denseil.create_model(model, pretrained=True), network, crops=True, normalize=True)
    YAML.save(config, YAML.load(check_yaml("botsort.yaml")) | {"with_reid": True, "model": str(network)})
    return str(config)


def main(video: str, detector: str = "yolo11n.pt", model: str = MODEL, folder: str = ".", **options) -> set[int]:
    ids = set()
    for results in YOLO(detector).track(
        video, stream=True, classes=[0], tracker=tracker_config(model, folder), **options
    ):
        if results.boxes.id is not None:
            ids |= set(results.boxes.id.int().tolist())
    return ids


if __name__ == "__main__":
    print(f"{len(main(*sys.argv[1:]))} tracks")
