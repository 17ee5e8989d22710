"""deep-sort-realtime, which compares boxes by vectors of denseil; each track becomes a vector too.

python examples/works_with/with_deep_sort_realtime.py VIDEO BOXES [MODEL]

BOXES, in MOT Challenge format, stand for your detector.
"""

import sys

from clip import MODEL, detections
from deep_sort_realtime.deepsort_tracker import DeepSort

from denseil import TrackletEmbedder
from denseil.embedding import update_deep_sort


def main(video: str, boxes: str, model: str = MODEL) -> TrackletEmbedder:
    embedder, tracker = TrackletEmbedder(model, color_order="BGR"), DeepSort(embedder=None)
    for frame, xyxy in detections(video, boxes):
        rows = [([left, top, right - left, bottom - top], 0.9, 0) for left, top, right, bottom in xyxy.tolist()]
        update_deep_sort(embedder, tracker, rows, frame)  # in place of tracker.update_tracks
    return embedder


if __name__ == "__main__":
    print(f"{len(main(*sys.argv[1:]))} tracks have a vector")
