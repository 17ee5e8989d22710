"""What is called: every public function, with arguments that work, of which one or two are then replaced."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

import denseil
from denseil.data import ClipDataset, ClipTransform, Tracklet, VideoReIDDataset
from denseil.gallery import MemoryGallery, Record, Where
from denseil.metrics import Embeddings, rank, save_features
from denseil.training import TrainConfig

ROOMS = (
    "layers",
    "losses",
    "metrics",
    "data",
    "models",
    "embedding",
    "training",
    "gallery",
    "viz",
    "exporters",
)
LEFT_OUT = {
    # results that the library makes, not arguments
    *(
        "ReIDOutput",
        "ReIDLosses",
        "Features",
        "NearestItems",
        "RankingResult",
        "SplitResult",
        "Verification",
        "ClipBatch",
    ),
    *("CutReport", "DatasetReport", "Tracks", "Agreement", "AttentionMap", "Profile", "EmbedReport", "AblationTable"),
    *(
        "Plan",
        "TrainResult",
        "Hit",
        "Recall",
        "Stored",
        "Attention",
        "RankedRow",
        "RankedQuery",
        "Shown",
        "ExportReport",
    ),
    *("Price", "ReIDObjective.from", "Neighbours", "AdaptResult", "Links"),
    # protocols and bases
    *("VideoEncoder", "FrameTokenEncoder", "Objective", "ClipHead", "AttentionHead", "ClipModel", "Gallery"),
    # change the process, or reach the network, or take minutes
    *(
        "register_objective",
        "register_model",
        "register_reader",
        "push_to_hub",
        "publish",
        "train",
        "dry_run",
        "ablate",
    ),
    *("export", "optimize", "adapt"),
}
TINY = {"backbone": "test_resnet", "dim": 32, "num_heads": 4, "ffn_dim": 32, "depth": 1, "num_parts": 2}


class Target(NamedTuple):
    """A function, and for each argument that must be given a way to make one that works."""

    name: str
    call: Callable[..., object]
    arguments: dict[str, Callable[[], object]]
    optional: tuple[str, ...]


class World:
    """Small valid things, made once in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        generator = torch.Generator().manual_seed(0)
        self.model = denseil.create_model("denseil", **TINY).eval()
        frames = []
        for number in range(3):
            path = folder / f"frame{number}.png"
            Image.fromarray(np.full((32, 16, 3), 40 * number, np.uint8)).save(path)
            frames.append(str(path))
        self.frames = frames
        self.tracklets = [Tracklet(frames, pid, camid) for pid in (1, 2) for camid in (0, 1)]
        self.dataset = VideoReIDDataset(self.tracklets, self.tracklets[::2], self.tracklets[1::2])
        self.embeddings = Embeddings(torch.randn(8, 4, generator=generator), torch.arange(8) % 3, torch.arange(8) % 2)
        self.features = folder / "features.safetensors"
        records = [{"id": str(i), "start": 0, "end": 1, "thumbnail": None} for i in range(8)]
        save_features(self.features, self.embeddings, metadata={"frames": "all"}, records=records)
        self.saved = folder / "model"
        denseil.save_pretrained(self.model, self.saved)
        self.clips = torch.randn(2, 3, 3, 32, 16, generator=generator)
        self.tokens = torch.randn(2, 6, 8, generator=generator)
        self.config = TrainConfig(root=str(folder))

    def gallery(self) -> MemoryGallery:
        held = MemoryGallery(4)
        held.add([Record(str(i), i % 2) for i in range(4)], np.eye(4, dtype=np.float32))
        return held

    def makers(self) -> dict[str, Callable[[], object]]:
        """By the name of an argument, in any function."""
        pixels = np.zeros((32, 16, 3), np.uint8)
        return {
            **dict.fromkeys(("model",), lambda: self.model),
            **dict.fromkeys(("dataset",), lambda: self.dataset),
            **dict.fromkeys(("tracklets",), lambda: self.tracklets),
            **dict.fromkeys(("frames",), lambda: self.frames),
            **dict.fromkeys(("query", "gallery", "embeddings", "vectors"), lambda: self.embeddings),
            **dict.fromkeys(("features",), lambda: self.features),
            **dict.fromkeys(("folder", "root"), lambda: self.saved),
            **dict.fromkeys(("output", "path"), lambda: self.folder / "out.safetensors"),
            **dict.fromkeys(("pid", "camid", "position", "clip"), lambda: 0),
            **dict.fromkeys(("num_frames", "clip_len", "batch_size", "num_ids", "num_tracklets"), lambda: 2),
            **dict.fromkeys(("dim",), lambda: 8),
            **dict.fromkeys(("num_levels",), lambda: 2),
            **dict.fromkeys(("in_channels",), lambda: [8, 8]),
            **dict.fromkeys(("pids", "camids"), lambda: torch.arange(8) % 2),
            **dict.fromkeys(("clips",), lambda: self.clips),
            **dict.fromkeys(("image", "frame"), lambda: pixels),
            **dict.fromkeys(("mean", "std"), lambda: (0.5, 0.5, 0.5)),
            **dict.fromkeys(("rng",), lambda: np.random.default_rng(0)),
            **dict.fromkeys(("left", "top", "width", "height"), lambda: 4.0),
            **dict.fromkeys(("persons",), lambda: ["a", "b", "c", "d"]),
            **dict.fromkeys(("video", "tracks"), lambda: self.folder / "frame0.png"),
            **dict.fromkeys(("weights",), self.model.state_dict),
            **dict.fromkeys(("origin", "title", "x", "y", "architecture"), lambda: "text"),
            **dict.fromkeys(("entries",), lambda: {"clip_len": 4}),
            **dict.fromkeys(("source", "target"), self.gallery),
            **dict.fromkeys(("records",), lambda: [Record("new", 1)]),
            **dict.fromkeys(("id",), lambda: "0"),
            **dict.fromkeys(("ids",), lambda: ["0"]),
            **dict.fromkeys(("uri",), lambda: "memory://"),
            **dict.fromkeys(("expected", "found"), lambda: torch.eye(4)),
            **dict.fromkeys(("results",), lambda: [rank(self.embeddings, self.embeddings)] * 2),
            **dict.fromkeys(("result",), lambda: rank(self.embeddings, self.embeddings)),
            **dict.fromkeys(("series",), lambda: {"a": [(0.0, 1.0), (1.0, 2.0)]}),
            **dict.fromkeys(("losses",), lambda: {"total": torch.tensor(1.0)}),
            **dict.fromkeys(("embedder",), lambda: denseil.Embedder(self.model)),
            **dict.fromkeys(("train",), lambda: self.tracklets),
            **dict.fromkeys(("names",), lambda: ["frame0.png"]),
            **dict.fromkeys(("with_queries",), lambda: False),
            **dict.fromkeys(("splits",), lambda: denseil.data.make_splits(["a", "b", "c", "d"])),
        }

    def special(self) -> dict[str, Callable[[], object]]:
        """By function and argument, where a name means another thing than elsewhere."""
        return {
            "data.clip_loader.dataset": lambda: ClipDataset(
                self.tracklets, clip_len=2, transform=ClipTransform((32, 16))
            ),
            "data.check_dataset.name": lambda: "mars",
            "data.read_dataset.name": lambda: "mars",
            "data.dataset_splits.name": lambda: "ilids_vid",
            "models.create_model.name": lambda: "denseil_mobilenetv2",
            "models.is_model.name": lambda: "denseil_resnet50",
            "models.original_name.name": lambda: "decoder.x",
            "models.read_weights.path": lambda: self.saved / "model.safetensors",
            "models.profile.frames": lambda: 2,
            "metrics.load_features.path": lambda: self.features,
            "metrics.load_records.path": lambda: self.features,
            "metrics.rank_features.query": lambda: self.features,
            "metrics.rank_features.gallery": lambda: self.features,
            "metrics.Embeddings.vectors": lambda: torch.randn(8, 4),
            "data.ClipDataset.transform": lambda: ClipTransform((32, 16)),
            "data.CachedClips.transform": lambda: ClipTransform((32, 16)),
            "data.ClipTransform.size": lambda: (32, 16),
            "data.Frames.folder": lambda: str(self.folder),
            "data.read_folder.root": lambda: self.folder,
            "data.decode_image.path": lambda: self.frames[0],
            "data.VideoReIDDataset.query": lambda: self.tracklets,
            "data.VideoReIDDataset.gallery": lambda: self.tracklets,
            "losses.create_objective.name": lambda: "reid",
            "gallery.check_recall.gallery": self.gallery,
            "gallery.features_model.path": lambda: self.features,
            "gallery.read_features.path": lambda: self.features,
            "gallery.name_model.weights": lambda: "abc",
            "viz.shown_features.path": lambda: self.features,
            "embedding.calibrate.folder": lambda: self.saved,
        }

    def methods(self) -> dict[str, Callable[..., object]]:
        """Methods, and modules that are called, with what they are methods of."""
        embedder, held = denseil.Embedder(self.model), self.gallery()
        objective = denseil.losses.ReIDObjective()
        return {
            "models.model": self.model.forward,
            "models.encode_frames": lambda frames: self.model.encode_frames(frames),
            "models.attention_maps": self.model.attention_maps,
            "embedding.Embedder.call": lambda frames: embedder(frames),
            "embedding.Embedder.embed": lambda tracklets: embedder.embed(tracklets),
            "embedding.Embedder.threshold": embedder.threshold,
            "losses.objective": lambda logits, features, labels: objective(logits, features, labels),
            "gallery.add": held.add,
            "gallery.search": held.search,
            "gallery.get": held.get,
            "gallery.delete": held.delete,
            "gallery.forget": held.forget,
            "gallery.expire": held.expire,
            "gallery.count": held.count,
            "gallery.Where.call": Where,
            "training.TrainConfig.from_recipe": TrainConfig.from_recipe,
            "training.TrainConfig.from_dict": TrainConfig.from_dict,
            "training.TrainConfig.load": TrainConfig.load,
        }


def targets(world: World) -> Iterator[Target]:
    """All public functions and classes of the rooms, then methods."""
    found: dict[str, Callable[..., object]] = {}
    for room in ROOMS:
        module = importlib.import_module(f"denseil.{room}")
        for name, value in sorted(vars(module).items()):
            ours = str(getattr(value, "__module__", "")).startswith(f"denseil.{room}")
            if not name.startswith("_") and name not in LEFT_OUT and callable(value) and ours:
                found[f"{room}.{name}"] = value
    makers, special = world.makers(), world.special()
    own = {
        "models.encode_frames.frames": lambda: world.clips[0],
        "losses.objective.logits": lambda: torch.randn(4, 3),
        "losses.objective.features": lambda: torch.randn(4, 8),
        "losses.objective.labels": lambda: torch.tensor([0, 0, 1, 1]),
        "gallery.add.vectors": lambda: np.eye(4, dtype=np.float32)[:1],
        "gallery.search.vectors": lambda: np.eye(4, dtype=np.float32)[:1],
        "gallery.expire.before": lambda: 0.0,
        "training.TrainConfig.from_recipe.recipe": lambda: "smoke",
        "training.TrainConfig.from_dict.fields": lambda: {"lr": 1e-4},
        "training.TrainConfig.load.path": lambda: world.folder / "train.yaml",
    }
    for name, call in {**found, **world.methods()}.items():
        try:
            parameters = inspect.signature(call).parameters.values()
        except (TypeError, ValueError):
            continue
        kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        named = [each for each in parameters if each.kind not in kinds]
        required = [each.name for each in named if each.default is inspect.Parameter.empty]
        made = {one: own.get(f"{name}.{one}") or special.get(f"{name}.{one}") or makers.get(one) for one in required}
        optional = tuple(each.name for each in named if each.default is not inspect.Parameter.empty)
        yield Target(name, call, {one: make or (lambda: None) for one, make in made.items()}, optional)
