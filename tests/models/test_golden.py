"""Outputs of fixed weights on a fixed clip, checked in: arithmetic that changes unnoticed is caught here.

`python -m tests.models.test_golden` writes them anew, after a change that is meant.
"""

import json
import zlib
from pathlib import Path

import pytest
import torch

import denseil
from denseil.models import DenseIL, original_name

GOLDEN = Path(__file__).parent.parent / "data" / "golden.json"
SIBLINGS = {
    "attention": {},
    "sum": {"fusion": "sum"},
    "concat": {"fusion": "concat"},
    "none": {"fusion": "none"},
    "baseline": {"depth": 0},
    "factored": {"pos_formula": "factored"},
}


def build(arguments: dict) -> DenseIL:
    """A small model whose weights are waves that depend on the parameters' first names alone."""
    tiny = {"backbone": "test_resnet", "dim": 16, "num_heads": 2, "ffn_dim": 16, "depth": 2, "last_stride": 1}
    model = denseil.create_model("denseil", **(tiny | arguments)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            phase = zlib.crc32(original_name(name).encode()) % 1000
            wave = torch.sin(torch.arange(parameter.numel(), dtype=torch.float64) * 1.7 + phase).view_as(parameter)
            parameter.copy_(1 + 0.1 * wave if parameter.dim() == 1 else wave * (3 / parameter[0].numel()) ** 0.5)
    return model.double()


def embedding(arguments: dict) -> torch.Tensor:
    clips = torch.sin(torch.arange(3 * 3 * 64 * 32, dtype=torch.float64) * 0.013).view(1, 3, 3, 64, 32)
    with torch.no_grad():
        return build(arguments)(clips)[0, :8]


@pytest.mark.parametrize("sibling", SIBLINGS)
def test_golden(sibling: str):
    expected = torch.tensor(json.loads(GOLDEN.read_text())[sibling], dtype=torch.float64)
    torch.testing.assert_close(embedding(SIBLINGS[sibling]), expected, atol=1e-5, rtol=1e-4)


def test_siblings_differ():
    values = [tuple(v) for v in json.loads(GOLDEN.read_text()).values()]
    assert len(set(values)) == len(SIBLINGS)


if __name__ == "__main__":
    golden = {name: [round(v, 6) for v in embedding(a).tolist()] for name, a in SIBLINGS.items()}
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")
