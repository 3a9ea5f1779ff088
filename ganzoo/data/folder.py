"""Folders and zips of images, and sets in the layout of CelebA."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from ganzoo.data.base import DataModule
from ganzoo.data.cache import ImageSet
from ganzoo.data.decode import Decoder
from ganzoo.data.files import Files
from ganzoo.data.stream import Samples


class _Decoded(DataModule):
    """Images that `prepare_data()` decodes into a cache and `setup()` opens.

    Raises:
        ValueError: no image can be read, or more than the share `max_unreadable` cannot; a bad or unwritable cache.
    """

    training: ImageSet
    validation: ImageSet | None = None

    def __init__(
        self, *, decoder: Decoder, flip: bool = False, cache: str | None = None, max_unreadable: float = 0.01, **loading: Any
    ) -> None:
        super().__init__(**loading)
        self.shape = (decoder.channels, decoder.size, decoder.size)
        self.flip = flip
        self._cached = partial(ImageSet, decoder=decoder, cache=cache, max_unreadable=max_unreadable)

    def prepare_data(self) -> None:
        for images in self._sets():
            images.decode()
            images.report()

    def splits(self) -> tuple[Samples, Samples | None]:
        return self._samples(self.training), self._samples(self.validation) if self.validation else None

    def labels(self, names: list[str]) -> Tensor | None:
        """int64 [M] of the images `names`, if the set has classes."""
        return None

    def _sets(self) -> list[ImageSet]:
        return [self.training, *([self.validation] if self.validation else [])]

    def _samples(self, images: ImageSet) -> Samples:
        return Samples(images.pixels, self.labels(images.index()["names"]))


class ImageFolder(_Decoded):
    """A folder or a .zip of images of any size and kind.

    Images are found at any depth, hidden files and other kinds of files are passed over, and folders that all images
    share are ignored. If then every image lies in a folder, and there are at least two of those, they are the classes
    (`class_names`, sorted). Images come in the order of their names.

    Args:
        root: the folder or .zip; `~` is the home folder.
        size: pixels a side: the shorter side is resized to it (Lanczos, antialiased), the centre is cut out.
        channels: 3, or 1 for grey.
        crop: first cut out the centre, `crop` pixels a side (all of a side that is shorter).
        flip: mirror training images left to right with probability 1/2.
        val_root: a folder or .zip of held-out images, with the same classes.
        cache: where decoded images are kept: by default $GANZOO_CACHE, $XDG_CACHE_HOME/ganzoo or ~/.cache/ganzoo.
        max_unreadable: share of the images that may be unreadable; they are skipped, counted and named.

    Raises:
        FileNotFoundError: a root that does not exist or holds no images.
        ValueError: an argument out of range, a broken zip, or held-out images of other classes.
    """

    held_out_hint = "give val_root, a folder or .zip of held-out images"

    def __init__(
        self,
        *,
        root: str,
        size: int = 64,
        channels: int = 3,
        crop: int | None = None,
        val_root: str | None = None,
        **decoded: Any,
    ) -> None:
        super().__init__(decoder=Decoder(size, channels, crop), **decoded)
        self.training = self._cached(Files(root))
        self.class_names = classes_of(self.training.files)
        self.classes = len(self.class_names) or None
        if val_root is not None:
            self.validation = self._cached(Files(val_root))
            found = set(classes_of(self.validation.files))
            if self.classes and (not found or found - set(self.class_names)):
                raise ValueError(f"{val_root} needs folders named like those in {root}: {', '.join(self.class_names)}")

    def labels(self, names: list[str]) -> Tensor | None:
        if not self.classes:
            return None
        number = {name: label for label, name in enumerate(self.class_names)}
        return torch.tensor([number[name.split("/")[0]] for name in names])


class CelebA(_Decoded):
    """202,599 faces, 178x218, as torchvision lays them out; the validation part of the official split is held out.

    Expects celeba/img_align_celeba (a folder, or the .zip not yet unpacked) and celeba/list_eval_partition.txt. `root`
    may also be the celeba folder itself. Without the partition file every image trains. The test part is not used.

    Args:
        root: the folder above celeba.
        size: pixels a side.
        crop: pixels of the centre that are kept, before resizing.
        flip: mirror training images left to right with probability 1/2.
        cache, max_unreadable: as for ImageFolder; images that are listed but missing count as unreadable.

    Raises:
        FileNotFoundError: there are no images.
        ValueError: an argument out of range, a broken zip, or a line of the partition file that makes no sense.
    """

    held_out_hint = "put list_eval_partition.txt beside img_align_celeba"

    def __init__(self, *, root: str = "data", size: int = 64, crop: int = 178, **decoded: Any) -> None:
        super().__init__(decoder=Decoder(size, 3, crop), **decoded)
        files = Files(celeba_images(root))
        partition = files.root.parent / "list_eval_partition.txt"
        if not partition.is_file():
            rank_zero_warn(f"{partition} is missing: all {len(files):,} images train, none is held out")
            self.training = self._cached(files)
            return
        parts = read_partition(partition)
        self.training = self._cached(files.only(parts[0]))
        if parts[1]:
            self.validation = self._cached(files.only(parts[1]))


def classes_of(files: Files) -> list[str]:
    """The first folders of the names, sorted, if every image lies in one and there are at least two; else nothing."""
    folders = {name.rpartition("/")[0].split("/")[0] for name in files.stamps}
    return sorted(folders) if len(folders) > 1 and "" not in folders else []


def celeba_images(root: str) -> Path:
    """The folder or .zip with CelebA's aligned images."""
    given = Path(root).expanduser().absolute()
    for folder in (given / "celeba", given):
        for images in (folder / "img_align_celeba", folder / "img_align_celeba.zip"):
            if images.is_file() or (images.is_dir() and any(images.iterdir())):
                return images
    get = "torchvision.datasets.CelebA(root, download=True) fetches it, or unpack img_align_celeba.zip there by hand"
    raise FileNotFoundError(f"no CelebA in {given / 'celeba' / 'img_align_celeba'}: {get}")


def read_partition(path: Path) -> tuple[list[str], list[str], list[str]]:
    """The names of the training, validation and test images: lines of "000001.jpg 0"."""
    parts: tuple[list[str], list[str], list[str]] = ([], [], [])
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match line.split():
            case [name, ("0" | "1" | "2") as part]:
                parts[int(part)].append(name)
            case [_, *_]:
                raise ValueError(f"line {number} of {path} is not like '000001.jpg 0': {line[:60]!r}")
    if not parts[0]:
        raise ValueError(f"{path} lists no training image (a line such as '000001.jpg 0')")
    return parts
