"""Data that go bad under a run: files cut, gone or swapped, processes that read them killed or hung."""

import io
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from command import TINY, ended, started
from PIL import Image

import ganzoo
from ganzoo.data.stream import Samples
from ganzoo.data.tars import ShardSamples

ENDLESS = [  # until something happens
    *(*TINY[:2], *TINY[4:], "--data.batch_size", "8", "--trainer.max_steps", "1000000", "--trainer.log_every_n_steps", "1"),
    *("--trainer.enable_progress_bar", "false", "--samples.every_steps", "1000000", "--watch.every_steps", "1000000"),
    *("--checkpoints.every_steps", "1000000"),
]


def png(seed: int, size: int = 16) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)).save(file, "png")
    return file.getvalue()


@pytest.fixture
def images(tmp_path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(64):
        (folder / f"{i:03}.png").write_bytes(png(i))
    return folder


@pytest.fixture
def shards(tmp_path) -> list[Path]:
    paths = [tmp_path / f"{i}.tar" for i in range(8)]
    for number, path in enumerate(paths):
        with tarfile.open(path, "w") as tar:
            for i in range(16):
                member = tarfile.TarInfo(f"{number}-{i}.png")
                content = png(16 * number + i)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return paths


def of_folder(images: Path) -> list[str]:
    return ["--data", "ImageFolder", "--data.root", str(images), "--data.size", "16"]


def until_it_runs(folder: Path, process: subprocess.Popen[str]) -> None:
    """Wait for the first rounds."""
    record = folder / "runs"
    while process.poll() is None and not any(path.stat().st_size > 500 for path in record.glob("*/version_0/metrics.csv")):
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    """Of any of its threads."""
    return [int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]


def alive(pid: int) -> bool:
    """Also as what nobody has asked after yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def one_line(status: int, errors: str) -> str:
    assert status == 2, errors
    assert "Traceback" not in errors
    [said] = [line for line in errors.splitlines() if line.startswith("ganzoo: ")]
    return said


@pytest.mark.parametrize("workers", [0, 2])
def test_a_cache_that_is_cut_under_the_run(workers, images, tmp_path):
    cache = tmp_path / "cache"
    arguments = ["fit", *ENDLESS, *of_folder(images), "--data.workers", str(workers)]
    process = started(tmp_path, *arguments, GANZOO_CACHE=str(cache))
    until_it_runs(tmp_path, process)
    [pixels] = cache.glob("*.npy")
    os.truncate(pixels, 4096)
    status, _, errors = ended(process, 30)
    assert f"{pixels} was cut from" in one_line(status, errors)


def test_samples_look_before_they_read(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((4, 1, 64, 64), np.uint8))
    samples = Samples(tmp_path / "x.npy")
    since = time.perf_counter()
    for _ in range(1000):
        samples._refuse_shrunk()
    assert (time.perf_counter() - since) / 1000 < 1e-4
    other = tmp_path / "other.npy"
    np.save(other, np.ones((1, 1, 2, 2), np.uint8))
    os.replace(other, tmp_path / "x.npy")  # another file of this name is not the one that is read
    assert samples[3][0].sum() == 0
    np.save(other, np.zeros((4, 1, 64, 64), np.uint8))
    samples = Samples(other)
    os.truncate(other, 8192)
    for read in (lambda: samples[0], lambda: samples.on(torch.device("cpu"))):
        with pytest.raises(OSError, match=r"other.npy was cut from 16,512 to 8,192 bytes"):
            read()


def test_the_source_may_go_once_it_is_decoded(images, tmp_path):
    arguments = ["fit", *ENDLESS, *of_folder(images), "--trainer.max_steps", "300"]
    process = started(tmp_path, *arguments, GANZOO_CACHE=str(tmp_path / "cache"))
    until_it_runs(tmp_path, process)
    shutil.rmtree(images)
    status, _, errors = ended(process, 30)
    assert status == 0, errors


@pytest.mark.parametrize("gone, says", [("images", "No such file or directory"), ("images/007.png", "007.png was there")])
def test_what_goes_while_it_is_decoded_is_not_remembered_as_missing(gone, says, images, tmp_path):
    data = ganzoo.ImageFolder(root=str(images), size=16, cache=str(tmp_path / "cache"))
    shutil.move(tmp_path / gone, tmp_path / "away")
    with pytest.raises(ValueError, match=rf"cannot decode .*images into .*{says}"):
        data.prepare_data()
    assert list((tmp_path / "cache").iterdir()) == []
    shutil.move(tmp_path / "away", tmp_path / gone)
    data.prepare_data()
    data.setup()
    assert len(data.train) == 64


@pytest.mark.parametrize("workers", [0, 2])
def test_a_shard_that_goes_under_the_run(workers, shards, tmp_path):
    data = ["--data", "Shards", "--data.shards", str(tmp_path / "{0..7}.tar"), "--data.size", "16", "--data.lanes", "2"]
    arguments = ["fit", *ENDLESS, *data, "--data.mix", "1", "--data.workers", str(workers)]
    process = started(tmp_path, *arguments, GANZOO_CACHE=str(tmp_path / "cache"))
    until_it_runs(tmp_path, process)
    for path in shards:
        path.unlink()
    status, _, errors = ended(process, 30)
    assert "No such file or directory: '" in (said := one_line(status, errors))
    assert ".tar'" in said


def test_a_shard_that_is_cut_under_the_run_is_named(shards):
    data = ganzoo.Shards(shards=[str(path) for path in shards], size=16, cache=str(shards[0].parent / "cache"))
    data.prepare_data()
    data.setup()
    assert isinstance(data.train, ShardSamples)
    data.train[0]
    os.truncate(shards[0], 2048)
    with pytest.raises(ValueError, match=r"0-\d+ in .*0.tar cannot be read .* max_unreadable is 1.00%"):
        for i in range(16):
            data.train[i]


# --- processes that read ---


def test_a_worker_that_is_killed_is_named_and_leaves_nobody(images, tmp_path):
    arguments = ["fit", *ENDLESS, *of_folder(images), "--data.workers", "2"]
    process = started(tmp_path, *arguments, GANZOO_CACHE=str(tmp_path / "cache"))
    until_it_runs(tmp_path, process)
    workers = children(process.pid)
    os.kill(workers[0], signal.SIGKILL)
    status, _, errors = ended(process, 30)
    said = one_line(status, errors)
    assert "a process that reads data" in said
    assert str(workers[0]) in said
    assert not any(map(alive, workers))


HANGING = """
import signal, sys, time
from pathlib import Path
import ganzoo.data.base as base
from ganzoo.__main__ import main
from torch.utils.data import get_worker_info

def read(samples, indices, read=base.Samples.__getitems__):
    if Path("hang").exists() and get_worker_info().id == 1:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as one that waits for a disk
        time.sleep(300)
    return read(samples, indices)

base.Samples.__getitems__ = read
base.WORKER_TIMEOUT_SECONDS = 3
main(sys.argv[1:])
"""


def test_a_worker_that_hangs_is_an_error_and_leaves_nobody(images, tmp_path):
    command = [sys.executable, "-c", HANGING, "fit", *ENDLESS, *of_folder(images), "--data.workers", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GANZOO_CACHE": str(tmp_path / "cache")}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=-1, stderr=-1, text=True, start_new_session=True)
    until_it_runs(tmp_path, process)
    workers = children(process.pid)
    (tmp_path / "hang").touch()
    since = time.monotonic()
    status, _, errors = ended(process, 30)
    assert "has not answered for 3 seconds" in one_line(status, errors)
    assert time.monotonic() - since < 20
    assert not any(map(alive, workers))


# --- odd files ---


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(side: int) -> bytes:
    """A PNG of side x side black pixels in few bytes."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    press = zlib.compressobj(9)
    rows = b"".join(press.compress(bytes(1 + 3 * side)) for _ in range(side)) + press.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


DECODE = """
import resource, sys, ganzoo
data = ganzoo.ImageFolder(root=sys.argv[1], size=16, cache=sys.argv[2], max_unreadable=1.0)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
data.prepare_data()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_bomb_takes_no_memory(images, tmp_path):
    (images / "bomb.png").write_bytes(bomb(11_000))  # 363 MB of pixels in half a megabyte
    assert (images / "bomb.png").stat().st_size < 1_000_000
    command = [sys.executable, "-c", DECODE, str(images), str(tmp_path / "cache")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "bomb.png (11000 x 11000 pixels" in done.stderr
    assert int(done.stdout) < 100_000, "KiB"


def seventeen(folder: Path) -> dict[str, str]:
    """Images that are odd or bad, and what is said of those that cannot be read."""
    good = Image.open(io.BytesIO(png(0)))

    def write(name: str, image: Image.Image = good, **how: object) -> bytes:
        image.save(folder / name, **how)
        return (folder / name).read_bytes()

    whole = write("jpeg.jpg")
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "cut.png").write_bytes(png(1)[:300])
    (folder / "empty.png").touch()
    (folder / "page.jpg").write_text("<html>404</html>")
    (folder / "random.png").write_bytes(os.urandom(2000))
    (folder / "huge.png").write_bytes(bomb(11_000))
    broken = bytearray(png(2))
    broken[60] ^= 255
    (folder / "broken.png").write_bytes(broken)
    write("grey.png", good.convert("L"))
    write("alpha.png", good.convert("RGBA"))
    write("palette.gif", good.convert("P"))
    write("bits.png", good.convert("1"))
    write("cmyk.jpg", good.convert("CMYK"))
    write("sixteen.png", Image.fromarray(np.full((16, 16), 40_000, np.uint16)))
    write("narrow.png", good.resize((1, 200)))
    write("floats.tif", Image.fromarray(np.zeros((16, 16), np.float32)))
    turned = Image.Exif()
    turned[0x0112] = 6
    write("turned.jpg", good, exif=turned)
    return {
        "cut.jpg": "runcated",
        "cut.png": "truncated|broken",
        "empty.png": "not an image",
        "page.jpg": "not an image",
        "random.png": "not an image",
        "huge.png": "11000 x 11000 pixels",
        "broken.png": "",
        "floats.tif": "white is not known",
    }


def test_seventeen_odd_or_bad_images(tmp_path):
    (tmp_path / "images").mkdir()
    bad = seventeen(tmp_path / "images")
    data = ganzoo.ImageFolder(root=str(tmp_path / "images"), size=8, cache=str(tmp_path / "cache"), max_unreadable=1.0)
    data.prepare_data()
    index = data.training.index()
    assert index["unreadable"].keys() == bad.keys()
    for name, why in bad.items():
        assert re.search(why, index["unreadable"][name]), name
    assert len(index["names"]) == 17 - len(bad)
    with pytest.raises(ValueError, match=r"8 of 17 images .* cannot be read: .*max_unreadable is 1.00%: repair or remove them"):
        ganzoo.ImageFolder(root=str(tmp_path / "images"), size=8, cache=str(tmp_path / "cache")).prepare_data()
