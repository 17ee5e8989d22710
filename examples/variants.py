"""Another backbone, another fusion: the same training, one argument changed.

    python examples/variants.py tests/data/mars_tiny runs/variants

A real comparison needs MARS, `--recipe paper-mars` and days; this shows that every variant trains and can be
evaluated.
"""

import sys
from pathlib import Path

from denseil.training import TrainConfig, train

VARIANTS = {
    "DenseIL": {},
    "Dense Sum.": {"fusion": "sum"},
    "Dense Concat.": {"fusion": "concat"},
    "CNN-TransEnc": {"fusion": "none"},
    "CNN-TransDec": {"levels": [4], "attend_self": False},
    "baseline": {"depth": 0},
    "another backbone": {"backbone": "test_convnext"},
    "a vision transformer": {"backbone": "test_vit", "backbone_args": {"img_size": [64, 32]}},
}


def main(root: str, output: str) -> None:
    for name, changed in VARIANTS.items():
        config = TrainConfig.from_recipe(
            "smoke", root=root, output=str(Path(output, name)), device="cpu", epochs=1, validate_every=0
        )
        result = train(TrainConfig(**{**vars(config), "model_args": config.model_args | changed})).result
        print(f"{name:20} mAP {result.mAP:.1%} under {result.protocol}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
