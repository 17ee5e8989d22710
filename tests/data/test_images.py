import io
import os
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageOps

from denseil.data import decode_image, images, read_frame
from denseil.data.images import pillow_rgb, resize_image

TINY = sorted((Path(__file__).parent / "mars_tiny").rglob("*.jpg"))


def pillow(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture(params=["simplejpeg", "pillow"])
def decoder(request, monkeypatch):
    if request.param == "pillow":
        monkeypatch.setattr(images, "_fast_jpeg", lambda: None)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.usefixtures("decoder")
def test_pixels_equal_pillow_on_every_real_crop():
    assert len(TINY) == 128
    for path in TINY:
        assert np.array_equal(decode_image(path), pillow(path))


@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    quality=st.integers(1, 100),
    subsampling=st.sampled_from([0, 1, 2]),
    progressive=st.booleans(),
    buffer=st.sampled_from([None, (8, 8, 3), (70, 70, 3)]),
)
def test_any_jpeg_equals_pillow(tmp_path_factory, height, width, quality, subsampling, progressive, buffer):
    path = tmp_path_factory.getbasetemp() / "any.jpg"
    Image.fromarray(noise(height, width, 3)).save(
        path, quality=quality, subsampling=subsampling, progressive=progressive
    )
    memory = None if buffer is None else np.empty(buffer, dtype=np.uint8)
    assert np.array_equal(decode_image(path, buffer=memory), pillow(path))


def test_a_buffer_is_used_when_it_is_large_enough():
    buffer = np.empty((256, 128, 3), dtype=np.uint8)
    assert np.shares_memory(decode_image(TINY[0], buffer=buffer), buffer)


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK", "YCbCr"])
def test_jpeg_of_each_colour_space(tmp_path, mode):
    path = tmp_path / "image.jpg"
    Image.fromarray(noise(20, 10, 3)).convert(mode).save(path)
    assert np.array_equal(decode_image(path), pillow(path))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_png_of_each_mode(tmp_path, mode):
    path = tmp_path / "image.png"
    Image.fromarray(noise(20, 10, 3)).convert(mode).save(path)
    assert np.array_equal(decode_image(path), pillow(path))


def test_16_bit_grey_keeps_its_upper_bits(tmp_path):
    grey = np.random.default_rng(0).integers(0, 2**16, (20, 10), dtype=np.uint16)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    expected = np.repeat((grey >> 8).astype(np.uint8)[..., None], 3, axis=2)
    assert np.array_equal(decode_image(tmp_path / "grey.png"), expected)


def test_16_bit_grey_of_ppm_is_read_and_32_bit_grey_of_unknown_range_is_not_black(tmp_path):
    Image.fromarray(np.full((4, 4), 200 << 8, np.uint16)).save(tmp_path / "grey.pgm")
    assert (decode_image(tmp_path / "grey.pgm") == 200).all()
    Image.fromarray(np.full((4, 4), 200, np.int32)).save(tmp_path / "grey.tiff")
    with pytest.raises(ValueError, match=r"grey\.tiff is not readable: mode I has no plain conversion"):
        decode_image(tmp_path / "grey.tiff")


def test_a_path_that_is_not_ascii(tmp_path):
    path = tmp_path / "crop é 数.jpg"
    path.write_bytes(TINY[0].read_bytes())
    assert np.array_equal(decode_image(path), pillow(TINY[0]))


def test_results_may_be_written_to(tmp_path):
    Image.fromarray(noise(4, 4, 3)).save(tmp_path / "image.png")
    for path in (TINY[0], tmp_path / "image.png"):
        decode_image(path)[:] = 0


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize(
    "content", [b"", b"not an image", TINY[0].read_bytes()[:300], TINY[0].read_bytes()[:-400], b"\xff\xd8\xff"], ids=len
)
def test_damage_is_one_error_that_names_the_file(tmp_path, content):
    path = tmp_path / "damaged.jpg"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged.jpg"):
        decode_image(path)


@given(st.binary(max_size=200))
def test_any_bytes_are_one_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "bytes.jpg"
    for start in (b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n"):
        path.write_bytes(start + content)
        with pytest.raises(ValueError, match=r"bytes.jpg"):
            decode_image(path)


def test_no_file_and_no_plain_conversion(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing.jpg"):
        decode_image(tmp_path / "nothing.jpg")
    with pytest.raises(ValueError, match="is not a regular file"):
        decode_image(tmp_path)
    Image.fromarray(np.ones((4, 4), dtype=np.float32)).save(tmp_path / "float.tiff")
    with pytest.raises(ValueError, match=r"float\.tiff is not readable: mode F"):
        decode_image(tmp_path / "float.tiff")


def test_resize_is_pillows():
    image = noise(30, 20, 3)
    resized = resize_image(image, (256, 128))
    assert np.array_equal(resized, np.asarray(Image.fromarray(image).resize((128, 256), Image.Resampling.BILINEAR)))
    assert resize_image(resized, (256, 128)) is resized


def test_without_simplejpeg_pillow_decodes(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "simplejpeg", None)
    images._fast_jpeg.cache_clear()
    try:
        assert images._fast_jpeg() is None
        assert np.array_equal(decode_image(TINY[0]), pillow(io.BytesIO(TINY[0].read_bytes())))
    finally:
        images._fast_jpeg.cache_clear()


ORIENTATIONS = range(1, 9)


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_turned_as_the_file_says(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = tmp_path / f"turned.{suffix}"
    Image.fromarray(noise(24, 16, 3)).save(path, exif=exif)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    assert expected.shape == ((24, 16, 3) if orientation < 5 else (16, 24, 3))
    assert np.array_equal(decode_image(path), expected)
    with Image.open(path) as image:
        assert np.array_equal(pillow_rgb(image), expected)
    if suffix == "jpg":  # the oracle of another library
        other = simplejpeg.decode_jpeg(path.read_bytes())
        turned = {1: other, 3: other[::-1, ::-1], 6: np.rot90(other, -1), 8: np.rot90(other)}
        if orientation in turned:
            assert np.array_equal(decode_image(path), turned[orientation])


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_an_orientation_in_xmp_turns_nothing_as_in_opencv(tmp_path, suffix):
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    path = tmp_path / f"image.{suffix}"
    Image.fromarray(noise(24, 16, 3)).save(path, xmp=xmp)
    assert decode_image(path).shape == (24, 16, 3)


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize(
    "exif", [b"Exif\x00\x00", b"Exif\x00\x00MM\x00*\xff\xff\xff\xff", b"Exif\x00\x00" + b"\xff" * 40]
)
def test_a_broken_orientation_leaves_the_picture_as_it_is(tmp_path, exif):
    Image.fromarray(noise(24, 16, 3)).save(tmp_path / "image.jpg", exif=exif)
    assert np.array_equal(decode_image(tmp_path / "image.jpg"), pillow(tmp_path / "image.jpg"))


@pytest.mark.parametrize("suffix", ["bmp", "webp", "tif", "ppm", "gif"])
def test_other_formats(tmp_path, suffix):
    path = tmp_path / f"image.{suffix}"
    Image.fromarray(noise(20, 10, 3)).save(path)
    assert np.array_equal(decode_image(path), pillow(path))


def test_formats_that_start_programs_are_not_opened(tmp_path):
    Image.fromarray(noise(20, 10, 3)).save(tmp_path / "image.eps")
    (tmp_path / "image.jpg").write_bytes((tmp_path / "image.eps").read_bytes())
    with pytest.raises(ValueError, match=r"image\.jpg is not readable: cannot identify image file"):
        decode_image(tmp_path / "image.jpg")


def header(width: int, height: int) -> bytes:
    """A JPEG of 8 x 8 whose header promises more."""
    file = io.BytesIO()
    Image.fromarray(noise(8, 8, 3)).save(file, "JPEG")
    data = bytearray(file.getvalue())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return bytes(data)


@pytest.mark.usefixtures("decoder")
def test_a_size_is_refused_by_the_header(tmp_path, monkeypatch):
    path = tmp_path / "large.jpg"
    path.write_bytes(header(65500, 65500))
    with pytest.raises(ValueError, match=r"large\.jpg is not readable: .*(65500 x 65500|decompression bomb)"):
        decode_image(path)
    path.write_bytes(header(9000, 8000))  # below Pillow's own bound
    with pytest.raises(ValueError, match=r"9000 x 8000, 72,000,000 pixels; an image has at most 67,108,864"):
        decode_image(path)
    monkeypatch.setattr(images, "MAX_BYTES", 100)
    with pytest.raises(ValueError, match="bytes; an image has at most 100"):
        decode_image(TINY[0])


def test_what_is_no_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (tmp_path / "pipe.jpg", Path("/dev/zero")):
        with pytest.raises(ValueError, match="is not a regular file"):
            decode_image(path)


def test_memory_that_is_not_there_is_an_unreadable_image(tmp_path, monkeypatch):
    def no_memory(*_):
        raise MemoryError

    monkeypatch.setattr(images, "_decode_pillow", no_memory)
    Image.fromarray(noise(4, 4, 3)).save(tmp_path / "image.png")
    with pytest.raises(ValueError, match="does not fit into memory"):
        decode_image(tmp_path / "image.png")


@pytest.mark.parametrize(("frames", "position"), [((), 0), (TINY[:2], 2), (TINY[:2], -1)])
def test_a_position_without_a_frame_is_refused(frames, position):
    with pytest.raises(
        ValueError, match=rf"position={position}: the tracklet has {len(frames)} frames, numbered from 0"
    ):
        read_frame(frames, position)
