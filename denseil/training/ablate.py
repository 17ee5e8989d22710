"""Reruns of the paper's tables: each row is trained with n seeds and evaluated; resumable."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from denseil.common.arguments import checked
from denseil.common.files import replacing
from denseil.data import Tracklet, VideoReIDDataset, read_dataset
from denseil.data.readers.manifest import write_manifest
from denseil.embedding.evaluate import evaluate
from denseil.metrics import RankingResult
from denseil.models import create_model
from denseil.models.interface import FramesPolicy
from denseil.training.ablation_tables import AblationTable, Row, Scores, find_rows, tables
from denseil.training.budget import row_cost, with_budget
from denseil.training.config import TrainConfig
from denseil.training.data_checks import fingerprint, rendered_people
from denseil.training.parallel import side_by_side
from denseil.training.resume import CONFIG
from denseil.training.train import train

SCORES = "scores.json"


@checked
def ablate(
    table: str,
    config: TrainConfig,
    *,
    seeds: int = 3,
    rows: Collection[str] | None = None,
    parallel: int = 1,
    minutes: float | None = None,
) -> Iterator[AblationTable]:
    """Train and evaluate the rows of a table with several seeds.

    Each training has its folder under `config.output`. Finished trainings are not repeated; interrupted ones are
    resumed. Validations of the config are skipped: a row is evaluated once, at its end.

    Args:
        table: A name in `tables()`: "1a" to "1f" of the paper, "frames" or "order".
        config: The training configuration, which rows change.
        seeds: Number of seeds, counted from the config's.
        rows: Names of rows; None for all.
        parallel: Trainings at the same time, each in a process of its own on the same device.
        minutes: Time budget for all trainings. The number of epochs, the same for all rows, is fitted to it from a few
            timed steps of each row, once per output folder. None keeps `config.epochs`.

    Yields:
        The table so far, after each training.

    Raises:
        KeyError: If there is no such table or row.
        ValueError: If `seeds` or `parallel` is less than 1 or `minutes` not above 0, or as `train` raises.
    """
    chosen = find_rows(table, rows)
    for name, value in (("seeds", seeds), ("parallel", parallel)):
        if value < 1:
            raise ValueError(f"{name}={value}: give at least 1")
    if minutes is not None and not minutes > 0:
        raise ValueError(f"minutes={minutes}: give a number above 0, or None for no budget")
    title, place = tables()[table][0], Path(config.output) / table
    with side_by_side(config, parallel) as pool:
        if minutes is not None:
            trials = [(row_config(row, config, place / _slug(row.name) / "trial", config.seed)[0],) for row in chosen]
            timed = (cost for _, cost in pool(row_cost, trials))
            config = with_budget(config, place, minutes=minutes, seeds=seeds, parallel=parallel, costs=timed)
        jobs = [
            (row, config, place / _slug(row.name) / f"seed{seed}", seed)
            for seed in range(config.seed, config.seed + seeds)
            for row in chosen
        ]
        scores: dict[Row, list[Scores]] = {row: [] for row in chosen}
        for number, done in pool(run_row, jobs):
            scores[jobs[number][0]].append(done)
            yield AblationTable(table, title, {row: tuple(own) for row, own in scores.items() if own})


def row_config(row: Row, config: TrainConfig, folder: Path, seed: int) -> tuple[TrainConfig, VideoReIDDataset]:
    """Build the configuration of a row's training, and read the dataset that it is evaluated on."""
    dataset = read_dataset(config.dataset, config.root, **config.data_args)
    if row.shuffle != "none":
        folder.mkdir(parents=True, exist_ok=True)
        dataset = _shuffled(dataset, seed, train=row.shuffle == "all")
        path = write_manifest(dataset, folder / "shuffled.csv")
        config = replace(config, dataset="manifest", root=str(path), data_args={})
    fields = {
        **row.train,
        "model_args": {**config.model_args, **row.model},
        "seed": seed,
        "output": str(folder / "run"),
        "validate_every": 0,
        "test_frames": "none",
    }
    return replace(config, **fields), dataset


def run_row(row: Row, config: TrainConfig, folder: Path, seed: int) -> Scores:
    """Train and evaluate a row with one seed, as far as that has not been done."""
    folder.mkdir(parents=True, exist_ok=True)
    own, dataset = row_config(row, config, folder, seed)
    frames: FramesPolicy = "even8" if config.test_frames == "even8" else "all"
    data = fingerprint([*dataset.train, *dataset.gallery_with_queries()[0]])
    made = {"config": asdict(own), "data": data, "frames": frames}
    kept = folder / SCORES
    if kept.is_file():
        return _kept_scores(kept, own, made)
    done = train(own, resume=(folder / "run" / CONFIG).is_file())
    model = create_model(f"local-dir:{done.folder}", pretrained=True)
    result = evaluate(model, dataset, frames=frames, protocol=config.protocol)
    scores = Scores(
        seed, result.mAP, float(result.cmc[0]), *_over(result, fine_queries(dataset.query, Path(config.root)))
    )
    with replacing(kept) as temporary:
        temporary.write_text(json.dumps({**vars(scores), "made": made}), encoding="utf-8")
    return scores


def _kept_scores(path: Path, config: TrainConfig, made: dict[str, Any]) -> Scores:
    """Read the scores of a row, if they were made in the same way; files of earlier versions do not say all of it.

    Raises:
        ValueError: If the row was trained with another config, or evaluated on other data or frames.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    before = content.pop("made", None)
    begun = TrainConfig.from_dict(before["config"]) if before else TrainConfig.load(path.parent / "run" / CONFIG)
    changed = config.changed_from(begun)
    changed += [name for name in ("data", "frames") if before and before[name] != made[name]]
    if changed:
        raise ValueError(f"{path.parent} holds this row with another {changed[0]}: choose another output")
    return Scores(**content)


def fine_queries(query: Iterable[Tracklet], root: Path) -> list[bool]:
    """Return which queries differ from others in one fine detail, from the manifest of rendered people."""
    known = rendered_people(root, "tracklets", "name", "fine_detail")
    fine = {tracklet["name"] for tracklet in known if tracklet["fine_detail"]}
    return [tracklet.name in fine for tracklet in query]


def _over(result: RankingResult, chosen: list[bool]) -> tuple[float, float]:
    """Return mAP and R-1 over a subset of queries; NaN if it is empty."""
    assert result.average_precision is not None
    assert result.first_match is not None
    counted = np.array(chosen) & ~np.isnan(result.average_precision)
    if not counted.any():
        return float("nan"), float("nan")
    return float(result.average_precision[counted].mean()), float((result.first_match[counted] == 1).mean())


def _shuffled(dataset: VideoReIDDataset, seed: int, *, train: bool) -> VideoReIDDataset:
    """Return the dataset with shuffled frames in each test tracklet, and on request in training tracklets."""
    rng = np.random.default_rng(seed)

    def shuffle(tracklets: Sequence[Tracklet]) -> list[Tracklet]:
        return [replace(each, frames=[each.frames[i] for i in rng.permutation(len(each.frames))]) for each in tracklets]

    return replace(
        dataset,
        train=shuffle(dataset.train) if train else dataset.train,
        query=shuffle(dataset.query),
        gallery=shuffle(dataset.gallery),
    )


def _slug(name: str) -> str:
    """Convert a row's name to a folder name."""
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())
