"""BoxMOT's BoT-SORT, which compares boxes by vectors of denseil; each track becomes a vector too.

python examples/works_with/with_boxmot.py VIDEO BOXES [MODEL]

BOXES, in MOT Challenge format, stand for your detector.
"""

import sys

import numpy as np
from boxmot import BotSort
from clip import MODEL, detections

from denseil import TrackletEmbedder
from denseil.embedding import CropFeatures, update_boxes


def main(video: str, boxes: str, model: str = MODEL) -> TrackletEmbedder:
    embedder = TrackletEmbedder(model, color_order="BGR")
    tracker = BotSort(reid_model=CropFeatures(embedder))
    for frame, xyxy in detections(video, boxes):
        rows = np.column_stack([xyxy, np.full(len(xyxy), 0.9), np.zeros(len(xyxy))])  # confidence, class
        found = tracker.update(rows, frame)
        update_boxes(embedder, found[:, 4], found[:, :4], frame)
    return embedder


if __name__ == "__main__":
    print(f"{len(main(*sys.argv[1:]))} tracks have a vector")
