"""A denseil model inside roboflow's `reid`, evaluated by both libraries on the same crops.

python examples/works_with/with_roboflow_reid.py tests/data/mars_tiny [MODEL]

Each frame counts as a tracklet of its own.
"""

import sys

import numpy as np
import torch
from clip import MODEL
from reid import ReIDModel, ReIDPreprocessing, ReIDSplit

import denseil
from denseil.data import Tracklet, read_dataset


def as_reid(model: denseil.DenseIL) -> ReIDModel:
    """The model as an encoder of single crops, which normalises by itself."""
    network = denseil.single_frame(model, normalize=True)
    plain = ReIDPreprocessing(input_size=model.preprocessing.size, mean=(0, 0, 0), std=(1, 1, 1))
    return ReIDModel(network, torch.device("cpu"), plain)


def single_crops(tracklets: list[Tracklet]) -> list[Tracklet]:
    return [Tracklet([frame], each.pid, camid=each.camid) for each in tracklets for frame in each.frames]


def split(crops: list[Tracklet]) -> ReIDSplit:
    paths = [str(each.frames[0]) for each in crops]
    return ReIDSplit(paths, np.array([each.pid for each in crops]), np.array([each.camid for each in crops]))


def main(root: str, model: str = MODEL) -> tuple[dict[str, float], denseil.metrics.RankingResult]:
    network = denseil.create_model(model, pretrained=True).eval()
    dataset = read_dataset("mars", root)
    query, gallery = single_crops(dataset.query), single_crops(dataset.gallery)
    theirs = as_reid(network).evaluate(split(query), split(gallery)).metrics
    ours = denseil.evaluate(network, denseil.data.VideoReIDDataset([], query, gallery), protocol="standard")
    return theirs, ours


if __name__ == "__main__":
    for result in main(*sys.argv[1:]):
        print(result)
