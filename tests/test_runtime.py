"""`denseil.runtime`: the vectors of torch, in numpy; and the distribution without torch, built, installed and run."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import denseil
from denseil import runtime
from denseil.data import Tracklet, read_dataset
from tests.data.test_mars import TINY

ROOT = Path(__file__).parent.parent

IN_THE_OTHER = """
import json, sys
from pathlib import Path
import numpy as np
from denseil import gallery, linking, runtime

export, folder, uri = sys.argv[1:]
frames = [sorted(map(str, Path(one).glob("*.jpg"))) for one in json.loads(Path(folder, "tracklets.json").read_text())]
embedder = runtime.Embedder.from_exported(export)
vectors = embedder.embed(frames)
np.save(Path(folder, "vectors.npy"), vectors)
tracks = runtime.TrackletEmbedder(export)
from denseil.data.images import decode_image
for step in range(6):
    tracks.update([0, 1], [decode_image(own[step]) for own in frames[:2]])
np.save(Path(folder, "tracks.npy"), tracks.embeddings([0, 1]))
links = linking.link(vectors, camids=[1] * len(vectors), threshold=0.5, nearest=2)
model_id = embedder.network.model_id
with gallery.open(uri, dim=embedder.num_features, model=model_id) as people:
    people.add([gallery.Record(str(row), camid=1, start=0.0) for row in range(len(vectors))], vectors)
    gallery.save(people, Path(folder, "people.npz"))
loaded = sorted({"torch", "timm", "torchvision", "einops"} & set(sys.modules))
try:
    import torch
except ModuleNotFoundError:
    loaded.append("no torch")
same = embedder.same(vectors[0], vectors[0])
print(json.dumps([loaded, links.person.tolist(), embedder.threshold(), same]))
"""

AFTER_A_RESTART = """
import json, sys
from pathlib import Path
import numpy as np
from denseil import gallery

folder, uri = sys.argv[1:]
people = gallery.load(Path(folder, "people.npz"))
if uri != "memory://":
    people = gallery.open(uri, dim=people.dim, model=people.model)
vectors = np.load(Path(folder, "vectors.npy"))
hit = people.search(vectors[:1], k=1, where=gallery.Where(camids=[1]))[0][0]
gone = people.delete(["1"])
people.optimize()
kept = sorted(stored.record.id for some in people.scan() for stored in some)
print(json.dumps([hit.record.id, gone, kept]))
"""


@pytest.fixture(scope="module")
def tracklets() -> list[Tracklet]:
    data = read_dataset("mars", TINY)
    return [*data.query, *data.gallery[:2]]


@pytest.fixture(scope="module")
def model() -> denseil.DenseIL:
    torch.manual_seed(0)
    model = denseil.create_model("denseil", backbone="test_resnet", dim=32, depth=1, num_heads=4, ffn_dim=32)
    model.pretrained_cfg["input_size"] = (3, 64, 32)
    model.denseil_cfg["clip_len"] = 3
    model.denseil_cfg["thresholds"] = {"eer": {"threshold": 0.4}, "far": {"0.01": 0.6}}
    with torch.no_grad():
        model.neck.bn.running_mean.normal_()
    return model.eval()


@pytest.fixture(scope="module")
def exports(model: denseil.DenseIL, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("exports")
    paths = {"whole": folder / "whole.onnx", "parts": folder / "parts", "crops": folder / "crops.onnx"}
    denseil.export(model, paths["whole"])
    denseil.export(model, paths["parts"], parts=True)
    denseil.export(model, paths["crops"], crops=True)
    return paths


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["whole", "parts", "crops"])
@pytest.mark.parametrize("frames", ["all", "even8"])
def test_vectors_are_those_of_torch(exports: dict[str, Path], tracklets: list[Tracklet], kind: str, frames: str):
    path = exports[kind]
    theirs = denseil.Embedder.from_exported(path, frames=frames).embed(tracklets)
    ours = runtime.Embedder(path, frames=frames).embed([list(one.frames) for one in tracklets])
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4)


@pytest.mark.slow
def test_pixels_are_taken_as_they_come(exports: dict[str, Path], tracklets: list[Tracklet]):
    embedder = runtime.Embedder(exports["parts"], color_order="BGR")
    images = [Image.open(path) for path in tracklets[0].frames]
    arrays = [np.asarray(image)[..., ::-1] for image in images]
    np.testing.assert_allclose(embedder(images), embedder(arrays), atol=1e-6)
    assert embedder.threshold() == 0.4
    assert embedder.threshold(far=0.01) == 0.6
    embedder.network.thresholds = {**embedder.network.thresholds, "frames": "even8"}
    with pytest.raises(ValueError, match="frames='all': the model's thresholds were measured with frames='even8'"):
        embedder.threshold()
    del embedder.network.thresholds["frames"]
    with pytest.raises(ValueError, match="no threshold for a false-accept rate"):
        embedder.threshold(far=0.2)
    with pytest.raises(ValueError, match="at least one"):
        embedder([])
    with pytest.raises(TypeError, match="uint8"):
        embedder([np.zeros((8, 4, 3))])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["whole", "parts", "crops"])
def test_growing_tracks_are_those_of_torch(exports: dict[str, Path], tracklets: list[Tracklet], kind: str):
    theirs = denseil.TrackletEmbedder(denseil.Embedder.from_exported(exports[kind]).model, max_frames=3)
    ours = runtime.TrackletEmbedder(exports[kind], max_frames=3)
    images = [[np.asarray(Image.open(path)) for path in one.frames] for one in tracklets[:2]]
    for step in range(8):
        for embedder in (ours, theirs):
            embedder.update([1, 2, -1], [images[0][step], images[1][step], images[0][step]])
        np.testing.assert_allclose(ours.embeddings([1, 2]), theirs.embeddings([1, 2]).numpy(), atol=1e-4)
    assert list(ours) == list(theirs) == [1, 2]
    for track_id in ours:
        ours.drop(track_id)
    assert 1 not in ours
    assert len(ours) == 0
    with pytest.raises(KeyError, match="no track 1"):
        ours.embedding(1)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The distribution, built from the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT / "runtime")]
    _online(command)
    return next(folder.glob("*.whl"))


def _online(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if "No matching distribution" in done.stderr or "Could not find a version" in done.stderr:
        pytest.skip("no package index: denseil-runtime cannot be built and installed")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("extra", ["", "[gallery]"])
def test_the_distribution_works_without_torch(
    wheel: Path, extra: str, exports: dict[str, Path], tracklets: list[Tracklet], tmp_path: Path
):
    """In an environment with denseil-runtime alone, and with LanceDB."""
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / ("Scripts" if os.name == "nt" else "bin") / "python"
    _online([sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-compile", f"{wheel}{extra}"])
    if not extra:
        size = sum(path.stat().st_size for path in (tmp_path / "env").rglob("*") if path.is_file())
        assert size < 250e6
    uri = str(tmp_path / "people") if extra else "memory://"
    folders = []
    for number, one in enumerate(tracklets):
        folder = tmp_path / str(number)
        folder.mkdir()
        for path in one.frames:
            (folder / Path(path).name).symlink_to(path)
        folders.append(str(folder))
    (tmp_path / "tracklets.json").write_text(json.dumps(folders))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(script: str, *arguments: str) -> Any:
        command = [str(python), "-c", script, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    loaded, persons, threshold, same = run(IN_THE_OTHER, str(exports["parts"]), str(tmp_path), uri)
    nearest, gone, kept = run(AFTER_A_RESTART, str(tmp_path), uri)
    assert loaded == ["no torch"]
    assert nearest == "0"
    assert gone == 1
    assert kept == sorted(str(row) for row in range(len(tracklets)) if row != 1)
    assert len(persons) == len(tracklets)
    assert threshold == 0.4
    assert same is True
    embedder = denseil.Embedder.from_exported(exports["parts"])
    np.testing.assert_allclose(np.load(tmp_path / "vectors.npy"), embedder.embed(tracklets).numpy(), atol=1e-4)
    tracks = denseil.TrackletEmbedder(embedder.model)
    for step in range(6):
        tracks.update([0, 1], [np.asarray(Image.open(one.frames[step])) for one in tracklets[:2]])
    np.testing.assert_allclose(np.load(tmp_path / "tracks.npy"), tracks.embeddings([0, 1]).numpy(), atol=1e-4)


def test_what_the_distribution_packs_imports_without_torch():
    """The same modules, in this environment, with torch hidden; rooms that are packed in part are made empty."""
    script = """
import sys, types
hidden = {"torch", "timm", "torchvision", "einops", "safetensors", "huggingface_hub", "tqdm"}
class Hiding:
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Hiding())
import denseil
for room in ("data", "embedding", "models"):
    module = types.ModuleType(f"denseil.{room}")
    module.__path__ = [f"{denseil.__path__[0]}/{room}"]
    sys.modules[f"denseil.{room}"] = module
import denseil.runtime, denseil.gallery, denseil.linking
packed = {line.split('"')[3] for line in open(sys.argv[1]) if line.startswith('"../denseil/')}
used = {name for name in sys.modules if name.startswith("denseil.") and name.count(".") == 2}
files = {name.replace(".", "/") + ".py" for name in used}
missing = {file for file in files if file not in packed and file.rsplit("/", 1)[0] not in packed}
assert not missing, missing
"""
    command = [sys.executable, "-c", script, str(ROOT / "runtime" / "pyproject.toml")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
