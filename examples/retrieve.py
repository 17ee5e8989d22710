"""Read real tracklets, embed them, and evaluate the ranking under named protocols.

    python examples/retrieve.py tests/data/mars_tiny

The weights come with the package, and were trained only on rendered people.
"""

import argparse

import torch

import denseil
from denseil.data import Tracklet, read_dataset
from denseil.embedding import embed_tracklets
from denseil.metrics import Embeddings, rank


def embed(model: denseil.DenseIL, tracklets: list[Tracklet]) -> Embeddings:
    """One vector a tracklet: the mean embedding of the clips that share out all its frames."""
    vectors = torch.stack(list(embed_tracklets(model, tracklets, frames="all")))
    return Embeddings(vectors, [t.pid for t in tracklets], [t.camid for t in tracklets])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", help="a folder in the dataset's published layout")
    parser.add_argument("--dataset", default="mars", help="mars, ilids_vid, prid2011, ls_vid or manifest")
    parser.add_argument("--model", default="denseil_mobilenetv2", help="a name with weights, or local-dir:FOLDER")
    options = parser.parse_args(arguments)

    model = denseil.create_model(options.model, pretrained=True).eval()
    print(denseil.profile(model))

    dataset = read_dataset(options.dataset, options.root)
    gallery, query_index = dataset.gallery_with_queries()
    print(f"{len(dataset.query)} queries, {len(gallery)} test tracklets, {sum(len(t.frames) for t in gallery)} frames")

    vectors = embed(model, gallery)
    print(rank(vectors[len(dataset.gallery) :], vectors[: len(dataset.gallery)], frames="all"))
    print(rank(gallery=vectors, query_index=query_index, protocol="mars-official", frames="all"))


if __name__ == "__main__":
    main()
