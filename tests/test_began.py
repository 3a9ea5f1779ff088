"""BEGAN: its networks, its errors and its controller."""

from functools import partial

import pytest
import torch
from conftest import TINY
from test_papers import count

import ganzoo
from ganzoo.networks.began import SIZES, _Double
from ganzoo.optimizers import learn

MLPS = {"generator": partial(ganzoo.MLPGenerator, width=8), "discriminator": partial(ganzoo.MLPAutoencoder, width=8, hidden=3)}


def halving(**arguments) -> ganzoo.BEGAN:
    """D(v) = v / 2, so that L(v) = E |v| / 2; G makes 0.4 of everything."""
    game = ganzoo.BEGAN(shape=(2,), **MLPS, **arguments)
    game.discriminator.forward = lambda v: v / 2
    game.generator.forward = lambda z: torch.full((len(z), 2), 0.4)
    return game


def test_errors_by_hand():
    game = halving()
    game.k.fill_(0.25)
    terms = game.discriminator_loss(torch.tensor([[1.0, -3.0]]))
    assert terms["real"].item() == pytest.approx((0.5 + 1.5) / 2)
    assert terms["fake"].item() == pytest.approx(-0.25 * 0.2)
    assert game.generator_loss(torch.zeros(1, 2))["adversarial"].item() == pytest.approx(0.2)


@pytest.mark.parametrize(("k", "rate", "expected"), [(0.25, 0.1, 0.25 + 0.1 * 0.3), (0.9, 1.0, 1.0), (0.25, -1.0, 0.0)])
def test_k_follows_the_balance(k, rate, expected):
    """k + lambda (gamma L(x) - L(G(z))), within [0, 1]; L(x) = 1, L(G(z)) = 0.2, gamma = 0.5."""
    game = halving(k_rate=rate)
    game.k.fill_(k)
    game.discriminator_loss(torch.tensor([[1.0, -3.0]]))
    game.after_turn("discriminator")
    assert game.k.item() == pytest.approx(k), "once a round"
    game.generator_loss(torch.zeros(1, 2))
    game.after_turn("generator")
    assert game.k.item() == pytest.approx(expected)
    assert game.terms["balance/k"].item() == pytest.approx(expected)
    assert game.terms["balance/convergence"].item() == pytest.approx(1 + abs(0.5 * 1 - 0.2))


def test_the_measure_is_logged_and_not_minimised(fit):
    game = ganzoo.BEGAN(shape=TINY)
    fit(game, log_every_n_steps=1)
    assert {"balance/k", "balance/convergence", "discriminator/loss"} <= set(game.measured)
    loss, real, fake = (game.terms[f"discriminator/{name}"].item() for name in ("loss", "real", "fake"))
    assert loss == pytest.approx(real + fake)
    assert game.terms["generator/loss"] == game.terms["generator/adversarial"]


def test_noise_is_uniform():
    z = ganzoo.BEGAN(shape=(2,), **MLPS).latent(1000)
    assert z.shape == (1000, 64)
    assert -1 <= z.min() < -0.99 and 0.99 < z.max() <= 1


def test_a_game_of_points_learns():
    torch.manual_seed(0)
    game = ganzoo.BEGAN(shape=(2,), lr=1e-2, **MLPS)
    optimizers = game.configure_optimizers().of
    real = torch.randn(64, 2).requires_grad_()
    errors = []
    for _ in range(60):
        for player, loss, batch in game.turns(0, [(real,)]):
            _, gradients = game.move(player, loss, batch)
            learn(optimizers[player], game._weights[player], gradients, 1.0)
            game.after_turn(player)
        errors.append(game.real_error.item())
    assert errors[-1] < 0.5 * errors[0]


def test_a_discriminator_of_logits_is_refused():
    game = ganzoo.BEGAN(shape=TINY, discriminator=ganzoo.DCGANDiscriminator)
    with pytest.raises(ValueError, match="is an autoencoder: choose BEGANAutoencoder"):
        game.discriminator_loss(torch.zeros(2, *TINY))


# --- its networks ---


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes(size, channels):
    shape = (channels, size, size)
    generator, autoencoder = ganzoo.BEGANGenerator(7, shape, width=2), ganzoo.BEGANAutoencoder(shape, width=2, hidden=3)
    with torch.autocast("cpu", torch.bfloat16):
        images = generator(torch.randn(2, 7))
        again = autoencoder(images)
    assert images.shape == again.shape == (2, *shape)
    assert images.dtype == again.dtype == torch.float32
    assert images.abs().max() <= 1


def test_the_promised_sizes():
    assert {16, 28, 32, 48, 64, 96, 128, 256} <= set(SIZES)
    with pytest.raises(ValueError, match="28 or 32"):
        ganzoo.BEGANAutoencoder((3, 30, 30))


def test_doubling_is_nearest_neighbour():
    x = torch.randn(2, 3, 4, 5)
    assert torch.equal(_Double()(x), torch.nn.functional.interpolate(x, scale_factor=2.0))


def test_weights():
    """By hand, at 16x16 with n = 4: one doubling from 8x8, filters n and 2n in the encoder, n in the decoder."""

    def convolution(inputs: int, outputs: int) -> int:
        return inputs * outputs * 9 + outputs

    decoder = (7 * 256 + 256) + 4 * convolution(4, 4) + convolution(4, 1)
    assert count(ganzoo.BEGANGenerator(7, TINY, width=4)) == decoder
    encoder = convolution(1, 4) + 2 * convolution(4, 4) + convolution(4, 4) + convolution(4, 8) + convolution(8, 8)
    encoder += 8 * 64 * 7 + 7
    assert count(ganzoo.BEGANAutoencoder(TINY, width=4, hidden=7)) == encoder + decoder
