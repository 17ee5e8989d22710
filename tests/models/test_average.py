"""The mean of weights, against torch's own averaging."""

import pytest
import torch
from torch.optim.swa_utils import AveragedModel

import denseil
from denseil.models.average import average


def models(count: int = 3) -> list[denseil.DenseIL]:
    found = []
    for seed in range(count):
        torch.manual_seed(seed)
        found.append(denseil.create_model("denseil", backbone="test_resnet", dim=32, depth=1))
        for name, value in found[-1].named_buffers():
            if name.endswith("running_mean"):
                value.normal_()
    return found


def test_the_mean_is_torchs_and_nothing_given_changes():
    given = models()
    before = [{name: value.clone() for name, value in model.state_dict().items()} for model in given]
    wanted = AveragedModel(given[0], use_buffers=True)
    for model in given:
        wanted.update_parameters(model)
    found = average(given).state_dict()
    for name, value in wanted.module.state_dict().items():
        torch.testing.assert_close(found[name], value)
    for model, state in zip(given, before, strict=True):
        assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_shares_count():
    one, other = models(2)
    found = average([one, other], [0.25, 0.75]).state_dict()["neck.bn.running_mean"]
    torch.testing.assert_close(found, 0.25 * one.neck.bn.running_mean + 0.75 * other.neck.bn.running_mean)


@pytest.mark.parametrize("shares", [[0.5], [0.5, 0.6], [], [float("nan"), 1.0]])
def test_shares_that_do_not_fit_are_refused(shares: list[float]):
    with pytest.raises(ValueError, match="shares with sum 1"):
        average(models(2), shares)


def test_models_of_equal_shapes_and_other_arguments_are_refused():
    args = {"backbone": "test_resnet", "dim": 32, "depth": 1}
    one = denseil.create_model("denseil", **args)
    for name, value in (("num_heads", 4), ("pos_kind", "none")):
        other = denseil.create_model("denseil", **{**args, name: value})
        with pytest.raises(ValueError, match=f"differ in {name}: give models of one architecture"):
            average([one, other])
    average([one, denseil.create_model("denseil", **args, num_heads=8, drop=0.5)])  # the default, and of training only


def test_models_of_two_architectures_are_refused():
    wide = denseil.create_model("denseil", backbone="test_resnet", dim=64, depth=1)
    deep = denseil.create_model("denseil", backbone="test_resnet", dim=32, depth=2)
    for other in (wide, deep):
        with pytest.raises(ValueError, match="models of one architecture"):
            average([models(1)[0], other])
    with pytest.raises(ValueError, match="at least one model"):
        average([])
