"""What a training is: one flat record, from a recipe, from keywords or from the command line."""

from __future__ import annotations

import dataclasses
import json
import numbers
import os
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import torch
import yaml

from denseil.common.arguments import checked, checked_class
from denseil.common.files import replacing
from denseil.data import Appearance, ClipTransform
from denseil.losses import ReIDObjective
from denseil.metrics.protocols import get_protocol

MAY_CHANGE = {"root", "output", "device", "workers", "log_every", "save_every", "validate_every", "test_frames"}
"""Fields that may differ when a run is resumed: the weights do not depend on them."""

ABLATION_TABLES = "ablation_tables.yaml"
"""Beside the recipes, but not one: what the rows of the paper's tables change."""


@checked_class
@dataclass(frozen=True)
class TrainConfig:
    """Everything that a training depends on. The defaults are the paper's recipe (Section 4.2).

    Args:
        dataset: mars, ilids_vid, prid2011, ls_vid, dukemtmc_videoreid or manifest.
        root: Where the dataset is.
        data_args: Arguments of the dataset's reader, such as '{"split": 3}'.
        output: The folder of the run; it must not hold another.
        model: A name as for create_model, or a saved model (local-dir:FOLDER) to go on from.
        model_args: Arguments of the model, such as '{"backbone": "convnext_tiny", "dim": 256}'.
        init: How the encoder starts: timm (ImageNet weights from the Hub), random, a file of its weights, or model (the
            weights of the whole saved model that the name means).
        height: Of frames, pixels.
        width: Of frames, pixels.
        clip_len: T, frames of a clip.
        num_ids: P, identities in the global batch.
        num_tracklets: K, tracklets of each.
        flip: Probability that a frame is mirrored.
        pad: Border in pixels before the random crop.
        erase: Probability that a box is erased from a clip.
        appearance: Appearance augmentation, such as '{"jitter": 0.3, "gray": 0.1}'; see denseil.data.Appearance.
        margin: Of the triplet loss; null for the soft margin.
        distance: Of the triplet loss.
        label_smoothing: Of the cross-entropy.
        triplet_weight: Of the triplet loss beside the cross-entropy.
        contrastive_weight: Of a supervised contrastive loss beside them; 0 for none, as in the paper.
        temperature: Of that loss.
        gather: Whether these two losses see the clips of all processes.
        standardize: Whether these two losses see features standardised over the batch; see ReIDObjective.
        optimizer: adam (with L2 regularisation) or adamw (decoupled weight decay).
        lr: Learning rate at its height.
        encoder_lr: Factor on it for the encoder.
        weight_decay: Of matrices and kernels; norms and biases have none.
        clip_grad: Largest norm of the gradient; null for none.
        epochs: Passes over the identities.
        schedule: step (times gamma every so many epochs), cosine (to zero), or constant.
        step_every: Epochs, for step.
        gamma: Factor, for step.
        warmup: Epochs, or a part of one, over which the rate rises from 1/100 of its height.
        freeze_bn: Batch norms whose running statistics are used and kept: none, those of the encoder, or all.
        sync_bn: Whether batch norms see all processes (GPUs only).
        accumulate: Batches before a step of the optimizer.
        grad_checkpointing: Whether activations are computed again in the backward pass, for memory.
        channels_last: Whether convolutions run channels last.
        precision: fp32, or mixed with bf16 or fp16.
        device: auto for an accelerator where there is one, or a torch device such as cpu, cuda, cuda:1 or mps.
        seed: Of all that is drawn.
        workers: Processes that read images.
        validate_every: Epochs between validations, on the dataset's queries and gallery with 8 frames; 0 for none.
        protocol: Of validation and of the final result.
        test_frames: Which frames of a tracklet make its vector in the final result; none for no final result.
        save_every: Epochs between checkpoints.
        log_every: Steps between lines in the metrics file.

    Raises:
        ValueError: If a value is out of its range.
    """

    dataset: str = "mars"
    root: str = ""
    data_args: dict[str, Any] = field(default_factory=dict)
    output: str = "runs/train"
    model: str = "denseil_resnet50"
    model_args: dict[str, Any] = field(default_factory=dict)
    init: str = "timm"
    height: int = 256
    width: int = 128
    clip_len: int = 8
    num_ids: int = 16
    num_tracklets: int = 4
    flip: float = 0.5
    pad: int = 10
    erase: float = 0.5
    appearance: dict[str, float] = field(default_factory=dict)
    margin: float | None = 0.3
    distance: Literal["euclidean", "cosine"] = "euclidean"
    label_smoothing: float = 0.0
    triplet_weight: float = 1.0
    contrastive_weight: float = 0.0
    temperature: float = 0.1
    gather: bool = True
    standardize: bool = False
    optimizer: Literal["adam", "adamw"] = "adam"
    lr: float = 2e-4
    encoder_lr: float = 1.0
    weight_decay: float = 5e-4
    clip_grad: float | None = None
    epochs: int = 800
    schedule: Literal["step", "cosine", "constant"] = "step"
    step_every: int = 100
    gamma: float = 0.1
    warmup: float = 0
    freeze_bn: Literal["none", "encoder", "all"] = "none"
    sync_bn: bool = False
    accumulate: int = 1
    grad_checkpointing: bool = False
    channels_last: bool = True
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    device: str = "auto"
    seed: int = 0
    workers: int = 2
    validate_every: int = 50
    protocol: str = "standard"
    test_frames: Literal["all", "even8", "none"] = "all"
    save_every: int = 10
    log_every: int = 10

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(type(self)).items():
            object.__setattr__(self, name, _typed(name, getattr(self, name), kind))
        least_one = ("height", "width", "clip_len", "num_ids", "num_tracklets", "epochs", "step_every", "accumulate")
        for name in (*least_one, "save_every", "log_every"):
            _check(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in ("pad", "warmup", "workers", "validate_every", "weight_decay", "encoder_lr", "seed"):
            _check(getattr(self, name) >= 0, name, getattr(self, name), "not negative")
        _check(self.lr > 0, "lr", self.lr, "above 0")
        _check(0 < self.gamma <= 1, "gamma", self.gamma, "above 0, at most 1")
        _check(self.clip_grad is None or self.clip_grad > 0, "clip_grad", self.clip_grad, "above 0, or null for none")
        _check(self.warmup < self.epochs, "warmup", self.warmup, f"less than epochs={self.epochs}")
        for name in ("distance", "optimizer", "schedule", "freeze_bn", "precision", "test_frames"):
            _check_choice(name, getattr(self, name))
        _check_device(self.device)
        get_protocol(self.protocol)
        self.transform()
        self.objective()

    def transform(self, mean: tuple[float, ...] = (0.485, 0.456, 0.406)) -> ClipTransform:
        """The augmentation; boxes are erased to `mean`."""
        unknown = sorted(set(self.appearance) - {f.name for f in dataclasses.fields(Appearance)})
        if unknown:
            raise ValueError(f"appearance has no {unknown[0]!r}; it has crop, low_res, blur, jitter and gray")
        red, green, blue = (round(255 * value) for value in mean)
        return ClipTransform(
            size=(self.height, self.width),
            flip=self.flip,
            pad=self.pad,
            erase=self.erase,
            fill=(red, green, blue),
            looks=Appearance(**self.appearance),
        )

    def objective(self) -> ReIDObjective:
        """The losses."""
        return ReIDObjective(
            margin=self.margin,
            distance=self.distance,
            label_smoothing=self.label_smoothing,
            triplet_weight=self.triplet_weight,
            contrastive_weight=self.contrastive_weight,
            temperature=self.temperature,
            gather=self.gather,
            standardize=self.standardize,
        )

    @classmethod
    @checked
    def from_recipe(cls, recipe: str, **fields: Any) -> TrainConfig:
        """The config of a recipe, with some fields otherwise.

        Args:
            recipe: A name in `recipes()`, or the path of a YAML file of fields.
            fields: What to change, such as `root="/data/mars"`.

        Raises:
            KeyError: If there is no such recipe.
            TypeError: If a field is unknown.
            ValueError: If a value is out of its range.
        """
        return cls.from_dict({**_renamed(_read_fields(recipe_path(recipe))), **_renamed(fields)})

    @classmethod
    @checked
    def from_dict(cls, fields: dict[str, Any]) -> TrainConfig:
        """The config of some fields; see `from_recipe`."""
        fields = _renamed(fields)
        known = [f.name for f in dataclasses.fields(cls)]
        for name in fields:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                raise TypeError(f"a training has no field {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        return cls(**fields)

    @classmethod
    @checked
    def load(cls, path: str | Path) -> TrainConfig:
        """Read what `save` wrote."""
        return cls.from_dict(_read_fields(Path(path)))

    def changed_from(self, before: TrainConfig) -> list[str]:
        """Fields by which this would be another training than `before`, sorted."""
        was, now = (json.loads(json.dumps(dataclasses.asdict(each))) for each in (before, self))  # tuples are lists
        return sorted(name for name in now if now[name] != was[name] and name not in MAY_CHANGE)

    def save(self, path: str | Path) -> None:
        """Write all fields as YAML."""
        with replacing(path) as temporary:
            temporary.write_text(yaml.safe_dump(dataclasses.asdict(self), sort_keys=False), encoding="utf-8")


@checked
def recipes() -> list[str]:
    """The names of the recipes in the package."""
    names = (entry.name for entry in files("denseil.recipes").iterdir())
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml") and name != ABLATION_TABLES)


def recipe_path(recipe: str) -> Path:
    """The file of a recipe: a name in `recipes()`, or a path.

    Raises:
        KeyError: If there is none.
    """
    if recipe in recipes():
        return Path(str(files("denseil.recipes") / f"{recipe}.yaml"))
    if recipe.endswith((".yaml", ".yml")) and Path(recipe).is_file():
        return Path(recipe)
    near = get_close_matches(recipe, recipes(), n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise KeyError(f"no recipe {recipe!r}: {hint}there are {', '.join(recipes())}, or give the path of a YAML file")


def _read_fields(path: Path) -> dict[str, Any]:
    """Read a YAML file of fields."""
    fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(fields, dict):
        found = "is empty" if fields is None else f"holds a {type(fields).__name__}"
        raise ValueError(f"{path} {found}: it must hold fields of a training, such as 'epochs: 100'")
    return fields


def _renamed(fields: dict[str, Any]) -> dict[str, Any]:
    """Give `looks`, as published train.yaml files have it, its present name."""
    if {"looks", "appearance"} <= fields.keys():
        raise ValueError("fields have both 'looks' and 'appearance': leave 'looks' out, it is the former name")
    return {("appearance" if name == "looks" else name): value for name, value in fields.items()}


def _typed(name: str, value: Any, kind: Any) -> Any:
    """Return a value as its field's type; YAML reads `1e-4` as text, so text that is a number counts as one."""
    if get_origin(kind) is dict:
        if not isinstance(value, dict):
            raise TypeError(f"{name}={value!r}: it must be a mapping of names to values")
        return {key: _typed(f"{name}.{key}", each, get_args(kind)[1]) for key, each in value.items()}
    kinds = get_args(kind) or (kind,)
    if value is None and type(None) in kinds:
        return None
    if kind is bool:
        if not isinstance(value, bool):
            raise TypeError(f"{name}={value!r}: it must be true or false")
    elif int in kinds or float in kinds:
        return _number(name, value, whole=int in kinds)
    elif kind is str:
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        if not isinstance(value, str):
            raise TypeError(f"{name}={value!r}: it must be text")
    return value


def _number(name: str, value: Any, *, whole: bool) -> int | float:
    rule = "a whole number" if whole else "a number"
    if isinstance(value, str):
        try:
            return int(value) if whole else float(value)
        except ValueError as error:
            raise TypeError(f"{name}={value!r}: it must be {rule}") from error
    if isinstance(value, bool) or not isinstance(value, numbers.Integral if whole else numbers.Real):
        raise TypeError(f"{name}={value!r}: it must be {rule}")
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def _check_device(name: str) -> None:
    if name == "auto":
        return
    try:
        torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device={name!r}: it must be auto or a torch device, such as cpu, cuda or cuda:1") from error


def _check(holds: bool, name: str, value: Any, rule: str) -> None:
    if not holds:
        raise ValueError(f"{name}={value}: it must be {rule}")


def _check_choice(name: str, value: str) -> None:
    choices = {
        "distance": ("euclidean", "cosine"),
        "optimizer": ("adam", "adamw"),
        "schedule": ("step", "cosine", "constant"),
        "freeze_bn": ("none", "encoder", "all"),
        "precision": ("fp32", "bf16", "fp16"),
        "test_frames": ("all", "even8", "none"),
    }[name]
    _check(value in choices, name, repr(value), " or ".join(choices))
