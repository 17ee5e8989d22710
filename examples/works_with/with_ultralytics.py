"""Tracks of Ultralytics, and a vector of denseil for each.

python examples/works_with/with_ultralytics.py VIDEO [DETECTOR] [MODEL]

DETECTOR is any detection model of Ultralytics.
"""

import sys

from clip import MODEL
from ultralytics import YOLO

from denseil import TrackletEmbedder
from denseil.embedding import update_ultralytics


def main(video: str, detector: str = "yolo11n.pt", model: str = MODEL, **options) -> TrackletEmbedder:
    embedder = TrackletEmbedder(model)
    for results in YOLO(detector).track(video, stream=True, classes=[0], **options):
        update_ultralytics(embedder, results)
    return embedder


if __name__ == "__main__":
    print(f"{len(main(*sys.argv[1:]))} tracks have a vector")
