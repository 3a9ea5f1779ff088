"""The judges in benchmarks/ judge real data as they should."""

import sys

import pytest
import torch
from conftest import REPOSITORY

import ganzoo

sys.path.insert(0, str(REPOSITORY / "benchmarks"))

import mnist_quality
import ring_modes
import rivals


def test_ring_modes_of_real_points():
    data = ganzoo.Gaussians()
    found, share, on = ring_modes.modes(data.real_samples(20_000), data.centres, data.std)
    assert found == 8
    assert share == pytest.approx(1 - torch.tensor(-4.5).exp().item(), abs=0.003)  # Rayleigh: within three deviations
    assert len(on) == 8


def test_ring_modes_of_a_collapsed_generator():
    data = ganzoo.Gaussians()
    found, share, on = ring_modes.modes(data.centres[3].repeat(1000, 1), data.centres, data.std)
    assert (found, share) == (1, 1.0)
    assert on[3] == 1000
    assert ring_modes.modes(torch.zeros(1000, 2), data.centres, data.std)[:2] == (0, 0.0)


def test_the_digit_judge_counts_confident_samples_and_classes():
    probability = torch.full((4, 10), 0.01)
    for sample, (digit, confidence) in enumerate([(0, 0.95), (0, 0.91), (7, 0.89), (9, 0.5)]):
        probability[sample, digit] = confidence
    row = mnist_quality.row("x", probability)
    assert row.split()[:2] == ["50.0%", "3/10"]
    assert "[2, 0, 0, 0, 0, 0, 0, 1, 0, 1]" in row


def test_the_digit_judge_learns():
    images = torch.zeros(400, 1, 32, 32, dtype=torch.uint8)
    labels = torch.arange(400) % 10
    for image, label in zip(images, labels, strict=True):
        image[:, :, 3 * label : 3 * label + 2] = 255
    classifier = mnist_quality.train(images, labels, epochs=20)
    probability = mnist_quality.probabilities(classifier, mnist_quality.normalised(images))
    assert (probability.argmax(1) == labels).all()
    small = mnist_quality.normalised(images[:, :, 2:30, 2:30])  # 28x28 gets its black border back
    assert torch.allclose(mnist_quality.probabilities(classifier, small[labels % 9 != 0]).argmax(1), labels[labels % 9 != 0])


@pytest.mark.parametrize("penalty", [False, True])
@pytest.mark.parametrize("reuse", [False, True])
def test_the_plain_loop_trains_both_networks(penalty, reuse):
    images = torch.randint(0, 256, (24, *rivals.SHAPE), dtype=torch.uint8)
    task = rivals.Task(images, batch=8, width=2, rounds=4, penalty=penalty)
    players = [task.generator, task.discriminator]
    before = [[weight.clone() for weight in player.parameters()] for player in players]
    rivals.plain(task, reuse=reuse)
    for player, weights in zip(players, before, strict=True):
        after = list(player.parameters())
        assert all(weight.isfinite().all() for weight in after)
        assert not any(torch.equal(one, other) for one, other in zip(weights, after, strict=True))
    assert len(task.asked) == 4


def test_rivals_are_timed_or_say_why_not(monkeypatch):
    def broken(task):
        raise AttributeError("torch\nhas no such thing")

    rivals_there = {"absent": ("no-such-gan", rivals.plain), "old": ("torch", broken)}
    monkeypatch.setattr(rivals, "CONTENDERS", rivals.CONTENDERS | rivals_there)
    images = torch.randint(0, 256, (16, *rivals.SHAPE), dtype=torch.uint8)
    names = ["plain loop", "ganzoo fit", "absent", "old"]
    found = rivals.measure(names, images, batch=4, width=2, rounds=2, repeats=2)
    for name in names[:2]:
        assert len(found[name]) == 4
        assert all(0 < seconds < 60 for seconds in found[name])
    assert found["absent"] == "not installed: pip install --no-deps no-such-gan"
    assert found["old"] == "AttributeError: torch has no such thing"
