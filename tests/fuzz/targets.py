"""What is called: every public function, with arguments that work, of which one or two are then replaced."""

from __future__ import annotations

import importlib
import inspect
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

import denseil
from denseil.data import ClipDataset, ClipTransform, Tracklet, VideoReIDDataset
from denseil.gallery import MemoryGallery, Record, Where
from denseil.linking import OnlineLinker, link
from denseil.metrics import Embeddings, rank, save_features
from denseil.training import TrainConfig
from denseil.viz import Attention, Page, PersonRow, PersonTrack, Shown, StripRow, attention_strips, ranked

ROOMS = (
    *("layers", "losses", "metrics", "data", "models", "embedding", "training", "gallery", "viz", "exporters"),
    *("linking", "synth", "common.heap"),
)
RESULTS = (
    "ReIDOutput ReIDLosses Features NearestItems RankingResult SplitResult Verification ClipBatch CutReport Tracks "
    "DatasetReport Agreement AttentionMap Profile EmbedReport AblationTable Plan TrainResult Hit Recall Stored Price "
    "ExportReport AdaptResult Links Event Doubt Answers Rules Threshold"
)
LEFT_OUT = {
    **dict.fromkeys(RESULTS.split(), "a result that the library makes"),
    **dict.fromkeys(("VideoEncoder", "FrameTokenEncoder", "Objective", "ClipHead"), "a protocol"),
    **dict.fromkeys(("AttentionHead", "ClipModel", "Gallery"), "a protocol, or a base class"),
    **dict.fromkeys(("register_objective", "register_model", "register_reader"), "changes the process"),
    **dict.fromkeys(("push_to_hub", "publish"), "reaches the network; tests/models/test_publish.py"),
    **dict.fromkeys(("train", "dry_run", "ablate", "adapt"), "takes minutes; the verbs are called, and TrainConfig"),
    "optimize": "takes seconds; tests/models/optimized",
    "auto_threshold": "takes tracks that link has checked",
    **dict.fromkeys(
        ("synthesize", "write_people", "benchmark", "synth.verify", "walks", "Recipe", "People"), "renders for minutes"
    ),
    "keep_heap": "takes no argument",
}
"""Public names that are not called, each with the reason."""
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
        self.numbers = itertools.count()
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
        self.links = link(self.embeddings.vectors, camids=[0] * 8, threshold=0.5)
        self.shown = [Shown(str(number), 1) for number in range(8)]
        self.attention = Attention((0, 4), torch.full((2, 3, 2), 1 / 12), tuple(frames))
        self.tracks = folder / "tracks.txt"
        self.tracks.write_text("1,7,0,0,9,9\n2,7,0,0,9,9\n")
        self.answers = folder / "answers.csv"
        self.answers.write_text("tracklet,other,same\na,b,yes\n")
        self.travel = folder / "travel.csv"
        self.travel.write_text("from,to,least,most\n1,2,5,\n")

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
            "embedding.embed_to_file.output": self.fresh,
            "embedding.update_supervision.embedder": self.tracker,
            "embedding.update_supervision.detections": lambda: SimpleNamespace(
                tracker_id=np.array([3]), xyxy=np.array([[0, 0, 9, 9.0]])
            ),
            "embedding.update_deep_sort.embedder": self.tracker,
            "embedding.update_deep_sort.tracker": lambda: SimpleNamespace(update_tracks=lambda *_, **__: []),
            "embedding.update_deep_sort.detections": lambda: [([0, 0, 9, 9], 0.9, "person")],
            "viz.attention_by_frame.attention": lambda: self.model.attention_maps(self.clips)[0],
            "viz.evaluation_page.query": lambda: (self.embeddings, self.shown),
            "viz.evaluation_page.gallery": lambda: (self.embeddings, self.shown),
            "viz.rank_to_show.query": lambda: (self.embeddings, self.shown),
            "viz.rank_to_show.gallery": lambda: (self.embeddings, self.shown),
            "viz.ranked.query": lambda: self.shown[0],
            "viz.ranked.found": lambda: [(self.shown[1], 0.5)],
            "viz.attention_strips.attention": lambda: self.attention,
            "viz.shown_dataset.vectors": lambda: Embeddings(torch.randn(4, 4), [1, 1, 2, 2], [0, 1, 0, 1]),
            "linking.link.vectors": lambda: self.embeddings.vectors,
            "linking.link.camids": lambda: [0] * 8,
            "linking.doubts.links": lambda: self.links,
            "linking.doubts.vectors": lambda: self.embeddings.vectors,
            "linking.csv_names.names": lambda: ["a", "=b"],
            "linking.read_answers.path": lambda: self.answers,
            "linking.read_answers.rows": lambda: {"a": 0, "b": 1},
            "linking.read_travel.path": lambda: self.travel,
            "linking.write_mot.tracks": lambda: self.tracks,
            "linking.write_mot.path": lambda: self.folder / "persons.txt",
            "linking.write_mot.persons": lambda: {7: [1]},
            "linking.persons_of_tracks.ids": lambda: ["c1/a.mp4/7@0", "c1/a.mp4/8@0"],
            "linking.persons_of_tracks.person": lambda: np.array([1, 2]),
        }

    def tracker(self) -> denseil.TrackletEmbedder:
        return denseil.TrackletEmbedder(self.model)

    def fresh(self) -> Path:
        """The path of a features file that is not there yet."""
        return self.folder / f"{next(self.numbers)}.safetensors"

    def methods(self) -> dict[str, Callable[..., object]]:
        """Methods, and modules that are called, with what they are methods of."""
        embedder, held = denseil.Embedder(self.model), self.gallery()
        tracker, linker, page = self.tracker(), OnlineLinker(threshold=0.5), Page("title")
        objective = denseil.losses.ReIDObjective()
        return {
            "models.model": self.model.forward,
            "models.encode_frames": lambda frames: self.model.encode_frames(frames),
            "models.attention_maps": self.model.attention_maps,
            "embedding.Embedder.call": lambda frames: embedder(frames),
            "embedding.Embedder.embed": lambda tracklets: embedder.embed(tracklets),
            "embedding.Embedder.threshold": embedder.threshold,
            "embedding.Embedder.same": embedder.same,
            "embedding.Embedder.stream": embedder.stream,
            "embedding.Embedder.from_exported": denseil.Embedder.from_exported,
            "embedding.TrackletEmbedder.update": tracker.update,
            "embedding.TrackletEmbedder.encode": tracker.encode,
            "embedding.TrackletEmbedder.decode": tracker.decode,
            "embedding.TrackletEmbedder.embedding": lambda track_id: tracker.embedding(track_id),
            "embedding.TrackletEmbedder.embeddings": lambda track_ids: tracker.embeddings(track_ids),
            "embedding.TrackletEmbedder.kept": tracker.kept,
            "embedding.TrackletEmbedder.drop": tracker.drop,
            "linking.OnlineLinker.update": linker.update,
            "linking.OnlineLinker.person": linker.person,
            "linking.Links.to_csv": self.links.to_csv,
            "viz.Page.add_text": page.add_text,
            "viz.Page.add_table": page.add_table,
            "viz.Page.add_ranks": page.add_ranks,
            "viz.Page.add_persons": page.add_persons,
            "viz.Page.add_strips": page.add_strips,
            "viz.Page.write": page.write,
            "viz.Thumbnails.number": page.thumbnails.number,
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
            if not name.startswith("_") and not {name, f"{room}.{name}"} & LEFT_OUT.keys() and callable(value) and ours:
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
        "embedding.TrackletEmbedder.update.track_ids": lambda: [1, 2],
        "embedding.TrackletEmbedder.update.crops": lambda: [np.zeros((9, 5, 3), np.uint8)] * 2,
        "embedding.TrackletEmbedder.encode.crops": lambda: [np.zeros((9, 5, 3), np.uint8)] * 2,
        "embedding.Embedder.same.a": lambda: torch.ones(4),
        "embedding.Embedder.same.b": lambda: torch.ones(4),
        "linking.OnlineLinker.update.camera": lambda: 1,
        "linking.OnlineLinker.update.track_id": lambda: "a",
        "linking.OnlineLinker.update.vector": lambda: np.ones(4),
        "linking.OnlineLinker.update.time": lambda: 1e9,
        "linking.Links.to_csv.path": lambda: world.folder / "links.csv",
        "viz.Page.write.path": lambda: world.folder / "page.html",
        "viz.Page.add_table.columns": lambda: ("a", "b"),
        "viz.Page.add_table.rows": lambda: [(1, 2.0)],
        "viz.Page.add_persons.persons": lambda: [PersonRow("1", [PersonTrack("a")])],
        "viz.Page.add_ranks.queries": lambda: [ranked(world.shown[0], [(world.shown[1], 0.5)])],
        "viz.Page.add_strips.rows": lambda: [StripRow("1", attention_strips(world.attention))],
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
