import pytest
import torch

import denseil
from denseil import DenseIL


@pytest.fixture(scope="package")
def model() -> DenseIL:
    """A tiny model whose neck is not the identity, so that padding or order that leaks is seen."""
    torch.manual_seed(0)
    model = denseil.create_model("denseil", backbone="test_resnet", dim=32, depth=2, num_heads=4, ffn_dim=32)
    model.pretrained_cfg["input_size"] = (3, 64, 32)
    with torch.no_grad():
        model.neck.bn.running_mean.normal_()
    return model.eval()
