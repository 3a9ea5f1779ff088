"""Data where the game is played: the same as the host's, in the same order."""

from contextlib import contextmanager
from itertools import count, islice
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import ganzoo
from ganzoo.data import base, stream
from ganzoo.data.base import Rounds
from ganzoo.data.device import ResidentStream, ahead, fits
from ganzoo.data.stream import Samples, Stream

CPU = torch.device("cpu")
CUDA = torch.device("cuda:0")


def images(n: int = 10, labelled: bool = True) -> Samples:
    pixels = np.random.default_rng(0).integers(0, 256, (n, 3, 4, 4), np.uint8)
    return Samples(pixels, torch.arange(n) if labelled else None)


RANK_1 = {"rank": 1, "world": 2, "minibatches": 2, "flip": True}


@pytest.mark.parametrize("place", [{}, {"flip": True}, {"seed": 3, "start": 7, "flip": True}, RANK_1])
@pytest.mark.parametrize("batch", [4, 22])
@pytest.mark.parametrize("labelled", [True, False])
def test_resident_batches_are_the_streams(place, batch, labelled):
    samples = images(labelled=labelled)
    host, resident = Stream(samples, batch, **place), ResidentStream(samples, batch, device=CPU, **place)
    for ours, theirs in islice(zip(resident, host, strict=True), 12):  # several epochs, and batches across their ends
        assert len(ours) == len(theirs)
        assert all(a.dtype == b.dtype and torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_points_live_on_the_device_too():
    samples = Samples(np.random.default_rng(0).standard_normal((9, 2), np.float32))
    assert torch.equal(ResidentStream(samples, 5, device=CPU).read(7)[0], Stream(samples, 5).read(7)[0])


def test_a_mapped_file_is_uploaded_in_chunks(tmp_path, monkeypatch):
    pixels = images(11).data
    np.save(tmp_path / "x.npy", pixels)
    monkeypatch.setattr(stream, "CHUNK_BYTES", 3 * pixels[0].nbytes)
    assert np.array_equal(stream.uploaded(Samples(tmp_path / "x.npy").data, CPU).numpy(), pixels)


@pytest.mark.parametrize("share, fit", [(0.25, True), (0.24, False), (0.0, False)])
def test_a_set_fits_if_it_takes_its_share(monkeypatch, share, fit):
    samples = images()
    memory = SimpleNamespace(total_memory=4 * samples.data.nbytes)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: memory)
    assert fits(samples, CUDA, share) is fit
    assert not fits(samples, CPU, 1.0), "on the CPU the host's own path is as near"


def test_a_share_is_a_share():
    with pytest.raises(ValueError, match=r"device_share is a share of the GPU's memory, 0 to 1, not 1\.5"):
        ganzoo.Digits(device_share=1.5)


def test_a_set_that_fits_is_resident(monkeypatch):
    """And then takes no workers, which could not index a GPU's memory, and no pinned memory."""
    data = ganzoo.Digits(batch_size=4, workers=2)
    data.setup()
    data.trainer = SimpleNamespace(
        lightning_module=SimpleNamespace(seed=5, minibatches=2),
        global_rank=0,
        world_size=1,
        strategy=SimpleNamespace(root_device=CPU),
    )
    host = data.train_dataloader()
    assert type(host.stream) is Stream and host.num_workers == 2
    monkeypatch.setattr(base, "fits", lambda samples, device, share: share == 0.25)
    resident = data.train_dataloader()
    assert type(resident.stream) is ResidentStream and resident.num_workers == 0 and not resident.pin_memory
    for ours, theirs in islice(zip(resident, host, strict=True), 3):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


class FakeCuda:
    """The streams of a GPU that is not there, and what was asked of them."""

    def __init__(self, monkeypatch) -> None:
        self.asked: list[str] = []
        monkeypatch.setattr(torch.cuda, "Stream", lambda device: self.stream("side"))
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: self.stream("current"))
        monkeypatch.setattr(torch.cuda, "stream", self.on)

    def stream(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(name=name, wait_stream=lambda other: self.asked.append(f"{name} waits for {other.name}"))

    @contextmanager
    def on(self, stream):
        self.asked.append(f"copy on {stream.name}")
        yield


def test_copies_run_one_batch_ahead(monkeypatch):
    cuda = FakeCuda(monkeypatch)
    read = []
    source = ((read.append(i), torch.tensor([i]))[1:] for i in count())
    batches = ahead(source, CPU)
    assert [next(batches)[0].item() for _ in range(3)] == [0, 1, 2]
    assert read == [0, 1, 2, 3]
    one = ["current waits for side", "side waits for current", "copy on side"]
    assert cuda.asked == [*one[1:], *one, *one, *one], "used once it is there, written over once it was used"


def test_a_reader_that_fails_says_so(monkeypatch):
    FakeCuda(monkeypatch)

    def torn():
        yield (torch.zeros(1),)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(ahead(torn(), CPU))


def test_only_what_is_not_on_the_gpu_yet_is_copied_ahead(monkeypatch):
    monkeypatch.setattr(base, "ahead", lambda batches, device: iter(["copied ahead"]))
    game = SimpleNamespace(images_seen=0)
    assert next(iter(Rounds(Stream(images(), 2), game, CUDA))) == "copied ahead"
    assert next(iter(Rounds(Stream(images(), 2), game, CPU))) != "copied ahead"
    assert next(iter(Rounds(ResidentStream(images(), 2, device=CPU), game, CUDA))) != "copied ahead"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("share", [0.25, 0.0])
def test_a_gpu_is_fed_what_a_cpu_is(fit, share):
    class Record(ganzoo.GAN):
        def turns(self, step, batches):
            if self.playing:  # the watch asks too
                seen.append(batches[0][0].detach().cpu())
            return super().turns(step, batches)

    fed = []
    for accelerator in ("cpu", "cuda"):
        seen: list[torch.Tensor] = []
        game = Record(shape=(1, 16, 16), compile=False)
        of = ganzoo.Digits(batch_size=400, device_share=share)
        fit(game, max_steps=10, accelerator=accelerator, devices=1, data=of)
        fed.append(seen)
    assert len(fed[0]) == len(fed[1]) == 10
    assert all(torch.equal(a, b) for a, b in zip(*fed, strict=True))
