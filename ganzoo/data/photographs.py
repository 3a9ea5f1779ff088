"""Images of different sizes: decoded whole, cut into squares as a stream, or in pairs with their small versions."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from ganzoo.data.cache import ImageSet
from ganzoo.data.decode import Decoder, upright
from ganzoo.data.stream import Samples, Stream, uploaded


class WholeDecoder(Decoder):
    """Bytes of an image file -> uint8 [channels, H, W], all of it.

    Raises:
        ValueError: channels other than 1 or 3.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(size=1, channels=channels, crop=None)  # a size that nothing asks for

    @property
    def key(self) -> tuple[Any, ...]:
        return "whole", self.channels

    def __call__(self, data: bytes) -> np.ndarray:
        """Raises as `upright` does."""
        plain = np.asarray(upright(data).convert("RGB" if self.channels == 3 else "L"))
        return plain.reshape(*plain.shape[:2], self.channels).transpose(2, 0, 1)


class WholeImages(ImageSet):
    """Images of different sizes, decoded once: `pixels` is one long uint8 [bytes]; the index has `sizes`, (H, W) of each."""

    def photographs(self, least: int) -> "Photographs":
        """Those of at least so many pixels a side; the others are named in a warning.

        Raises:
            ValueError: none is as large, and as `index` does.
        """
        index = self.index()
        sizes = np.array(index["sizes"], np.int64).reshape(-1, 2)
        names = np.array(index["names"])
        ends = np.cumsum(sizes.prod(1) * self.decoder.channels)
        large = np.flatnonzero(sizes.min(1) >= least)
        small = names[sizes.min(1) < least].tolist()
        if not len(large):
            raise ValueError(f"no image in {self.files.root} has {least} pixels a side: set --data.crop to fewer")
        if small:
            first = ", ".join([*small[:3], *(["..."] if len(small) > 3 else [])])
            rank_zero_warn(f"skipped: {len(small):,} images in {self.files.root} below {least} pixels a side: {first}")
        starts = np.concatenate([[0], ends[:-1]])
        return Photographs(self.pixels, sizes[large], starts[large], self.decoder.channels, least, names[large].tolist())

    def _rows(self, index: dict[str, Any]) -> int:
        return sum(height * width for height, width in index["sizes"]) * self.decoder.channels

    def _write(self, file: BinaryIO) -> dict[str, Any]:
        index: dict[str, Any] = {"names": [], "sizes": [], "unreadable": {}}
        self._write_bytes(file, 0)
        for name, pixels in self._decoded():
            if isinstance(pixels, str):
                index["unreadable"][name] = pixels
            else:
                file.write(pixels.tobytes())
                index["names"].append(name)
                index["sizes"].append(pixels.shape[1:])
        file.seek(0)
        self._write_bytes(file, self._rows(index))
        return index

    @staticmethod
    def _write_bytes(file: BinaryIO, n: int) -> None:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (n,)})


class Photographs(Samples):
    """Images of different sizes, of which squares are cut out: one in each place of the stream.

    Args:
        pixels: uint8 [bytes], or the .npy file of it: images [C, H, W] one after another.
        sizes: (H, W) of each, [M, 2]; starts: where they begin, [M].
        side: of a square, in pixels.
        names: of their files.
    """

    def __init__(
        self,
        pixels: Path | np.ndarray,
        sizes: np.ndarray,
        starts: np.ndarray,
        channels: int,
        side: int,
        names: Sequence[str] = (),
    ) -> None:
        super().__init__(pixels)
        self.sizes, self.starts, self.channels, self.side, self.names = sizes, starts, channels, side, names

    def __reduce__(self) -> tuple[Any, ...]:
        return Photographs, (self.source, self.sizes, self.starts, self.channels, self.side, self.names)

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> tuple[Tensor, ...]:
        """The squares in the middle: uint8 [len(indices), C, side, side]."""
        rows = np.asarray(indices)
        return (self.squares(rows, np.full((len(rows), 2), 0.5)),)

    def squares(self, rows: np.ndarray, where: np.ndarray) -> Tensor:
        """One of each image, where [N, 2] in [0, 1) says from the top and from the left: uint8 [N, C, side, side]."""
        self._refuse_shrunk()
        out = np.empty((len(rows), self.channels, self.side, self.side), np.uint8)
        for square, row, (top, left) in zip(out, rows, self.corners(rows, where), strict=True):
            square[:] = self.whole(row)[:, top : top + self.side, left : left + self.side]
        return torch.from_numpy(out)

    def corners(self, rows: np.ndarray, where: np.ndarray) -> np.ndarray:
        """Each square's first row and column, [N, 2]."""
        return (where * (self.sizes[rows] - self.side + 1)).astype(np.int64)

    def whole(self, row: int) -> np.ndarray:
        """uint8 [C, H, W], not copied."""
        height, width = self.sizes[row]
        start = self.starts[row]
        return self.data[start : start + self.channels * height * width].reshape(self.channels, height, width)

    def squares_on(self, device: torch.device) -> Callable[[np.ndarray, np.ndarray], Tensor]:
        """`squares` of a copy that lies on the device."""
        self._refuse_shrunk()
        pixels = uploaded(self.data, device)
        channel, row, column = np.ogrid[: self.channels, : self.side, : self.side]

        def squares(rows: np.ndarray, where: np.ndarray) -> Tensor:
            (height, width), (top, left) = self.sizes[rows].T, self.corners(rows, where).T
            first = torch.from_numpy(self.starts[rows] + top * width + left).to(device)
            wide, area = (torch.from_numpy(x).to(device)[:, None, None, None] for x in (width, height * width))
            inside = [torch.from_numpy(x).to(device) for x in (channel, row, column)]
            return pixels[first[:, None, None, None] + inside[0] * area + inside[1] * wide + inside[2]]

        return squares


class CropStream(Stream):
    """Squares of photographs, mirrored and turned: where each is cut out, and how it lies, depends on its position alone.

    Args:
        turn: each of the square's eight symmetries is as likely as any other; else, with `flip`, it is mirrored or not.
        device: where the photographs are copied to; None: they stay with the host.
    """

    samples: Photographs

    def __init__(
        self, samples: Photographs, batch: int, *, turn: bool = False, device: torch.device | None = None, **place: Any
    ) -> None:
        super().__init__(samples, batch, **place)
        self.turn = turn
        self.resident = device is not None
        self.squares = samples.squares if device is None else samples.squares_on(device)

    def read(self, position: int) -> tuple[Tensor, ...]:
        rows, chance = self._plan(position)
        squares = self.squares(rows, chance[:, :2])
        if self.flip:
            squares = chosen(chance[:, 2] < 0.5, squares.flip(-1), squares)
        if self.turn:  # upside down, and then on its side
            squares = chosen(chance[:, 3] < 0.5, squares.flip(-2), squares)
            squares = chosen(chance[:, 4] < 0.5, squares.transpose(-1, -2), squares)
        return (squares,)

    def _draw(self, epoch: int) -> None:
        if epoch != self._epoch:
            rng = np.random.default_rng([self.seed, epoch])
            self._epoch, self._order = epoch, rng.permutation(len(self.samples))
            self._mirrored = rng.random((len(self.samples), 5))  # where from the top and the left, and the three symmetries


def chosen(which: np.ndarray, one: Tensor, other: Tensor) -> Tensor:
    """Row by row, one where `which` [N] says so."""
    return torch.where(torch.from_numpy(which).to(one.device)[:, None, None, None], one, other)


class Pairs(Samples):
    """Small images beside their true large ones, whole, each of its own size; they are read one by one.

    Args:
        pairs: uint8 [C, h, w] and [C, h * scale, w * scale] of each.
    """

    def __init__(self, pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
        self.pairs = pairs

    def __reduce__(self) -> tuple[Any, ...]:
        return Pairs, (self.pairs,)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> tuple[Tensor, ...]:
        """uint8 [1, C, h, w] and [1, C, H, W]."""
        [index] = indices
        low, high = (torch.from_numpy(np.array(part))[None] for part in self.pairs[index])
        return low, high


class Middles(Samples):
    """Squares in the middle of the large images of pairs, where these are large enough.

    Args:
        side: in pixels.

    Raises:
        ValueError: none is.
    """

    def __init__(self, pairs: Pairs, side: int) -> None:
        self.pairs, self.side, self.labels = pairs, side, None
        self.rows = [row for row, (_, high) in enumerate(pairs.pairs) if min(high.shape[1:]) >= side]
        if not self.rows:
            raise ValueError(f"no held-out photograph has {side} pixels a side, as training squares have: give larger ones")

    def __reduce__(self) -> tuple[Any, ...]:
        return Middles, (self.pairs, self.side)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> tuple[Tensor, ...]:
        """uint8 [len(indices), C, side, side]."""
        found = []
        for index in indices:
            high = self.pairs.pairs[self.rows[index]][1]
            top, left = ((length - self.side) // 2 for length in high.shape[1:])
            found.append(torch.from_numpy(np.array(high[:, top : top + self.side, left : left + self.side])))
        return (torch.stack(found),)
