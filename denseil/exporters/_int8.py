"""int8 by NNCF: calibrated on tracklets, with its price in neighbours and mAP beside its gain."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from denseil.data import Tracklet, normalize, read_frame, sample_even
from denseil.data._extras import need
from denseil.data.images import resize_image
from denseil.embedder.exported import ExportedModel, find_parts
from denseil.metrics import Embeddings, rank
from denseil.models import Agreement, agreement

CALIBRATION = 64  # tracklets; more change little and take long


@dataclass(frozen=True)
class Price:
    """What int8 costs and gains, on the tracklets that it was calibrated on (on others it may cost more).

    Attributes:
        agreement: How near its embeddings are to those of float32.
        mAP: Under the protocol "standard", each tracklet a query, float32 and int8; None without a match.
        speed: How many times faster than float32 in the same runtime.
    """

    agreement: Agreement
    mAP: tuple[float, float] | None  # noqa: N815 (the field's spelling)
    speed: float

    def __str__(self) -> str:
        before, after = self.mAP or (float("nan"), float("nan"))
        score = f"mAP {before:.4f} -> {after:.4f}" if self.mAP else "no mAP: no person was seen by two cameras"
        return f"{self.speed:.2f} times as fast as float32; {self.agreement}; {score} (on the calibration tracklets)"


def quantize(path: Path, tracklets: Sequence[Tracklet]) -> Price:
    """Replace OpenVINO files by int8 ones, in place, and measure what that does."""
    before = ExportedModel(path)  # stays open: a file that is replaced lives on
    clips = _clips(tracklets, before.pretrained_cfg)  # (B, 8, 3, H, W)
    expected = _embed(before, clips)
    for part, file in find_parts(path).items():
        _quantize_file(part, file, list(_examples(part, before, clips[:CALIBRATION])))
    after = ExportedModel(path)
    ratios = [_seconds(before, clips[:2]) / _seconds(after, clips[:2]) for _ in range(6)][1:]
    found = _embed(after, clips)
    return Price(agreement(expected, found), _scores(tracklets, expected, found), statistics.median(ratios))


def _quantize_file(part: str, file: Path, examples: list[tuple[Tensor, ...]]) -> None:
    openvino, nncf = (need(name, to="quantise to int8", extra="int8") for name in ("openvino", "nncf"))
    net = openvino.Core().read_model(file)
    names = [value.any_name for value in net.inputs]
    data = nncf.Dataset([dict(zip(names, (x.numpy() for x in example), strict=True)) for example in examples])
    kind = None if part == "encoder" else nncf.ModelType.TRANSFORMER
    small = nncf.quantize(net, data, model_type=kind, subset_size=len(examples))
    temporary = file.with_name(f"int8-{file.name}")
    openvino.save_model(small, temporary, compress_to_fp16=False)
    temporary.with_suffix(".bin").replace(file.with_suffix(".bin"))
    temporary.replace(file)


def _examples(part: str, model: ExportedModel, clips: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Inputs of a part, one clip each."""
    mask = torch.ones(1, clips.shape[1], dtype=torch.bool)
    for clip in clips:
        if part == "encoder":
            yield (clip,)
        else:
            yield (clip if part == "whole" else model.encode_frames(clip))[None], mask


def _clips(tracklets: Sequence[Tracklet], cfg: dict[str, Any]) -> Tensor:
    """Eight even frames of each tracklet, normalised."""
    size = tuple(cfg["input_size"][1:])
    clips = np.stack(
        [
            np.stack(
                [
                    resize_image(read_frame(tracklet.frames, int(i), name=tracklet.name), size)
                    for i in sample_even(len(tracklet.frames), 8)
                ]
            )
            for tracklet in tracklets
        ]
    )
    return normalize(torch.from_numpy(clips).movedim(-1, -3), cfg["mean"], cfg["std"])


def _embed(model: ExportedModel, clips: Tensor) -> Tensor:
    return torch.cat([model(part) for part in clips.split(2)])


def _seconds(model: ExportedModel, clips: Tensor) -> float:
    begin = time.perf_counter()
    model(clips)
    return time.perf_counter() - begin


def _scores(tracklets: Sequence[Tracklet], expected: Tensor, found: Tensor) -> tuple[float, float] | None:
    pids, camids = (torch.tensor([getattr(one, name) for one in tracklets]) for name in ("pid", "camid"))
    try:
        before, after = (rank(each, each).mAP for each in (Embeddings(v, pids, camids) for v in (expected, found)))
    except ValueError:  # no query has a match
        return None
    return before, after
