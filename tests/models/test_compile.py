"""torch.compile without a graph break, torch.export with dynamic batch and frames, against eager."""

import pytest
import torch
from torch import Tensor

import denseil
from denseil.models import DenseIL


@pytest.fixture(autouse=True)
def fresh_compiler() -> None:
    torch.compiler.reset()


def build(**arguments: object) -> DenseIL:
    torch.manual_seed(0)
    tiny = {"backbone": "test_resnet", "dim": 32, "num_heads": 4, "ffn_dim": 32, "depth": 1}
    return denseil.create_model("denseil", **(tiny | arguments)).eval()


def padded(batch: int, frames: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(batch + frames)
    clips = torch.randn(batch, frames, 3, 64, 32)
    mask = torch.rand(batch, frames) > 0.4
    mask[:, 0] = True
    clips[~mask] = torch.nan
    return clips, mask


def test_compile_fullgraph():
    """Without a graph break; the traced graph is run as it is."""
    model = build()
    compiled = torch.compile(model, fullgraph=True, backend="eager", dynamic=False)
    clips, mask = padded(2, 3)
    torch.testing.assert_close(compiled(clips, mask), model(clips, mask), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [{}, {"depth": 0}, {"fusion": "concat", "pos_formula": "factored"}])
def test_compile_fullgraph_of_siblings(arguments: dict):
    model = build(**arguments)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    for batch, frames in ((2, 3), (1, 5)):
        clips, mask = padded(batch, frames)
        torch.testing.assert_close(compiled(clips, mask), model(clips, mask), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(compiled(clips.nan_to_num()), model(clips.nan_to_num()), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_compile_fullgraph_with_inductor():
    model = build()
    clips, mask = padded(2, 4)
    compiled = torch.compile(model, fullgraph=True)
    torch.testing.assert_close(compiled(clips, mask), model(clips, mask), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(compiled(clips.nan_to_num()), model(clips.nan_to_num()), atol=1e-4, rtol=1e-4)


def test_compiled_training_refuses_a_mask():
    compiled = torch.compile(build().train(), backend="eager", fullgraph=True)
    with pytest.raises(Exception, match=r"batch norm would see the padding|Observed exception"):  # torch 2.6 says less
        compiled(*padded(2, 3))
    logits, features = compiled(torch.randn(2, 3, 3, 64, 32))
    assert logits is None
    assert features.shape == (2, 32)


@pytest.mark.parametrize(
    ("arguments", "strict"),
    [
        ({}, False),
        ({"depth": 0}, False),
        pytest.param({}, True, marks=pytest.mark.slow),
        pytest.param({"depth": 0}, True, marks=pytest.mark.slow),
        pytest.param({"fusion": "none"}, False, marks=pytest.mark.slow),
        pytest.param({"fusion": "none"}, True, marks=pytest.mark.slow),
    ],
)
def test_export_with_dynamic_batch_and_frames(arguments: dict, strict: bool):
    model = build(**arguments)
    batch, frames = torch.export.Dim("batch", min=1, max=64), torch.export.Dim("frames", min=1, max=512)
    program = torch.export.export(
        model,
        padded(2, 3),
        dynamic_shapes={"clips": {0: batch, 1: frames}, "mask": {0: batch, 1: frames}},
        strict=strict,
    ).module()
    for shape in ((2, 3), (1, 1), (3, 7)):
        clips, mask = padded(*shape)
        torch.testing.assert_close(program(clips, mask), model(clips, mask), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_export_without_a_mask():
    model = build()
    frames = torch.export.Dim("frames", min=1, max=512)
    clips = torch.randn(2, 3, 3, 64, 32)
    program = torch.export.export(model, (clips,), dynamic_shapes=({1: frames},), strict=True)
    clips = torch.randn(2, 6, 3, 64, 32)
    torch.testing.assert_close(program.module()(clips), model(clips), atol=1e-5, rtol=1e-5)
