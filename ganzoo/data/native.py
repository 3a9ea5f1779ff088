"""Samples as they are, in order, to be measured: no resize, no crop, no cache."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganzoo.data.base import one_line
from ganzoo.data.decode import upright
from ganzoo.data.files import Files
from ganzoo.data.stream import Samples


class SplitSamples:
    """The samples of a data module's split: all, or the first `most`.

    Attributes:
        shape: of all, (n, *shape of one).
    """

    def __init__(self, samples: Samples, most: int | None = None) -> None:
        self.samples = samples
        self.shape = (min(len(samples), most or len(samples)), *samples[0][0].shape)

    def __len__(self) -> int:
        return self.shape[0]

    def content(self) -> str:
        """Hash of all numbers in order: 16 hexadecimal digits."""
        digest = hashlib.sha256(str(self.shape).encode())
        for batch in self.batches(1000, range(ceil(len(self) / 1000))):
            digest.update(batch.numpy().tobytes())
        return digest.hexdigest()[:16]

    def batches(self, size: int, indices: Iterable[int]) -> Iterator[Tensor]:
        """Batch i holds samples i * size .. (i + 1) * size - 1: uint8 images [size or fewer, C, H, W], or float32."""
        for i in indices:
            yield self.samples.__getitems__(range(i * size, min((i + 1) * size, len(self))))[0]


class FileImages:
    """The images in a folder or a .zip, in the order of their names, in colour.

    Raises:
        FileNotFoundError: `root` does not exist or holds no images.
        ValueError: `root` is a file but no .zip, or a broken one.
    """

    def __init__(self, root: str | Path) -> None:
        self.files = Files(root)
        self.names = list(self.files.stamps)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all, (n, 3, H, W), by the first one."""
        with self.files.reader() as read:
            return len(self), *self._decode(self.names[0], read(self.names[0])).shape

    def content(self) -> str:
        """Hash of all files in order: 16 hexadecimal digits."""
        digest = hashlib.sha256()
        with self.files.reader() as read:
            for name in self.names:
                digest.update(hashlib.sha256(read(name)).digest())
        return digest.hexdigest()[:16]

    def batches(self, size: int, indices: Iterable[int]) -> Iterator[Tensor]:
        """Batch i holds images i * size .. (i + 1) * size - 1: uint8 [size or fewer, 3, H, W].

        Raises:
            ValueError: an image that cannot be read or is not as large as the first one, by name.
        """
        with self.files.reader() as read, ThreadPoolExecutor(os.cpu_count()) as pool:
            first = self._decode(self.names[0], read(self.names[0]))
            for i in indices:
                names = self.names[i * size : (i + 1) * size]
                images = list(pool.map(lambda name: self._decode(name, read(name)), names))
                for name, image in zip(names, images, strict=True):
                    if image.shape != first.shape:
                        sizes = " and ".join(
                            f"{x.shape[2]} x {x.shape[1]} ({n})" for n, x in ((self.names[0], first), (name, image))
                        )
                        raise ValueError(f"{self.files.root} mixes images of {sizes}: bring them to one size first")
                yield torch.stack(images)

    def _decode(self, name: str, data: bytes) -> Tensor:
        try:
            plain = upright(data).convert("RGB")
        except Exception as error:  # OSError, SyntaxError, struct.error, zlib.error ...: the bytes choose
            raise ValueError(f"{self.files.root}: {name} cannot be read ({one_line(error)}): repair or remove it") from error
        return torch.from_numpy(np.array(plain)).permute(2, 0, 1)
