"""Weights that travel in the wheel: `python -m denseil.models._ship RUN NAME`, a maintainer's step.

Takes the folder of a training and writes what `denseil/models/shipped/NAME` holds: the weights, matrices and kernels in
half precision, the config, what the training was, its log, and checksums. The card there is written by hand and kept.
"""

import hashlib
import json
import sys
from pathlib import Path

import yaml

from denseil.models._factory import create_model
from denseil.models._hub import save_pretrained
from denseil.models._weights import WEIGHTS_NAME
from denseil.models.variants import SHIPPED

MACHINE = {"root": "DATA", "output": "runs/people"}  # fields of train.yaml that say where things were


def ship(run: str | Path, name: str) -> Path:
    """Write the shipped folder of a training.

    Args:
        run: The training's output folder, finished.
        name: Architecture and tag, such as "denseil_mobilenetv2.people_v1".

    Returns:
        The folder.

    Raises:
        FileNotFoundError: If the training has not finished.
    """
    final, target = Path(run, "final"), SHIPPED / name
    model = create_model(f"local-dir:{final}", pretrained=True)
    for parameter in model.parameters():
        if parameter.ndim > 1:  # norms and their statistics keep their range
            parameter.data = parameter.data.half()
    save_pretrained(model, target)
    config = yaml.safe_load((final / "train.yaml").read_text(encoding="utf-8"))
    config |= MACHINE | {"init": Path(config["init"]).name}
    (target / "train.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    environment = json.loads((final / "environment.json").read_text(encoding="utf-8"))
    del environment["platform"]
    (target / "environment.json").write_text(json.dumps(environment, indent=2) + "\n", encoding="utf-8")
    (target / "metrics.jsonl").write_text(Path(run, "metrics.jsonl").read_text(encoding="utf-8"), encoding="utf-8")
    (target / "SHA256SUMS").write_text(f"{sha256(target / WEIGHTS_NAME)}  {WEIGHTS_NAME}\n", encoding="utf-8")
    return target


def sha256(path: str | Path) -> str:
    """Checksum of a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.stdout.write(f"{ship(sys.argv[1], sys.argv[2])}\n")
