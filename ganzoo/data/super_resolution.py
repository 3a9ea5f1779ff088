"""High-resolution photographs of any size, and their small versions, made as they are used."""

from collections.abc import Sequence
from os.path import commonprefix
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganzoo.data.base import DataModule, at_least
from ganzoo.data.bicubic import shrunk
from ganzoo.data.device import fits
from ganzoo.data.files import Files
from ganzoo.data.photographs import CropStream, Middles, Pairs, Photographs, WholeDecoder, WholeImages
from ganzoo.data.stream import Samples, Stream


class SuperResolution(DataModule):
    """Photographs of any size and kind in a folder or a .zip, and their small versions, which a game is to enlarge again.

    A batch is `(source, target)`: [N, C, crop / scale, crop / scale] and [N, C, crop, crop] in [-1, 1]. Squares are cut out at
    random, one of each photograph in an epoch, and made smaller on the device by MATLAB's bicubic (`ganzoo.data.bicubic`), to 8
    bits as files are. Each is shrunk for itself: along its edge, two pixels wide, it differs from a piece of the whole
    photograph's small version, which has seen what lies beyond.

    Held-out photographs are whole, cut to multiples of the scale, and come one by one.

    Args:
        root: the folder or .zip of photographs.
        scale: how much smaller the source is: 2, 3, 4 or 8.
        crop: pixels a side of a training square; smaller photographs are passed over.
        channels: 3, or 1 for grey.
        flip: mirror squares left to right with probability 1/2.
        turn: and upside down, and turn them on their sides.
        val_root: a folder or .zip of held-out photographs.
        val_low: of their ready-made small versions, of the same names but for what all of them begin or end with (`a.png` and
            `ax4.png`); None: they are made as for training.
        val_crop: of held-out photographs only the middle, so many pixels a side at most; None: all.
        cache: where decoded images are kept: by default $GANZOO_CACHE, $XDG_CACHE_HOME/ganzoo or ~/.cache/ganzoo.
        max_unreadable: share of the images that may be unreadable; they are skipped, counted and named.

    Raises:
        FileNotFoundError: a root that does not exist or holds no images.
        ValueError: an argument out of range, a crop that is no multiple of the scale, small versions that do not fit.
    """

    held_out_hint = "give val_root, a folder or .zip of held-out photographs"
    alike = False

    train: Photographs

    def __init__(
        self,
        *,
        root: str,
        scale: int = 4,
        crop: int = 96,
        channels: int = 3,
        flip: bool = True,
        turn: bool = True,
        val_root: str | None = None,
        val_low: str | None = None,
        val_crop: int | None = None,
        cache: str | None = None,
        max_unreadable: float = 0.01,
        batch_size: int = 16,
        **loading: Any,
    ) -> None:
        super().__init__(batch_size=batch_size, **loading)
        if scale not in (2, 3, 4, 8):
            raise ValueError(f"scale is 2, 3, 4 or 8, not {scale}")
        at_least(scale, crop=crop, val_crop=val_crop)
        if crop % scale:
            raise ValueError(f"crop must be a multiple of the scale, {scale}, not {crop}")
        if self.labelled is not None or self.limit is not None:
            raise ValueError("SuperResolution has no labels, and takes all photographs: leave labelled and limit out")
        if val_low is not None and val_root is None:
            raise ValueError("val_low are small versions of val_root: give that too")
        self.scale, self.crop, self.val_crop = scale, crop, val_crop
        self.shape, self.flip, self.turn = (channels, crop, crop), flip, turn

        def found(place: str | None) -> WholeImages | None:
            return None if place is None else WholeImages(Files(place), WholeDecoder(channels), cache, max_unreadable)

        self.training, self.validation, self.small = found(root), found(val_root), found(val_low)

    def prepare_data(self) -> None:
        for images in (self.training, self.validation, self.small):
            if images is not None:
                images.decode()
                images.report()

    def splits(self) -> tuple[Samples, Samples | None]:
        assert self.training is not None
        return self.training.photographs(self.crop), self._pairs() if self.validation else None

    def _pairs(self) -> Pairs:
        """Whole photographs, cut to multiples of the scale as the papers cut them, at their right and lower edges."""
        assert self.validation is not None
        high = self.validation.photographs(self.scale)
        low = None if self.small is None else self.small.photographs(1)
        rows = [] if low is None else rows_alike(high.names, low.names)
        found = []
        for row in range(len(high)):
            height, width = (side - side % self.scale for side in high.whole(row).shape[1:])
            large = high.whole(row)[:, :height, :width]
            if low is None:
                small = shrunk(torch.from_numpy(np.array(large))[None], self.scale)[0].numpy()
            else:
                small = low.whole(rows[row])
            if (small.shape[1] * self.scale, small.shape[2] * self.scale) != (height, width):
                said = f"{small.shape[2]} x {small.shape[1]} pixels for one of {width} x {height}"
                raise ValueError(f"the image in val_low for {high.names[row]} has {said}: it is not {self.scale} times smaller")
            found.append((self._middle(small, 1), self._middle(large, self.scale)))
        return Pairs(found)

    def _middle(self, image: np.ndarray, scale: int) -> np.ndarray:
        """At most val_crop pixels a side of the large image; `scale`: how many of this one's are one of the small one's."""
        if self.val_crop is None:
            return image
        cuts = []
        for side in image.shape[1:]:
            kept = min(side // scale, self.val_crop // self.scale)
            first = (side // scale - kept) // 2
            cuts.append(slice(first * scale, (first + kept) * scale))
        return image[:, cuts[0], cuts[1]]

    def on_after_batch_transfer(self, batch: Sequence[Tensor], dataloader_idx: int = 0) -> list[tuple[Tensor, ...]]:
        """On the device: (source, target) of each minibatch; sources are made here unless they are ready."""
        *ready, high = batch
        low = ready[0] if ready else shrunk(high, self.scale)
        return super().on_after_batch_transfer((low, high), dataloader_idx)

    def targets_of(self, samples: Samples) -> Samples:
        """Squares of the size of training ones, whole photographs being of different sizes."""
        return Middles(samples, self.crop) if isinstance(samples, Pairs) else samples

    def stream(self, batch: int, device: torch.device, **place: Any) -> Stream:
        there = device if fits(self.train, device, self.device_share) else None
        return CropStream(self.train, batch, turn=self.turn, device=there, flip=self.flip, **place)


def rows_alike(high: Sequence[str], low: Sequence[str]) -> list[int]:
    """Of each large image, by its file's name, the row of its small version.

    Raises:
        ValueError: they are no pairs.
    """
    if len(low) != len(high):
        raise ValueError(f"val_low holds {len(low)} images and val_root {len(high)}: they must be pairs")
    keys, rows = own_parts(high), {key: row for row, key in enumerate(own_parts(low))}
    if rows.keys() != set(keys) or len(rows) < len(keys):
        raise ValueError("the names in val_low are not those in val_root: call the small version of a.png ax4.png, say")
    return [rows[key] for key in keys]


def own_parts(names: Sequence[str]) -> list[str]:
    """What is left of names without their suffixes and what all of them end with, and begin with."""
    parts = [name.rpartition(".")[0] for name in names]
    for _ in range(2):  # from their ends, then from their beginnings
        parts = [part[::-1] for part in parts]
        shared = len(commonprefix(parts))  # noqa: RUF071 - characters, not folders, are compared
        parts = [part[shared:] for part in parts]
    return parts
