"""Objectives by name, and what an objective may return."""

import pytest
import torch
from torch.nn import functional as F

from denseil.losses import (
    ReIDLosses,
    ReIDObjective,
    create_objective,
    list_objectives,
    named_losses,
    register_objective,
    registry,
)


def test_an_objective_of_a_project_is_built_by_name(monkeypatch):
    # Other test modules register objectives as they are imported.
    monkeypatch.setattr(registry, "_factories", {"reid": registry._factories["reid"]})

    @register_objective("smoothed")
    def smoothed(amount=0.1):
        return lambda logits, features, labels: F.cross_entropy(logits, labels, label_smoothing=amount)

    logits, labels = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    expected = F.cross_entropy(logits, labels, label_smoothing=0.3)
    assert torch.equal(create_objective("smoothed", amount=0.3)(logits, logits, labels), expected)
    assert list_objectives() == ["reid", "smoothed"]


def test_the_default_is_the_papers():
    objective = create_objective("reid", margin=0.5)
    assert isinstance(objective, ReIDObjective)
    assert objective.triplet.margin == 0.5


def test_unknown_and_taken_names():
    with pytest.raises(KeyError, match="no objective 'ried'; did you mean 'reid'"):
        create_objective("ried")
    with pytest.raises(ValueError, match="'reid' is taken"):
        register_objective("reid")


def test_what_an_objective_returns_is_named():
    one, two = torch.tensor(1.0), torch.tensor(2.0)
    assert named_losses(one) == {"total": one}
    assert list(named_losses({"center": two, "total": one})) == ["total", "center"]
    assert list(named_losses(ReIDLosses(one, one, two, two))) == list(ReIDLosses._fields)
    with pytest.raises(ValueError, match="returned 'loss': name the loss to minimise 'total'"):
        named_losses({"loss": one})
    with pytest.raises(TypeError, match=r"'total' is \(2,\)"):
        named_losses(torch.zeros(2))
    with pytest.raises(TypeError, match="returned a float"):
        named_losses(1.0)
    with pytest.raises(TypeError, match="a loss named 3: name losses by text"):
        named_losses({"total": one, 3: two})
