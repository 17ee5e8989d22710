"""Add weights to the package: `python -m denseil.models.ship RUN NAME [ENCODER_RUN]`, for maintainers.

From the output folder of a training, and that of its encoder's training, this writes `denseil/models/shipped/NAME`: the
weights, with matrices and kernels in half precision, the config, the configs and logs of the trainings, and checksums.
The card there is written by hand and kept.
"""

import hashlib
import json
import sys
from pathlib import Path

import yaml

from denseil.models._config import WEIGHTS_NAME
from denseil.models._factory import create_model
from denseil.models._hub import save_pretrained
from denseil.models.variants import SHIPPED

ENCODER = "encoder_"  # prefix of the files of the encoder's training


def ship(run: str | Path, name: str, encoder_run: str | Path | None = None) -> Path:
    """Write the shipped folder from a training.

    Args:
        run: Output folder of the finished training.
        name: Architecture and tag, such as "denseil_mobilenetv2.people_v1".
        encoder_run: Output folder of the training that its encoder came from.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: If a training has not finished.
    """
    final, target = Path(run, "final"), SHIPPED / name
    model = create_model(f"local-dir:{final}", pretrained=True)
    model.pretrained_cfg["architecture"] = name.partition(".")[0]  # a model trained with explicit arguments gets a name
    for parameter in model.parameters():
        if parameter.ndim > 1:  # norms and their statistics stay in float32
            parameter.data = parameter.data.half()
    save_pretrained(model, target)
    _record(Path(run), target, "", "runs/people", "ENCODER/final/model.safetensors" if encoder_run else None)
    if encoder_run:
        _record(Path(encoder_run), target, ENCODER, "ENCODER", None)
    environment = json.loads((final / "environment.json").read_text(encoding="utf-8"))
    del environment["platform"]
    (target / "environment.json").write_text(json.dumps(environment, indent=2) + "\n", encoding="utf-8")
    (target / "SHA256SUMS").write_text(f"{sha256(target / WEIGHTS_NAME)}  {WEIGHTS_NAME}\n", encoding="utf-8")
    return target


def _record(run: Path, target: Path, prefix: str, output: str, init: str | None) -> None:
    """Copy a training's log, and its config without local paths."""
    config = yaml.safe_load((run / "final" / "train.yaml").read_text(encoding="utf-8"))
    config |= {"root": "DATA", "output": output, "init": init or Path(config["init"]).name}
    (target / f"{prefix}train.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    log = (run / "metrics.jsonl").read_text(encoding="utf-8")
    (target / f"{prefix}metrics.jsonl").write_text(log, encoding="utf-8")


def sha256(path: str | Path) -> str:
    """SHA-256 digest of a file, in hexadecimal digits."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.stdout.write(f"{ship(*sys.argv[1:])}\n")
