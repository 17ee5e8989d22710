"""The model card that goes with saved and published weights."""

from collections.abc import Mapping
from importlib.resources import files
from string import Template

from denseil.models.denseil import DenseIL

_DEFAULTS = {
    "license": "other",
    "intended_use": (
        "Research on person re-identification, and re-linking of tracks within video that one may process lawfully."
    ),
    "out_of_scope_use": (
        "Naming people, covert surveillance, and any decision about a person without human review. Remote biometric "
        "identification is restricted or prohibited by law in many places."
    ),
    "data": "Not stated. Weights trained on filmed people carry the terms of those data.",
    "results": "Not measured. A figure without its protocol, distance and frames policy says nothing.",
    "limits": (
        "People are told apart mostly by clothes: the same person in other clothes is another person to the model. "
        "Cameras, places and people unlike those of the training data lower its accuracy. Differences between "
        "demographic groups were not measured."
    ),
}


def model_card(model: DenseIL, *, repo_id: str = "owner/name", fields: Mapping[str, str] | None = None) -> str:
    """Fill the model card template.

    Args:
        model: A model made by `create_model`.
        repo_id: The Hub repository, for the code example.
        fields: Markdown for any of "license" (an identifier of the Hub), "intended_use", "out_of_scope_use", "data",
            "results", "limits"; what is not given says so in the card.

    Raises:
        ValueError: If a field is unknown.
    """
    unknown = set(fields or {}) - set(_DEFAULTS)
    if unknown:
        raise ValueError(f"model card has no field {sorted(unknown)[0]!r}; it has {', '.join(_DEFAULTS)}")
    cfg = model.pretrained_cfg
    return Template(files(__package__).joinpath("card_template.md").read_text(encoding="utf-8")).substitute(
        _DEFAULTS | dict(fields or {}),
        name=repo_id.rpartition("/")[2],
        repo_id=repo_id,
        architecture=cfg["architecture"],
        params=f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f}",
        num_features=model.num_features,
        height=cfg["input_size"][1],
        width=cfg["input_size"][2],
        color_order=model.denseil_cfg["color_order"],
        mean=tuple(cfg["mean"]),
        std=tuple(cfg["std"]),
    )
