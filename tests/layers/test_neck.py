"""BNNeck: which feature goes where."""

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from denseil.layers import BNNeck, ReIDOutput


def test_training_gives_logits_after_and_features_before_the_batch_norm():
    neck = BNNeck(8, 5)
    features = torch.randn(6, 8)
    out = neck(features)
    assert isinstance(out, ReIDOutput)
    logits, same = out
    assert same is features
    normal = nn.functional.batch_norm(features, None, None, neck.bn.weight, training=True)
    torch.testing.assert_close(logits, normal @ neck.classifier.weight.T)


def test_eval_gives_the_embedding_whatever_the_classes():
    for num_classes in (0, 5):
        neck = BNNeck(8, num_classes).eval()
        neck.bn.running_mean.normal_()
        features = torch.randn(1, 8)
        torch.testing.assert_close(neck(features), neck.bn(features))


def test_without_classifier_logits_are_none():
    logits, features = BNNeck(8)(torch.randn(3, 8))
    assert logits is None
    assert features.shape == (3, 8)


def test_frozen_bias_and_small_classifier():
    neck = BNNeck(512, 400)
    assert not neck.bn.bias.requires_grad
    assert neck.classifier.bias is None
    assert neck.classifier.weight.std().item() == pytest.approx(0.001, rel=0.02)


def test_reset_classifier_keeps_dtype():
    neck = BNNeck(8, 5).double()
    neck.reset_classifier(3)
    assert neck.classifier.weight.dtype == torch.float64
    assert neck.num_classes == 3
    neck.reset_classifier(0)
    assert neck.classifier is None
    assert "classifier.weight" not in neck.state_dict()
    with pytest.raises(ValueError, match="num_classes=-1"):
        neck.reset_classifier(-1)


def test_without_a_classifier_ddp_waits_for_no_gradient():
    model = nn.Sequential(nn.Linear(4, 4), BNNeck(4)).train()
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        wrapped = DistributedDataParallel(model)
        for _ in range(2):  # the second forward pass would complain of a parameter without a gradient
            wrapped(torch.randn(3, 4)).features.sum().backward()
    finally:
        dist.destroy_process_group()
    model[1].reset_classifier(5)
    assert model[1].bn.weight.requires_grad
