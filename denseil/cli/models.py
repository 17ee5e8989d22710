"""Verbs on models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from denseil.cli import options, values
from denseil.cli.output import show
from denseil.cli.parser import Verbs

if TYPE_CHECKING:
    from denseil.models import Profile


def declare(verbs: Verbs) -> None:
    """Declare `models` and `profile`."""
    verb = verbs.add(
        "models",
        models,
        "List the models with their size and cost.",
        examples=("denseil models", "denseil models --filter 'denseil_res*' --frames 8"),
    )
    which = verb.subject("selection")
    which.add("--filter", default="", metavar="PATTERN", help="pattern for names, such as 'denseil_res*'")
    which.add("--frames", type=values.whole(1, 10_000), default=4, metavar="T", help="frames per clip")
    options.general(verb, json=True, modules=True)

    verb = verbs.add(
        "profile",
        profile,
        "Count the parameters and multiply-adds of one model.",
        examples=(
            "denseil profile denseil_r50",
            "denseil profile denseil --model-args backbone=convnext_tiny dim=256 --frames 8",
        ),
    )
    which = verb.subject("model")
    which.add("name", help="model name as for denseil.create_model")
    which.gather("--model-args", type=values.mapping, metavar="NAME=VALUE", help="arguments of the model, or JSON")
    clip = verb.subject("clip")
    clip.add("--frames", type=values.whole(1, 10_000), default=4, metavar="T", help="frames per clip")
    clip.add(
        "--size",
        type=values.size,
        default=(256, 128),
        shown="256x128",
        metavar="HxW",
        help="height and width in pixels",
    )
    options.general(verb, json=True, modules=True)


def models(filter: str, frames: int, json: bool) -> int:
    """List the models with their size and cost."""
    import denseil

    tags: dict[str, list[str]] = {}
    for whole in denseil.list_pretrained():
        name, _, tag = whole.partition(".")
        tags[name] = [tag, *tags.get(name, [])]  # the newest first, which a name without a tag loads
    names = denseil.list_models(filter)
    if not names:
        raise ValueError(f"--filter {filter}: no model has such a name; known: {', '.join(denseil.list_models())}")
    rows = {name: _profile(name, frames, (256, 128), {}) for name in names}
    lines = [f"{'model':24} {'params':>9} {'encoder':>9} {'GMACs':>7} {'encoder':>8} {'decoder':>8}  weights"]
    for name, cost in rows.items():
        counts = [cost.encoder_params, cost.encoder_macs, cost.decoder_macs]
        params, encoder, decoder = (float("nan") if count is None else count for count in counts)
        lines.append(
            f"{name:24} {cost.params / 1e6:7.1f} M {params / 1e6:7.1f} M {cost.macs / 1e9:7.2f}"
            f" {encoder / 1e9:8.2f} {decoder / 1e9:8.2f}  {', '.join(tags.get(name, ['none']))}"
        )
    lines.append(f"GMACs: 10^9 multiply-adds of one clip of T = {frames} frames of 256 x 128.")
    lines.append("weights: tags, as in create_model('NAME.TAG', pretrained=True); the first without a tag")
    show(
        {
            name: {"profile": cost, "pretrained": name in tags, "tags": tags.get(name, [])}
            for name, cost in rows.items()
        },
        as_json=json,
        text="\n".join(lines),
    )
    return 0


def profile(name: str, model_args: dict[str, Any] | None, frames: int, size: tuple[int, int], json: bool) -> int:
    """Count the parameters and multiply-adds of one model."""
    show(_profile(name, frames, size, model_args or {}), as_json=json)
    return 0


def _profile(name: str, frames: int, size: tuple[int, int], model_args: dict[str, Any]) -> Profile:
    import torch

    import denseil

    with torch.device("meta"):  # nothing is computed, so weights need no memory
        model = denseil.create_model(name, **model_args)
    return denseil.profile(model, frames=frames, size=size)
