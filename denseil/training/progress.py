"""Progress of a training: a bar, a file of metrics, and a tracker."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from denseil.common.files import replacing
from denseil.common.progress import progress_bar
from denseil.metrics import RankingResult

METRICS = "metrics.jsonl"
LINE = {"kind", "epoch", "step", "loss", "lr", "clips_per_second"}
"""What a line of it has beside the losses by name; "loss" is the total."""
DIVERGED = 1e4
"""Largest loss that counts as valid; a larger cross-entropy would need e^10000 identities."""


class Progress:
    """Reports a training from its main process; on the others it only checks the loss.

    Args:
        folder: Folder of the run.
        epoch: Epochs done.
        steps_per_epoch: Optimizer steps per epoch.
        epochs: Epochs of the whole training.
        log_every: Steps between lines in the metrics file.
        main: Whether this process reports.
        tracker: Also logs every line: an object with `log(values, step)` and `finish()`, or None.
    """

    def __init__(
        self,
        folder: Path,
        *,
        epoch: int,
        steps_per_epoch: int,
        epochs: int,
        log_every: int,
        main: bool,
        tracker: Any = None,
    ) -> None:
        self.log_every, self.main, self.steps_per_epoch = log_every, main, steps_per_epoch
        self.step = epoch * steps_per_epoch
        self._steps: list[Mapping[str, Tensor]] = []  # losses since the last line
        self._since = time.perf_counter()
        self._file = folder / METRICS
        self._bar = progress_bar(epochs * steps_per_epoch, unit="step", show=main, initial=self.step, desc="train")
        self._tracker = tracker
        if main:
            _forget_after(self._file, epoch)

    def train_step(self, epoch: int, losses: Mapping[str, Tensor], lr: float, clips: int) -> None:
        """Record one step.

        Args:
            epoch: From 0.
            losses: Detached scalars by name, "total" among them.
            lr: Learning rate of the step.
            clips: Clips in the step, over all processes.

        Raises:
            RuntimeError: If the loss is not finite or has diverged; it is read every `log_every` steps.
        """
        self._steps.append(losses)
        self.step += 1
        self._bar.update()
        if self.step % self.log_every == 0 or self.step % self.steps_per_epoch == 0:
            self._flush(epoch, lr, clips)

    def _flush(self, epoch: int, lr: float, clips: int) -> None:
        means = {name: float(value) for name, value in mean_losses(self._steps).items()}
        total = means.pop("total")
        seconds = time.perf_counter() - self._since
        if not math.isfinite(total) or total > DIVERGED:
            parts = ", ".join(f"{name.replace('_', '-')} {value:.4g}" for name, value in means.items())
            raise RuntimeError(
                f"the loss became {total:.4g}{f' ({parts})' if parts else ''} by step {self.step} of epoch "
                f"{epoch + 1}: training is stopped. Try a lower lr, warmup, clip_grad, or fp32"
            )
        shown = "".join(f" {name} {value:.3f}" for name, value in means.items() if value)  # 0 where it has no weight
        self._bar.set_postfix_str(f"epoch {epoch + 1} loss {total:.3f}{shown} lr {lr:.1e}")
        values = {"loss": total, **means, "lr": lr, "clips_per_second": len(self._steps) * clips / seconds}
        self._write("train", epoch, values)
        self._steps, self._since = [], time.perf_counter()

    def validation(self, epoch: int, result: RankingResult) -> None:
        """Record a validation result after epoch `epoch`, from 0."""
        values = {"mAP": result.mAP, "R-1": float(result.cmc[0]), "R-5": float(result.cmc[4]), "mINP": result.mINP}
        if not self._bar.disable:
            self._bar.write(
                f"epoch {epoch + 1}: mAP {result.mAP:.2%}, R-1 {result.cmc[0]:.2%} "
                f"({result.protocol}, frames {result.frames})",
                file=sys.stderr,
            )
        self._write("validation", epoch, values)
        self._since = time.perf_counter()

    def pause(self) -> None:
        """Exclude the time since the last step, in which a checkpoint was saved, from the rate."""
        self._since = time.perf_counter()

    def close(self) -> None:
        """Close the bar and the tracker."""
        self._bar.close()
        if self._tracker is not None:
            self._tracker.finish()

    def _write(self, kind: str, epoch: int, values: dict[str, float]) -> None:
        if not self.main:
            return
        line = {"kind": kind, "epoch": epoch + 1, "step": self.step, **values}
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if self._tracker is not None:
            self._tracker.log({f"{kind}/{name}": value for name, value in values.items()}, step=self.step)


def mean_losses(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Average losses of several batches by name, each over the batches that have it."""
    means = {}
    for name in dict.fromkeys(name for part in parts for name in part):
        first, *others = (part[name] for part in parts if name in part)
        means[name] = sum(others, first) / (1 + len(others))
    return means


def loggable(losses: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return losses if none has a name that a line of the metrics file has for something else.

    Raises:
        ValueError: If one has.
    """
    if taken := LINE.intersection(losses):
        raise ValueError(
            f"the objective returned {min(taken)!r}, a name that {METRICS} has for something else: rename it"
        )
    return losses


def read_metrics(folder: str | Path) -> list[dict[str, Any]]:
    """Read the lines of a run's metrics file, except one that was cut off."""
    path = Path(folder) / METRICS
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]


def _forget_after(path: Path, epoch: int) -> None:
    """Remove the lines of epochs that will run again."""
    kept = [line for line in read_metrics(path.parent) if line["epoch"] <= epoch]
    with replacing(path) as temporary:
        temporary.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Check that no floating-point tensor holds NaN or infinity."""
    return all(bool(torch.isfinite(value).all()) for value in tensors if value.is_floating_point())
