"""Data: the stream is a function of (seed, position); images of any kind are decoded once and right."""

import os
import struct
import time
import warnings
import zipfile
import zlib
from itertools import chain, islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from ganzoo.data import base, cache, decode
from ganzoo.data.base import DataModule, normalised
from ganzoo.data.decode import Decoder
from ganzoo.data.folder import CelebA, ImageFolder
from ganzoo.data.images import CIFAR10, MNIST, Digits, FashionMNIST
from ganzoo.data.stream import Samples, Stream
from ganzoo.data.toy import Gaussians

REAL = (Path(__file__).parents[1] / os.environ.get("GANZOO_TEST_DATA", "../shared/data")).resolve()

# --- the stream


def numbered(n: int) -> Samples:
    """n images whose left pixel is their number, 255 to its right."""
    images = torch.full((n, 1, 1, 2), 255, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.arange(n)
    return Samples(images, torch.arange(n))


def order(stream: Stream, batches: int, workers: int = 0) -> list[int]:
    """The numbers (labels) of the images in the first batches."""
    loader = DataLoader(stream, batch_size=None, num_workers=workers)
    return torch.cat([label for _, label in islice(loader, batches)]).tolist()


def pixels(stream: Stream, batches: int) -> torch.Tensor:
    return torch.cat([real for real, _ in islice(stream, batches)])


def test_each_epoch_sees_every_image_once_and_no_two_are_alike() -> None:
    seen = order(Stream(numbered(10), 3, seed=1), 10)
    epochs = [seen[i : i + 10] for i in (0, 10, 20)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(10))] * 3
    assert epochs[0] != epochs[1] != epochs[2]
    assert seen != order(Stream(numbered(10), 3, seed=2), 10)


def test_the_order_is_the_same_with_workers() -> None:
    one = order(Stream(numbered(20), 6, seed=3, start=4), 9)
    assert order(Stream(numbered(20), 6, seed=3, start=4), 9, workers=2) == one


@pytest.mark.parametrize("start", [1, 6, 10, 23])
def test_a_later_start_gives_the_identical_tail(start: int) -> None:
    whole, tail = (Stream(numbered(10), 6, seed=5, start=s, flip=True) for s in (0, start))
    assert torch.equal(pixels(whole, 20)[start:60], pixels(tail, 10)[: 60 - start])


def test_ranks_partition_the_stream() -> None:
    ranks = [order(Stream(numbered(50), 4, rank=rank, world=3, start=7), 4) for rank in range(3)]
    dealt = [ranks[block % 3][4 * (block // 3) :][:4] for block in range(12)]
    assert list(chain.from_iterable(dealt)) == order(Stream(numbered(50), 4, start=7), 12)


@pytest.mark.parametrize("workers", [0, 2])
def test_ranks_share_each_minibatch_of_a_round(workers: int) -> None:
    """Those of three ranks, side by side, are the minibatches of one process with three times the batch."""
    place = {"minibatches": 2, "start": 7}
    ranks = [order(Stream(numbered(50), 8, rank=rank, world=3, **place), 4, workers=workers) for rank in range(3)]
    together = [ranks[rank][4 * minibatch :][:4] for minibatch in range(8) for rank in range(3)]
    assert list(chain.from_iterable(together)) == order(Stream(numbered(50), 24, **place), 4)
    assert order(Stream(numbered(50), 24, **place), 4) == order(Stream(numbered(50), 24, start=7), 4)


def test_a_batch_may_be_larger_than_the_set() -> None:
    first, second = list(islice(Stream(numbered(3), 8), 2))
    assert torch.cat([first[1], second[1]])[:15].reshape(5, 3).sort().values.tolist() == [[0, 1, 2]] * 5


def test_an_epoch_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[list[int]] = []
    really = np.random.default_rng
    monkeypatch.setattr(np.random, "default_rng", lambda key: drawn.append(key) or really(key))  # type: ignore[func-returns-value]
    order(Stream(numbered(20), 3, seed=7), 12)
    assert drawn == [[7, 0], [7, 1]]


def test_flips_depend_on_seed_and_position_alone() -> None:
    torch.manual_seed(0)
    one = pixels(Stream(numbered(200), 50, seed=1, flip=True), 8)
    np.random.seed(1)
    torch.manual_seed(1)
    two = pixels(Stream(numbered(200), 100, seed=1, flip=True), 4)
    assert torch.equal(one, two)
    flipped = one[:, 0, 0, 0] == 255
    assert 0.4 < flipped.float().mean() < 0.6
    assert not torch.equal(flipped[:200], flipped[200:])
    assert (pixels(Stream(numbered(200), 50, seed=1), 8)[:, 0, 0, 1] == 255).all()


def test_flipping_leaves_the_samples_alone() -> None:
    samples = numbered(20)
    pixels(Stream(samples, 20, flip=True), 4)
    assert np.array_equal(samples.data[:, 0, 0, 0], np.arange(20))


class Hanging(Samples):
    def __getitems__(self, indices):  # type: ignore[no-untyped-def]
        time.sleep(3)


def test_a_hung_worker_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "WORKER_TIMEOUT_SECONDS", 1)
    data = Small(workers=1)
    data.train = Hanging(torch.zeros(4, 1, 2, 2, dtype=torch.uint8))
    with pytest.raises(RuntimeError, match="timed out"):
        next(iter(attached(data).train_dataloader()))


# --- samples and the data module


class Small(DataModule):
    """12 numbered training images; the first 5 of them held out, if asked for."""

    shape = (1, 1, 2)

    def __init__(self, held_out: bool = False, **kwargs: int) -> None:
        super().__init__(**kwargs)
        self.has_held_out, self.reads = held_out, 0

    def splits(self) -> tuple[Samples, Samples | None]:
        self.reads += 1
        return numbered(12), numbered(5) if self.has_held_out else None


def attached(data: DataModule, fn: str = "fit", rank: int = 0, world: int = 1, **game: int) -> DataModule:
    """With a stand-in for the trainer."""
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    where = {"global_rank": rank, "world_size": world, "state": SimpleNamespace(fn=fn), "strategy": strategy}
    data.trainer = SimpleNamespace(lightning_module=SimpleNamespace(**game), **where)  # type: ignore[assignment]
    data.setup()
    return data


def test_samples_read_batches_with_one_index() -> None:
    samples = numbered(9)
    real, label = samples.__getitems__([7, 0, 7])
    assert real[:, 0, 0, 0].tolist() == label.tolist() == [7, 0, 7]
    assert samples[3][0].shape == (1, 1, 2) and samples[3][1].item() == 3 and len(samples) == 9
    assert len(Samples(torch.zeros(2, 2))[0]) == 1


@pytest.mark.parametrize(
    "data, labels, says",
    [
        (torch.zeros(0, 1, 2, 2, dtype=torch.uint8), None, "empty"),
        (torch.zeros(2, 2, dtype=torch.float64), None, "float64"),
        (torch.zeros(2, 2), torch.zeros(3), "2 samples with 3 labels"),
    ],
)
def test_samples_refuse(data: torch.Tensor, labels: torch.Tensor | None, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Samples(data, labels)


def test_a_round_is_all_its_minibatches_in_order() -> None:
    data = attached(Small(batch_size=4), minibatches=3, seed=2, images_seen=5)
    batch = next(iter(data.train_dataloader()))
    minibatches = data.on_after_batch_transfer(batch, 0)
    assert [real.shape for real, _ in minibatches] == [(4, 1, 1, 2)] * 3
    assert torch.cat([label for _, label in minibatches]).tolist() == order(Stream(numbered(12), 12, seed=2, start=5), 1)
    real, label = minibatches[1]
    assert torch.equal(real[:, 0, 0, 0], label.float() / 127.5 - 1)


def test_normalised() -> None:
    images = torch.tensor([[0, 255, 51]], dtype=torch.uint8)
    assert torch.allclose(normalised(images), torch.tensor([[-1.0, 1.0, -0.6]]))
    points = torch.tensor([[3.0, -7.0]])
    assert torch.equal(normalised(points), points)


def test_ranks_of_the_module_take_turns() -> None:
    loaders = [attached(Small(batch_size=3), rank=rank, world=2).train_dataloader() for rank in (0, 1)]
    seen = [label for loader in loaders for _, label in islice(loader, 2)]
    assert sorted(torch.cat(seen).tolist()) == list(range(12))


def test_the_next_lightning_epoch_goes_on() -> None:
    data = attached(Small(batch_size=4), images_seen=0)
    loader = data.train_dataloader()
    first = next(iter(loader))[1].tolist()
    data.trainer.lightning_module.images_seen = 4  # type: ignore[union-attr]
    second = next(iter(loader))[1].tolist()
    assert first + second == order(Stream(numbered(12), 8), 1)


def test_held_out_samples_come_once_in_order() -> None:
    data = attached(Small(held_out=True, batch_size=2), fn="validate")
    batches = [data.on_after_batch_transfer(batch, 0) for batch in data.val_dataloader()]
    assert [len(batch) for batch in batches] == [1, 1, 1]
    assert torch.cat([batch[0][1] for batch in batches]).tolist() == [0, 1, 2, 3, 4]
    assert len(list(data.test_dataloader())) == 3
    data.setup("validate")
    assert data.reads == 1  # type: ignore[attr-defined]


def test_without_held_out_samples_fit_goes_on_and_validation_says_why() -> None:
    assert attached(Small(), fn="fit").val_dataloader() == []
    with pytest.raises(ValueError, match="Small has no held-out split"):
        attached(Small(), fn="test").test_dataloader()


def test_real_samples_are_the_first_as_the_model_sees_them() -> None:
    real = Small().real_samples(3)
    assert torch.allclose(real[:, 0, 0, 0], torch.tensor([0.0, 1.0, 2.0]) / 127.5 - 1)
    assert len(Small().real_samples(99)) == 12


@pytest.mark.parametrize("bad", [{"batch_size": 0}, {"workers": -1}, {"label_seed": -1}])
def test_sizes_are_checked(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(bad))} must be at least"):
        Small(**bad)


class Recorder(L.LightningModule):
    """A game that records the labels of its rounds."""

    minibatches, images_seen, seed = 2, 0, 4

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.seen: list[int] = []
        self.validated = 0

    def training_step(self, batches, _):  # type: ignore[no-untyped-def]
        assert len(batches) == 2
        self.seen += torch.cat([label for _, label in batches]).tolist()
        self.images_seen += sum(len(real) for real, _ in batches)

    def validation_step(self, batches, _):  # type: ignore[no-untyped-def]
        self.validated += len(batches[0][0])

    def configure_optimizers(self) -> None:
        return None


@pytest.mark.parametrize("held_out", [False, True])
def test_lightning_runs_it(held_out: bool, tmp_path: Path) -> None:
    game = Recorder()
    quiet: dict[str, Any] = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=2,
        limit_train_batches=3,
        num_sanity_val_steps=0,
        default_root_dir=tmp_path,
        **quiet,
    )
    trainer.fit(game, datamodule=Small(held_out=held_out, batch_size=2))
    assert game.seen == order(Stream(numbered(12), 4, seed=4), 6)
    assert game.validated == (10 if held_out else 0)


# --- sets in memory


def test_digits() -> None:
    data = Digits(size=16)
    assert (data.shape, data.classes) == ((1, 16, 16), 10)
    data.setup()
    assert data.held_out is not None and (len(data.train), len(data.held_out)) == (1500, 297)
    assert (data.train.data.min(), data.train.data.max()) == (0, 255)
    assert data.real_samples(4).shape == (4, 1, 16, 16)
    assert data.train.labels is not None and data.train.labels[:10].tolist() == list(range(10))
    small = Digits(size=8)
    small.setup()
    assert np.abs(small.train.data[:50].reshape(50, 2, 4, 2, 4).mean((2, 4)).mean() - data.train.data[:50].mean()) < 2


def write_idx(path: Path, array: np.ndarray) -> None:
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def write_mnist(root: Path, name: str = "MNIST") -> np.ndarray:
    raw = root / name / "raw"
    raw.mkdir(parents=True)
    images = np.random.default_rng(0).integers(1, 256, (7, 28, 28))
    for split, n in (("train", 7), ("t10k", 3)):
        write_idx(raw / f"{split}-images-idx3-ubyte", images[:n])
        write_idx(raw / f"{split}-labels-idx1-ubyte", np.arange(n))
    return images


@pytest.mark.parametrize("kind", [MNIST, FashionMNIST])
def test_mnist_sizes(kind: type[MNIST], tmp_path: Path) -> None:
    images = write_mnist(tmp_path, kind.__name__)
    got = {}
    for size in (28, 32, 64):
        data = kind(root=str(tmp_path), size=size, download=False)
        data.prepare_data()
        data.setup()
        got[size] = data.train.data
        assert data.shape == (1, size, size) == data.train.data.shape[1:] and len(data.held_out or []) == 3
        assert data.train.labels is not None and data.train.labels.tolist() == list(range(7))
    assert np.array_equal(got[28][:, 0], images)
    assert np.array_equal(got[32][:, 0, 2:-2, 2:-2], images)
    assert got[32].sum() == images.sum()  # the border is black
    assert abs(got[64].mean() - got[32].mean()) < 1


def assert_one_line(error: BaseException, *parts: object) -> None:
    assert "\n" not in str(error)
    for part in parts:
        assert str(part) in str(error)


@pytest.mark.parametrize("kind, folder", [(MNIST, "MNIST/raw"), (CIFAR10, "cifar-10-batches-py")])
def test_missing_files_are_said_in_one_line(kind, folder: str, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(FileNotFoundError) as caught:
        kind(root=str(tmp_path), download=False).prepare_data()
    assert_one_line(caught.value, tmp_path / folder, "download is off", "set download=true")

    def fail(*_: object, download: bool) -> None:
        raise RuntimeError("no network\nTried mirror")

    monkeypatch.setattr(kind, "dataset", fail)
    with pytest.raises(FileNotFoundError) as caught:
        kind(root=str(tmp_path)).prepare_data()
    assert_one_line(caught.value, tmp_path / folder, "the download failed (no network Tried mirror)")
    with pytest.raises(FileNotFoundError, match="prepare_data"):
        kind(root=str(tmp_path)).setup()


def test_a_damaged_file_is_said_in_one_line(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    file = tmp_path / "MNIST/raw/train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError) as caught:
        MNIST(root=str(tmp_path)).setup()
    assert_one_line(caught.value, tmp_path / "MNIST/raw", "damaged", "delete it")


def test_cifar_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.arange(2 * 32 * 32 * 3, dtype=np.uint32).astype(np.uint8).reshape(2, 32, 32, 3)

    class Stored:
        def __init__(self, root: Path, train: bool) -> None:
            self.data, self.targets = pixels, [3, 4]

    monkeypatch.setattr(CIFAR10, "dataset", Stored)
    monkeypatch.setattr(CIFAR10, "files", ())
    monkeypatch.setattr(CIFAR10, "_folder", lambda self: self.root)
    data = CIFAR10(root=str(tmp_path), flip=True)
    data.setup()
    assert np.array_equal(data.train.data, pixels.transpose(0, 3, 1, 2)) and data.flip
    assert data.train.labels is not None and data.train.labels.tolist() == [3, 4]


# --- decoding


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    from io import BytesIO

    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def grey_level(value: int, **decoder: int) -> int:
    """What a 4x4 16-bit grey PNG of one value becomes."""
    image = Image.fromarray(np.full((4, 4), value, np.uint16))
    return int(Decoder(4, 1, None)(encoded(image)).mean())


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    assert [grey_level(v) for v in (0, 257 * 100, 257 * 200, 65535)] == [0, 100, 200, 255]
    tiff = Image.fromarray(np.full((4, 4), 257 * 100, np.uint16))
    assert Decoder(4, 3, None)(encoded(tiff, "TIFF")).mean() == 100
    ppm = b"P5 4 4 65535\n" + struct.pack(">H", 257 * 50) * 16
    assert Decoder(4, 3, None)(ppm).mean() == 50


def test_floats_are_refused() -> None:
    with pytest.raises(ValueError, match="white is not known"):
        Decoder(4, 3, None)(encoded(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"))


def test_exif_orientation_is_applied() -> None:
    image = Image.new("RGB", (8, 8), "black")
    image.paste((255, 255, 255), (0, 0, 8, 4))  # white above
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise: white to the right
    turned = Decoder(8, 1, None)(encoded(image, "PNG", exif=exif))[0]
    assert turned[:, 4:].min() == 255 and turned[:, :4].max() == 0


def test_alpha_is_laid_on_white() -> None:
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    assert Decoder(4, 3, None)(encoded(image)).min() == 255
    half = Decoder(4, 3, None)(encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 128))))[:, 0, 0]
    assert half.tolist() == [255, 127, 127]
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    assert Decoder(4, 3, None)(encoded(palette))[:, 0, 0].tolist() == [10, 20, 30]
    assert Decoder(4, 3, None)(encoded(palette, "PNG", transparency=1)).min() == 255


def test_grey_and_cmyk_become_colour_and_colour_becomes_grey() -> None:
    assert Decoder(4, 3, None)(encoded(Image.new("L", (4, 4), 77)))[:, 1, 1].tolist() == [77] * 3
    assert Decoder(4, 3, None)(encoded(Image.new("1", (4, 4), 1))).min() == 255
    red = Decoder(4, 3, None)(encoded(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "JPEG"))[:, 1, 1].tolist()
    assert red[0] > 250 and max(red[1:]) < 5
    assert Decoder(4, 1, None)(encoded(Image.new("RGB", (4, 4), (0, 255, 0)))).shape == (1, 4, 4)


def test_centre_is_cut_and_shrunk_without_aliasing() -> None:
    wide = Image.new("L", (30, 10), 0)
    wide.paste(200, (10, 0, 20, 10))
    assert (Decoder(10, 1, None)(encoded(wide)) == 200).all()
    assert (Decoder(10, 1, 4)(encoded(wide)) == 200).all()
    tall = Image.new("L", (10, 20), 0)
    tall.paste(90, (3, 8, 7, 12))
    assert (Decoder(8, 1, 4)(encoded(tall)) == 90).all()
    stripes = Image.fromarray(np.tile(np.array([0, 255], np.uint8), (64, 32)))
    assert np.abs(Decoder(8, 1, None)(encoded(stripes)).astype(int) - 127).max() < 10


@pytest.mark.parametrize("bad", [{"size": 0}, {"crop": 0}, {"channels": 4}, {"max_unreadable": 1.5}])
def test_bad_arguments(bad: dict, tmp_path: Path) -> None:
    write_images(tmp_path / "set", 1)
    with pytest.raises(ValueError, match=next(iter(bad))):
        ImageFolder(root=str(tmp_path / "set"), cache=str(tmp_path), **bad)


# --- folders


def write_images(folder: Path, n: int, size: int = 6) -> Path:
    """n PNGs, each of one colour: 10, 20, ... in the red channel."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        Image.new("RGB", (size, size), (10 * (i + 1), 0, 5)).save(folder / f"{i}.png")
    return folder


def opened(data: DataModule) -> DataModule:
    data.prepare_data()
    data.setup()
    return data


def folder(root: Path, tmp_path: Path, **options) -> ImageFolder:  # type: ignore[no-untyped-def]
    return ImageFolder(root=str(root), size=4, cache=str(tmp_path / "cache"), **options)


def reds(samples: Samples | None) -> list[int]:
    assert samples is not None
    return samples.data[:, 0, 0, 0].tolist()


def zipped(root: Path, target: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(root.rglob("*"), reverse=True):
            archive.write(file, prefix + str(file.relative_to(root)))
    return target


def test_classes_are_the_first_folders(tmp_path: Path) -> None:
    root = tmp_path / "set"
    write_images(root / "dog", 2)
    write_images(root / "cat" / "deep", 3)
    for passed_over in ("notes.txt", "._0.png", "__MACOSX/cat/0.png", ".hidden/0.png"):
        file = root / passed_over
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("not an image")
    data = folder(root, tmp_path)
    assert (data.shape, data.classes, data.class_names) == ((3, 4, 4), 2, ["cat", "dog"])
    opened(data)
    assert data.train.labels is not None and data.train.labels.tolist() == [0, 0, 0, 1, 1]
    assert reds(data.train) == [10, 20, 30, 10, 20]
    assert isinstance(data.train.data, np.memmap)


def test_no_classes_without_a_folder_for_each_image(tmp_path: Path) -> None:
    write_images(tmp_path / "one" / "only", 2)
    assert folder(tmp_path / "one", tmp_path).classes is None
    write_images(tmp_path / "mixed" / "a", 1)
    write_images(tmp_path / "mixed" / "b", 1)
    write_images(tmp_path / "mixed", 1)
    data = opened(folder(tmp_path / "mixed", tmp_path))
    assert data.classes is None and data.train.labels is None and len(data.train) == 3


def test_a_zip_equals_the_folder(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for name in ("b", "a", "a.b"):
        write_images(root / name, 3)
    plain = opened(folder(root, tmp_path))
    for target, prefix in (("flat.zip", ""), ("nested.zip", "top/inner/")):
        packed = opened(folder(zipped(root, tmp_path / target, prefix), tmp_path))
        assert np.array_equal(packed.train.data, plain.train.data)
        assert torch.equal(packed.train.labels, plain.train.labels)  # type: ignore[arg-type]


def damaged(root: Path) -> list[str]:
    """Four files that are no image, beside the others in `root`."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    (root / "bad_cut.jpg").write_bytes(encoded(Image.fromarray(noise), "JPEG")[:900])
    (root / "bad_empty.png").write_bytes(b"")
    (root / "bad_text.jpg").write_text("<html>404</html>")
    (root / "bad_zlib.png").write_bytes(encoded(Image.fromarray(noise))[:300] + b"\xff" * 50)
    return ["bad_cut.jpg", "bad_empty.png", "bad_text.jpg", "bad_zlib.png"]


def test_unreadable_images_are_skipped_counted_and_named_each_time(tmp_path: Path) -> None:
    root = write_images(tmp_path / "set", 16)
    damaged(root)
    for _ in range(2):  # decoded, and from the cache
        with pytest.warns(UserWarning, match=r"4 of 20 images \(20.00%\) in .*set cannot be read: bad_cut.jpg") as caught:
            data = opened(folder(root, tmp_path, max_unreadable=0.2))
        assert_one_line(caught[0].message, "bad_text.jpg (not an image), ...")  # type: ignore[arg-type]
        assert len(data.train) == 16 and sorted(reds(data.train)) == sorted(10 * (i + 1) for i in range(16))


@pytest.mark.parametrize("share", [0.0, 0.19])
def test_too_many_unreadable_images_stop(share: float, tmp_path: Path) -> None:
    root = write_images(tmp_path / "set", 16)
    damaged(root)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"20\.00%.*bad_cut.jpg .*max_unreadable is") as caught:
            folder(root, tmp_path, max_unreadable=share).prepare_data()
        assert_one_line(caught.value, root)


def test_a_set_without_a_readable_image_stops(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    damaged(tmp_path / "set")
    with pytest.raises(ValueError, match="4 of 4 images"):
        folder(tmp_path / "set", tmp_path, max_unreadable=1.0).prepare_data()


def test_a_damaged_zip_member_is_skipped(tmp_path: Path) -> None:
    packed = zipped(write_images(tmp_path / "set", 4), tmp_path / "set.zip")
    with zipfile.ZipFile(packed) as archive:
        offset = archive.getinfo("2.png").header_offset
    broken = bytearray(packed.read_bytes())
    broken[offset + 45] ^= 0xFF
    packed.write_bytes(broken)
    with pytest.warns(UserWarning, match="1 of 4 images .*2.png"):
        assert reds(opened(folder(packed, tmp_path, max_unreadable=0.5)).train) == [10, 20, 40]


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"not pixels") + chunk(b"IEND", b"")


@pytest.mark.parametrize("width, says", [(11_000, "11000 x 10000 pixels, more than 100"), (60_000, "decompression bomb")])
def test_a_bomb_is_refused_from_its_header(width: int, says: str, tmp_path: Path) -> None:
    root = write_images(tmp_path / "set", 1)
    (root / "bomb.png").write_bytes(png_header(width, 10_000))  # decoding it would complain of its pixels instead
    with pytest.warns(UserWarning, match=f"1 of 2 .*bomb.png .*{says}"):
        folder(root, tmp_path, max_unreadable=0.5).prepare_data()


def test_the_cache_is_used_again_until_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_images(tmp_path / "set", 3)
    opens: list[int] = []
    really = Image.open
    monkeypatch.setattr(decode.Image, "open", lambda *a, **k: opens.append(1) or really(*a, **k))  # type: ignore[func-returns-value]
    opened(folder(root, tmp_path))
    assert len(opens) == 3
    assert reds(opened(folder(root, tmp_path)).train) == [10, 20, 30]
    assert len(opens) == 3
    Image.new("RGB", (6, 6), (99, 0, 0)).save(root / "1.png")
    os.utime(root / "1.png", ns=(1, 1))
    assert reds(opened(folder(root, tmp_path)).train) == [10, 99, 30]
    assert len(opens) == 6
    opened(folder(root, tmp_path, channels=1))
    opened(folder(root, tmp_path, crop=3))
    assert len(opens) == 12


def test_folders_of_the_same_names_sizes_and_times_have_their_own_caches(tmp_path: Path) -> None:
    """As unpacked from a tar, whose times are whole seconds; an uncompressed image's size is that of any other."""
    for name, red in (("one", 10), ("other", 20), ("copy", 10)):
        (tmp_path / name).mkdir()
        Image.new("RGB", (6, 6), (red, 0, 0)).save(tmp_path / name / "0.bmp")
        os.utime(tmp_path / name / "0.bmp", (1, 1))
    one, other, copy = (opened(folder(tmp_path / name, tmp_path)) for name in ("one", "other", "copy"))
    assert (reds(one.train), reds(other.train)) == ([10], [20])
    assert copy.training.pixels == one.training.pixels, "decoded once"


def test_an_interrupted_decoding_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_images(tmp_path / "set", 3)
    monkeypatch.setattr(cache.ImageSet, "_write", lambda self, file: file.write(b"half") and 1 / 0)
    with pytest.raises(ZeroDivisionError):
        folder(root, tmp_path).prepare_data()
    assert list((tmp_path / "cache").iterdir()) == []
    with pytest.raises(ValueError, match="call prepare_data"):
        folder(root, tmp_path).setup()


def test_a_disk_error_is_not_remembered_as_a_bad_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_images(tmp_path / "set", 3)

    def fail(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", fail)
        with pytest.raises(ValueError, match=r"cannot decode .*Permission denied: .*png"):
            folder(root, tmp_path, max_unreadable=1.0).prepare_data()
    assert len(opened(folder(root, tmp_path)).train) == 3


def test_an_unwritable_or_damaged_cache_is_said_in_one_line(tmp_path: Path) -> None:
    root = write_images(tmp_path / "set", 3)
    with pytest.raises(ValueError, match="cache= or GANZOO_CACHE") as caught:
        ImageFolder(root=str(root), cache=str(root / "0.png" / "cache")).prepare_data()
    assert_one_line(caught.value, root / "0.png")
    data = folder(root, tmp_path)
    data.prepare_data()
    data.training.pixels.write_bytes(data.training.pixels.read_bytes()[:-10])
    with pytest.raises(ValueError, match=r"damaged.*delete it") as caught:
        folder(root, tmp_path).setup()
    assert_one_line(caught.value, data.training.pixels)
    data.training.pixels.unlink()
    data.prepare_data()
    index = data.training.pixels.with_suffix(".json")
    for content in ('{"names": ["0.png"], "unreadable": {}}', "{}", "[", ""):
        index.write_text(content)
        with pytest.raises(ValueError, match=r"damaged.*delete it"):
            folder(root, tmp_path).setup()


def test_the_cache_goes_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GANZOO_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.default_cache() == tmp_path / "xdg" / "ganzoo"
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "mine"))
    opened(ImageFolder(root=str(write_images(tmp_path / "set", 2)), size=4))
    assert sorted(file.suffix for file in (tmp_path / "mine").iterdir()) == [".json", ".npy"]


def test_spawned_workers_are_not_sent_the_pixels(tmp_path: Path) -> None:
    import pickle

    data = opened(folder(write_images(tmp_path / "set", 200), tmp_path))
    sent = pickle.dumps(data.train)
    assert len(sent) < data.train.data.nbytes / 10
    assert np.array_equal(pickle.loads(sent).data, data.train.data)


def test_held_out_folder(tmp_path: Path) -> None:
    for part in ("train", "val"):
        write_images(tmp_path / part / "a", 2)
        write_images(tmp_path / part / "b", 1)
    data = opened(folder(tmp_path / "train", tmp_path, val_root=str(tmp_path / "val")))
    assert data.held_out is not None and data.held_out.labels is not None
    assert data.held_out.labels.tolist() == [0, 0, 1]
    write_images(tmp_path / "val" / "c", 1)
    with pytest.raises(ValueError, match=r"needs folders named like those in .*: a, b"):
        folder(tmp_path / "train", tmp_path, val_root=str(tmp_path / "val"))
    with pytest.raises(ValueError, match="give val_root"):
        attached(folder(tmp_path / "train", tmp_path), fn="test").test_dataloader()


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    root = tmp_path / "set"
    root.mkdir()
    (root / "far").symlink_to(write_images(tmp_path / "elsewhere", 2))
    (root / "up").symlink_to(root)
    (root / "dead.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.warns(UserWarning, match=r"1 of 3 images .*dead.png \(missing\)"):
        assert reds(opened(folder(root, tmp_path, max_unreadable=0.5)).train) == [10, 20]


def test_nothing_to_read_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        folder(tmp_path / "nowhere", tmp_path)
    assert_one_line(caught.value, tmp_path / "nowhere", "expected a folder or a .zip")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError) as caught:
        folder(tmp_path / "empty", tmp_path)
    assert_one_line(caught.value, tmp_path / "empty", "no images", ".webp")
    (tmp_path / "text.zip").write_text("<html>")
    with pytest.raises(ValueError, match=r"text\.zip is not a folder and not a whole \.zip"):
        folder(tmp_path / "text.zip", tmp_path)


# --- CelebA


def write_celeba(root: Path, partition: str = "0.png 0\n1.png 1\n2.png 2\n3.png 0\n") -> Path:
    write_images(root / "celeba" / "img_align_celeba", 4)
    (root / "celeba" / "list_eval_partition.txt").write_text(partition)
    return root


def celeba(root: Path, tmp_path: Path, **options) -> CelebA:  # type: ignore[no-untyped-def]
    return CelebA(root=str(root), size=4, cache=str(tmp_path / "cache"), **options)


def test_celeba_partition(tmp_path: Path) -> None:
    root = write_celeba(tmp_path / "data")
    for given in (root, root / "celeba"):
        data = opened(celeba(given, tmp_path))
        assert (data.shape, data.classes) == ((3, 4, 4), None)
        assert (reds(data.train), reds(data.held_out)) == ([10, 40], [20])


def test_celeba_zip_not_yet_unpacked(tmp_path: Path) -> None:
    images = write_celeba(tmp_path / "data") / "celeba" / "img_align_celeba"
    zipped(images, images.with_suffix(".zip"), "img_align_celeba/")
    for file in images.iterdir():
        file.unlink()  # an empty folder must not hide the zip
    data = opened(celeba(tmp_path / "data", tmp_path))
    assert (reds(data.train), reds(data.held_out)) == ([10, 40], [20])


def test_celeba_without_partition_trains_on_everything(tmp_path: Path) -> None:
    root = write_celeba(tmp_path / "data")
    (root / "celeba" / "list_eval_partition.txt").unlink()
    with pytest.warns(UserWarning, match="list_eval_partition.txt is missing: all 4 images train"):
        data = opened(celeba(root, tmp_path))
    assert len(data.train) == 4 and data.held_out is None


def test_celeba_listed_but_absent_counts_as_unreadable(tmp_path: Path) -> None:
    root = write_celeba(tmp_path / "data", "0.png 0\n1.png 0\n3.png 0\n9.png 0\n")
    with pytest.raises(ValueError, match=r"1 of 4 images \(25.00%\) .*9.png \(missing\)"):
        celeba(root, tmp_path).prepare_data()
    with pytest.warns(UserWarning, match="1 of 4"):
        assert len(opened(celeba(root, tmp_path, max_unreadable=0.3)).train) == 3


def test_celeba_says_what_is_missing_or_wrong(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        celeba(tmp_path / "data", tmp_path)
    assert_one_line(caught.value, tmp_path / "data/celeba/img_align_celeba", "torchvision.datasets.CelebA")
    with pytest.raises(ValueError, match=r"line 2 of .*list_eval_partition.txt"):
        celeba(write_celeba(tmp_path / "data", "0.png 0\n1.png 7\n"), tmp_path)
    with pytest.raises(ValueError, match="no training image"):
        celeba(write_celeba(tmp_path / "data", "0.png 1\n"), tmp_path)


# --- points


@pytest.mark.parametrize("layout, modes", [("ring", 8), ("grid", 25)])
def test_gaussians(layout, modes: int) -> None:  # type: ignore[no-untyped-def]
    data = Gaussians(layout=layout, modes=modes, samples=20_000, std=0.05)
    data.setup()
    assert (data.shape, data.classes, data.centres.shape) == ((2,), None, (modes, 2))
    points = data.real_samples(20_000)
    assert points.dtype == torch.float32 and data.train.labels is None
    distance, nearest = torch.cdist(points, data.centres).min(1)
    assert (distance / (2**0.5)).square().mean().sqrt().item() == pytest.approx(0.05, rel=0.03)
    assert torch.bincount(nearest, minlength=modes).min() > 0.8 * 20_000 / modes
    assert data.held_out is not None and not np.array_equal(data.train.data, data.held_out.data)
    again = Gaussians(layout=layout, modes=modes, samples=20_000, std=0.05)
    assert torch.equal(again.real_samples(9), points[:9])


def test_gaussian_centres() -> None:
    assert torch.allclose(Gaussians(radius=3.0).centres.norm(dim=1), torch.tensor(3.0))
    grid = Gaussians(layout="grid", modes=25).centres
    assert sorted(set(grid[:, 0].tolist())) == [-4, -2, 0, 2, 4] and len(grid.unique(dim=0)) == 25
    with pytest.raises(ValueError, match="square number of modes such as 4 or 9"):
        Gaussians(layout="grid", modes=8)
    with pytest.raises(ValueError, match="std must be positive, not 0"):
        Gaussians(std=0)


# --- real data, where there is some


def real(path: str) -> Path:
    if not (REAL / path).exists():
        pytest.skip(f"{REAL / path} is not there (GANZOO_TEST_DATA names the folder)")
    return REAL / path


def test_real_mnist() -> None:
    data = opened(MNIST(root=str(real("mnist")), download=False))
    assert data.held_out is not None and (len(data.train), len(data.held_out)) == (60_000, 10_000)
    assert data.train.labels is not None and data.train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert data.train.data[:, 0, 2:-2, 2:-2].mean() / 255 == pytest.approx(0.1307, abs=1e-4)


def test_real_zip(tmp_path: Path) -> None:
    root = real("cifar10-jpeg/test.zip")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing is skipped
        data = opened(ImageFolder(root=str(root), size=32, cache=str(tmp_path)))
    assert data.classes == 10 and len(data.train) == 10_000
    assert data.train.labels is not None and torch.bincount(data.train.labels).tolist() == [1000] * 10
