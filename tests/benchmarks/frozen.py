"""The rows of a table on one frozen encoder: each decoder trains alone, on kept tokens, thousands of steps in minutes.

    python -m tests.benchmarks.frozen 1a --train DATA --on people-v1 people-2023 --output runs/frozen.jsonl

The encoder sees every frame of the training tracklets in `--views` augmented forms once; its part tokens are kept in
half precision, and every row trains on the same ones, in the same order for one seed. Rows: those of
`denseil.training.tables()`, of which the baseline has the neck alone to train, and a control without attention,
"averaged, linear": the mean of the frames and a linear layer to d = 256. A ROOT holds rendered people as `frame_counts`
reads them. Each training is a line of the output; those that are there are kept.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from denseil import create_model
from denseil.data import ClipDataset, ClipTransform, PKSampler, Tracklet, label_map, read_dataset, sample_all
from denseil.layers import ClipHead, PartPool
from denseil.losses import named_losses
from denseil.metrics import Embeddings, rank
from denseil.models import DenseIL
from denseil.training import TrainConfig
from denseil.training.ablation_tables import Row, find_rows
from denseil.training.data_checks import wardrobe_groups
from denseil.training.optimizer import make_optimizer, set_lr
from denseil.training.schedule import lr_at
from tests.benchmarks.frame_counts import FRAMES, kept_frames, read

PARTS, LEVELS, CLIP_LEN = 8, (1, 2, 3, 4), 4
CONTROL = Row("averaged, linear", {"depth": 0})
BATCH = 32


@dataclass(frozen=True)
class Kept:
    """Tokens (views, N, frames, PARTS, widths of all levels) of tracklets, in half precision, and who they are of."""

    tokens: Tensor
    tracklets: Sequence[Tracklet]


class Linear(ClipHead):
    """The mean of the tokens, and a linear layer."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.in_channels, self.dim = [width], dim
        self.pool_parts, self.proj = PartPool(1), nn.Linear(width, dim)

    def decode(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        real = torch.ones(tokens.shape[:2], dtype=torch.bool) if mask is None else mask  # (B, T)
        mean = (tokens.mean(2) * real[..., None]).sum(1) / real.sum(1, keepdim=True)  # (B, width)
        projected: Tensor = self.proj(mean)
        return projected


def encoder_of(name: str) -> DenseIL:
    """A model whose frozen encoder gives all levels, with the weights of a packaged name or a saved folder."""
    source = create_model(f"local-dir:{name}" if Path(name).is_dir() else name, pretrained=True)
    model = create_model("denseil_mobilenetv2", levels=LEVELS, num_parts=PARTS)
    model.encoder.load_state_dict(source.encoder.state_dict())
    model.preprocessing = source.preprocessing
    return model.eval()


@torch.inference_mode()
def keep(model: DenseIL, tracklets: Sequence[Tracklet], transform: ClipTransform, frames: int, views: int) -> Kept:
    """Encode tracklets once for each view."""
    clips = ClipDataset(tracklets, clip_len=frames, sampling="even", transform=transform)
    prepared = model.preprocessing
    width = sum(model.encoder.channels)
    tokens = torch.empty(views, len(tracklets), frames, PARTS, width, dtype=torch.float16)
    for view in range(views):
        clips.set_epoch(view)
        for start in range(0, len(tracklets), BATCH):
            part = range(start, min(start + BATCH, len(tracklets)))
            pixels = prepared.normalize(clips.__getitems__(part).clips).flatten(0, 1)
            encoded = torch.cat([model.encode_frames(chunk) for chunk in pixels.split(16)])
            tokens[view, part.start : part.stop] = encoded.unflatten(0, (len(part), frames))
    return Kept(tokens, tracklets)


def seen_by(model: DenseIL, tokens: Tensor) -> Tensor:
    """What the encoder would give this model: its levels, pooled to its parts; (..., PARTS, all) to (..., P, own)."""
    widths = [24, 32, 96, 320]
    own = [part for level, part in zip(LEVELS, tokens.split(widths, -1), strict=True) if level in model.encoder.levels]
    return torch.cat(own, -1).unflatten(-2, (model.decoder.pool_parts.num_parts, -1)).mean(-2)


def build(row: Row, num_classes: int, seed: int) -> DenseIL:
    torch.manual_seed(seed)
    model = create_model("denseil_mobilenetv2", num_classes=num_classes, **{"drop": 0.0, **row.model})
    if row is CONTROL:
        model.decoder = Linear(model.encoder.channels[-1], 256)
        model.neck = type(model.neck)(256, num_classes)
    if not model.decoder.pool_parts.num_parts <= PARTS:
        raise ValueError(f"row {row.name}: at most {PARTS} parts")
    model.encoder.requires_grad_(False)
    return model


def batches(kept: Kept, groups: dict[int, int] | None, config: TrainConfig) -> Iterator[Tensor]:
    """Indices of the tracklets of one batch after another."""
    sampler = PKSampler(
        kept.tracklets, config.num_ids, config.num_tracklets, seed=config.seed, groups=groups, group_share=0.5
    )
    for epoch in cycle(range(10**6)):
        sampler.set_epoch(epoch)
        yield from torch.tensor(list(sampler)).split(config.num_ids * config.num_tracklets)


def train(row: Row, kept: Kept, groups: dict[int, int] | None, steps: int, seed: int) -> tuple[DenseIL, float]:
    """Train what comes after the encoder; returns the model and the mean loss of the last tenth of the steps."""
    fields: dict[str, Any] = {"epochs": 1, "warmup": 0.03, "seed": seed, "freeze_bn": "none"}
    config = replace(TrainConfig.from_recipe("people"), **fields)
    labels = label_map(kept.tracklets)
    targets = torch.tensor([labels[tracklet.pid] for tracklet in kept.tracklets])
    model = build(row, len(labels), seed).train()
    objective, optimizer = config.make_objective(), make_optimizer(model, config)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    generator, order, losses = torch.Generator().manual_seed(seed), batches(kept, groups, config), []
    length = row.train.get("clip_len", kept.tokens.shape[2])
    for step in range(steps):
        chosen = next(order)
        views = torch.randint(len(kept.tokens), chosen.shape, generator=generator)
        tokens = kept.tokens[views, chosen].float()  # (B, T, PARTS, widths)
        if length < tokens.shape[1]:
            tokens = tokens[:, torch.randperm(tokens.shape[1], generator=generator)[:length].sort().values]
        set_lr(optimizer, lr_at(config, step, steps))
        logits, features = model.decode(seen_by(model, tokens))
        total = named_losses(objective(logits, features, targets[chosen]))["total"]
        total.backward()
        nn.utils.clip_grad_norm_(parameters, config.clip_grad or float("inf"))
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(total.detach()))
    return model.eval(), statistics.mean(losses[-max(1, steps // 10) :])


@torch.inference_mode()
def embed(model: DenseIL, kept: Kept, count: int | None) -> Embeddings:
    """Vectors of tracklets with `count` frames, or all, as `Embedder` makes them."""
    held = kept.tokens.shape[2]
    chosen = kept_frames(held, count)
    rows, masks = (torch.from_numpy(each) for each in sample_all(len(chosen), CLIP_LEN))  # (clips, T)
    vectors = []
    for tokens in kept.tokens[0][:, chosen].split(256):
        own = seen_by(model, tokens.float())
        clips = torch.stack([model.decode(own[:, row], mask.expand(len(own), -1)) for row, mask in zip(rows, masks)])  # noqa: B905
        vectors.append(clips.mean(0))
    pids, camids = (torch.tensor([getattr(one, key) for one in kept.tracklets]) for key in ("pid", "camid"))
    return Embeddings(torch.cat(vectors), pids, camids)


def scores(model: DenseIL, query: Kept, gallery: Kept, marked: dict[str, list[bool]]) -> dict[str, float]:
    """mAP in percent with 1, 4 and all frames; with all also over queries that are marked."""
    found: dict[str, float] = {}
    for count in FRAMES:
        result = rank(*(embed(model, kept, count) for kept in (query, gallery)))
        found[str(count or "all")] = 100 * result.mAP
    precision = np.asarray(result.average_precision)
    for name, mark in marked.items():
        found[name] = 100 * float(np.nanmean(precision[np.array(mark)]))
    return found


def opened(model: DenseIL, root: Path) -> tuple[Kept, Kept, dict[str, list[bool]]]:
    """Tokens of queries and gallery of rendered people, and which queries are fine and which occluded, if known."""
    people = read(root)
    plain, frames = ClipTransform(model.preprocessing.size), len(people.query[0].frames)
    query, gallery = (keep(model, part, plain, frames, 1) for part in (people.query, people.gallery))
    if not (root / "manifest.json").exists():
        return query, gallery, {}
    known = {each["name"]: each for each in json.loads((root / "manifest.json").read_text())["tracklets"]}
    marks = {"fine": "fine_detail", "occluded": "occluded"}
    return query, gallery, {name: [bool(known[one.name][key]) for one in people.query] for name, key in marks.items()}


def table(lines: Sequence[dict[str, Any]]) -> str:
    """Mean and standard deviation over seeds, in Markdown, a table for each set and number of steps."""
    text = []
    for root, steps in dict.fromkeys((root, line["steps"]) for line in lines for root in line["scores"]):
        text += [f"{root}, {steps} steps", "", "| row | 1 frame | 4 | all | fine | occluded | loss | seeds |"]
        text.append("|---" * 8 + "|")
        for name in dict.fromkeys(line["row"] for line in lines):
            own = [line for line in lines if line["row"] == name and line["steps"] == steps]
            cells = []
            for key in ("1", "4", "all", "fine", "occluded"):
                values = [line["scores"][root][key] for line in own if key in line["scores"].get(root, {})]
                spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
                cells.append(f"{statistics.mean(values):.1f}{spread}" if values else "")
            loss = statistics.mean(line["loss"] for line in own) if own else float("nan")
            text.append(f"| {name} | {' | '.join(cells)} | {loss:.2f} | {len(own)} |")
        text.append("")
    return "\n".join(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="+", help="1a, 1b, ...")
    parser.add_argument("--encoder", default="denseil_mobilenetv2_mean.people_v2", metavar="MODEL")
    parser.add_argument("--train", type=Path, required=True, metavar="ROOT")
    parser.add_argument("--on", type=Path, nargs="+", required=True, metavar="ROOT")
    parser.add_argument("--steps", type=int, nargs="+", default=[300, 1000, 3000])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--rows", nargs="+", help="names of rows; all by default")
    parser.add_argument("--output", type=Path, required=True, metavar="JSONL")
    options = parser.parse_args()
    rows = {row.name: row for name in options.tables for row in [CONTROL, *find_rows(name)]}
    rows = {name: row for name, row in rows.items() if not options.rows or name in options.rows}
    model = encoder_of(options.encoder)
    people = read_dataset("mars", options.train)
    transform = TrainConfig.from_recipe("people").transform(model.preprocessing.mean)
    kept = keep(model, people.train, transform, CLIP_LEN, options.views)
    groups = wardrobe_groups(options.train)
    sets = {root.name: opened(model, root) for root in options.on}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.loads(line) for line in options.output.read_text().splitlines()] if options.output.exists() else []
    done = {(line["row"], line["steps"], line["seed"]) for line in lines}
    for steps in options.steps:
        for seed in range(options.seeds):
            for name, row in rows.items():
                if (name, steps, seed) in done:
                    continue
                begin = time.monotonic()
                trained, loss = train(row, kept, groups, steps, seed)
                found = {root: scores(trained, *tokens) for root, tokens in sets.items()}
                seconds = time.monotonic() - begin
                lines.append(
                    {"row": name, "steps": steps, "seed": seed, "loss": loss, "seconds": seconds, "scores": found}
                )
                with options.output.open("a") as file:
                    print(json.dumps(lines[-1]), file=file, flush=True)
                print(f"{name}, {steps} steps, seed {seed}: {seconds:.0f} s", flush=True)
    print(table(lines))


if __name__ == "__main__":
    main()
