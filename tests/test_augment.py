"""Augmentation: each operation against a slow reference, and what it must leave alone."""

from functools import partial

import numpy as np
import pytest
import torch
from conftest import TINY, four_samples, of_digits
from torch import nn

import ganzoo
from ganzoo import augment
from ganzoo.__main__ import main
from ganzoo.duel import Duel
from ganzoo.listing import variants

SHAPES = [(1, 7, 7), (3, 8, 8), (3, 5, 9), (1, 16, 16)]  # odd sides, grey, oblong
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)
FIT = [
    variant
    for variant in variants()
    if issubclass(variant, Duel) and len(variant.usual_shape) == 3 and variant is not ganzoo.BEGAN
]


def images(shape, n: int = 4) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(n, *shape, dtype=torch.float64, requires_grad=True)


def front(shape, **arguments) -> ganzoo.DiffAugment:
    return ganzoo.DiffAugment(nn.Identity(), shape, **arguments)


# --- slow references, one image [C, H, W] at a time


def slow_shift(x: np.ndarray, down: int, right: int) -> np.ndarray:
    out = np.zeros_like(x)
    _, height, width = x.shape
    for i in range(height):
        for j in range(width):
            if 0 <= i - down < height and 0 <= j - right < width:
                out[:, i, j] = x[:, i - down, j - right]
    return out


def slow_hole(x: np.ndarray, middle: tuple[int, int], sides: tuple[int, int]) -> np.ndarray:
    """As in the authors' code: places beyond the edge count as on it."""
    out = x.copy()
    for i in range(sides[0]):
        for j in range(sides[1]):
            row = min(max(i + middle[0] - sides[0] // 2, 0), x.shape[1] - 1)
            column = min(max(j + middle[1] - sides[1] // 2, 0), x.shape[2] - 1)
            out[:, row, column] = 0
    return out


def slow_colour(x: np.ndarray, brightness: float, saturation: float, contrast: float) -> np.ndarray:
    x = x + brightness
    grey = x.mean(0, keepdims=True)
    x = grey + saturation * (x - grey)
    return x.mean() + contrast * (x - x.mean())


def check(operation, x: torch.Tensor, expected: list[np.ndarray]) -> None:
    """Values, gradients by finite differences, and gradients of gradients."""
    np.testing.assert_allclose(operation(x).detach().numpy(), np.stack(expected), rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(operation, x)
    assert torch.autograd.gradgradcheck(lambda x: operation(x).sin(), x)


@shapes
def test_colour(shape):
    x = images(shape, 2)
    numbers = torch.rand(3, 2, dtype=torch.float64)
    brightness, saturation, contrast = numbers

    def operation(x):
        return augment.contrasted(augment.saturated(augment.brightened(x, brightness), saturation), contrast)

    check(operation, x, [slow_colour(one, *by) for one, by in zip(x.detach().numpy(), numbers.T.numpy(), strict=True)])


@shapes
@pytest.mark.parametrize("by", [[(0, 0), (1, 0)], [(-2, 1), (20, -1)], [(0, -3), (2, 2)]])
def test_shifts(shape, by):
    x = images(shape, 2)
    down, right = torch.tensor(by).T
    check(
        lambda x: augment.shifted(x, down, right),
        x,
        [slow_shift(one, *b) for one, b in zip(x.detach().numpy(), by, strict=True)],
    )


@pytest.mark.parametrize("seed", range(3))
@shapes
def test_the_module_draws_for_each_image(shape, seed):
    """All operations in a row, against the references with the same random numbers."""
    x, module = images(shape, 3), front(shape)
    torch.manual_seed(seed)
    colours = torch.rand(3, 3) + torch.tensor([[-0.5], [0.0], [0.5]])
    colours[1] *= 2
    moves = [torch.randint(-(side // 8), side // 8 + 1, (3,)) for side in shape[1:]]
    holes = tuple(side // 2 for side in shape[1:])
    middles = [torch.randint(0, side + 1 - hole % 2, (3,)) for side, hole in zip(shape[1:], holes, strict=True)]
    expected = []
    for i, one in enumerate(x.detach().numpy()):
        one = slow_colour(one, *colours[:, i].tolist())
        one = slow_shift(one, *(int(move[i]) for move in moves))
        expected.append(slow_hole(one, (int(middles[0][i]), int(middles[1][i])), holes))

    def operation(x):
        torch.manual_seed(seed)
        return module(x)

    check(operation, x, expected)
    assert operation(x).shape == x.shape


def test_every_place_of_the_hole_is_drawn():
    """Also partly outside: of an image of 4 and a hole of 2, 5 x 5 places; nowhere is it wholly outside."""
    torch.manual_seed(0)
    holes = front((1, 4, 4), policy=("cutout",))(torch.ones(2000, 1, 4, 4)) == 0
    assert len(holes.unique(dim=0)) == 25
    assert set(holes.sum((1, 2, 3)).tolist()) == {1, 2, 4}


def test_packed_images_change_each_for_itself():
    single, packed = front((3, 8, 8)), front((3, 8, 8))
    x = images((3, 8, 8), 6).detach()
    packs = ganzoo.PacGAN(shape=TINY, pack=2).packed(x)
    torch.manual_seed(1)
    expected = single(x)
    torch.manual_seed(1)
    assert torch.equal(packed(packs), expected.reshape(3, 6, 8, 8))


def test_only_in_training_mode():
    module, x = front((3, 8, 8)), torch.rand(4, 3, 8, 8)
    state = torch.get_rng_state()
    assert module.eval()(x) is x
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(module.train()(x), x)


def test_it_is_in_the_features_too_and_noise_comes_after():
    torch.manual_seed(0)
    game = ganzoo.DCGAN(shape=TINY, augment=ganzoo.DiffAugment, instance_noise=(0.1, 10))
    assert isinstance(game.discriminator, ganzoo.DiffAugment)
    assert isinstance(game.discriminator.discriminator, ganzoo.InstanceNoise)
    x = torch.rand(4, *TINY)
    assert not torch.equal(game.discriminator.features(x), game.discriminator.features(x))
    seen = []
    game.discriminator.discriminator.discriminator.forward = lambda x: seen.append(x)
    game.discriminator(x)
    assert (seen[0] != 0).all(), "noise in the holes too"
    game.after_round()
    assert game.discriminator.discriminator.sigma.item() == pytest.approx(0.09), "the inner one follows its schedule"


def test_an_empty_policy_is_the_same_run(fit):
    games = []
    for how in ({}, {"augment": partial(ganzoo.DiffAugment, policy=())}):
        torch.manual_seed(0)
        games.append(ganzoo.DCGAN(shape=TINY, **how))
        fit(games[-1])
    plain, empty = (dict(game.named_parameters()) for game in games)
    for (name, weight), other in zip(plain.items(), empty.values(), strict=True):
        assert torch.equal(weight, other), name


@pytest.mark.parametrize("variant", FIT, ids=lambda variant: variant.__name__)
def test_every_variant_learns_with_it(variant, fit):
    torch.manual_seed(0)
    game = of_digits(variant, augment=ganzoo.DiffAugment)
    calls = []
    augmented = game.discriminator.augmented
    game.discriminator.augmented = lambda x: (calls.append(tuple(x.shape[1:])), augmented(x))[1]
    fit(game)
    assert all(term.isfinite() for term in game.terms.values())
    assert set(calls) == {TINY}, "single images, whatever stands beside them"
    calls.clear()
    game.eval()
    game.sample(3)
    game.opinions(*four_samples(game))
    assert not calls, "neither samples nor opinions in evaluation mode"


def test_samples_are_those_without_it():
    samples = []
    for how in ({}, {"augment": ganzoo.DiffAugment}):
        torch.manual_seed(0)
        game = ganzoo.DCGAN(shape=TINY, **how)
        torch.manual_seed(1)
        samples.append(game.sample(3))
    assert torch.equal(*samples)


def test_what_cannot_be_augmented_is_refused():
    with pytest.raises(
        ValueError, match=r"^DiffAugment changes images, not samples of shape \(2,\): leave out --model\.augment$"
    ):
        ganzoo.GAN(shape=(2,), augment=ganzoo.DiffAugment)
    with pytest.raises(ValueError, match=r"^BEGAN compares each image with .* leave out --model\.augment$"):
        ganzoo.BEGAN(shape=TINY, augment=ganzoo.DiffAugment)
    with pytest.raises(ValueError, match="shares of the image"):
        front((1, 8, 8), cutout=1.5)


def test_it_is_switched_on_from_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = ["fit", "--config", "dcgan_digits.yaml", "--trainer.accelerator", "cpu", "--trainer.max_steps", "2"]
    command += ["--evaluation.every_steps", "null", "--model.augment", "DiffAugment", "--model.lecam", "0.3"]
    main([*command, "--model.augment.policy", "[color, cutout]", "--model.augment.cutout", "0.25"])
    game = ganzoo.load(tmp_path / "runs/dcgan_digits/version_0/checkpoints/last.ckpt")
    assert isinstance(game.discriminator, ganzoo.LeCam)
    assert (game.discriminator.discriminator.policy, game.discriminator.discriminator.cutout) == (("color", "cutout"), 0.25)
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main([*command, "--model.augment.policy", "[colour]"])
    error = capsys.readouterr().err
    assert "policy" in error
    assert len(error.strip().splitlines()) == 1
    with pytest.raises(SystemExit):
        main([*command[:-4], "--model.augment", "InstanceNoise"])
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
