"""Train on your own crops from a manifest, fine-tune on other data, and evaluate, all in Python.

    python examples/finetune.py tests/data/mars_tiny runs/finetune

The folder is in MARS layout here so that the example runs; the manifest made from it stands for your own data. The
encoder is tiny and randomly initialised, and there are only two people, so the scores mean nothing.
"""

import sys
from pathlib import Path

import denseil
from denseil.data import read_dataset, write_manifest
from denseil.embedding import evaluate
from denseil.training import TrainConfig, train


def main(root: str, output: str) -> None:
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    manifest = write_manifest(read_dataset("mars", root), folder / "people.csv")

    # `small` is the recipe for real use; `smoke` has the same fields and is done in seconds.
    first = TrainConfig.from_recipe(
        "smoke", dataset="manifest", root=str(manifest), output=str(folder / "first"), device="cpu"
    )
    trained = train(first)

    # Go on from all its weights: here on the same people, in other light, more gently.
    second = TrainConfig.from_recipe(
        "smoke",
        dataset="manifest",
        root=str(manifest),
        output=str(folder / "second"),
        model=f"local-dir:{trained.folder}",
        model_args={},
        init="model",
        lr=2e-5,
        appearance={"jitter": 0.3, "gray": 0.1},
        device="cpu",
    )
    tuned = train(second)

    model = denseil.create_model(f"local-dir:{tuned.folder}", pretrained=True).eval()
    print(evaluate(model, read_dataset("manifest", manifest), frames="all"))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(*sys.argv[1:3])
