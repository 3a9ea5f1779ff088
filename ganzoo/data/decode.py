"""From the bytes of an image file, of whatever kind, to pixels."""

from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from ganzoo.data.base import at_least

MAX_PIXELS = 100_000_000  # of one image: more is taken for a decompression bomb


@dataclass(frozen=True)
class Decoder:
    """Bytes of an image file -> uint8 [channels, size, size]; see ImageFolder for what becomes of odd images.

    Raises:
        ValueError: channels other than 1 or 3, size or crop below 1.
    """

    size: int
    channels: int
    crop: int | None

    def __post_init__(self) -> None:
        at_least(1, size=self.size, crop=self.crop)
        if self.channels not in (1, 3):
            raise ValueError(f"channels must be 1 (grey) or 3 (colour), not {self.channels}")

    @property
    def key(self) -> tuple[Any, ...]:
        """What its pixels depend on, besides the file."""
        return self.crop, self.size, self.channels

    def picture(self, data: bytes) -> Image.Image:
        """Raises as `upright` does."""
        return upright(data)

    def __call__(self, data: bytes) -> np.ndarray:
        """Raises whatever Pillow raises for bytes that are no image, and ValueError for an image that is refused."""
        plain = self.picture(data).convert("RGB" if self.channels == 3 else "L")
        side = min(plain.width, plain.height, self.crop or plain.width)
        left, top = (plain.width - side) // 2, (plain.height - side) // 2
        centre = plain.crop((left, top, left + side, top + side))
        small = centre.resize((self.size, self.size), Image.Resampling.LANCZOS)
        return np.asarray(small).reshape(self.size, self.size, self.channels).transpose(2, 0, 1)


def upright(data: bytes) -> Image.Image:
    """An image file as one sees it: turned as its EXIF says, 8 bits, nothing transparent.

    Raises whatever Pillow raises for bytes that are no image, and ValueError for one of too many pixels or bits.
    """
    with Image.open(BytesIO(data)) as image:  # reads the header only
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise ValueError(f"{width} x {height} pixels, more than {MAX_PIXELS // 10**6} megapixels")
        ImageOps.exif_transpose(image, in_place=True)
        return flattened(eight_bit(image))


def eight_bit(image: Image.Image) -> Image.Image:
    """16-bit grey scaled to 8 bits, where Pillow would clip it; others as they are.

    Raises:
        ValueError: pixels that are floats or wider than 16 bits, whose white is not known.
    """
    if image.mode != "I" and image.mode != "F" and not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image)
    if image.mode == "F" or values.min() < 0 or values.max() > 65535:
        raise ValueError("pixels of 32 bits, whose white is not known")
    return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))


def flattened(image: Image.Image) -> Image.Image:
    """Laid on white where it is transparent."""
    if not image.has_transparency_data:
        return image
    colours = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), colours)
