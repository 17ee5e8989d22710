"""int8 quantisation of OpenVINO models by NNCF, with the accuracy lost and the speed gained."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from denseil.common.extras import need
from denseil.data import Tracklet, read_frame, sample_even
from denseil.data.images import resize_image
from denseil.embedding.export_files import find_parts
from denseil.embedding.exported import ExportedModel
from denseil.embedding.runtimes import openvino_core
from denseil.embedding.seal import seal
from denseil.embedding.tracklet_vectors import embed_tracklets
from denseil.metrics import Embeddings, rank
from denseil.models import Agreement, agreement
from denseil.models.interface import Preprocessing

CALIBRATION = 64  # tracklets; more change little
FRAMES = 8  # of a tracklet, at most
REAL = (8, 4, 2, 1)  # frames under the mask of the calibration's clips, in turn: trackers begin with one


@dataclass(frozen=True)
class Price:
    """Accuracy and speed of an int8 model, on its calibration tracklets (on others it may lose more).

    Attributes:
        agreement: Agreement with the embeddings of float32, of up to 8 frames of each tracklet.
        single: The same with one frame each, as a tracker starts with.
        mAP: mAP of float32 and of int8 under the protocol "standard", with each tracklet as a query; None if nobody was
            seen by two cameras.
        speed: Speed relative to float32 in the same runtime.
    """

    agreement: Agreement
    single: Agreement
    mAP: tuple[float, float] | None  # noqa: N815 (the field's spelling)
    speed: float

    def __str__(self) -> str:
        before, after = self.mAP or (float("nan"), float("nan"))
        score = f"mAP {before:.4f} -> {after:.4f}" if self.mAP else "no mAP: no person was seen by two cameras"
        return (
            f"{self.speed:.2f} times as fast as float32; {self.agreement}; of one frame each: {self.single}; {score} "
            "(on the calibration tracklets)"
        )


def quantize(path: Path, tracklets: Sequence[Tracklet]) -> Price:
    """Replace OpenVINO files with int8 ones, in place, and measure accuracy and speed."""
    before = ExportedModel(path)  # stays open: a file that is replaced lives on
    clips = _clips(tracklets[:CALIBRATION], before.preprocessing)  # (B, 8, 3, H, W)
    expected, expected_single = _embed(before, tracklets, FRAMES), _embed(before, tracklets, 1)
    for part, file in find_parts(path).items():
        _quantize_file(part, file, list(_examples(part, before, clips)))
    after = ExportedModel(path)
    ratios = [_seconds(before, clips[:2]) / _seconds(after, clips[:2]) for _ in range(6)][1:]
    found, found_single = _embed(after, tracklets, FRAMES), _embed(after, tracklets, 1)
    return Price(
        agreement(expected, found),
        agreement(expected_single, found_single),
        _scores(tracklets, expected, found),
        statistics.median(ratios),
    )


def _quantize_file(part: str, file: Path, examples: list[tuple[Tensor, ...]]) -> None:
    openvino, nncf = (need(name, to="quantise to int8", extra="int8") for name in ("openvino", "nncf"))
    net = openvino_core(openvino).read_model(file)
    names = [value.any_name for value in net.inputs]
    data = nncf.Dataset([dict(zip(names, (x.numpy() for x in example), strict=True)) for example in examples])
    kind = None if part == "encoder" else nncf.ModelType.TRANSFORMER
    with redirect_stdout(sys.stderr):  # NNCF's progress bars
        small = nncf.quantize(net, data, model_type=kind, subset_size=len(examples))
    temporary = file.with_name(f"int8-{file.name}")
    openvino.save_model(small, temporary, compress_to_fp16=False)
    temporary.with_suffix(".bin").replace(file.with_suffix(".bin"))
    temporary.replace(file)
    seal(file)


def _examples(part: str, model: ExportedModel, clips: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Calibration inputs of a part, one clip each; masks as an `Embedder` pads short tracklets."""
    for number, clip in enumerate(clips):
        real = REAL[number % len(REAL)]
        if part == "encoder":
            yield (clip,)
        elif not model.takes_mask:
            yield (clip[:real][None],)
        else:
            yield (clip if part == "whole" else model.encode_frames(clip))[None], (torch.arange(FRAMES) < real)[None]


def _clips(tracklets: Sequence[Tracklet], prepared: Preprocessing) -> Tensor:
    """Eight evenly spaced frames of each tracklet, normalised: (B, 8, 3, H, W)."""
    clips = np.stack(
        [
            np.stack(
                [
                    resize_image(read_frame(tracklet.frames, int(i), name=tracklet.name), prepared.size)
                    for i in sample_even(len(tracklet.frames), FRAMES)
                ]
            )
            for tracklet in tracklets
        ]
    )
    return prepared.normalize(torch.from_numpy(clips).movedim(-1, -3))


def _embed(model: ExportedModel, tracklets: Sequence[Tracklet], most: int) -> Tensor:
    """Embeddings (B, D) of at most `most` evenly spaced frames of each tracklet, with few frames in memory at once."""
    chosen = ([one.frames[i] for i in np.unique(sample_even(len(one.frames), most)).tolist()] for one in tracklets)
    return torch.stack(list(embed_tracklets(model, chosen, budget=64)))


def _seconds(model: ExportedModel, clips: Tensor) -> float:
    begin = time.perf_counter()
    model(clips)
    return time.perf_counter() - begin


def _scores(tracklets: Sequence[Tracklet], expected: Tensor, found: Tensor) -> tuple[float, float] | None:
    pids, camids = (np.array([getattr(one, name) for one in tracklets]) for name in ("pid", "camid"))
    persons = torch.from_numpy(np.flatnonzero(pids > 0))
    if not any(len(set(camids[pids == pid])) > 1 for pid in set(pids[pids > 0].tolist())):
        return None
    gallery = (Embeddings(vectors, pids, camids) for vectors in (expected, found))
    before, after = (rank(each[persons], each).mAP for each in gallery)
    return before, after
