"""The model card of saved and published weights."""

import re
from collections.abc import Mapping
from importlib.resources import files

import yaml
from huggingface_hub import ModelCard, ModelCardData
from torch import nn

from denseil.common.arguments import checked
from denseil.models._config import SavedConfig
from denseil.models.interface import preprocessing_of

NOT_STATED = {
    "data": "Not stated. Weights trained on filmed people carry the terms of those data.",
    "results": "Not measured. A figure without its protocol, distance and frames policy says nothing.",
}
_DEFAULTS = {
    "license": "other",
    "license_name": "",
    "license_link": "",
    "intended_use": (
        "Research on person re-identification, and re-linking of tracks within video that one may process lawfully."
    ),
    "out_of_scope_use": (
        "Naming people, covert surveillance, and any decision about a person without human review. Remote biometric "
        "identification is restricted or prohibited by law in many places."
    ),
    **NOT_STATED,
    "limits": (
        "People are recognised mostly by their clothes: the same person in other clothes is another person to the "
        "model. Cameras, places and people unlike those of the training data lower its accuracy. Differences between "
        "demographic groups were not measured."
    ),
}
# Sections of a complete card, and words that may occur in the heading of each.
_SUBJECTS = {
    "intended use": ("intended use",),
    "out-of-scope use": ("out-of-scope",),
    "data": ("data", "made from"),
    "results": ("results", "figures", "evaluation"),
    "limits": ("limits", "limitations"),
}


@checked
def model_card(
    model: nn.Module,
    *,
    repo_id: str = "owner/name",
    fields: Mapping[str, str] | None = None,
    config: SavedConfig | None = None,
) -> str:
    """Fill the model card template.

    Args:
        model: A model made by `create_model`.
        repo_id: The Hub repository, for the code example.
        fields: Markdown for any of "intended_use", "out_of_scope_use", "data", "results", "limits", and "license" (an
            identifier of the Hub; for "other" also "license_name" and "license_link"). Without "data" or "results" the
            card states that they are missing.
        config: Config of a module of your own.

    Raises:
        ValueError: If a field is unknown.
        TypeError: If the model has no preprocessing.
    """
    unknown = set(fields or {}) - set(_DEFAULTS)
    if unknown:
        raise ValueError(f"model card has no field {sorted(unknown)[0]!r}; it has {', '.join(_DEFAULTS)}")
    texts = _DEFAULTS | dict(fields or {})
    data = ModelCardData(
        license=texts.pop("license"),
        license_name=texts.pop("license_name") or None,
        license_link=texts.pop("license_link") or None,
        library_name="denseil",
        pipeline_tag="feature-extraction",
        tags=["person-re-identification", "video", "denseil", "timm"],
    )
    frames = config.preprocessing if config else preprocessing_of(model)
    architecture = config.architecture if config else model.__dict__["pretrained_cfg"]["architecture"]
    card = ModelCard.from_template(
        data,
        template_str=files(__package__).joinpath("card_template.md").read_text(encoding="utf-8"),
        **texts,
        name=repo_id.rpartition("/")[2],
        repo_id=repo_id,
        architecture=architecture,
        params=f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f}",
        num_features=model.num_features,
        height=frames.size[0],
        width=frames.size[1],
        color_order=frames.color_order,
        mean=frames.mean,
        std=frames.std,
    )
    return str(card) + "\n"


def card_gaps(text: str) -> list[str]:
    """List what is missing in a card before it can be published; empty for a complete card."""
    try:
        data = vars(ModelCard(text).data)
    except (yaml.YAMLError, ValueError, TypeError) as error:
        return [f"its front matter cannot be read ({str(error).partition(chr(10))[0]})"]
    gaps = []
    if not data.get("license"):
        gaps.append("no license in its front matter")
    elif data["license"] == "other" and not data.get("license_name"):
        gaps.append('license "other" without a license_name in its front matter')
    if data.get("library_name") != "denseil":
        gaps.append("no 'library_name: denseil' in its front matter")
    headings = [heading.lower() for heading in re.findall(r"^#+ *(.+)$", text, flags=re.MULTILINE)]
    for subject, words in _SUBJECTS.items():
        if not any(word in heading for word in words for heading in headings):
            gaps.append(f"no section on {subject}")
    gaps += [f"nothing said on {subject}" for subject, default in NOT_STATED.items() if default in text]
    return gaps
