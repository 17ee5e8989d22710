"""What mirrored frames and part features bring to the mean of frames: `python -m tests.benchmarks.parts ROOT ...`

Part features of `denseil_mobilenetv2_mean`: the frames' mean of each of P horizontal stripes, normalised by the model's
neck like the mean itself, and put side by side; P = 1 is the model as it is. Mirrored frames: the vectors of both are
averaged, as by `Embedder(flip=True)`. A ROOT holds rendered people as `frame_counts` reads them; mAP with 1, 4 and all
frames.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from denseil import create_model
from denseil.data import ClipTransform, Tracklet
from denseil.metrics import Embeddings, rank
from tests.benchmarks.frame_counts import FRAMES, kept_frames, read
from tests.benchmarks.frozen import PARTS, encoder_of, keep

MODEL = "denseil_mobilenetv2_mean"


@torch.inference_mode()
def part_vectors(stripes: Tensor, neck: nn.Module, parts: int) -> Tensor:
    """Vectors (N, parts * width) of length 1 of the stripes (N, frames, PARTS, width) of the last map."""
    means = stripes.unflatten(2, (parts, PARTS // parts)).mean((1, 3))  # (N, parts, width)
    return F.normalize(neck(means.flatten(0, 1)).unflatten(0, means.shape[:2]).flatten(1), dim=1)


def score(
    sides: Sequence[Sequence[Tensor]], people: Sequence[Sequence[Tracklet]], neck: nn.Module, parts: int
) -> float:
    """mAP in percent, from the stripes of queries and gallery, each without mirroring and maybe with it."""
    embedded = []
    for ways, tracklets in zip(sides, people, strict=True):
        vectors = torch.stack([part_vectors(stripes, neck, parts) for stripes in ways]).sum(0)
        pids, camids = (torch.tensor([getattr(one, key) for one in tracklets]) for key in ("pid", "camid"))
        embedded.append(Embeddings(vectors, pids, camids))
    return 100 * rank(*embedded).mAP


def rows(root: Path) -> Iterator[str]:
    """A line for each number of parts, without and with mirrored frames."""
    source, model, people = create_model(MODEL, pretrained=True).eval(), encoder_of(MODEL), read(root)
    sides, count = (people.query, people.gallery), len(people.query[0].frames)
    width, size = source.num_features, model.preprocessing.size
    kept = [
        [keep(model, side, ClipTransform(size, flip=flip), count, 1).tokens[0][..., -width:].float() for flip in (0, 1)]
        for side in sides
    ]
    for parts, ways in product((1, 2, 4, 8), (1, 2)):
        found = [
            score([[w[:, kept_frames(count, n)] for w in side[:ways]] for side in kept], sides, source.neck.bn, parts)
            for n in FRAMES
        ]
        row = "  ".join(f"{n or 'all'}: {mAP:5.1f}" for n, mAP in zip(FRAMES, found, strict=True))
        yield f"{root.name}  P = {parts}{', mirrored' * (ways == 2)}  {row}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("roots", nargs="+", type=Path, metavar="ROOT")
    for root in parser.parse_args().roots:
        for row in rows(root):
            print(row, flush=True)


if __name__ == "__main__":
    main()
