"""Train on rendered people, and evaluate on any dataset, including real people.

    denseil data synth people --num-ids 1000 --num-cameras 4 --frames 4 --test-share 0.1
    python examples/train_on_rendered_people.py people --output runs/people --evaluate mars /data/mars

`--init` is timm (ImageNet weights from the Hub), random, or a file of the encoder's weights.
"""

import argparse

import denseil
from denseil.data import read_dataset
from denseil.embedding import evaluate
from denseil.training import TrainConfig, train


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", help="the rendered people, or any dataset in MARS layout")
    parser.add_argument("--output", default="runs/people", help="the folder of the run")
    parser.add_argument(
        "--evaluate", nargs=2, metavar=("NAME", "ROOT"), help="a dataset to evaluate the model on afterwards"
    )
    parser.add_argument("--model", default="denseil_mobilenetv2")
    parser.add_argument("--init", default="timm")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--clip-len", type=int, default=2, help="frames of a clip")
    parser.add_argument("--num-ids", type=int, default=16, help="identities in a batch, with 4 tracklets each")
    options = parser.parse_args(arguments)

    config = TrainConfig(
        root=options.root,
        output=options.output,
        model=options.model,
        init=options.init,
        height=128,
        width=64,
        clip_len=options.clip_len,
        num_ids=options.num_ids,
        lr=5e-4,
        optimizer="adamw",
        schedule="cosine",
        warmup=min(2, options.epochs // 4),
        epochs=options.epochs,
        pad=5,
        label_smoothing=0.1,
        appearance={"jitter": 0.3, "gray": 0.1},
        validate_every=0,
    )
    trained = train(config)
    print("rendered people that were not trained on:", trained.result, sep="\n")
    if options.evaluate:
        model = denseil.create_model(f"local-dir:{trained.folder}", pretrained=True)
        print(
            f"{options.evaluate[0]} in {options.evaluate[1]}:",
            evaluate(model, read_dataset(*options.evaluate)),
            sep="\n",
        )


if __name__ == "__main__":
    main()
