"""The command `ganzoo translate`: image files through a game that makes images of images."""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from math import ceil
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from rich.console import Console
from torch import Tensor

from ganzoo.data.base import one_line
from ganzoo.data.bicubic import enlarged, mirrored
from ganzoo.data.cache import replacing
from ganzoo.data.decode import MAX_PIXELS
from ganzoo.data.derived import grey
from ganzoo.data.files import SUFFIXES, Files
from ganzoo.devices import device_called
from ganzoo.game import draw_from
from ganzoo.loading import load
from ganzoo.progress import progress
from ganzoo.translation import Translator
from ganzoo.upscaling import Upscaler

TRANSLATE = """Image files through a game that makes images of images: super-resolution, pix2pix, ...

  ganzoo translate --checkpoint last.ckpt photo.jpg large.png
  ganzoo translate --checkpoint last.ckpt photos large          a folder or .zip, with all folders in it

What comes out is PNG, grey where an enlarged image was grey, of 16 bits where it had 16, and as transparent as it was. Images
that cannot be read are named and counted."""
TILE, OVERLAP = 256, 64


def translate_command(arguments: list[str]) -> None:
    given = parser().parse_args(arguments)
    if given.tile is not None and given.tile < 0:
        raise ValueError("--tile is a number of pixels, or 0 for whole images")
    if given.seed < 0:
        raise ValueError("--seed must be at least 0")
    game = load(given.checkpoint)
    if not isinstance(game, Translator):
        raise ValueError(f"{type(game).__name__} makes images of noise, not of images: ganzoo sample draws them")
    game.to(device_called(given.device))
    of = partial(translated, game, tile=given.tile, seed=given.seed)
    source, out = Path(given.source).expanduser(), Path(given.out).expanduser()
    if source.is_file() and source.suffix.lower() != ".zip":
        one_file(source, out, of)
    else:
        many(Files(source), out, of)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        "ganzoo translate", description=TRANSLATE, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--checkpoint", type=Path, required=True, help="a .ckpt file of a run, or exported weights")
    made.add_argument("source", metavar="IN", help="an image file, or a folder or .zip of them")
    made.add_argument("out", metavar="OUT", help="a .png, or a folder")
    made.add_argument(
        "--tile",
        type=int,
        help=f"pixels a side of the pieces that larger images are cut into, so that they fit into memory ({TILE} where images "
        "are enlarged, else 0: whole images, because what a piece becomes may depend on all of the image)",
    )
    made.add_argument("--device", default="auto", help="cpu, cuda, cuda:1; auto takes a GPU if there is one")
    made.add_argument("--seed", type=int, default=0, help="of what is random in some generators (0)")
    return made


# --- files ---


def one_file(source: Path, out: Path, of: Callable[["Picture"], "Picture"]) -> None:
    """Raises ValueError for a file that cannot be read."""
    out = out if out.suffix else out / f"{source.stem}.png"
    if out.suffix.lower() != ".png":
        raise ValueError(f"{out} is no .png, which alone loses nothing: name one, or a folder")
    if out.exists() and out.samefile(source):
        raise ValueError(f"{out} would be written over what it is made of: choose another OUT")
    try:
        picture = opened(source.read_bytes())
    except Exception as error:  # OSError, SyntaxError, struct.error, zlib.error ...: the bytes choose
        raise ValueError(f"{source} cannot be read ({reason(error)})") from error
    made = of(picture)
    made.save(out)
    print(f"{picture.width} x {picture.height} became {made.width} x {made.height}: {out}", file=sys.stderr)


def many(files: Files, out: Path, of: Callable[["Picture"], "Picture"]) -> None:
    """Raises ValueError if no image can be read, or one would be written over."""
    if out.is_file() or out.suffix.lower() in SUFFIXES:
        raise ValueError(f"{out} is no folder, which many images need")
    names = list(files.stamps)
    written = written_as(names)
    source = files.root.resolve() / files.prefix
    if {source / name for name in names} & {out.resolve() / name for name in written.values()}:
        raise ValueError(f"images in {source} would be written over by what is made of them: choose another OUT")
    unreadable = 0
    with files.reader() as read:
        for index in bar(f"{len(names):,} images", range(len(names))):
            try:
                picture = opened(read(names[index]))
            except Exception as error:  # as above
                unreadable += 1
                print(f"{names[index]} cannot be read ({reason(error)}): skipped", file=sys.stderr)
                continue
            of(picture).save(out / written[names[index]])
    if unreadable == len(names):
        raise ValueError(f"none of the {len(names):,} images in {files.root} can be read")
    skipped = f", {unreadable:,} skipped" if unreadable else ""
    print(f"{len(names) - unreadable:,} images translated{skipped}: {out}", file=sys.stderr)


def written_as(names: Sequence[str]) -> dict[str, str]:
    """Each name as .png; its old ending stays where another file differs in nothing else."""
    stems = {name: name.rpartition(".")[0] for name in names}
    count = Counter(stem.lower() for stem in stems.values())
    return {name: f"{stem if count[stem.lower()] == 1 else name}.png" for name, stem in stems.items()}


def reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno:
        return error.strerror or one_line(error)
    return "not an image" if isinstance(error, UnidentifiedImageError) else one_line(error)


def bar(what: str, numbers: range) -> Iterable[int]:
    return progress(Console(stderr=True), what, numbers)


# --- pictures ---


@dataclass
class Picture:
    """An image as it was in its file.

    Args:
        colours: [1, 1 or 3, H, W] in [-1, 1].
        alpha: [1, 1, H, W] in [0, 1], if it has any.
        levels: 255, or 65535 of 16-bit grey.
    """

    colours: Tensor
    alpha: Tensor | None = None
    levels: int = 255

    @property
    def width(self) -> int:
        return self.colours.shape[-1]

    @property
    def height(self) -> int:
        return self.colours.shape[-2]

    def save(self, path: Path) -> None:
        """As PNG: whole, or not at all. 16 bits are for grey alone, and without transparency: Pillow can write no others."""
        deep = self.levels > 255 and self.colours.shape[1] == 1 and self.alpha is None
        levels = 65535 if deep else 255
        parts = [(self.colours + 1) / 2, *([] if self.alpha is None else [self.alpha])]
        pixels = torch.cat([(part[0] * levels).round().clamp(0, levels) for part in parts]).permute(1, 2, 0).numpy()
        image = Image.fromarray(pixels.astype(np.uint16 if deep else np.uint8).squeeze(2 if pixels.shape[2] == 1 else ()))
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            image.save(file, "png")


def opened(data: bytes) -> Picture:
    """Any image file, turned as its EXIF says.

    Raises whatever Pillow raises for bytes that are no image, and ValueError for one of too many pixels or bits.
    """
    with Image.open(BytesIO(data)) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels, more than {MAX_PIXELS // 10**6} megapixels")
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode == "F" or image.mode.startswith("I"):
            values = np.asarray(image).astype(np.float64)
            if image.mode == "F" or values.min() < 0 or values.max() > 65535:
                raise ValueError("pixels of 32 bits, whose white is not known")
            return Picture(torch.from_numpy(values / 32767.5 - 1).float()[None, None], levels=65535)
        is_grey = image.mode in ("1", "L", "LA", "La")
        transparent = image.has_transparency_data
        plain = image.convert(("LA" if is_grey else "RGBA") if transparent else ("L" if is_grey else "RGB"))
        pixels = torch.from_numpy(np.array(plain)).float().reshape(image.height, image.width, -1).permute(2, 0, 1)[None] / 255
        return Picture((pixels[:, :-1] if transparent else pixels) * 2 - 1, pixels[:, -1:] if transparent else None)


# --- translation ---


def translated(game: Translator, picture: Picture, tile: int | None = None, seed: int = 0) -> Picture:
    """What the game makes of a picture, on the CPU.

    Args:
        tile: pixels a side of the pieces that it is cut into; 0: none; None: `TILE` of an image to be enlarged, else none.
        seed: of what is random in some generators.

    Raises:
        ValueError: there is not memory enough.
    """
    draw_from(game.device, seed)
    channels = (getattr(game, "source_shape", None) or game.shape)[0]  # type: ignore[attr-defined]
    if isinstance(game, Upscaler):
        tile = TILE if tile is None else tile
        overlap = min(OVERLAP, getattr(game.sampler, "reach", OVERLAP))
    else:
        tile, overlap = tile or 0, OVERLAP
    try:
        made = tiled(game, in_channels(picture.colours, channels), tile, overlap)
    except RuntimeError as error:
        if "memory" not in str(error):
            raise
        raise ValueError(f"not enough memory for {picture.width} x {picture.height} pixels: give a smaller --tile") from error
    if isinstance(game, Upscaler):
        made = in_channels(made, picture.colours.shape[1])  # grey stays grey
    alpha = picture.alpha
    if alpha is not None and (factor := made.shape[-1] // alpha.shape[-1]) > 1:
        alpha = enlarged(alpha, factor).clamp(0, 1)
    return Picture(made, alpha, picture.levels)


def in_channels(colours: Tensor, channels: int) -> Tensor:
    """Grey as colour, or colour as luma (ITU-R BT.601), as Pillow has it: [1, C, H, W] -> [1, channels, H, W]."""
    if colours.shape[1] == channels:
        return colours
    if channels == 3:
        return colours.expand(-1, 3, -1, -1)
    return grey(colours)


def tiled(game: Translator, source: Tensor, tile: int, overlap: int) -> Tensor:
    """`game.translate` piece by piece: each is cut out with `overlap` more pixels on all sides, which are then left out.

    Where a pixel depends on no pixel that is farther away than that, it is what it would be without tiles.

    Args:
        source: [1, C, H, W], on the CPU, as is what comes back.
        tile: pixels a side; 0: the whole image at once.
    """
    height, width = source.shape[-2:]
    tile = tile or max(height, width)
    made = None
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            # What is translated begins and ends at `overlap` pixels more, or at the image's edge.
            rows, columns = (
                (max(0, start - overlap), min(side, start + tile + overlap)) for start, side in ((top, height), (left, width))
            )
            piece = fitted(game, source[..., slice(*rows), slice(*columns)])
            factor = piece.shape[-1] // (columns[1] - columns[0])
            if made is None:
                made = source.new_empty(1, piece.shape[1], height * factor, width * factor)
            bottom, right = min(top + tile, height), min(left + tile, width)
            made[..., top * factor : bottom * factor, left * factor : right * factor] = piece[
                ...,
                (top - rows[0]) * factor : (bottom - rows[0]) * factor,
                (left - columns[0]) * factor : (right - columns[0]) * factor,
            ]
    assert made is not None
    return made


def fitted(game: Translator, source: Tensor) -> Tensor:
    """`game.translate` of an image whose sides need not be multiples of the game's `multiple`, if it has one: it is continued
    by its mirror image. On the CPU."""
    height, width = source.shape[-2:]
    multiple = getattr(game, "multiple", 1)
    border = max(-side % multiple for side in (height, width))
    whole = source
    if border:
        rows, columns = (border + ceil(side / multiple) * multiple for side in (height, width))
        whole = mirrored(source, border)[..., border:rows, border:columns]
    made = game.translate(whole.to(game.device)).cpu()
    factor = made.shape[-1] // whole.shape[-1]
    return made[..., : height * factor, : width * factor]
