"""What a GPU must do as the CPU does. Skipped where there is none."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import denseil
from denseil.training import TrainConfig, train
from tests.data.test_mars import TINY

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


def test_it_agrees_with_the_cpu(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    model = denseil.create_model("denseil_mobilenetv2", pretrained=True).eval()
    clips, mask = torch.randn(4, 6, 3, 128, 64), torch.ones(4, 6, dtype=torch.bool)
    mask[1, 3:] = False
    with torch.inference_mode():
        expected = model(clips, mask)
        found = model.to("cuda")(clips.to("cuda"), mask.to("cuda")).cpu()
        fast = denseil.optimize(model, verbose=False)(clips.to("cuda"), mask.to("cuda")).float().cpu()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))
    assert torch.nn.functional.cosine_similarity(fast, expected).min() > 0.999


@pytest.mark.parametrize("fields", [{}, {"precision": "bf16"}, {"cache": "device"}, {"compile": "default"}], ids=str)
def test_it_trains(tmp_path: Path, fields: dict[str, str]):
    config = TrainConfig.from_recipe("smoke", root=str(TINY), output=str(tmp_path / "run"), device="cuda", **fields)
    done = train(config)
    weights = load_file(done.folder / "model.safetensors")
    assert all(values.isfinite().all() for values in weights.values())


@pytest.mark.slow
def test_the_benchmark_runs():
    from tests.benchmarks.gpu import SECTIONS, Bench

    bench = Bench("cuda", 2, small=True)
    for section in SECTIONS.values():
        assert section(bench)
