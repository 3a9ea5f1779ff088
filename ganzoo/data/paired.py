"""Pairs of images: two folders with the same names, or pictures of two images side by side."""

from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import PurePath
from typing import Any, Literal

import numpy as np
from PIL import Image
from torch import Tensor

from ganzoo.data.base import DataModule, at_least
from ganzoo.data.cache import ImageSet
from ganzoo.data.decode import Decoder, upright
from ganzoo.data.files import Files
from ganzoo.data.pairs import PairedSamples, Targets, crop_alike, drawn, in_training
from ganzoo.data.stream import Samples

Side = Literal["left", "right"]


@dataclass(frozen=True)
class HalfDecoder(Decoder):
    """Of two images side by side the one on this side, as `Decoder` decodes it."""

    side: Side = "left"

    @property
    def key(self) -> tuple[Any, ...]:
        return *super().key, self.side

    def picture(self, data: bytes) -> Image.Image:
        """Raises ValueError for a picture of an odd number of pixels."""
        whole = upright(data)
        half, odd = divmod(whole.width, 2)
        if odd or not half:
            raise ValueError(f"{whole.width} pixels wide, which two images side by side cannot be")
        left = half if self.side == "right" else 0
        return whole.crop((left, 0, left + half, whole.height))


class Paired(DataModule):
    """Pairs of images of the same thing, for pix2pix: a round's batches are `(source, target)`, [N, C, H, W] in [-1, 1] each.

    Either `root` holds pictures of both side by side, as pix2pix's own data sets do, or `source_root` and `target_root`
    hold images of the same names, whatever their endings. Images of any kind are decoded as `ImageFolder`'s are.

    Args:
        root: a folder or .zip of pictures of two images side by side.
        side: of these pictures that is the source.
        source_root, target_root: folders or .zips of sources and of targets, instead of `root`.
        size: pixels a side of what the game sees.
        load_size: pixels a side that images are decoded to, of which a random square trains (both images' the same): 286
            of 256 in the paper; None: `size`.
        channels: 3, or 1 for grey; of both.
        flip: mirror training pairs left to right with probability 1/2.
        val_root, val_source_root, val_target_root: likewise of held-out pairs.
        cache, max_unreadable: as for ImageFolder; a pair is skipped if either image cannot be read.

    Raises:
        FileNotFoundError: a root that does not exist or holds no images.
        ValueError: neither or both kinds of roots, an image without a partner, partners of other proportions, or an argument
            out of range.
    """

    held_out_hint = "give val_root, or val_source_root and val_target_root, of held-out pairs"

    def __init__(
        self,
        *,
        root: str | None = None,
        side: Side = "left",
        source_root: str | None = None,
        target_root: str | None = None,
        size: int = 256,
        load_size: int | None = None,
        channels: int = 3,
        flip: bool = False,
        val_root: str | None = None,
        val_source_root: str | None = None,
        val_target_root: str | None = None,
        cache: str | None = None,
        max_unreadable: float = 0.01,
        **loading: Any,
    ) -> None:
        super().__init__(**loading)
        at_least(size, load_size=load_size)
        self.shape = (channels, size, size)
        self.flip, self.side = flip, side
        self._decoding = (load_size or size, channels, None)
        self._cached = partial(ImageSet, cache=cache, max_unreadable=max_unreadable)
        self.training = self._sets(root, source_root, target_root, "")
        given = (val_root, val_source_root, val_target_root)
        self.validation = self._sets(*given, "val_") if any(given) else None

    def prepare_data(self) -> None:
        for sets in filter(None, (self.training, self.validation)):
            if not all(images.pixels.exists() for images in sets):
                refuse_other_proportions(*(images.files for images in sets))
            for images in sets:
                images.decode()
                images.report()

    def splits(self) -> tuple[Samples, Samples | None]:
        return paired(*self.training), paired(*self.validation) if self.validation else None

    def targets_of(self, samples: Samples) -> Samples:
        return Targets(samples, self.shape[-1])

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int = 0) -> list[tuple[Tensor, ...]]:
        parts = crop_alike(batch, self.shape[-1], in_training(self), drawn(self, batch[0].device))
        return super().on_after_batch_transfer(parts, dataloader_idx)

    def _sets(self, root: str | None, source: str | None, target: str | None, split: str) -> tuple[ImageSet, ImageSet]:
        """Sources and targets, the same number of files in the same order."""
        names = f"{split}root", f"{split}source_root", f"{split}target_root"
        if (root is None) == (source is None) or (source is None) != (target is None):
            raise ValueError(f"give --data.{names[0]} of pictures side by side, or both --data.{names[1]} and .{names[2]}")
        if root is not None:
            files = Files(root)
            sides: tuple[Side, Side] = ("left", "right") if self.side == "left" else ("right", "left")
            here, there = (self._cached(files, HalfDecoder(*self._decoding, side)) for side in sides)
            return here, there
        assert source is not None and target is not None
        here, there = (self._cached(files, Decoder(*self._decoding)) for files in partners(Files(source), Files(target)))
        return here, there


def stem(name: str) -> str:
    """The name without its ending, by which partners are found."""
    return str(PurePath(name).with_suffix(""))


def partners(one: Files, other: Files) -> tuple[Files, Files]:
    """The files of both roots, partners at the same place.

    Raises:
        ValueError: a name that only one root has, or one root has twice.
    """
    found = []
    for files in (one, other):
        names = {stem(name): name for name in files.stamps}
        if len(names) < len(files):
            raise ValueError(f"{files.root} has files that differ in their endings only: a pair is found by the name before it")
        found.append(names)
    for names, here, others, there in ((found[0], one, found[1], other), (found[1], other, found[0], one)):
        alone = sorted(names.keys() - others.keys())
        if alone:
            share = f"{len(alone):,} of {len(names):,} images in {here.root}"
            raise ValueError(f"{share} have no partner of the same name in {there.root}: {names[alone[0]]} is the first")
    order = sorted(found[0])
    return one.only([found[0][name] for name in order]), other.only([found[1][name] for name in order])


def refuse_other_proportions(one: Files, other: Files) -> None:
    """Raise ValueError if partners differ in shape, so that the centres cut out of them would not show the same."""
    if one.root == other.root:
        return  # sides of one picture
    with one.reader() as read, other.reader() as read_other:
        for a, b in zip(one.stamps, other.stamps, strict=True):
            (width, height), (width_b, height_b) = upright_size(read(a)), upright_size(read_other(b))
            if abs(width * height_b - height * width_b) > max(width, height, width_b, height_b):  # but for rounding
                raise ValueError(
                    f"{a} is {width} x {height} and its partner {b} in {other.root} {width_b} x {height_b}: bring pairs to "
                    "the same proportions"
                )


def upright_size(data: bytes) -> tuple[int, int]:
    """Width and height of an image file as one sees it, from its header; 0 and 0 of what is none: decoding names it."""
    try:
        with Image.open(BytesIO(data)) as image:
            turned = image.getexif().get(0x0112, 1) >= 5  # EXIF's orientation: on its side
            return (image.height, image.width) if turned else image.size
    except Exception:  # OSError, SyntaxError, struct.error ...: the bytes choose
        return 0, 0


def paired(source: ImageSet, target: ImageSet) -> PairedSamples:
    """The pairs of which both images could be read."""
    at = [{stem(name): row for row, name in enumerate(images.index()["names"])} for images in (source, target)]
    both = [name for name in at[0] if name in at[1]]
    rows = np.array([[at[0][name], at[1][name]] for name in both], np.int64).reshape(-1, 2)
    return PairedSamples(Samples(source.pixels), Samples(target.pixels), rows)
