"""The resizing inside an image network, against torch's own."""

import pytest
import torch
from torch.nn import functional as F

from denseil.models.single_frame import resize_antialiased


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("size", [(200, 90), (400, 150), (64, 32), (3000, 20)])
def test_any_size_is_resized_alike_in_any_precision(size: tuple[int, int], dtype: torch.dtype):
    torch.manual_seed(0)
    frames = torch.rand(1, 3, *size)
    expected = F.interpolate(frames, (256, 128), mode="bilinear", antialias=True)
    found = resize_antialiased(frames.to(dtype), (256, 128))
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=1e-5 if dtype is torch.float32 else 1e-2)
