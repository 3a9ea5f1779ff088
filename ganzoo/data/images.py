"""Small labelled image sets, held in memory."""

from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torchvision import datasets

from ganzoo.data.base import DataModule, at_least, one_line
from ganzoo.data.stream import Samples


class Digits(DataModule):
    """scikit-learn's 1,797 handwritten digits, 8x8 grey: on every machine, no download.

    The first 1,500 train, the rest are held out.

    Args:
        size: pixels a side; bilinear from 8x8.

    Raises:
        ValueError: size below 1.
    """

    classes = 10

    def __init__(self, *, size: int = 16, **loading: Any) -> None:
        super().__init__(**loading)
        at_least(1, size=size)
        self.shape = (1, size, size)

    def splits(self) -> tuple[Samples, Samples]:
        from sklearn.datasets import load_digits  # here, because it costs a second that no other data should pay

        digits = load_digits()
        grey = torch.from_numpy(digits.images)[:, None] * (255 / 16)  # [1797, 1, 8, 8], 0 .. 255
        images = resized(grey.round().to(torch.uint8), self.shape[-1])
        labels = torch.from_numpy(digits.target).long()
        return Samples(images[:1500], labels[:1500]), Samples(images[1500:], labels[1500:])


class _Torchvision(DataModule):
    """A torchvision set of ten classes, read whole; its test split is held out.

    Raises:
        FileNotFoundError: the files are not there, and download is off or failed.
        ValueError: the files are damaged; or size below 1.
    """

    classes = 10
    dataset: Any  # the torchvision class
    files: tuple[str, ...]  # that must exist, below `root`

    def __init__(self, root: str, shape: tuple[int, int, int], download: bool, **loading: Any) -> None:
        super().__init__(**loading)
        at_least(1, size=shape[-1])
        self.root = Path(root).expanduser().resolve()
        self.shape = shape
        self.download = download

    def fitted(self, images: Tensor) -> Tensor:
        """uint8 [M, C, H, W] -> [M, *shape]."""
        return resized(images, self.shape[-1])

    def prepare_data(self) -> None:
        if self._found():
            return
        if not self.download:
            raise self._missing("download is off", "set download=true")
        rank_zero_info(f"downloading {type(self).__name__} to {self.root}")
        try:
            with redirect_stdout(StringIO()), redirect_stderr(StringIO()):  # a progress bar for each file
                self.dataset(self.root, download=True)
        except Exception as error:  # by mirror and version: URLError, RuntimeError, OSError ...
            raise self._missing(f"the download failed ({one_line(error)})", "try again") from error

    def splits(self) -> tuple[Samples, Samples]:
        if not self._found():
            raise self._missing("nothing was downloaded", "call prepare_data() first")
        try:
            return self._read(train=True), self._read(train=False)
        except Exception as error:  # struct.error, EOFError, RuntimeError ...: whatever damaged bytes lead to
            where = self._folder()
            raise ValueError(f"{where} is damaged ({one_line(error)}): delete it and run with download=true") from error

    def _read(self, train: bool) -> Samples:
        data = self.dataset(self.root, train=train)
        pixels = torch.as_tensor(data.data)  # [M, H, W] or [M, H, W, C]
        images = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
        return Samples(self.fitted(images.contiguous()), torch.as_tensor(data.targets))

    def _found(self) -> bool:
        return all((self.root / file).is_file() for file in self.files)

    def _folder(self) -> Path:
        return (self.root / self.files[0]).parent

    def _missing(self, why: str, remedy: str) -> FileNotFoundError:
        name, names = type(self).__name__, ", ".join(Path(file).name for file in self.files)
        return FileNotFoundError(f"{name} is not in {self._folder()} and {why}: {remedy}, or put {names} there")


IDX = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
BATCHES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch", "batches.meta")


class MNIST(_Torchvision):
    """70,000 handwritten digits, 28x28 grey: 60,000 train, 10,000 are held out.

    Args:
        root: the folder that holds, or will hold, MNIST/raw.
        size: pixels a side: 28 as they are, 32 with a black border, any other resized from 32.
        download: fetch what is missing.
    """

    dataset = datasets.MNIST
    files = tuple(f"MNIST/raw/{part}-ubyte" for part in IDX)

    def __init__(self, *, root: str = "data", size: int = 32, download: bool = True, **loading: Any) -> None:
        super().__init__(root, (1, size, size), download, **loading)

    def fitted(self, images: Tensor) -> Tensor:
        return images if self.shape[-1] == 28 else resized(F.pad(images, [2, 2, 2, 2]), self.shape[-1])


class FashionMNIST(MNIST):
    """70,000 pictures of clothes, 28x28 grey, with MNIST's arguments; its files are in root/FashionMNIST/raw."""

    dataset = datasets.FashionMNIST
    files = tuple(f"Fashion{file}" for file in MNIST.files)


class CIFAR10(_Torchvision):
    """60,000 colour photographs, 32x32, of ten kinds of things: 50,000 train, 10,000 are held out.

    Args:
        root: the folder that holds, or will hold, cifar-10-batches-py.
        size: pixels a side.
        download: fetch what is missing.
        flip: mirror training images left to right with probability 1/2.
    """

    dataset = datasets.CIFAR10
    files = tuple(f"cifar-10-batches-py/{part}" for part in BATCHES)

    def __init__(
        self,
        *,
        root: str = "data",
        size: int = 32,
        download: bool = True,
        flip: bool = False,
        **loading: Any,
    ) -> None:
        super().__init__(root, (3, size, size), download, **loading)
        self.flip = flip


def resized(images: Tensor, size: int) -> Tensor:
    """uint8 [M, C, H, W] -> uint8 [M, C, size, size], bilinear and antialiased."""
    return F.interpolate(images, (size, size), mode="bilinear", antialias=True)
