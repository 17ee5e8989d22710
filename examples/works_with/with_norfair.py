"""norfair, which finds a lost person again by vectors of denseil.

python examples/works_with/with_norfair.py VIDEO BOXES [MODEL]

BOXES, in MOT Challenge format, stand for your detector.
"""

import sys

from clip import MODEL, detections
from norfair import Detection, Tracker

from denseil import TrackletEmbedder
from denseil.data import crop_box
from denseil.embedding import NorfairDistance


def main(video: str, boxes: str, model: str = MODEL, **options) -> Tracker:
    embedder = TrackletEmbedder(model, color_order="BGR")
    tracker = Tracker(
        distance_function="iou",
        distance_threshold=0.7,
        past_detections_length=8,  # frames of the tracklet that is compared
        reid_distance_function=NorfairDistance(embedder),
        reid_distance_threshold=0.3,
        reid_hit_counter_max=100,
        **options,
    )
    for frame, xyxy in detections(video, boxes):
        # a box that has pixels in the picture; norfair wants every detection to have an embedding
        crops = [crop_box(frame, left, top, right - left, bottom - top) for left, top, right, bottom in xyxy.tolist()]
        kept = [place for place, crop in enumerate(crops) if crop.size]
        tokens = embedder.encode([crops[place] for place in kept])
        tracker.update(
            [Detection(xyxy[place].reshape(2, 2), embedding=own) for place, own in zip(kept, tokens, strict=True)]
        )
    return tracker


if __name__ == "__main__":
    print(f"{main(*sys.argv[1:]).total_object_count} objects")
