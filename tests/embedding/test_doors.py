"""The same picture gives the same vector through every door of the library, on crops of odd shapes and kinds of files.

The oracle is written out here: the upright picture in 8-bit RGB, resized by Pillow, normalised, one clip of one frame.
"""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image, ImageOps
from timm.data import create_transform, resolve_data_config
from torch import Tensor
from torch.nn import functional as F

import denseil
from denseil import DenseIL, Embedder, TrackletEmbedder
from denseil.data import ClipTransform, Tracklet, VideoReIDDataset, normalize
from denseil.embedding import embed_dataset, embed_to_file, embed_tracklets
from denseil.metrics import load_features

SIZE = (64, 32)
MEAN, STD = (0.5, 0.4, 0.3), (0.3, 0.25, 0.2)  # all different: a swapped channel is seen
SHAPES = [(64, 32), (31, 90), (130, 21), (300, 7), (1, 1), (40, 40)]  # height, width
ORIENTATION = 0x0112


@pytest.fixture(scope="module")
def model() -> DenseIL:
    torch.manual_seed(0)
    model = denseil.create_model("denseil", backbone="test_resnet", dim=32, depth=1, num_heads=4, ffn_dim=32)
    model.preprocessing = denseil.Preprocessing(size=SIZE, mean=MEAN, std=STD)
    with torch.no_grad():
        model.neck.bn.running_mean.normal_()
    return model.eval()


def noise(height: int, width: int) -> np.ndarray:
    """Smooth noise (H, W, 3): JPEG keeps it, and no flip or turn of it is itself."""
    rng = np.random.default_rng(height * 1000 + width)
    small = rng.integers(0, 256, (4, 3, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Pictures of every kind that trackers and cameras write."""
    folder = tmp_path_factory.mktemp("pictures")
    found = []

    def save(image: Image.Image, name: str, **options: object) -> None:
        image.save(folder / name, **options)
        found.append(folder / name)

    for height, width in SHAPES:
        save(Image.fromarray(noise(height, width)), f"shape{height}x{width}.png")
    for suffix in ("jpg", "png"):
        for orientation in range(1, 9):
            exif = Image.Exif()
            exif[ORIENTATION] = orientation
            save(Image.fromarray(noise(40, 23)), f"exif{orientation}.{suffix}", exif=exif)
    picture = Image.fromarray(noise(50, 21))
    save(Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257), "grey16.png")
    save(picture.quantize(16), "palette.png")
    save(picture.convert("CMYK"), "cmyk.jpg")
    save(picture.convert("L"), "grey.jpg")
    alpha = picture.convert("RGBA")
    alpha.putalpha(Image.fromarray(noise(50, 21)[..., 0]))
    save(alpha, "alpha.png")
    save(alpha.convert("LA"), "grey_alpha.png")
    save(picture.convert("1"), "bits.png")
    save(picture, "lossless.webp", lossless=True)
    save(picture, "picture.bmp")
    return found


def upright(path: Path) -> np.ndarray:
    """(H, W, 3) uint8, by Pillow."""
    with Image.open(path) as image:
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I"):
            grey = (np.asarray(image).astype(np.int64) >> 8).astype(np.uint8)
            return np.stack([grey] * 3, axis=-1)
        return np.array(image.convert("RGB"))


@pytest.fixture(scope="module")
def expected(model: DenseIL, files: list[Path]) -> Tensor:
    """(N, D), length 1."""
    pixels = [Image.fromarray(upright(path)).resize(SIZE[::-1], Image.Resampling.BILINEAR) for path in files]
    clips = torch.stack([torch.from_numpy(np.array(image)) for image in pixels]).movedim(-1, 1)[:, None] / 255
    mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    with torch.no_grad():
        vectors = F.normalize(model((clips - mean) / std), dim=1)
    near = vectors @ vectors.T
    assert near.fill_diagonal_(0).min() < 0.99  # the pictures are told apart
    return vectors


def same(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(F.normalize(found, dim=1), expected, rtol=0, atol=2e-6)


def one_by_one(files: list[Path]) -> list[Tracklet]:
    return [Tracklet([str(path)], pid, camid=pid % 2, name=path.name) for pid, path in enumerate(files)]


def opened(path: Path) -> Image.Image:
    return Image.open(path)


@pytest.mark.parametrize(
    "how",
    {
        "path": str,
        "Path": lambda path: path,
        "PIL": opened,
        "array": upright,
        "tensor": lambda path: torch.from_numpy(upright(path)).movedim(-1, 0),
    }.items(),
    ids=lambda item: item[0],
)
@pytest.mark.parametrize("door", ["Embedder", "TrackletEmbedder", "embed_tracklets"])
def test_frames_of_every_kind(model: DenseIL, files: list[Path], expected: Tensor, how: tuple, door: str):
    kind, make = how
    frames = [make(path) for path in files]
    if door == "Embedder":
        return same(Embedder(model, device="cpu").embed([[frame] for frame in frames]), expected)
    if door == "embed_tracklets":
        if kind in ("PIL", "tensor"):
            pytest.skip("takes paths and arrays")
        return same(torch.stack(list(embed_tracklets(model, [[frame] for frame in frames]))), expected)
    if kind in ("path", "Path"):
        pytest.skip("takes pixels, beside a tracker")
    tracks = TrackletEmbedder(model, device="cpu")
    tracks.update(range(len(frames)), frames)
    return same(tracks.embeddings(range(len(frames))), expected)


def test_bgr_arrays(model: DenseIL, files: list[Path], expected: Tensor):
    """What OpenCV hands over."""
    embedder = Embedder(model, device="cpu", color_order="BGR")
    same(embedder.embed([[upright(path)[..., ::-1].copy()] for path in files]), expected)


def test_opencv_reads_the_same_pictures(model: DenseIL, files: list[Path], expected: Tensor):
    cv2 = pytest.importorskip("cv2")
    embedder = Embedder(model, device="cpu", color_order="BGR")
    lossless = [
        place for place, path in enumerate(files) if path.name.startswith(("shape", "exif")) and ".png" in path.name
    ]
    found = embedder.embed([[cv2.imread(str(files[place]))] for place in lossless])
    same(found, expected[lossless])


def test_timms_own_transform(model: DenseIL, files: list[Path], expected: Tensor):
    config = resolve_data_config({}, model=model)
    assert config["crop_mode"] == "squash"
    transform = create_transform(**config)
    clips = torch.stack([transform(Image.fromarray(upright(path))) for path in files])[:, None]
    with torch.no_grad():
        same(model(clips), expected)


def test_timms_transform_for_a_model_that_timm_made(files: list[Path]):
    """The registry's own config, nothing set by hand."""
    model = timm.create_model("denseil_mobilenetv2", pretrained=False, num_classes=0).eval()
    transform = create_transform(**resolve_data_config({}, model=model))
    chosen = files[:3]
    clips = torch.stack([transform(Image.fromarray(upright(path))) for path in chosen])[:, None]
    with torch.no_grad():
        found = F.normalize(model(clips), dim=1)
    torch.testing.assert_close(
        found, Embedder(model, device="cpu").embed([[str(path)] for path in chosen]), rtol=0, atol=1e-4
    )


def test_clip_transform(model: DenseIL, files: list[Path], expected: Tensor):
    transform, rng = ClipTransform(SIZE), np.random.default_rng(0)
    out = np.empty((len(files), 1, *SIZE, 3), dtype=np.uint8)
    for path, clip in zip(files, out, strict=True):
        transform([upright(path)], rng, clip)
    with torch.no_grad():
        same(model(normalize(torch.from_numpy(out).movedim(-1, -3), MEAN, STD)), expected)


def test_evaluate_and_a_features_file(model: DenseIL, files: list[Path], expected: Tensor, tmp_path: Path):
    tracklets = one_by_one(files)
    dataset = VideoReIDDataset([], tracklets[::2], tracklets[1::2])
    found = embed_dataset(model, dataset)
    places = [*range(1, len(files), 2), *range(0, len(files), 2)]  # the gallery, then the queries
    same(found.vectors, expected[places])
    embed_to_file(Embedder(model, device="cpu"), tracklets, tmp_path / "features.safetensors")
    same(load_features(tmp_path / "features.safetensors").embeddings.vectors, expected)


def test_single_frame(model: DenseIL, files: list[Path], expected: Tensor):
    network = denseil.single_frame(model, normalize=True)
    pixels = [Image.fromarray(upright(path)).resize(SIZE[::-1], Image.Resampling.BILINEAR) for path in files]
    frames = torch.stack([torch.from_numpy(np.array(image)) for image in pixels]).movedim(-1, 1) / 255
    with torch.no_grad():
        same(network(frames), expected)


def test_an_export(model: DenseIL, files: list[Path], expected: Tensor, tmp_path: Path):
    denseil.export(model, tmp_path / "m.pt2")  # other formats, and single crops: tests/exporters
    found = Embedder(tmp_path / "m.pt2").embed([[str(path)] for path in files])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
