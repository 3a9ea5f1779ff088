"""The laboratory: what theory says is right, what is observed is so, and nothing observed is disturbed."""

from functools import partial
from math import log, sqrt

import numpy as np
import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters

import ganzoo
from ganzoo import losses
from ganzoo.laboratory.observe import observe, push
from ganzoo.laboratory.theory import Grid, jensen_shannon, jensen_shannon_seen, optimal_discriminator, slope
from ganzoo.metrics.modes import modes

SMALL = {"compile": False, "latent_dim": 2}


class Shift(nn.Module):
    """A generator whose density is known: z -> 0.8 z + 1."""

    def __init__(self, latent_dim: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.tensor(0.8)), nn.Parameter(torch.tensor(1.0))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.scale * z[:, :1] + self.shift


class Narrow(ganzoo.MLPDiscriminator):
    def __init__(self, shape: tuple[int, ...], norm: str = "none") -> None:
        super().__init__(shape, width=32, layers=2, norm=norm)


def line(**arguments) -> ganzoo.Line:
    """-1 with std 0.5, twice as heavy as 1.5 with std 0.4."""
    return ganzoo.Line(means=(-1.0, 1.5), stds=(0.5, 0.4), weights=(2.0, 1.0), **arguments)


def normal(x: torch.Tensor, mean: float, std: float) -> torch.Tensor:
    return torch.distributions.Normal(mean, std).log_prob(x[:, 0]).exp()


# --- theory


def test_the_divergence_of_what_is_known_in_closed_form():
    grid = Grid(-6, 6, 1)
    same, far = normal(grid.points, -3, 0.3), normal(grid.points, 3, 0.3)
    assert jensen_shannon(same, same, grid.volume) == pytest.approx(0, abs=1e-7)
    assert jensen_shannon(same, far, grid.volume) == pytest.approx(log(2), rel=1e-5)
    assert jensen_shannon(same, 0 * far, grid.volume) == pytest.approx(log(2), rel=1e-5), "fakes outside of the grid"
    half = (same + far) / 2  # JSD(p, (p + q) / 2) of disjoint p and q: 1/2 log(4 / 3) + 1/2 (1/2 log(2 / 3) + 1/2 log 2)
    assert jensen_shannon(same, half, grid.volume) == pytest.approx(log(4 / 3) / 2 + log(4 / 3) / 4, rel=1e-5)


def test_what_the_discriminator_sees_of_it():
    assert jensen_shannon_seen(torch.zeros(5), torch.zeros(7)) == pytest.approx(0, abs=1e-6)  # D = 1/2: identical
    assert jensen_shannon_seen(torch.full((5,), 50.0), torch.full((5,), -50.0)) == pytest.approx(log(2))
    mixed = jensen_shannon_seen(torch.zeros(1), torch.full((1,), log(3)))  # 1 - D = 1/4
    assert mixed == pytest.approx((log(1 / 2) + log(1 / 4)) / 2 + log(2))


def test_the_optimal_discriminator():
    assert optimal_discriminator(torch.tensor([3.0, 0.0, 1.0]), torch.tensor([1.0, 2.0, 0.0])).tolist() == [0.75, 0.0, 1.0]
    assert optimal_discriminator(torch.zeros(1), torch.zeros(1)).isnan()


def test_slopes_of_the_generators_costs():
    logit = torch.tensor([1 / 9, 1.0, 9.0]).log()  # D = 0.1, 0.5, 0.9
    for cost, at in [
        (losses.minimax, [-0.1, -0.5, -0.9]),
        (losses.non_saturating, [-0.9, -0.5, -0.1]),
        (losses.maximum_likelihood, [-1 / 18, -0.5, -4.5]),
    ]:
        assert slope(cost, logit).tolist() == pytest.approx(at)


@pytest.mark.parametrize("dimensions", [1, 2])
def test_the_density_of_samples(dimensions):
    grid = Grid(-2, 2, dimensions)
    inside = grid.density(torch.rand(50_000, dimensions) - 0.5)
    assert inside.sum() * grid.volume == pytest.approx(1, rel=1e-5)
    middle = (grid.points.abs() < 0.4).all(1)
    assert inside[middle].mean() == pytest.approx(1, abs=0.03)
    assert inside[(grid.points.abs() > 0.8).any(1)].max() == pytest.approx(0, abs=1e-6)
    one = grid.density(torch.full((1, dimensions), 1.0) * torch.tensor([1.0, -1.5][:dimensions]))
    assert grid.points[one.argmax()].tolist() == pytest.approx([1.0, -1.5][:dimensions], abs=grid.width)
    assert grid.density(torch.full((3, dimensions), 9.0)).sum() == 0


# --- data of known density


@pytest.mark.parametrize(
    "data",
    [
        ganzoo.Line(),
        line(),
        ganzoo.Gaussians(std=0.15),
        ganzoo.Gaussians(layout="grid", modes=4, std=0.3),
        ganzoo.Checkerboard(),
        ganzoo.Checkerboard(fields=6),
    ],
    ids=lambda data: type(data).__name__,
)
def test_densities_are_the_samples(data):
    grid = Grid(data.low, data.high, data.shape[0])
    density = data.log_density(grid.points).exp()
    assert density.shape == (len(grid.points),)
    assert density.sum() * grid.volume == pytest.approx(1, abs=0.05 if isinstance(data, ganzoo.Checkerboard) else 1e-3)
    samples = data.real_samples(100_000)
    assert jensen_shannon(density, grid.density(samples), grid.volume) < 0.05  # smoothed edges cost a checkerboard most
    for place in (0.3, 0.5, 0.8):  # the share of samples left of a place, of which the density says as much
        at = data.low + place * (data.high - data.low)
        expected = (density * (grid.points[:, 0] < at)).sum() * grid.volume
        assert (samples[:, 0] < at).float().mean() == pytest.approx(expected.item(), abs=0.02)


def test_densities_by_hand():
    assert line().log_density(torch.tensor([[-1.0]])).exp().item() == pytest.approx(
        2 / 3 / (0.5 * sqrt(2 * np.pi)) + 1 / 3 / (0.4 * sqrt(2 * np.pi)) * np.exp(-(2.5**2) / 2 / 0.16)
    )
    ring = ganzoo.Gaussians(std=0.1)
    assert ring.log_density(ring.centres).exp().tolist() == pytest.approx([1 / 8 / (2 * np.pi * 0.01)] * 8)
    board = ganzoo.Checkerboard().log_density(torch.tensor([[-1.5, -1.5], [-1.5, -0.5], [1.5, 1.5], [2.5, 0.5]])).exp()
    assert board.tolist() == pytest.approx([1 / 8, 0, 1 / 8, 0])


def test_data_refuses():
    with pytest.raises(ValueError, match="2 means, 1 stds, 2 weights"):
        ganzoo.Line(means=(0.0, 1.0), stds=(1.0,))
    with pytest.raises(ValueError, match="positive"):
        ganzoo.Line(means=(0.0,), stds=(0.0,))
    with pytest.raises(ValueError, match="fields must be 2, 4, 6"):
        ganzoo.Checkerboard(fields=3)


def test_modes_of_different_width_and_weight():
    data = ganzoo.Line(means=(0.0, 5.0), stds=(0.1, 1.0), weights=(0.95, 0.05))
    samples = torch.cat([torch.full((96, 1), 0.2), torch.full((1, 1), 7.0), torch.full((3, 1), 0.4)])
    assert modes(samples, data.centres, data.stds, data.weights) == (2, pytest.approx(0.97), [96, 1])
    assert modes(samples, data.centres, data.stds)[0] == 1, "of equal modes 1 in 100 is not found"
    with torch.device("meta"):  # nothing is made on the default device, where the samples may not be
        assert modes(samples, data.centres, 0.5)[0] == 1


# --- a game observed


def test_a_discriminator_that_plays_alone_becomes_the_optimal_one(fit):
    """Proposition 1 and Theorem 1, the generator's density N(1, 0.8^2) being known."""
    game = ganzoo.GAN(shape=(1,), generator=Shift, discriminator=Narrow, lr=0.0, discriminator_lr=3e-3, **SMALL)
    data = line(batch_size=512)
    fit(game, data=data, max_steps=1200)
    grid = Grid(data.low, data.high, 1)
    seen = observe(game, grid, data.log_density, data.held_out.__getitems__(range(20_000))[0], 0)
    model = normal(grid.points, 1, 0.8)
    assert seen.model.sub(model).abs().max() < 0.04
    numbers, truth = seen.numbers(), jensen_shannon(seen.data, model, grid.volume)
    assert 0.15 < truth < 0.3
    apart = (seen.logit.sigmoid() - optimal_discriminator(seen.data, model)).abs()
    assert ((seen.data + model) / 2 * apart).sum() * grid.volume < 0.03
    assert numbers["discriminator_error"] < 0.05
    assert numbers["jsd"] == pytest.approx(truth, abs=0.01)
    assert numbers["jsd_seen"] == pytest.approx(truth, abs=0.02)


def by_differences(cost, game, x: torch.Tensor, step: float = 1e-6) -> torch.Tensor:
    """-d cost(D(x_i)) / d x_i, by central differences."""
    columns = []
    for axis in range(x.shape[1]):
        by = torch.zeros(x.shape[1]).double()
        by[axis] = step
        up, down = ([cost(game.discriminator((row + side)[None])) for row in x] for side in (by, -by))
        columns.append(-(torch.stack(up) - torch.stack(down)) / (2 * step))
    return torch.stack(columns, 1)


@pytest.mark.parametrize("cost", ["minimax", "non_saturating", "maximum_likelihood"])
def test_the_push_on_a_fake(cost):
    torch.manual_seed(0)
    game = ganzoo.GAN(shape=(2,), generator_cost=cost, discriminator=Narrow, **SMALL).double()
    game.discriminator.forward = lambda x: game.discriminator.layers(x).squeeze(1)  # in double
    x = torch.randn(7, 2).double()
    with torch.no_grad():
        expected = by_differences(game.cost, game, x)
    assert torch.allclose(push(game, x, x), expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("variant", [ganzoo.GAN, ganzoo.WGANGP, ganzoo.R1GAN, ganzoo.UnrolledGAN, ganzoo.RaGAN, ganzoo.LSGAN])
def test_where_the_field_is_drawn(variant):
    """On the lattice if a fake's push is its own business; else at samples, where it is what the generator feels."""
    torch.manual_seed(0)
    game = variant(shape=(2,), generator=ganzoo.MLPGenerator, discriminator=Narrow, **SMALL)
    data = ganzoo.Gaussians(std=0.15)
    seen = observe(game, Grid(data.low, data.high, 2), data.log_density, data.real_samples(2000), 0)
    alone = variant not in (ganzoo.UnrolledGAN, ganzoo.RaGAN)
    assert torch.equal(seen.places, seen.samples[: len(seen.places)]) != alone
    assert seen.field.shape == seen.places.shape
    assert "fake" not in vars(game), "the game has its own fakes again"
    assert game.training


def test_a_laboratory_changes_nothing(fit, tmp_path):
    def run(*callbacks) -> ganzoo.Game:
        torch.manual_seed(0)
        game = ganzoo.GAN(shape=(2,), discriminator=partial(Narrow, norm="spectral"), **SMALL)
        game.generator.layers.append(nn.BatchNorm1d(2))  # both have buffers that a pass in training mode changes
        fit(game, data=ganzoo.Gaussians(), callbacks=list(callbacks), default_root_dir=tmp_path, max_steps=4)
        return game

    alone, watched = run(), run(ganzoo.Laboratory(every_steps=1, n=2000))
    assert all(torch.equal(value, watched.state_dict()[name]) for name, value in alone.state_dict().items())
    assert alone.training == watched.training


def test_a_laboratory_does_not_have_moves_compiled_again(fit, tmp_path, aot_eager):
    game = ganzoo.GAN(shape=(1,), generator=Shift, discriminator=Narrow, latent_dim=2, compile=True)
    counters.clear()
    laboratory = ganzoo.Laboratory(every_steps=1, n=2000)
    fit(game, data=line(batch_size=8), callbacks=[laboratory], default_root_dir=tmp_path, max_steps=4)
    assert counters["stats"]["unique_graphs"] == 2


@pytest.mark.parametrize("variant", [ganzoo.PacGAN, ganzoo.BEGAN])
def test_a_laboratory_refuses_what_has_no_logit_for_a_sample(variant, fit, tmp_path):
    networks = {"discriminator": ganzoo.MLPAutoencoder if variant is ganzoo.BEGAN else Narrow, "generator": ganzoo.MLPGenerator}
    game = variant(shape=(2,), **networks, **SMALL)
    with pytest.raises(ValueError, match="one logit for each sample"):
        fit(game, data=ganzoo.Gaussians(), callbacks=[ganzoo.Laboratory(n=2000)], default_root_dir=tmp_path)


def test_one_sided_smoothing_learns_another_discriminator():
    assert ganzoo.GAN(shape=(2,)).probabilistic and not ganzoo.GAN(shape=(2,), real_target=0.9).probabilistic
    assert not ganzoo.WGAN(shape=(1, 16, 16)).probabilistic
