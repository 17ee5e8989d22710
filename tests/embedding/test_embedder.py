"""`Embedder` against the model called by hand, on real crops in every form that programs hold them in."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence
from torch.nn import functional as F
from torchvision.transforms import v2

import denseil
from denseil import DenseIL, Embedder
from denseil.data import Tracklet, read_dataset, read_folder, sample_all
from denseil.embedding import embed_tracklets

CROPS = Path(__file__).parent.parent / "data" / "mars_tiny" / "bbox_test"
EIGHT = sorted((CROPS / "0003").glob("0003C1T0001*.jpg"))


@pytest.fixture(scope="module")
def images() -> list[Image.Image]:
    return [Image.open(path).convert("RGB") for path in EIGHT]


@pytest.fixture(scope="module")
def embedder(model: DenseIL) -> Embedder:
    return Embedder(model, device="cpu")


def assert_same(vector: torch.Tensor, other: torch.Tensor):
    torch.testing.assert_close(vector, other, rtol=0, atol=1e-6)


@pytest.mark.parametrize("frames", [1, 3, 8])
def test_equals_the_model_by_hand(model, embedder, images, frames):
    prepare = v2.Compose(
        [
            v2.Resize((64, 32)),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(model.pretrained_cfg["mean"], model.pretrained_cfg["std"]),
        ]
    )
    with torch.inference_mode():
        expected = F.normalize(model(torch.stack([prepare(image) for image in images[:frames]])[None]), dim=1)[0]
    torch.testing.assert_close(embedder(images[:frames]), expected, rtol=0, atol=1e-5)


def test_a_long_tracklet_is_the_mean_of_interleaved_clips(model, embedder, images):
    long = images * 2 + images[:4]
    rows, mask = sample_all(len(long), model.denseil_cfg["clip_len"])
    raw = [next(embed_tracklets(model, [[np.asarray(long[i]) for i in row[own]]])) for row, own in zip(rows, mask)]  # noqa: B905
    assert_same(embedder(long), F.normalize(torch.stack(raw).mean(0), dim=0))


def test_every_form_of_the_same_crops_gives_the_same_vector(model, embedder, images, tmp_path):
    arrays = [np.array(image) for image in images]
    expected = embedder(arrays)
    assert_same(expected.norm(), torch.tensor(1.0))
    for place, image in enumerate(images):
        image.save(tmp_path / f"{place}.png")
    paths = sorted(tmp_path.glob("*.png"))
    for form in (
        images,
        np.stack(arrays),
        torch.from_numpy(np.stack(arrays)).movedim(-1, 1),
        paths,
        [str(path) for path in paths],
        tmp_path,
        str(tmp_path),
        Tracklet([str(path) for path in paths], pid=1, camid=1),
        (array for array in arrays),
    ):
        assert_same(embedder(form), expected)
    turned = [array[..., ::-1] for array in arrays]
    assert_same(Embedder(model, device="cpu", color_order="BGR")(turned), expected)
    assert (embedder(turned) - expected).abs().max() > 1e-3


def test_frames_drawn_into_the_same_memory_are_all_used(embedder, images, tmp_path):
    arrays = [np.array(image.resize((24, 48))) for image in images]
    expected = embedder(arrays)

    def drawn(kind):
        buffer = np.empty_like(arrays[0])
        shared = kind(buffer)
        for array in arrays:
            buffer[:] = array
            yield shared

    assert_same(embedder(drawn(lambda buffer: buffer)), expected)
    assert_same(embedder(drawn(lambda buffer: torch.from_numpy(buffer).movedim(-1, 0))), expected)
    images[0].save(tmp_path / "walk.gif", save_all=True, append_images=images[1:])
    with Image.open(tmp_path / "walk.gif") as walk:
        frames = [np.array(frame.convert("RGB")) for frame in ImageSequence.Iterator(walk)]
        assert_same(embedder(ImageSequence.Iterator(walk)), embedder(frames))


def test_lists_iterators_and_generators_are_the_same_and_lazy(embedder, images):
    asked = []

    def lengths():
        for frames in range(1, 9):
            asked.append(frames)
            yield images[:frames]

    expected = torch.stack([embedder(images[:frames]) for frames in range(1, 9)])
    torch.testing.assert_close(embedder.embed([images[:n] for n in range(1, 9)]), expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(embedder.embed(lengths(), progress=True), expected, rtol=0, atol=1e-5)
    asked.clear()
    few = Embedder(embedder.model, device="cpu", budget=8)
    next(few.stream(lengths()))
    assert max(asked) < 8
    assert embedder.embed([]).shape == (0, 32)


def test_it_opens_a_folder_of_weights_and_leaves_nothing_to_configure(model, embedder, images, tmp_path):
    denseil.save_pretrained(model, tmp_path / "mine")
    for source in (tmp_path / "mine", str(tmp_path / "mine"), f"local-dir:{tmp_path / 'mine'}"):
        opened = Embedder(source, device="cpu")
        assert tuple(opened.model.pretrained_cfg["input_size"]) == (3, 64, 32)
        assert_same(opened(images), embedder(images))


def test_bfloat16_is_near(model, embedder, images, monkeypatch):
    # On smaller maps oneDNN's AMX bfloat16 convolution reads memory that nobody wrote (torch 2.14).
    monkeypatch.setitem(model.pretrained_cfg, "input_size", (3, 128, 64))
    vector = Embedder(model, device="cpu", dtype=torch.bfloat16)(images)
    assert vector.dtype == torch.float32
    assert float(vector @ embedder(images)) > 0.99


@pytest.mark.parametrize("kind", [Embedder, denseil.TrackletEmbedder])
@pytest.mark.parametrize(
    ("dtype", "error", "text"),
    [
        (torch.float64, ValueError, "dtype=torch.float64: autocast is to torch.bfloat16 or torch.float16"),
        (torch.int8, ValueError, "dtype=torch.int8: autocast"),
        ("bfloat16", TypeError, "dtype='bfloat16'"),
    ],
)
def test_types_that_autocast_passes_over_are_refused(model, kind, dtype, error, text):
    with pytest.raises(error, match=text):
        kind(model, device="cpu", dtype=dtype)


def test_what_is_wrong_is_said(embedder, images, tmp_path):
    array = np.array(images[0])
    for tracklet, kind, text in (
        ([array, array[:0]], ValueError, "frame 1 of tracklet 0 has no pixels"),
        (
            [images[0].crop((5, 5, 5, 9))],
            ValueError,
            "frame 0 of tracklet 0, a PIL image, is not usable: it has no pixels",
        ),
        ([array / 255], TypeError, "frame 0 of tracklet 0 is of float64; give uint8"),
        ([array[..., 0]], ValueError, r"has shape \(\d+, \d+\); it must be \(H, W, 3\)"),
        ([torch.zeros(50, 20, 3, dtype=torch.uint8)], ValueError, r"must be \(3, H, W\)"),
        ([7], TypeError, "is a int"),
        ([torch.rand(3, 5, 5, requires_grad=True)], TypeError, r"is of torch\.float32.*give uint8"),
        ([torch.zeros(3, 5, 5, dtype=torch.uint8, device="meta")], TypeError, "on meta; give uint8"),
        ([EIGHT[0], array], TypeError, "mixes paths and pixels"),
        ([], ValueError, "has no frames"),
        (tmp_path, FileNotFoundError, "no images in"),
        (CROPS, ValueError, "holds 3 tracklets"),
        (tmp_path / "none", FileNotFoundError, "no folder"),
    ):
        with pytest.raises(kind, match=text):
            embedder(tracklet)
    with pytest.raises(TypeError, match="is one path, not a list of tracklets"):
        embedder.embed(str(CROPS))
    with pytest.raises(ValueError, match="color_order is 'RGB' or 'BGR'"):
        Embedder(embedder.model, color_order="rgb")
    with pytest.raises(FileNotFoundError, match=r"no exported model at m\.onnx"):
        Embedder("m.onnx")
    with pytest.raises(MemoryError, match="GiB, more than there is: give a smaller budget"):
        Embedder(embedder.model, budget=2**40)([np.zeros((64, 32, 3), np.uint8)])
    with pytest.raises(ValueError, match="budget must be at least one clip"):
        Embedder(embedder.model, budget=1)
    with pytest.raises(TypeError, match=r"not made by denseil.create_model"):
        Embedder(DenseIL("test_resnet", dim=32, num_heads=4))


def test_grey_of_16_bits_is_read_alike_from_a_file_and_from_pillow(embedder, tmp_path):
    ramp = np.arange(64 * 32, dtype=np.uint16).reshape(64, 32) * 8
    Image.fromarray(ramp).save(tmp_path / "grey.png")
    with Image.open(tmp_path / "grey.png") as image:
        torch.testing.assert_close(embedder([image]), embedder([tmp_path / "grey.png"]))


def test_a_damaged_pillow_image_is_named(embedder, images, tmp_path):
    images[0].save(tmp_path / "half.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "half.png").read_bytes()[:900])
    with (
        Image.open(tmp_path / "half.png") as image,
        pytest.raises(ValueError, match="frame 0 of tracklet 0, a PIL image"),
    ):
        embedder([image])


def test_a_model_in_another_type_computes_in_it(images):
    torch.manual_seed(0)
    model = denseil.create_model("denseil", backbone="test_resnet", dim=32, num_heads=4, ffn_dim=32, depth=1)
    torch.nn.init.normal_(model.neck.bn.running_mean)
    expected = Embedder(model)(images)
    found = Embedder(model.bfloat16())(images)
    assert found.dtype == torch.float32
    assert 0.99 < float(expected @ found) < 1
    torch.testing.assert_close(Embedder(model.double())(images), found, atol=0.1, rtol=0)


def test_same_needs_thresholds_and_uses_them(model, embedder, images, monkeypatch):
    with pytest.raises(ValueError, match="run `denseil calibrate`"):
        embedder.same(images, images)
    a, b = embedder(images), embedder(images[::-1][:2])
    like = float(a @ b)
    cfg = {**model.denseil_cfg, "thresholds": {"eer": {"threshold": like - 0.01}, "far": {"0.001": (like + 1) / 2}}}
    monkeypatch.setattr(model, "denseil_cfg", cfg)
    assert embedder.same(a, 3 * b)
    assert embedder.same(a.numpy(), b)
    assert embedder.same(a, images[::-1][:2])
    assert not embedder.same(a, b, far=0.001)
    assert embedder.same(images, images, far=1e-3)
    with pytest.raises(ValueError, match=r"no threshold for a false-accept rate of 0.1; calibrated are \[0.001\]"):
        embedder.same(a, b, far=0.1)
    with pytest.raises(ValueError, match=r"far=10\.0: a false-accept rate is above 0 and at most 1"):
        embedder.same(a, b, far=10.0)
    with pytest.raises(ValueError, match=r"a vector is 3 wide, those of this model are .* made by another model"):
        embedder.same(a, b[:3])


def test_folders_of_crops_are_read_in_order(tmp_path):
    tree = read_folder(CROPS)
    assert [tracklet.name for tracklet in tree] == ["0003", "0008", "0009"]
    names = [Path(frame).name for frame in tree[0].frames]
    assert names == sorted(names)
    assert len(names) == sum(len(t.frames) for t in mars_of("0003"))


def mars_of(person: str) -> list[Tracklet]:
    dataset = read_dataset("mars", CROPS.parent)
    return [t for t in (*dataset.query, *dataset.gallery) if f"/{person}/" in t.frames[0]]
