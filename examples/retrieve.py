"""Read real tracklets, embed each whole one, and judge the ranking under named protocols.

    python examples/retrieve.py tests/data/mars_tiny

No trained weights are published yet. Without `--checkpoint` the model has random weights: the run shows the path from
image files to a result record, and the figures say nothing about the method.
"""

import argparse

import torch

import denseil
from denseil.data import Tracklet, read_dataset
from denseil.engine import embed_tracklets
from denseil.metrics import Embeddings, rank


def embed(model: denseil.DenseIL, tracklets: list[Tracklet]) -> Embeddings:
    """One vector a tracklet: the mean embedding of the clips that share out all its frames."""
    vectors = torch.stack(list(embed_tracklets(model, tracklets, frames="all")))
    return Embeddings(vectors, [t.pid for t in tracklets], [t.camid for t in tracklets])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", help="a folder in the dataset's published layout")
    parser.add_argument("--dataset", default="mars", help="mars, ilids_vid, prid2011, ls_vid or manifest")
    parser.add_argument("--backbone", default="mobilenetv2_100", help="any timm model")
    parser.add_argument("--dim", type=int, default=256, help="the decoder's width")
    parser.add_argument("--checkpoint", help="weights of this model")
    options = parser.parse_args(arguments)

    torch.manual_seed(0)
    model = denseil.create_model(
        "denseil", backbone=options.backbone, dim=options.dim, last_stride=1, checkpoint_path=options.checkpoint
    ).eval()
    print(denseil.profile(model))

    dataset = read_dataset(options.dataset, options.root)
    gallery, query_index = dataset.gallery_with_queries()
    print(f"{len(dataset.query)} queries, {len(gallery)} test tracklets, {sum(len(t.frames) for t in gallery)} frames")

    vectors = embed(model, gallery)
    print(rank(vectors[len(dataset.gallery) :], vectors[: len(dataset.gallery)], frames="all"))
    print(rank(gallery=vectors, query_index=query_index, protocol="mars-official", frames="all"))
    if not options.checkpoint:
        print("random weights: these figures show that everything runs, and nothing else")


if __name__ == "__main__":
    main()
