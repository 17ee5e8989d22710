"""Detections of roboflow's `supervision`, tracks of its `trackers`, and a vector of denseil for each track.

python examples/works_with/with_supervision.py VIDEO BOXES [MODEL]

BOXES, in MOT Challenge format, stand for your detector.
"""

import sys

import numpy as np
import supervision as sv
from clip import MODEL, detections
from trackers import ByteTrackTracker

from denseil import TrackletEmbedder
from denseil.embedding import update_supervision


def main(video: str, boxes: str, model: str = MODEL) -> TrackletEmbedder:
    embedder, tracker = TrackletEmbedder(model, color_order="BGR"), ByteTrackTracker()
    for frame, xyxy in detections(video, boxes):
        found = sv.Detections(xyxy=xyxy, confidence=np.full(len(xyxy), 0.9), class_id=np.zeros(len(xyxy), int))
        update_supervision(embedder, tracker.update(found), frame)
    return embedder


if __name__ == "__main__":
    print(f"{len(main(*sys.argv[1:]))} tracks have a vector")
