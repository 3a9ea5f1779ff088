"""Does training ever wait for data? Images a second that the data modules deliver, beside what the fastest variant takes.

    python benchmarks/data_rate.py              # after step_time.py, whose CSV says what the variants take
    python benchmarks/data_rate.py --workers 2

CIFAR-10's 50,000 images of 32 x 32 lie in memory, as its data module has them. A folder of JPEGs is decoded once into the
cache, which is timed, and then read at 64 x 64 from the mapped file. Both mirror images; batches come normalised.
"""

import argparse
import csv
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import step_time
import torch
from PIL import Image

import ganzoo
from ganzoo.data.stream import Samples


def delivered(data: ganzoo.DataModule, batches: int) -> float:
    """Images a second over so many batches, all processes of the loader at work."""
    data.setup()
    game = SimpleNamespace(seed=0, minibatches=1, images_seen=0)
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    data.trainer = SimpleNamespace(lightning_module=game, global_rank=0, world_size=1, strategy=strategy)  # type: ignore[assignment]
    stream = iter(data.train_dataloader())
    seen = 0
    for batch in islice(stream, 20):  # workers start, pages come into memory
        data.on_after_batch_transfer(batch)
    started = time.perf_counter()
    for batch in islice(stream, batches):
        seen += len(data.on_after_batch_transfer(batch)[0][0])
    return seen / (time.perf_counter() - started)


def sources(folder: Path, images: int, workers: int) -> Iterator[tuple[str, ganzoo.DataModule]]:
    rng = np.random.default_rng(0)
    cifar10 = Samples(rng.integers(0, 256, (50_000, 3, 32, 32), np.uint8), torch.zeros(50_000, dtype=torch.int64))
    with patch.object(ganzoo.CIFAR10, "splits", lambda self: (cifar10, None)):
        yield "CIFAR-10, 32 x 32", ganzoo.CIFAR10(flip=True, workers=workers)
    (folder / "images").mkdir()
    for i in range(images):
        blurred = Image.fromarray(rng.integers(0, 256, (12, 10, 3), np.uint8)).resize((178, 218))  # as large as CelebA's
        blurred.save(folder / "images" / f"{i}.jpg", quality=90)
    data = ganzoo.ImageFolder(root=str(folder / "images"), flip=True, cache=str(folder / "cache"), workers=workers)
    started = time.perf_counter()
    data.prepare_data()
    print(f"decoding once, 178 x 218 to 64 x 64: {images / (time.perf_counter() - started):,.0f} images/s")
    yield "folder, 64 x 64", data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--images", type=int, default=5000, help="in the folder (5000)")
    parser.add_argument("--batches", type=int, default=2000, help="of 64 images, to measure for (2000)")
    given = parser.parse_args()
    print(step_time.setting(argparse.Namespace(device="cpu", precision="uint8 to float32")), f"workers {given.workers}")
    table = Path(__file__).parent / "step_time.csv"
    if not table.exists():
        sys.exit(f"run step_time.py first: there is no {table}")
    rows = [row for row in csv.DictReader(table.open()) if row["through"] == "moves"]
    with TemporaryDirectory() as folder:
        for name, data in sources(Path(folder), given.images, given.workers):
            rate = delivered(data, given.batches)
            print(f"{name}: {rate:,.0f} images/s delivered")
            size = "32x32" if "32" in name else "64x64"
            speed, task = max(
                (float(row["images_per_second"]), f"{row['task']}, {row['how']}") for row in rows if size in row["task"]
            )
            print(f"    {rate / speed:.1f} times what the fastest variant takes: {speed:,.0f} ({task})")


if __name__ == "__main__":
    main()
