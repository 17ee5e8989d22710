"""The training configuration: one flat record of fields, from a recipe, keywords or the command line.

Over 250 lines because every field is here three times: its meaning, its type and default, and its range.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_type_hints

import yaml

from denseil.common import imagenet
from denseil.common.arguments import checked
from denseil.common.files import replacing
from denseil.common.text import did_you_mean
from denseil.data import Appearance, ClipTransform
from denseil.losses import Objective, create_objective
from denseil.metrics.protocols import get_protocol
from denseil.training.field_checks import check, check_device, typed
from denseil.training.recipe_files import read_fields, recipe_path

MAY_CHANGE = {
    *("root", "output", "device", "workers", "log_every", "save_every", "validate_every", "test_frames", "tracker")
}
"""Fields that may differ when a run is resumed: the weights do not depend on them."""

LOSS_FIELDS = (
    *("margin", "distance", "label_smoothing", "triplet_weight", "contrastive_weight", "temperature", "gather"),
    "standardize",
)
"""Fields that are arguments of `denseil.losses.ReIDObjective`."""


@dataclass(frozen=True)
class TrainConfig:
    """Training configuration; the defaults are the paper's recipe (Section 4.2).

    Args:
        dataset: Name of the dataset's reader, such as mars, ilids_vid, prid2011, ls_vid or manifest.
        root: Folder of the dataset, or path of the manifest.
        data_args: Arguments of the dataset's reader, such as '{"split": 3}'.
        output: Output folder of the run; it must not hold another run.
        model: Model name as for create_model, or a saved model (local-dir:FOLDER) to fine-tune.
        model_args: Arguments of the model, such as '{"backbone": "convnext_tiny", "dim": 256}'.
        init: Initial weights of the encoder: timm (ImageNet weights from the Hub), random, or a file of weights; or
            model, to load all weights of the saved model that `model` names.
        height: Frame height in pixels.
        width: Frame width in pixels.
        clip_len: Frames per clip, T.
        num_ids: Identities per global batch, P.
        num_tracklets: Tracklets per identity, K.
        group_share: Share of a batch's identities that come in threes of one wardrobe group, for rendered people with
            groups (denseil data synth --groups); 0 ignores groups.
        flip: Probability of mirroring a frame.
        pad: Border in pixels that is added before the random crop.
        erase: Probability of erasing a random box from a clip.
        appearance: Appearance augmentation, such as '{"jitter": 0.3, "gray": 0.1}'; see denseil.data.Appearance.
        objective: Training objective: reid (cross-entropy, triplet and contrastive loss), or a name registered with
            denseil.losses.register_objective, which does not use the loss fields below.
        objective_args: Arguments of a registered objective.
        margin: Margin of the triplet loss; null for the soft margin.
        distance: Distance of the triplet loss.
        label_smoothing: Label smoothing of the cross-entropy.
        triplet_weight: Weight of the triplet loss; the cross-entropy has weight 1.
        contrastive_weight: Weight of the supervised contrastive loss; 0, as in the paper, turns it off.
        temperature: Temperature of the supervised contrastive loss.
        gather: Whether the triplet and contrastive losses see the clips of all processes.
        standardize: Whether these two losses see features standardised over the batch; see ReIDObjective.
        optimizer: adam (with L2 regularisation) or adamw (decoupled weight decay).
        lr: Peak learning rate.
        encoder_lr: Factor on the learning rate for the encoder; 0 freezes its parameters.
        layer_decay: Factor on the learning rate per layer, from the last layer to the first (timm's layer decay, by the
            model's group_matcher); null for none.
        weight_decay: Weight decay of matrices and kernels; norms and biases have none.
        clip_grad: Maximum norm of the gradient of all that is trained; null for no clipping.
        epochs: Number of passes over the identities.
        schedule: Learning-rate schedule: step (times gamma after every step_every epochs), cosine (to zero), or
            constant.
        step_every: Epochs between steps of the step schedule.
        gamma: Factor at each step of the step schedule.
        warmup: Epochs, whole or not, over which the learning rate rises from 1/100 of its peak.
        freeze_bn: Batch norms that keep and use their running statistics: none, those of the encoder, or all.
        sync_bn: Whether batch norms are synchronised over processes (GPUs only).
        accumulate: Batches per optimizer step; those that fill no step are left out of an epoch, other ones each time.
        grad_checkpointing: Whether activations are recomputed in the backward pass to save memory.
        channels_last: Whether convolutions run channels last.
        compile: Mode of torch.compile for the model while it trains; none does not compile.
        precision: fp32, or mixed precision with bf16 or fp16.
        device: auto for an accelerator if there is one, or a torch device such as cpu, cuda, cuda:1 or mps.
        seed: Random seed for sampling, augmentation and dropout.
        workers: Worker processes that read images; none are started with cache=ram or cache=device.
        cache: Where the decoded frames of the training tracklets are kept: none (decode them for every batch), ram, or
            device. Batches are then augmented as tensors, on the device with cache=device.
        validate_every: Epochs between validations, on the queries and gallery with 8 frames a tracklet; 0 for none.
        protocol: Evaluation protocol of validations and of the final result.
        test_frames: Frames of a tracklet in the final evaluation; none skips it.
        save_every: Epochs between checkpoints.
        log_every: Steps between lines in the metrics file.
        tracker: Where metrics are also logged: tensorboard, wandb (Weights & Biases) or none.

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
    group_share: float = 0.0
    flip: float = 0.5
    pad: int = 10
    erase: float = 0.5
    appearance: dict[str, float] = field(default_factory=dict)
    objective: str = "reid"
    objective_args: dict[str, Any] = field(default_factory=dict)
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
    layer_decay: float | None = None
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
    compile: Literal["none", "default", "reduce-overhead", "max-autotune"] = "none"
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    device: str = "auto"
    seed: int = 0
    workers: int = 2
    cache: Literal["none", "ram", "device"] = "none"
    validate_every: int = 50
    protocol: str = "standard"
    test_frames: Literal["all", "even8", "none"] = "all"
    save_every: int = 10
    log_every: int = 10
    tracker: Literal["tensorboard", "wandb", "none"] = "tensorboard"

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(type(self)).items():
            object.__setattr__(self, name, typed(name, getattr(self, name), kind))
        least_one = ("height", "width", "clip_len", "num_ids", "num_tracklets", "epochs", "step_every", "accumulate")
        for name in (*least_one, "save_every", "log_every"):
            check(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in ("pad", "warmup", "workers", "validate_every", "weight_decay", "encoder_lr", "seed"):
            check(getattr(self, name) >= 0, name, getattr(self, name), "not negative")
        check(0 <= self.group_share <= 1, "group_share", self.group_share, "0 to 1")
        check(0 < self.lr < float("inf"), "lr", self.lr, "above 0 and finite")
        check(bool(self.output), "output", repr(self.output), "the name of a folder")
        check(self.seed < 2**63, "seed", self.seed, "below 2^63")
        for name, value, none in (("gamma", self.gamma, ""), ("layer_decay", self.layer_decay, ", or null for none")):
            check(value is None or 0 < value <= 1, name, value, f"above 0, at most 1{none}")
        check(self.clip_grad is None or self.clip_grad > 0, "clip_grad", self.clip_grad, "above 0, or null for none")
        check(self.warmup < self.epochs, "warmup", self.warmup, f"less than epochs={self.epochs}")
        check_device(self.device)
        get_protocol(self.protocol)
        self.transform()
        if self.objective == "reid":
            self.make_objective()

    def transform(self, mean: tuple[float, ...] = imagenet.MEAN) -> ClipTransform:
        """Build the augmentation; erased boxes are filled with `mean`."""
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
            appearance=Appearance(**self.appearance),
        )

    def make_objective(self) -> Objective:
        """Build the objective.

        Raises:
            KeyError: If no objective of that name is registered.
            ValueError: If `objective_args` are given for "reid", whose arguments are fields of their own.
        """
        if self.objective != "reid":
            return create_objective(self.objective, **self.objective_args)
        if self.objective_args:
            raise ValueError(
                f"objective_args={self.objective_args}: objective=reid takes its arguments from the fields "
                f"{', '.join(LOSS_FIELDS)}"
            )
        return create_objective("reid", **{name: getattr(self, name) for name in LOSS_FIELDS})

    @classmethod
    @checked
    def from_recipe(cls, recipe: str, **fields: Any) -> TrainConfig:
        """Load a recipe and override some of its fields.

        Args:
            recipe: A name in `recipes()`, or the path of a YAML file of fields.
            fields: Fields to override, such as `root="/data/mars"`.

        Raises:
            KeyError: If there is no such recipe.
            TypeError: If a field is unknown.
            ValueError: If a value is out of its range.
        """
        return cls.from_dict({**_renamed(read_fields(recipe_path(recipe))), **_renamed(fields)})

    @classmethod
    @checked
    def from_dict(cls, fields: dict[str, Any]) -> TrainConfig:
        """Build a config from some fields; see `from_recipe`."""
        fields = _renamed(fields)
        known = [f.name for f in dataclasses.fields(cls)]
        for name in fields:
            if name not in known:
                hint = did_you_mean(name, known)
                raise TypeError(f"a training has no field {name!r}" + (f"; {hint}" if hint else ""))
        return cls(**fields)

    @classmethod
    @checked
    def load(cls, path: str | Path) -> TrainConfig:
        """Read a file that `save` wrote."""
        return cls.from_dict(read_fields(Path(path)))

    def changed_from(self, before: TrainConfig) -> list[str]:
        """List the fields in which this differs from `before` so that the weights would differ, sorted."""
        was, now = (json.loads(json.dumps(dataclasses.asdict(each))) for each in (before, self))  # tuples are lists
        return sorted(name for name in now if now[name] != was[name] and name not in MAY_CHANGE)

    def save(self, path: str | Path) -> None:
        """Write all fields as YAML."""
        with replacing(path) as temporary:
            temporary.write_text(yaml.safe_dump(dataclasses.asdict(self), sort_keys=False), encoding="utf-8")


def _renamed(fields: dict[str, Any]) -> dict[str, Any]:
    """Give `looks`, as published train.yaml files have it, its present name."""
    if {"looks", "appearance"} <= fields.keys():
        raise ValueError("fields have both 'looks' and 'appearance': leave 'looks' out, it is the former name")
    return {("appearance" if name == "looks" else name): value for name, value in fields.items()}
