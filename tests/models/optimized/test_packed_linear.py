"""The packed layer against torch's own, in every form that it takes."""

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from denseil.models.optimized.packed_linear import PackedLinear

EXACT = {torch.float32: 1e-5, torch.bfloat16: 2e-2}
COPIES: dict[str, Callable[[PackedLinear], PackedLinear]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda layer: pickle.loads(pickle.dumps(layer)),
    "to": lambda layer: layer.to("cpu"),
}


def layers(bias: bool = True) -> list[nn.Linear]:
    torch.manual_seed(0)
    return [nn.Linear(24, 16, bias), nn.Linear(24, 40, bias)]


@given(
    shape=st.lists(st.integers(0, 5), min_size=1, max_size=3),
    dtype=st.sampled_from(list(EXACT)),
    bias=st.booleans(),
    relu=st.booleans(),
    strided=st.booleans(),
)
def test_is_the_linear_layers_one_after_another(
    shape: list[int], dtype: torch.dtype, bias: bool, relu: bool, strided: bool
):
    linears = layers(bias)
    x = torch.randn(*shape, 30)[..., 3:27] if strided else torch.randn(*shape, 24)
    expected = torch.cat([one(x) for one in linears], -1)
    found = PackedLinear(linears, dtype, relu=relu)(x)
    assert found.dtype == dtype
    torch.testing.assert_close(
        found.float(), expected.relu() if relu else expected, atol=EXACT[dtype], rtol=EXACT[dtype]
    )


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("dtype", EXACT)
def test_copies_compute_the_same(way: str, dtype: torch.dtype):
    layer, x = PackedLinear(layers(), dtype), torch.randn(3, 24)
    assert torch.equal(COPIES[way](layer)(x), layer(x))


@pytest.mark.parametrize("relu", [False, True])
def test_gradients_of_what_goes_in_are_those_of_the_linear_layers(relu: bool):
    linears, x = layers(), torch.randn(3, 24, requires_grad=True)
    plain = torch.cat([one(x) for one in linears], -1)
    (expected,) = torch.autograd.grad((plain.relu() if relu else plain).square().sum(), x)
    (found,) = torch.autograd.grad(PackedLinear(linears, torch.float32, relu=relu)(x).square().sum(), x)
    torch.testing.assert_close(found, expected)


def test_a_change_of_type_changes_the_product():
    layer, x = PackedLinear(layers(), torch.float32), torch.randn(3, 24)
    expected = layer(x)
    torch.testing.assert_close(layer.bfloat16()(x).float(), expected, atol=2e-2, rtol=2e-2)
    assert layer(x).dtype == torch.bfloat16
    assert layer.double()(x).dtype == torch.float64  # oneDNN has none: computed as torch does


def test_only_x86_packs(monkeypatch: pytest.MonkeyPatch):
    x, packs = torch.randn(3, 24), torch.backends.cpu.get_cpu_capability().startswith("AVX")
    packed = PackedLinear(layers(), torch.float32, relu=True)
    assert packed.weight.is_mkldnn == (packs and torch.backends.mkldnn.is_available())
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "NEON")
    plain = PackedLinear(layers(), torch.float32, relu=True)
    assert not plain.weight.is_mkldnn
    torch.testing.assert_close(plain(x), packed(x))
