"""Image formation, from light to a JPEG file: lens, sensor, tone curve, resolution, compression."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, uniform_filter1d

from denseil.synth.body import Array, f32
from denseil.synth.loops import expose, saturate


@dataclass(frozen=True)
class Sensor:
    """Parameters of a camera's image.

    Attributes:
        gain: Exposure factor.
        cast: White balance (3,).
        contrast: Power of the tone curve; 1 is sRGB-like.
        haze: Light that the lens scatters, added everywhere.
        saturation: Factor on saturation; 1 leaves colours unchanged.
        lines: Height in pixels at which the person was filmed; smaller than the output if it was enlarged.
        blur: Standard deviation of the lens blur, output pixels at a height of 128.
        smear: Length of motion blur, output pixels at a height of 128.
        noise: Standard deviation of the noise, in [0, 1].
        quality: JPEG quality.
    """

    gain: float
    cast: tuple[float, float, float]
    contrast: float
    haze: float
    saturation: float
    lines: float
    blur: float
    smear: float
    noise: float
    quality: int


def develop(light: Array, sensor: Sensor, rng: np.random.Generator) -> Image.Image:
    """Convert linear light (H, W, 3) to the image of a camera."""
    height, width = light.shape[:2]
    scale = height / 128
    light = expose(light, f32(sensor.cast), sensor.gain, sensor.haze)
    sigma = sensor.blur * scale
    if sigma > 0.25:
        light = gaussian_filter(light, (sigma, sigma, 0))
    if sensor.smear * scale >= 1.5:
        light = uniform_filter1d(light, round(sensor.smear * scale), axis=1)
    light = np.maximum(light, 0)
    values = light / (1 + 0.18 * light**2)  # highlights roll off
    values = np.clip(values, 0, 1) ** f32(sensor.contrast / 2.2)
    values = saturate(values, sensor.saturation)
    if sensor.noise:
        values = values + rng.normal(0, sensor.noise, values.shape).astype(np.float32)
    image = Image.fromarray((np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8))
    if sensor.lines < height:
        small = (max(8, round(width * sensor.lines / height)), max(16, round(sensor.lines)))
        image = image.resize(small, Image.Resampling.BOX).resize((width, height), Image.Resampling.BICUBIC)
    return image


def to_jpeg(image: Image.Image, quality: int) -> bytes:
    """Encode an image as a JPEG file."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
