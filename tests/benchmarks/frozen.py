"""The rows of a table on one frozen encoder: each decoder trains alone, on kept tokens, thousands of steps in minutes.

    python -m tests.benchmarks.frozen 1a --train DATA --on people-v1 people-2023 --output runs/frozen.jsonl

The encoder sees every frame of the training tracklets in `--views` augmented forms once; its part tokens are kept in
half precision, and every row trains on the same ones, in the same order for one seed. Rows: those of
`denseil.training.tables()`, of which the baseline has the neck alone to train, and those of `frozen_rows`, as the table
"variants". A ROOT holds rendered people as `frame_counts` reads them. Each training is a line of the output; those that
are there are kept. With `--last-stage` the encoder's last stage (1.3 of MobileNetV2's 1.8 million weights) trains with
each row, from kept maps of level 3; three times the time.
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
from denseil.layers import PartPool
from denseil.losses import named_losses
from denseil.metrics import Embeddings, rank
from denseil.models import DenseIL
from denseil.training import TrainConfig
from denseil.training.ablation_tables import Row, find_rows
from denseil.training.data_checks import wardrobe_groups
from denseil.training.optimizer import make_optimizer, set_lr
from denseil.training.schedule import lr_at
from tests.benchmarks.frame_counts import FRAMES, kept_frames, read
from tests.benchmarks.frozen_rows import CONTROL, VARIANTS, build

PARTS, LEVELS, CLIP_LEN = 8, (1, 2, 3, 4), 4
WIDTHS, LEVEL_3 = [24, 32, 96, 320], (96, 8, 4)  # of MobileNetV2 at 128 x 64
BATCH = 32


@dataclass(frozen=True)
class Kept:
    """Tokens (views, N, frames, PARTS, widths of all levels) of tracklets, in half precision, and who they are of.

    `maps` are those of level 3 (views, N, frames, 96, 8, 4), kept if the last stage is to be trained.
    """

    tokens: Tensor
    maps: Tensor | None
    tracklets: Sequence[Tracklet]

    def chosen(self, *index: Any) -> tuple[Tensor, Tensor | None]:
        """Tokens and maps at an index, in single precision."""
        return self.tokens[index].float(), None if self.maps is None else self.maps[index].float()


def encoder_of(name: str) -> DenseIL:
    """A model whose frozen encoder gives all levels, with the weights of a packaged name or a saved folder."""
    source = create_model(f"local-dir:{name}" if Path(name).is_dir() else name, pretrained=True)
    model = create_model("denseil_mobilenetv2", levels=LEVELS, num_parts=PARTS)
    model.encoder.load_state_dict(source.encoder.state_dict())
    model.preprocessing = source.preprocessing
    return model.eval()


@torch.inference_mode()
def keep(
    model: DenseIL, tracklets: Sequence[Tracklet], transform: ClipTransform, frames: int, views: int, maps: bool
) -> Kept:
    """Encode tracklets once for each view."""
    clips = ClipDataset(tracklets, clip_len=frames, sampling="even", transform=transform)
    prepared = model.preprocessing
    width = sum(model.encoder.channels)
    shape = (views, len(tracklets), frames)
    tokens = torch.empty(*shape, PARTS, width, dtype=torch.float16)
    kept_maps = torch.empty(*shape, *LEVEL_3, dtype=torch.float16) if maps else None
    for view in range(views):
        clips.set_epoch(view)
        for start in range(0, len(tracklets), BATCH):
            part = range(start, min(start + BATCH, len(tracklets)))
            pixels = prepared.normalize(clips.__getitems__(part).clips).flatten(0, 1)
            encoded = [model.encoder(chunk) for chunk in pixels.split(16)]  # maps of all levels, 16 frames at a time
            pooled = torch.cat([model.decoder.pool(levels) for levels in encoded])
            tokens[view, part.start : part.stop] = pooled.unflatten(0, (len(part), frames))
            if kept_maps is not None:
                level_3 = torch.cat([levels[2] for levels in encoded])
                kept_maps[view, part.start : part.stop] = level_3.unflatten(0, (len(part), frames))
    return Kept(tokens, kept_maps, tracklets)


def seen_by(model: DenseIL, tokens: Tensor, maps: Tensor | None) -> Tensor:
    """What the encoder gives this model: its levels, pooled to its parts; (..., PARTS, all) to (..., P, own).

    With maps of level 3, the highest level is what the model's own last stage makes of them.
    """
    parts = list(tokens.split(WIDTHS, -1))
    if maps is not None:
        highest = last_stage(model)(maps.flatten(0, -4).contiguous(memory_format=torch.channels_last))
        parts[-1] = PartPool(PARTS)(highest).unflatten(0, maps.shape[:-3])
    own = [part for level, part in zip(LEVELS, parts, strict=True) if level in model.encoder.levels]
    return torch.cat(own, -1).unflatten(-2, (model.decoder.pool_parts.num_parts, -1)).mean(-2)


def last_stage(model: DenseIL) -> nn.Sequential:
    """From level 3 of a MobileNetV2 to level 4."""
    stage: nn.Sequential = model.encoder.net.blocks[5:]
    return stage


def batches(kept: Kept, groups: dict[int, int] | None, config: TrainConfig) -> Iterator[Tensor]:
    """Indices of the tracklets of one batch after another."""
    sampler = PKSampler(
        kept.tracklets, config.num_ids, config.num_tracklets, seed=config.seed, groups=groups, group_share=0.5
    )
    for epoch in cycle(range(10**6)):
        sampler.set_epoch(epoch)
        yield from torch.tensor(list(sampler)).split(config.num_ids * config.num_tracklets)


def train(
    row: Row, encoder: nn.Module, kept: Kept, groups: dict[int, int] | None, steps: int, seed: int
) -> tuple[DenseIL, float]:
    """Train what comes after what is kept; returns the model and the mean loss of the last tenth of the steps."""
    fields: dict[str, Any] = {"epochs": 1, "warmup": 0.03, "seed": seed, "freeze_bn": "none"}
    length = row.train.get("clip_len", kept.tokens.shape[2])
    own = {name: value for name, value in row.train.items() if name != "clip_len"}
    config = replace(TrainConfig.from_recipe("people"), **fields, **own)
    labels = label_map(kept.tracklets)
    targets = torch.tensor([labels[tracklet.pid] for tracklet in kept.tracklets])
    model = build(row, len(labels), seed).train()
    if kept.maps is not None:
        model.encoder.load_state_dict(encoder.state_dict())
        last_stage(model).requires_grad_(True)
    objective, optimizer = config.make_objective(), make_optimizer(model, config)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    generator, order, losses = torch.Generator().manual_seed(seed), batches(kept, groups, config), []
    for step in range(steps):
        chosen = next(order)
        views = torch.randint(len(kept.tokens), chosen.shape, generator=generator)
        tokens, maps = kept.chosen(views, chosen)  # (B, T, PARTS, widths), (B, T, *LEVEL_3)
        if length < tokens.shape[1]:
            frames = torch.randperm(tokens.shape[1], generator=generator)[:length].sort().values
            tokens, maps = tokens[:, frames], None if maps is None else maps[:, frames]
        set_lr(optimizer, lr_at(config, step, steps))
        logits, features = model.decode(seen_by(model, tokens, maps))
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
    for start in range(0, len(kept.tracklets), BATCH):
        own = seen_by(model, *kept.chosen(0, slice(start, start + BATCH), chosen))
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


def opened(model: DenseIL, root: Path, maps: bool) -> tuple[Kept, Kept, dict[str, list[bool]]]:
    """Tokens of queries and gallery of rendered people, and which queries are fine and which occluded, if known."""
    people = read(root)
    plain, frames = ClipTransform(model.preprocessing.size), len(people.query[0].frames)
    query, gallery = (keep(model, part, plain, frames, 1, maps) for part in (people.query, people.gallery))
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
    parser.add_argument("tables", nargs="+", help="1a, 1b, ..., or variants of the decoder")
    parser.add_argument("--encoder", default="denseil_mobilenetv2_mean.people_v2", metavar="MODEL")
    parser.add_argument("--train", type=Path, required=True, metavar="ROOT")
    parser.add_argument("--on", type=Path, nargs="+", required=True, metavar="ROOT")
    parser.add_argument("--steps", type=int, nargs="+", default=[300, 1000, 3000])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--rows", nargs="+", help="names of rows; all by default")
    parser.add_argument("--last-stage", action="store_true", help="train the encoder's last stage too")
    parser.add_argument("--output", type=Path, required=True, metavar="JSONL")
    options = parser.parse_args()
    tables = {name: VARIANTS if name == "variants" else [CONTROL, *find_rows(name)] for name in options.tables}
    rows = {row.name: row for table_rows in tables.values() for row in table_rows}
    rows = {name: row for name, row in rows.items() if not options.rows or name in options.rows}
    if options.last_stage:
        rows = {f"{name}, last stage": row for name, row in rows.items()}
    model = encoder_of(options.encoder)
    people = read_dataset("mars", options.train)
    transform = TrainConfig.from_recipe("people").transform(model.preprocessing.mean)
    kept = keep(model, people.train, transform, CLIP_LEN, options.views, options.last_stage)
    groups = wardrobe_groups(options.train)
    sets = {root.name: opened(model, root, options.last_stage) for root in options.on}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.loads(line) for line in options.output.read_text().splitlines()] if options.output.exists() else []
    done = {(line["row"], line["steps"], line["seed"]) for line in lines}
    for steps in options.steps:
        for seed in range(options.seeds):
            for name, row in rows.items():
                if (name, steps, seed) in done:
                    continue
                begin = time.monotonic()
                trained, loss = train(row, model.encoder, kept, groups, steps, seed)
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
