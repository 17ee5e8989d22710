"""Construction of linear layers."""

import torch
from torch import nn


def xavier_linear(in_features: int, out_features: int, *, bias: bool = True) -> nn.Linear:
    """Build a linear layer with Xavier-uniform weights and a zero bias."""
    # skip_init: sampling torch's default weights first would double the time to build 180 million parameters
    device = torch.empty(0).device  # skip_init does not see `with torch.device(...)`
    linear: nn.Linear = nn.utils.skip_init(nn.Linear, in_features, out_features, bias=bias, device=device)
    nn.init.xavier_uniform_(linear.weight)
    if bias:
        nn.init.zeros_(linear.bias)
    return linear
