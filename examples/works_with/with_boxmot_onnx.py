"""BoxMOT's StrongSORT on an export of single crops: the tracker needs neither denseil nor torch's model.

python examples/works_with/with_boxmot_onnx.py VIDEO BOXES [MODEL]

BOXES, in MOT Challenge format, stand for your detector.
"""

import sys

import numpy as np
from boxmot import StrongSort
from clip import MODEL, detections

import denseil


def main(video: str, boxes: str, model: str = MODEL, path: str = "crop.onnx") -> set[int]:
    network = denseil.create_model(model, pretrained=True)
    prepared = network.preprocessing
    if prepared != denseil.Preprocessing(prepared.size, clip_len=prepared.clip_len, frames=prepared.frames):
        raise ValueError(f"BoxMOT normalises RGB by ImageNet's mean; this model takes {prepared}: use with_boxmot.py")
    denseil.export(network, path, crops=True)
    tracker, ids = StrongSort(reid_weights=path), set()
    for frame, xyxy in detections(video, boxes):
        rows = np.column_stack([xyxy, np.full(len(xyxy), 0.9), np.zeros(len(xyxy))])  # confidence, class
        ids |= set(tracker.update(rows, frame)[:, 4].astype(int).tolist())
    return ids


if __name__ == "__main__":
    print(f"{len(main(*sys.argv[1:]))} tracks")
