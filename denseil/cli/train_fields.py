"""The fields of `TrainConfig` as options.

Their names, types, defaults and descriptions are read from the source of the dataclass, which is parsed instead of
imported, because the import would load torch and slow down the help.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from denseil.cli import options, values
from denseil.cli.parser import Subject, Verb

SOURCE = Path(__file__).parent.parent / "training" / "config.py"
SUBJECTS = {
    "data": "dataset root data_args",
    "model": "model model_args init",
    "frames and batch": "height width clip_len num_ids num_tracklets group_share",
    "augmentation": "flip pad erase appearance",
    "losses": "objective objective_args margin distance label_smoothing triplet_weight contrastive_weight temperature "
    "gather standardize",
    "optimizer and schedule": "optimizer lr encoder_lr layer_decay weight_decay clip_grad epochs schedule step_every "
    "gamma warmup accumulate freeze_bn sync_bn",
    "computing": "device precision workers cache compile seed grad_checkpointing channels_last",
    "evaluation": "validate_every protocol test_frames",
    "output": "output save_every log_every tracker",
}
"""Subjects of the fields in the help; all others come under "other fields"."""
METAVARS = {"dataset": "NAME", "root": "PATH", "model": "NAME", "output": "FOLDER", "protocol": "NAME"}


class ConfigField(NamedTuple):
    """A field: its name, type annotation, default and description."""

    name: str
    type: str
    default: object
    help: str


@cache
def config_fields() -> tuple[ConfigField, ...]:
    """Return the fields of `TrainConfig`, in order."""
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    config = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "TrainConfig")
    helps = _arguments(ast.get_docstring(config) or "")
    return tuple(
        ConfigField(node.target.id, ast.unparse(node.annotation), _default(node.value), helps.get(node.target.id, ""))
        for node in config.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    )


def _default(value: ast.expr | None) -> object:
    """Return a literal default; an empty dict for `field(default_factory=dict)`."""
    try:
        return None if value is None else ast.literal_eval(value)
    except ValueError:
        return {}


def _arguments(docstring: str) -> dict[str, str]:
    """Return the descriptions in the Args section of a docstring."""
    section = re.split(r"\n\n?(?=[A-Z]\w+:\n)", docstring.partition("Args:\n")[2])[0]
    entries = re.findall(r"^    (\w+): (.*(?:\n        .*)*)", section, re.M)
    return {name: " ".join(text.split()).rstrip(".") for name, text in entries}


def declare_fields(verb: Verb) -> None:
    """Declare an option for each field, by subject; options that are not given are omitted."""
    fields = {field.name: field for field in config_fields()}
    known = {name for names in SUBJECTS.values() for name in names.split()}
    others = " ".join(name for name in fields if name not in known)
    for title, names in {**SUBJECTS, "other fields": others}.items():
        if names:
            subject = verb.subject(title)
            for name in names.split():
                _declare(subject, fields[name])


def _declare(subject: Subject, field: ConfigField) -> None:
    name = "--" + field.name.replace("_", "-")
    names = ("-o", name) if field.name == "output" else (name,)
    text = field.help[:1].lower() + field.help[1:] if field.help[1:2].islower() else field.help
    shown = "null" if field.default is None else field.default
    if field.name == "device":
        options.device(subject, unset=True)
    elif field.type == "bool":
        subject.flag(*names, help=text, default=bool(field.default), unset=True, both=True)
    elif field.type.startswith("dict"):
        subject.gather(*names, help=text, type=values.mapping, metavar="NAME=VALUE", unset=True)
    elif literal := re.fullmatch(r"Literal\[(.*)\]", field.type):
        choices = tuple(str(choice) for choice in ast.literal_eval(f"[{literal[1]}]"))
        subject.add(*names, help=text, choices=choices, default=field.default, unset=True)
    else:
        readers: dict[str, Callable[[str], object]] = {
            "int": values.whole(-(2**63)),
            "float": values.number(-float("inf")),
            "float | None": values.or_null(values.number(-float("inf"))),
            "int | None": values.or_null(values.whole(-(2**63))),
            "str": str,
        }
        read = readers.get(field.type, values.anything)
        kind = {"int": "N", "str": "TEXT"}.get(field.type, "X")
        subject.add(
            *names,
            help=text,
            type=read,
            default=field.default,
            shown=shown,
            unset=True,
            metavar=METAVARS.get(field.name, kind),
        )
