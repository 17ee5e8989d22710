"""Add weights to the package, for maintainers.

    python -m denseil.models.ship NAME RUN [--encoder ENCODER_RUN]
    python -m denseil.models.ship NAME RUN RUN RUN --from PACKAGED

From the output folder of a training, and that of its encoder's training, this writes `denseil/models/shipped/NAME`: the
weights, with matrices and kernels in half precision, the config, the configs and logs of the trainings, and checksums.
Of several trainings that continued packaged weights, it takes the weights half-way from `--from` to the mean of the
trainings. The card there is written by hand and kept.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import yaml

from denseil.models._config import WEIGHTS_NAME
from denseil.models._digests import file_sha256
from denseil.models._factory import create_model
from denseil.models._saving import save_pretrained
from denseil.models.average import average
from denseil.models.variants import SHIPPED

ENCODER = "encoder_"  # prefix of the files of the encoder's training


def ship(name: str, *runs: str | Path, encoder_run: str | Path | None = None, packaged: str | None = None) -> Path:
    """Write the shipped folder from a training, or from several that continued packaged weights.

    Args:
        name: Architecture and tag, such as "denseil_mobilenetv2.people_v1".
        runs: Output folders of the finished trainings.
        encoder_run: Output folder of the training that its encoder came from.
        packaged: The packaged weights to start from, half-way to the mean of the trainings.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: If a training has not finished.
    """
    target = SHIPPED / name
    model = average([create_model(f"local-dir:{Path(run, 'final')}", pretrained=True) for run in runs])
    if packaged:
        model = average([model, create_model(packaged, pretrained=True)])
    architecture, _, tag = name.partition(".")
    model.pretrained_cfg |= {"architecture": architecture, "tag": tag}  # of explicit arguments, or of the first weights
    model.pretrained_cfg.pop("custom_load", None)
    for parameter in model.parameters():
        if parameter.ndim > 1:  # norms and their statistics stay in float32
            parameter.data = parameter.data.half()
    save_pretrained(model, target)
    if packaged:
        for run in map(Path, runs):
            seed = _config(run)["seed"]
            _record(run, target, f"seed_{seed}_", output=f"runs/seed_{seed}")
    else:
        init = {"init": "ENCODER/final/model.safetensors"} if encoder_run else {}
        _record(Path(runs[0]), target, "", output="runs/people", **init)
    if encoder_run:
        _record(Path(encoder_run), target, ENCODER, output="ENCODER")
    environment = json.loads(Path(runs[0], "final", "environment.json").read_text(encoding="utf-8"))
    del environment["platform"]
    (target / "environment.json").write_text(json.dumps(environment, indent=2) + "\n", encoding="utf-8")
    (target / "SHA256SUMS").write_text(f"{file_sha256(target / WEIGHTS_NAME)}  {WEIGHTS_NAME}\n", encoding="utf-8")
    return target


def _record(run: Path, target: Path, prefix: str, **changes: str) -> None:
    """Copy a training's log, and its config without local paths."""
    config = _config(run)
    config |= {"root": "DATA", "init": Path(config["init"]).name, **changes}
    (target / f"{prefix}train.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    log = (run / "metrics.jsonl").read_text(encoding="utf-8")
    (target / f"{prefix}metrics.jsonl").write_text(log, encoding="utf-8")


def _config(run: Path) -> dict[str, Any]:
    """The config of a finished training."""
    config: dict[str, Any] = yaml.safe_load((run / "final" / "train.yaml").read_text(encoding="utf-8"))
    return config


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--encoder", dest="encoder_run")
    parser.add_argument("--from", dest="packaged")
    given = vars(parser.parse_args())
    sys.stdout.write(f"{ship(given.pop('name'), *given.pop('runs'), **given)}\n")
