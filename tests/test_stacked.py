"""Stacked MNIST: what is stacked, that it is read as any samples are, and that its modes can be counted."""

import pickle
import sys
from itertools import islice

import numpy as np
import pytest
import torch
from conftest import REAL_DATA, REPOSITORY

import ganzoo
from ganzoo.data.device import ResidentStream
from ganzoo.data.native import SplitSamples
from ganzoo.data.stream import Stream

sys.path.insert(0, str(REPOSITORY / "benchmarks"))

import mnist_quality
import stacked_modes

CPU = torch.device("cpu")


@pytest.fixture
def data(tiny_data) -> ganzoo.StackedMNIST:
    of = ganzoo.StackedMNIST(root=str(tiny_data), samples=500, download=False)
    of.setup()
    return of


def test_each_channel_is_a_digit_and_the_label_all_three(data, tiny_data):
    mnist = ganzoo.MNIST(root=str(tiny_data))
    for samples, digits in zip((data.train, data.held_out), mnist.splits(), strict=True):
        real, label = samples.__getitems__(range(100))
        known = {image.tobytes(): number.item() for image, number in zip(digits.data[:, 0], digits.labels, strict=True)}
        for image, number in zip(real.numpy(), label.tolist(), strict=True):
            r, g, b = (known[channel.tobytes()] for channel in image)
            assert number == 100 * r + 10 * g + b
    assert real.dtype == torch.uint8
    assert (len(data.train), len(data.held_out), data.classes) == (500, 26_000, 1000)
    assert data.shape == real.shape[1:] == (3, 32, 32)


def test_the_channels_are_drawn_apart(data):
    digits = torch.stack([data.held_out.labels // 100, data.held_out.labels // 10 % 10, data.held_out.labels % 10])
    counts = torch.stack([channel.bincount(minlength=10) for channel in digits])  # [3, 10] of 2600 each
    assert (counts - 2600).abs().max() < 5 * 2600**0.5
    assert torch.corrcoef(digits.double()).fill_diagonal_(0).abs().max() < 0.03
    assert data.held_out.labels.unique().numel() == 1000


def test_the_draw_is_fixed(data, tiny_data):
    torch.manual_seed(1)
    np.random.seed(1)
    again = ganzoo.StackedMNIST(root=str(tiny_data), samples=500)
    again.setup()
    assert torch.equal(again.train.__getitems__(range(50))[0], data.train.__getitems__(range(50))[0])


@pytest.mark.parametrize("size", [28, 48])
def test_sizes(tiny_data, size):
    data = ganzoo.StackedMNIST(root=str(tiny_data), samples=3, size=size)
    assert data.real_samples(9).shape == (3, *data.shape) == (3, 3, size, size)
    with pytest.raises(ValueError, match="samples must be at least 1"):
        ganzoo.StackedMNIST(root=str(tiny_data), samples=0)


def test_it_is_read_as_any_samples_are(data):
    resident = ResidentStream(data.train, 64, device=CPU, seed=3, start=5)
    for ours, theirs in islice(zip(resident, Stream(data.train, 64, seed=3, start=5), strict=True), 10):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    image, label = data.train[7]
    assert image.shape == (3, 32, 32) and label == data.train.labels[7]
    assert data.train.data.nbytes == 500 * 3 * 32 * 32
    again = pickle.loads(pickle.dumps(data.train))
    assert SplitSamples(again, 300).content() == SplitSamples(data.train, 300).content()


def test_the_set_takes_no_more_memory_than_its_digits(tiny_data):
    data = ganzoo.StackedMNIST(root=str(tiny_data), samples=10**6)
    data.setup()
    assert len(pickle.dumps(data.train)) < 40 * 32 * 32 + 10**6 * 3 * 8 + 10_000


def test_trains(fit, data):
    game = ganzoo.GAN(shape=data.shape, classes=data.classes)
    fit(game, data=data, max_steps=2)
    assert game.images_seen == 2 * 64


# --- the judge


class Reader(torch.nn.Module):
    """Reads the digit off the brightness of an image: 0.0, 0.1, ... 0.9."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        digit = (images.mean((1, 2, 3)) * 10).round().long()
        return torch.nn.functional.one_hot(digit, 10).float()


def written(modes: torch.Tensor) -> torch.Tensor:
    digits = torch.stack([modes // 100, modes // 10 % 10, modes % 10], 1)
    return (digits / 10)[:, :, None, None].expand(-1, -1, 32, 32)


def test_modes_are_read_channel_by_channel():
    modes = torch.tensor([0, 7, 30, 250, 999, 421])
    assert torch.equal(stacked_modes.modes(Reader(), written(modes)), modes)


def test_modes_and_kl_by_hand():
    everything = written(torch.arange(1000))
    evenly = stacked_modes.count(Reader(), [everything, everything])
    assert stacked_modes.row("x", evenly).split() == ["1000/1000", "0.000", "x"]
    two = written(torch.tensor([5, 5, 5, 800]))
    kl = 0.75 * np.log(750) + 0.25 * np.log(250)
    assert stacked_modes.row("x", stacked_modes.count(Reader(), two.split(3))).split() == ["2/1000", f"{kl:.3f}", "x"]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not (REAL_DATA / "mnist").exists(), reason="needs mnist in GANZOO_TEST_DATA")
def test_real_images_show_every_mode(tmp_path, monkeypatch, capsys):
    arguments = ["--data.root", str(REAL_DATA / "mnist"), "--epochs", "2", "--classifier", str(tmp_path / "judge.pt")]
    monkeypatch.setattr(sys, "argv", ["stacked_modes.py", *arguments])
    stacked_modes.main()
    found, kl, *_ = capsys.readouterr().out.splitlines()[-1].split()
    assert int(found.partition("/")[0]) >= 999
    assert float(kl) < 0.06
    assert (tmp_path / "judge.pt").is_file()
    assert mnist_quality.judge(str(REAL_DATA / "mnist"), 0, tmp_path / "judge.pt")[1] is not None
