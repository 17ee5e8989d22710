"""norfair, which finds a lost person again by vectors of denseil; each object becomes a vector too.

python examples/works_with/with_norfair.py VIDEO BOXES [MODEL]

BOXES, in MOT Challenge format, stand for your detector.
"""

import sys

from clip import MODEL, detections
from norfair import Detection, Tracker
from torch import Tensor

from denseil import TrackletEmbedder
from denseil.data import crop_box
from denseil.embedding import NorfairDistance


def main(video: str, boxes: str, model: str = MODEL) -> dict[int, Tensor]:
    embedder = TrackletEmbedder(model, color_order="BGR")
    distance = NorfairDistance(embedder)
    tracker = Tracker(
        distance_function="iou",
        distance_threshold=0.7,
        initialization_delay=3,  # the default, 7, is more than the frames of a visit in street.mp4
        past_detections_length=8,  # frames of the tracklet that is compared
        reid_distance_function=distance,
        reid_distance_threshold=0.3,
        reid_hit_counter_max=100,
    )
    objects = {}
    for frame, xyxy in detections(video, boxes):
        # boxes that have pixels in the picture
        crops = [crop_box(frame, left, top, right - left, bottom - top) for left, top, right, bottom in xyxy.tolist()]
        kept = [place for place, crop in enumerate(crops) if crop.size]
        tokens = embedder.encode([crops[place] for place in kept])
        found = tracker.update(
            [Detection(xyxy[place].reshape(2, 2), embedding=own) for place, own in zip(kept, tokens, strict=True)]
        )
        objects |= {each.id: each for each in found}
    return {track_id: distance.embedding(each) for track_id, each in objects.items()}


if __name__ == "__main__":
    print(f"{len(main(*sys.argv[1:]))} objects have a vector")
