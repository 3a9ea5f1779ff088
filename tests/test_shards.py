"""Shards: the order is a function of seed and position, read from few shards at a time; remote ones within their disk."""

import functools
import http.server
import io
import json
import os
import pickle
import shutil
import sys
import tarfile
import threading
import warnings
from collections import Counter
from itertools import chain, islice
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from conftest import TinyExtractor
from filelock import FileLock
from PIL import Image
from torch.utils.data import DataLoader
from webdataset import TarWriter

from ganzoo.__main__ import main
from ganzoo.data import tars
from ganzoo.data.fetch import ROOM
from ganzoo.data.folder import ImageFolder
from ganzoo.data.native import SplitSamples
from ganzoo.data.shards import Shards, ShardStream
from ganzoo.data.stream import Samples
from ganzoo.metrics import features
from ganzoo.metrics.features import Extractor

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def encoded(image: Image.Image, kind: str = "png") -> bytes:
    file = io.BytesIO()
    image.save(file, {"jpg": "jpeg"}.get(kind, kind))
    return file.getvalue()


def numbered(number: int) -> bytes:
    """A PNG, 4 x 4 grey, whose left half is the number, and 255 to its right."""
    image = Image.new("L", (4, 4), 255)
    image.paste(number, (0, 0, 2, 4))
    return encoded(image)


def write(sizes: list[int], folder: Path = Path("set")) -> str:
    """Shards of numbered images, whose label is their number: the pattern of their names."""
    folder.mkdir(exist_ok=True)
    numbers = iter(range(sum(sizes)))
    for shard, size in enumerate(sizes):
        with TarWriter(str(folder / f"{shard:03d}.tar")) as tar:
            for number in islice(numbers, size):
                tar.write({"__key__": f"image{number:04d}", "png": numbered(number), "cls": number, "txt": "a picture"})
    return f"{folder}/{{000..{len(sizes) - 1:03d}}}.tar"


def opened(shards: str | list[str], **options) -> Shards:
    data = Shards(**({"shards": shards, "size": 4, "channels": 1, "classes": 256} | options))
    data.prepare_data()
    data.setup()
    return data


def order(stream: ShardStream, batches: int, workers: int = 0) -> list[int]:
    """The labels of the images in the first batches."""
    loader = DataLoader(stream, batch_size=None, num_workers=workers)
    return torch.cat([label for _, label in islice(loader, batches)]).tolist()


# --- the order


def of_lane(seen: list[int], lane: int, lanes: int, batch: int) -> list[int]:
    blocks = [seen[i : i + batch] for i in range(0, len(seen), batch)]
    return list(chain.from_iterable(blocks[lane::lanes]))


def test_each_lane_sees_its_samples_once_an_epoch():
    seen = order(opened(write([5, 10, 6]), lanes=2, mix=1).stream(4, CPU), 30)
    for lane, owned in enumerate([range(10), range(10, 21)]):
        mine = of_lane(seen, lane, 2, 4)
        epochs = [mine[i : i + len(owned)] for i in range(0, 4 * len(owned), len(owned))]
        assert [sorted(epoch) for epoch in epochs] == [list(owned)] * 4
        assert len({tuple(epoch) for epoch in epochs}) == 4


def test_the_seed_decides_the_order():
    data = opened(write([20]), lanes=1)
    assert (
        order(data.stream(20, CPU, seed=1), 1)
        == order(data.stream(20, CPU, seed=1), 1)
        != order(data.stream(20, CPU, seed=2), 1)
    )


def test_a_window_is_drawn_and_its_shards_are_opened_once(monkeypatch):
    data, found = opened(write([4] * 8), lanes=4, mix=1), opens(monkeypatch)
    drawn: list[tuple[int, ...]] = []
    really = np.random.default_rng
    monkeypatch.setattr(np.random, "default_rng", lambda key: drawn.append(tuple(key)) or really(key))
    order(data.stream(2, CPU), 32)
    windows = [key for key in drawn if key[3] > 0]
    assert len(windows) == len(set(windows)) == 16  # of 8 shards in each of two epochs
    assert 8 < len(found) <= 16  # the last one of an epoch may be the first of the next


def shards_of(seen: list[int]) -> list[int]:
    """Which shard of ten each sample is from, without repetitions in a row."""
    shards = [number // 10 for number in seen]
    return [shard for i, shard in enumerate(shards) if i == 0 or shards[i - 1] != shard]


def test_a_lane_shuffles_its_shards_and_mixes_a_few():
    pattern = write([10] * 6)
    one = order(opened(pattern, lanes=1, mix=1).stream(20, CPU), 6)
    assert sorted(shards_of(one[:60])) == sorted(shards_of(one[60:])) == list(range(6))
    assert shards_of(one[:60]) != shards_of(one[60:])
    assert one[:10] != sorted(one[:10])
    two = order(opened(pattern, lanes=1, mix=2).stream(20, CPU), 3)
    assert [len({number // 10 for number in two[i : i + 20]}) for i in (0, 20, 40)] == [2, 2, 2]
    assert len(shards_of(two[:20])) > 5


@pytest.mark.parametrize("batch", [3, 50])
def test_the_order_is_the_same_with_workers(batch):
    stream = functools.partial(opened(write([5, 10, 6]), lanes=2).stream, batch, CPU, seed=3, start=4)
    assert order(stream(), 9, workers=2) == order(stream(), 9)


@pytest.mark.parametrize("start", [1, 6, 24, 71])
def test_a_later_start_gives_the_identical_tail(start):
    data = opened(write([5, 10, 6]), lanes=3, flip=True)
    whole, tail = (torch.cat([real for real, _ in islice(data.stream(6, CPU, seed=5, start=s), 20)]) for s in (0, start))
    assert torch.equal(whole[start:], tail[: 120 - start])


def test_ranks_partition_the_stream():
    data = opened(write([5, 10, 6]), lanes=4)
    ranks = [order(data.stream(4, CPU, rank=rank, world=3, start=7), 4) for rank in range(3)]
    dealt = [ranks[block % 3][4 * (block // 3) :][:4] for block in range(12)]
    assert list(chain.from_iterable(dealt)) == order(data.stream(4, CPU, start=7), 12)


def test_there_may_be_more_lanes_than_samples():
    assert sorted(order(opened(write([3]), lanes=8).stream(2, CPU), 3)) == [0, 0, 1, 1, 2, 2]


def test_each_worker_opens_only_its_own_shards(monkeypatch, tmp_path):
    data = opened(write([4] * 8), lanes=4, mix=1)
    log = tmp_path / "opened"
    really = tars.opened

    def opening(shard, *rest):
        with log.open("a") as file:
            file.write(f"{os.getpid()} {shard}\n")
        return really(shard, *rest)

    monkeypatch.setattr(tars, "opened", opening)
    order(data.stream(2, CPU, start=24), 40, workers=2)  # in the second epoch and on
    opened_by = {tuple(line.split()) for line in log.read_text().splitlines()}
    assert len({pid for pid, _ in opened_by}) == 2
    assert Counter(shard for _, shard in opened_by) == dict.fromkeys(data.shards, 1)


def test_flips_depend_on_seed_and_position_alone():
    data = opened(write([100, 100]), flip=True)
    one, two = (torch.cat([real for real, _ in islice(data.stream(50, CPU, seed=seed), 8)]) for seed in (1, 1))
    assert torch.equal(one, two)
    mirrored = one[:, 0, 0, 0] == 255
    assert 0.4 < mirrored.float().mean() < 0.6
    assert not torch.equal(mirrored[:200], mirrored[200:])
    data.flip = False
    assert all((real[:, 0, 0, 3] == 255).all() for real, _ in islice(data.stream(50, CPU), 8))


# --- the samples


def test_pixels_are_those_of_image_folder(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "folder").mkdir()
    members = []
    for i, kind in enumerate(["jpg", "jpeg", "PNG", "webp"] * 3):
        image = Image.fromarray(rng.integers(0, 256, (20 + i, 30 - i, 3), np.uint8))
        (tmp_path / "folder" / f"{i:02d}.{kind}").write_bytes(encoded(image, kind.lower()))
        members.append(f"{i:02d}.{kind}")
    for shard in range(3):
        with tarfile.open(tmp_path / f"{shard}.tar", "w") as tar:
            for name in members[4 * shard : 4 * shard + 4]:
                tar.add(tmp_path / "folder" / name, f"deep/{name}")
    with_folder = ImageFolder(root="folder", size=16, crop=22)
    with_folder.prepare_data()
    with_folder.setup()
    data = opened("*.tar", size=16, crop=22, channels=3, classes=None)
    assert data.shape == (3, 16, 16) and data.classes is None
    (pixels,) = data.train.__getitems__(range(12))
    assert np.array_equal(pixels, with_folder.train.data)
    (some,) = pickle.loads(pickle.dumps(data.train)).__getitems__([7, 0, 11, 7])
    assert torch.equal(some, pixels[[7, 0, 11, 7]])
    assert torch.equal(data.real_samples(5), with_folder.real_samples(5))


def test_labels_are_read_if_there_are_classes():
    pattern = write([3, 4])
    real, label = opened(pattern).train.__getitems__([5, 1])
    assert label.tolist() == real[:, 0, 0, 0].tolist() == [5, 1] and label.dtype == torch.int64
    assert len(opened(pattern, classes=None).train[0]) == 1


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def shard(name: str = "0.tar", **members: bytes) -> str:
    """A tar of members, "__" in whose names stands for a dot."""
    with tarfile.open(name, "w") as tar:
        for key, content in members.items():
            add(tar, key.replace("__", "."), content)
    return name


def test_the_next_readable_image_stands_in_for_one_that_is_not():
    bad = {"b__png": b"no picture", "b__cls": b"1", "d__png": b"", "d__cls": b"3"}
    members = {"a__png": numbered(10), "a__cls": b"0", "c__png": numbered(12), "c__cls": b"2"} | bad
    name = shard(**dict(sorted(members.items())))
    data = opened(name, max_unreadable=0.5)
    with pytest.warns(UserWarning, match="cannot be read") as caught:
        for _ in range(2):
            real, label = data.train.__getitems__([0, 1, 2, 3])
            assert real[:, 0, 0, 0].tolist() == [10, 12, 12, 10] and label.tolist() == [0, 2, 2, 0]
    assert [str(w.message)[:1] for w in caught] == ["b", "d"]
    assert "b in /" in str(caught[0].message) and "0.tar cannot be read (not an image): the next" in str(caught[0].message)
    says(ValueError, lambda: opened(name, max_unreadable=0.24).train[1], "b in ", "1 such of 4", "max_unreadable is 24.00%")
    name = shard("1.tar", a__png=b"no", b__png=b"no")
    with pytest.warns(UserWarning):
        says(ValueError, lambda: opened(name, max_unreadable=1, classes=None).train[0], "no image in", "leave the shard out")


# --- counting


def opens(monkeypatch) -> list[str]:
    """The shards that are opened from now on."""
    found: list[str] = []
    really = tars.Shard.__init__
    monkeypatch.setattr(tars.Shard, "__init__", lambda self, name, *rest: found.append(name) or really(self, name, *rest))
    return found


def test_shards_are_counted_once_until_they_change(monkeypatch):
    pattern, found = write([3, 4]), opens(monkeypatch)
    assert len(opened(pattern).train) == 7 and len(found) == 2
    assert len(opened(pattern).train) == 7 and len(found) == 2
    write([5])
    assert len(opened(pattern).train) == 9 and len(found) == 3


def test_an_index_saves_the_counting(monkeypatch):
    pattern, found = write([3, 4]), opens(monkeypatch)
    shards = [{"url": f"00{i}.tar", "nsamples": n} for i, n in enumerate([3, 4])]
    Path("set/index.json").write_text(json.dumps({"shardlist": shards}))
    data = opened(pattern, index="set/index.json")
    assert len(data.train) == 7 and found == []
    assert data.train[5][1] == 5
    shards[1]["nsamples"] = 6
    Path("set/index.json").write_text(json.dumps({"shardlist": shards}))
    wrong = opened(pattern, index="set/index.json")
    says(ValueError, lambda: wrong.train[4], "001.tar has 4 samples, not 6", "correct the index")


# --- remote shards


class Server(http.server.SimpleHTTPRequestHandler):
    """Serves the folder `set`; `asked` counts."""

    asked: ClassVar[Counter[str]] = Counter()

    def __init__(self, *arguments):
        super().__init__(*arguments, directory="set")

    def do_GET(self):
        self.asked[self.path] += 1
        if self.path == "/cut.tar":
            self.send_response(200)
            self.send_header("Content-Length", "2000")
            self.end_headers()
            self.wfile.write(b"half")
        else:
            super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    """Its address; skipped without curl, which webdataset fetches with."""
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(Server, "asked", Counter())
    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=served.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{served.server_port}"
    served.shutdown()
    served.server_close()


def taken(data: Shards) -> int:
    """Bytes of the fetched shards."""
    with FileLock(data.folder / ROOM):
        return sum(size for _, size, _ in data.fetched.files())


def test_remote_shards_are_the_same_within_their_disk(server, monkeypatch):
    pattern = write([4] * 6)
    size = Path("set/000.tar").stat().st_size
    data = opened(f"{server}/{{000..005}}.tar", lanes=1, mix=1, cache_gb=3.5 * size / 1e9)
    assert taken(data) <= 3 * size
    for remote, local in islice(zip(data.stream(4, CPU), opened(pattern, lanes=1, mix=1).stream(4, CPU), strict=True), 12):
        assert torch.equal(remote[0], local[0]) and torch.equal(remote[1], local[1])
        assert 0 < taken(data) <= 3 * size
    assert 6 < sum(Server.asked.values()) <= 6 + 12 + 1  # to count, for two epochs, ahead: deleted, but not before its use
    assert len(list(Path("cache/shards").glob("*.json"))) == 12


def test_a_remote_shard_is_fetched_by_one_worker(server):
    write([4] * 6)
    data = opened(f"{server}/{{000..005}}.tar", lanes=4, mix=1)  # not a multiple of three workers
    for path in Path("cache/shards").glob("*.tar"):
        path.unlink()
    Server.asked.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of the few cores
        seen = order(data.stream(2, CPU), 24, workers=3)
    assert set(seen) == set(range(24))
    assert Server.asked == {f"/00{i}.tar": 1 for i in range(6)}


def test_the_next_shards_are_fetched_ahead(server):
    write([4] * 3)
    data = opened(f"{server}/{{000..002}}.tar", lanes=1, mix=1)
    for path in Path("cache/shards").glob("*.tar"):
        path.unlink()
    Server.asked.clear()
    data.stream(2, CPU).read(0)
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and "_fetch" in thread.name:
            thread.join()
    assert sum(Server.asked.values()) == 2


def test_the_least_recently_used_is_deleted_but_none_that_is_being_fetched(tmp_path):
    write([4] * 5)
    names = [f"pipe:cat set/00{i}.tar" for i in range(5)]
    fetched = opened(names[:3]).fetched
    fetched.most = 4 * Path("set/000.tar").stat().st_size + 1000
    copies = [fetched._path(name) for name in names]
    growing, abandoned = (Path("cache/shards") / f".{name}.tar.0" for name in ("growing", "abandoned"))
    for file in (growing, abandoned):
        file.write_bytes(bytes(1000))
    for age, file in enumerate([abandoned, *copies[:3]]):
        os.utime(file, (age, age))
    data = opened(names[:3])
    assert data.train[0][1] == 0  # used now, and so is the second shard ...
    shard = data.train.open(1)
    os.utime(copies[1], (2, 2))
    assert data.train[4][1] == 4 and data.train.open(1) is shard  # ... though it was open
    fetched.open(names[3])
    assert [file.exists() for file in (abandoned, growing, *copies)] == [False, True, True, True, True, True, False]
    os.utime(copies[3], (0, 0))
    fetched.open(names[3])  # used now
    fetched.open(names[4])
    assert [file.exists() for file in (growing, *copies)] == [True, True, True, False, True, True]


def test_a_shard_that_is_read_outlives_its_deletion(server):
    write([4])
    data = opened(f"{server}/000.tar")
    before = data.train[2][0]
    data.fetched.forget(f"{server}/000.tar")
    assert taken(data) == 0 and torch.equal(data.train[2][0], before)


def test_a_pipe_is_a_shard_too():
    write([4])
    assert opened("pipe:cat set/000.tar").train[3][1] == 3
    assert opened(f"file:{Path('set').absolute()}/000.tar").train[3][1] == 3


def test_what_an_error_left_is_fetched_again(server):
    write([4])
    whole = Path("set/000.tar").read_bytes()
    Path("set/000.tar").write_text("<html>come back later</html>")
    says(ValueError, lambda: opened(f"{server}/000.tar"), "000.tar is not a whole, uncompressed tar")
    Path("set/000.tar").write_bytes(whole)
    assert len(opened(f"{server}/000.tar").train) == 4


def test_what_cannot_be_fetched_is_said_in_one_line(server):
    write([4] * 4)
    for name in ("nope.tar", "cut.tar"):
        says(OSError, lambda name=name: opened(f"{server}/{name}"), f"cannot fetch {server}/{name}: is it there")
    assert not list(Path("cache/shards").glob("*.tar*")) + list(Path("cache/shards").glob(".*"))
    says(OSError, lambda: opened(f"{server}/000.tar", index=f"{server}/nope.json"), "nope.json cannot be read: is it there")
    pattern = f"{server}/{{000..003}}.tar"
    says(ValueError, lambda: opened(pattern, cache_gb=1e-6), f"no room for {server}/00", "within cache_gb = 1e-06: raise it")
    opened(pattern)
    few = 2.5 * Path("set/000.tar").stat().st_size / 1e9
    says(ValueError, lambda: opened(pattern, cache_gb=few, lanes=2, mix=1), "4 shards, ", "raise it, or lower lanes or mix")


# --- mistakes


def says(kind: type[Exception], call, *parts: object) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert "\n" not in str(caught.value)
    for part in parts:
        assert str(part) in str(caught.value)


@pytest.mark.parametrize(
    "kind, given, parts",
    [
        (FileNotFoundError, {"shards": "set/{000..003}.tar"}, ["shards: /", "set/002.tar does not exist (2 of 4 are missing)"]),
        (FileNotFoundError, {"shards": "set/*.zip"}, ["set/*.zip does not exist", "a pattern such as photos-{000000..000127}"]),
        (FileNotFoundError, {"shards": []}, ["shards: there are none"]),
        (FileNotFoundError, {"val_shards": "no.tar"}, ["val_shards: /", "no.tar does not exist"]),
        (ValueError, {"shards": "set/{000..003.tar"}, ["shards: set/{000..003.tar is no pattern"]),
        (ValueError, {"shards": "set/${NOPE}.tar"}, ["is no pattern", "NOPE"]),
        (ValueError, {"shards": "s3://set/000.tar"}, ["s3:, which cannot be fetched", "pipe:COMMAND"]),
        (ValueError, {"classes": 0}, ["classes must be at least 1"]),
        (ValueError, {"lanes": 0}, ["lanes must be at least 1"]),
        (ValueError, {"mix": 0}, ["mix must be at least 1"]),
        (ValueError, {"channels": 2}, ["channels must be 1"]),
        (ValueError, {"max_unreadable": 2}, ["max_unreadable is a share"]),
        (ValueError, {"batch_size": 0}, ["batch_size must be at least 1"]),
        (ValueError, {"cache": "set/000.tar"}, ["no cache in /", "cache= or GANZOO_CACHE"]),
        (OSError, {"index": "no.json"}, ["the index no.json cannot be read: ", "No such file"]),
        (ValueError, {"index": "bad.json"}, ["bad.json is no index like", "leave it out to count"]),
        (ValueError, {"index": "other.json"}, ["other.json names none of the shards", "leave it out to count"]),
    ],
)
def test_mistakes_are_said_in_one_line(kind, given, parts):
    Path("bad.json").write_text('{"shardlist": [{"url": "000.tar"}]}')
    Path("other.json").write_text('{"shardlist": [{"url": "1.tar", "nsamples": 3}]}')
    pattern = write([2, 2])
    says(kind, lambda: opened(**({"shards": pattern} | given)), *parts)


def test_webdataset_must_be_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "webdataset", None)
    says(ValueError, lambda: Shards(shards="0.tar"), "pip install 'ganzoo-lightning[streaming]'")


def test_shards_must_be_counted_first():
    says(ValueError, lambda: Shards(shards=write([2])).setup(), "000.tar are not counted yet: call prepare_data() first")


@pytest.mark.parametrize("where", [520, 1024, 1224, 2 * 1024])
def test_a_tar_that_is_cut_short_is_refused(where):
    whole = Path(shard(a__png=numbered(1), b__png=numbered(2))).read_bytes()  # 512 bytes of header, 512 of image, twice
    Path("cut.tar").write_bytes(whole[:where])
    says(ValueError, lambda: opened("cut.tar"), "cut.tar is not a whole, uncompressed tar", "make it anew")


def test_what_is_no_shard_of_images_is_refused():
    with tarfile.open("0.tar.gz", "w:gz") as tar:
        add(tar, "a.png", numbered(1))
    for name in ("empty.tar", "text.tar"):
        Path(name).write_text("text" * 1000 if name == "text.tar" else "")
    for name in ("0.tar.gz", "empty.tar", "text.tar"):
        says(ValueError, lambda name=name: opened(name), name, "is not a whole, uncompressed tar")
    for name in (shard("1.tar"), shard("2.tar", a__txt=b"text", b__seg__png=numbered(1), __c__png=numbered(1))):
        says(ValueError, lambda name=name: opened(name), f"no images in {Path(name).absolute()}: expected", "0001.jpg")
    with tarfile.open("3.tar", "w") as tar:
        add(tar, "a.png", numbered(1))
        add(tar, "a.png", numbered(2))
    says(ValueError, lambda: opened("3.tar"), "3.tar holds a.png twice")


@pytest.mark.parametrize(
    "label, part", [(b"2", "b.cls says '2'"), (b"-1", "says '-1'"), (b"cat", "says 'cat'"), (None, "there is no b.cls")]
)
def test_a_bad_label_is_named(label, part):
    members = {"a__png": numbered(0), "a__cls": b"1\n", "b__png": numbered(1)} | ({} if label is None else {"b__cls": label})
    name = shard(**members)
    says(ValueError, lambda: opened(name, classes=2), part, f"in {Path(name).absolute()}: labels are 0 to 1")
    assert len(opened(name, classes=None).train) == 2


# --- the whole


def test_real_images_for_scores_are_the_first_so_many(monkeypatch):
    data = opened(write([5, 10, 6]))
    assert data.measured == 50_000
    images = SplitSamples(data.train, 12)
    assert len(images) == 12 and [len(batch) for batch in images.batches(5, range(3))] == [5, 5, 2]
    in_memory = Samples(data.train.__getitems__(range(12))[0])
    assert images.content() == SplitSamples(in_memory).content()


def test_fit_resumes_bit_for_bit_and_is_measured(monkeypatch, capsys):
    monkeypatch.setitem(features.EXTRACTORS, "tiny", lambda weights: Extractor("tiny", TinyExtractor(), 8, "none"))
    monkeypatch.setattr(Shards, "measured", 16)
    pattern = write([5, 10, 6])
    arguments = [
        *("fit", "--model", "DCGAN", "--trainer.accelerator", "cpu", "--data", "Shards", "--data.shards", pattern),
        *("--data.val_shards", "set/002.tar", "--data.size", "16", "--data.channels", "1", "--data.flip", "true"),
        *("--data.batch_size", "4", "--data.lanes", "3", "--samples.every_steps", "100"),
        *("--model.generator", "DCGANGenerator", "--model.generator.width", "4"),
        *("--model.discriminator", "DCGANDiscriminator", "--model.discriminator.width", "4"),
    ]
    scored = ["--evaluation.every_steps", "6", "--evaluation.extractor", "tiny", "--evaluation.metrics", "[fd]"]
    main([*arguments, *scored, "--evaluation.n", "16", "--trainer.max_steps", "6"])
    main([*arguments, "--trainer.max_steps", "4", "--data.workers", "2"])
    first, second, third = (Path(f"runs/dcgan_shards/version_{i}/checkpoints/last.ckpt") for i in range(3))
    main([*arguments, "--trainer.max_steps", "6", "--ckpt_path", str(second)])
    one, two = (torch.load(path, weights_only=True)["state_dict"] for path in (first, third))
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
    score = json.loads((first.parents[1] / "scores.jsonl").read_text().splitlines()[0])
    assert score["n_real"] == 16 and score["value"] > 0
    capsys.readouterr()
    main(["validate", "--config", str(first.parents[1] / "config.yaml"), "--ckpt_path", str(first)])
    assert "val" in capsys.readouterr().out
