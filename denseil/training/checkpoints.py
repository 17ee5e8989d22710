"""Atomic checkpoints of safetensors and JSON, verified when they are read."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from denseil.common.tensor_files import load_tensors

logger = logging.getLogger(__name__)

KEEP = 2
STATE = "state.json"
TEMPORARY = ".saving-"


class Checkpoint(NamedTuple):
    """Content of a checkpoint.

    Attributes:
        path: Folder of the checkpoint.
        state: Plain data: the epoch, the step, the best result.
        tensors: By file: "model", "optimizer".
    """

    path: Path
    state: dict[str, Any]
    tensors: dict[str, dict[str, Tensor]]


def save_checkpoint(
    folder: Path, epoch: int, state: Mapping[str, Any], tensors: Mapping[str, Mapping[str, Tensor]]
) -> Path:
    """Write a checkpoint atomically, and remove all but it and the one before it.

    Args:
        folder: Folder of all checkpoints of a run; created if it does not exist.
        epoch: Number of finished epochs, which names the checkpoint.
        state: JSON values.
        tensors: Tensors by the name of their file.

    Raises:
        OSError: If it cannot be written, for example because the disk is full; earlier checkpoints are kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"epoch-{epoch:06d}"
    clear_unfinished(folder)
    temporary = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=folder))
    try:
        digests = {}
        for name, values in tensors.items():
            path = temporary / f"{name}.safetensors"
            save_file(_separate(values), path)
            digests[name] = _digest(path)
            _to_disk(path)
        text = json.dumps({"digests": digests, "state": dict(state)})
        (temporary / STATE).write_text(json.dumps({"digest": _text_digest(text), "content": text}), encoding="utf-8")
        _to_disk(temporary / STATE)
        if target.exists():  # left by a killed run, or damaged
            shutil.rmtree(target)
        temporary.rename(target)
    except (OSError, SafetensorError) as error:
        last = _names(folder)[-1:]
        kept = f"the last good one is {folder / last[0]}" if last else "there is none before it"
        raise OSError(f"cannot write checkpoint {target} ({error}); {kept}. Make room, then --resume") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    there = _names(folder)
    staying = [name for name in there if name <= target.name][-KEEP:]  # later ones are damaged: the run went back
    for name in set(there).difference(staying):
        shutil.rmtree(folder / name)
    return target


def has_checkpoints(folder: Path) -> bool:
    """Whether a folder holds checkpoints, intact or not."""
    return bool(_names(folder))


def last_checkpoint(folder: Path) -> Checkpoint | None:
    """Return the newest intact checkpoint, or None; damaged ones are skipped with a warning."""
    for name in reversed(_names(folder)):
        try:
            return _read(folder / name)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:  # noqa: PERF203 (two at most)
            logger.warning("checkpoint %s is damaged (%s); the one before it is tried", folder / name, error)
    return None


def clear_unfinished(folder: Path) -> None:
    """Remove unfinished checkpoints of a killed run."""
    for path in folder.glob(f"{TEMPORARY}*"):
        shutil.rmtree(path, ignore_errors=True)


def optimizer_tensors(optimizer: Optimizer, parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Return the optimizer's state of each parameter, as "parameter.state" -> tensor.

    Args:
        optimizer: The optimizer.
        parameters: Its parameters by name.
    """
    return {
        f"{name}.{key}": value
        for name, parameter in parameters.items()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def restore_optimizer(
    optimizer: Optimizer, tensors: Mapping[str, Tensor], parameters: Mapping[str, nn.Parameter]
) -> None:
    """Load the state returned by `optimizer_tensors` into an optimizer; its groups are not changed.

    Earlier checkpoints hold the places of parameters in the optimizer instead of their names.

    Args:
        optimizer: The optimizer.
        tensors: The state.
        parameters: The optimizer's parameters by name.

    Raises:
        ValueError: If the state belongs to other parameters.
    """
    ordered = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    names = {id(parameter): name for name, parameter in parameters.items()}
    places = {names[id(parameter)]: place for place, parameter in enumerate(ordered)}
    places |= {str(place): place for place in range(len(ordered))}
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        owner, _, name = key.rpartition(".")
        if owner not in places:
            raise ValueError(f"optimizer state {key} belongs to none of the {len(ordered)} trained parameters")
        parameter = ordered[places[owner]]
        if value.ndim and value.shape != parameter.shape:
            raise ValueError(f"optimizer state {key} has shape {tuple(value.shape)}, not {tuple(parameter.shape)}")
        if value.ndim:  # in the parameter's memory format, so that steps stay bit-identical
            value = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
        state.setdefault(places[owner], {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _separate(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy tensors to the CPU, shared ones to separate memory."""
    separate: dict[str, Tensor] = {}
    seen: set[int] = set()
    for key, value in values.items():
        plain = value.detach().cpu().contiguous()
        storage = plain.untyped_storage().data_ptr()
        separate[key] = plain.clone() if storage in seen else plain
        seen.add(storage)
    return separate


def _names(folder: Path) -> list[str]:
    """List the checkpoints; a user's copies beside them, under other names, are not touched."""
    return sorted(path.name for path in folder.glob("epoch-*") if re.fullmatch(r"epoch-\d{6,}", path.name))


def _read(path: Path) -> Checkpoint:
    outer = json.loads((path / STATE).read_text(encoding="utf-8"))
    if not isinstance(outer, dict) or not isinstance(outer.get("content"), str):
        raise ValueError(f"{STATE} is not that of a checkpoint")
    if _text_digest(outer["content"]) != outer["digest"]:
        raise ValueError(f"{STATE} differs from its digest")
    content = json.loads(outer["content"])
    if not isinstance(content, dict) or not all(isinstance(content.get(key), dict) for key in ("digests", "state")):
        raise ValueError(f"{STATE} is not that of a checkpoint")
    state, digests = content["state"], content["digests"]
    if missing := [key for key in ("epoch", "best", "scaler") if key not in state]:
        raise ValueError(f"{STATE} has no {missing[0]!r}")
    if missing := [name for name in ("model", "optimizer") if name not in digests]:
        raise ValueError(f"{STATE} names no {missing[0]}.safetensors")
    tensors = {}
    for name, digest in digests.items():
        file = path / f"{name}.safetensors"
        if _digest(file) != digest:
            raise ValueError(f"{file.name} differs from its digest")
        tensors[name] = load_tensors(file)
    return Checkpoint(path, state, tensors)


def _digest(path: Path) -> str:
    digest = hashlib.blake2b()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _text_digest(text: str) -> str:
    return hashlib.blake2b(text.encode()).hexdigest()


def _to_disk(path: Path) -> None:
    with path.open("r+b") as file:  # Windows flushes only what is open for writing
        os.fsync(file.fileno())
