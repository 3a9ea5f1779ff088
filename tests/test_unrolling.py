"""Unrolled GAN: the surrogate loss against torch's own Adam, its gradient by finite differences, and what it leaves alone."""

import copy
from functools import partial

import pytest
import torch
from torch import nn

import ganzoo
from ganzoo import losses
from ganzoo.optimizers import learn

ROUND = (torch.randn(6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)),)


class Judge(nn.Sequential):
    """A smooth D in float64: [N, 2] -> [N]."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 1), nn.Flatten(0))


class Maker(nn.Sequential):
    """G in float64: [N, 3] -> [N, 2]."""

    def __init__(self, latent_dim: int, shape: tuple[int, ...]) -> None:
        super().__init__(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))


def trained(monkeypatch, steps: int) -> ganzoo.UnrolledGAN:
    """A tiny game in float64, whose D has taken three turns, and whose noise is the same in each turn."""
    torch.manual_seed(0)
    networks = {"generator": Maker, "discriminator": Judge}
    game = ganzoo.UnrolledGAN(shape=(2,), latent_dim=3, unrolling_steps=steps, lr=0.02, **networks).double()
    z = torch.randn(6, 3, dtype=torch.float64)
    monkeypatch.setattr(game, "latent", lambda n: z)
    optimizers = game.configure_optimizers().of
    for _ in range(3):
        _, gradients = game.move("discriminator", game.discriminator_loss, ROUND)
        learn(optimizers["discriminator"], game._weights["discriminator"], gradients, 1.0)
        game.after_turn("discriminator")
    return game


def surrogate(game: ganzoo.UnrolledGAN) -> float:
    """f_K of eq. 9 by K real steps of a copy of D and of its optimizer."""
    discriminator = copy.deepcopy(game.discriminator)
    adam = torch.optim.Adam(discriminator.parameters(), lr=game.lr["discriminator"], betas=game.betas)
    adam.load_state_dict(copy.deepcopy(game.adam_of_discriminator.state_dict()))
    fake = game.fake(6).detach()

    def cost() -> torch.Tensor:
        return losses.cross_entropy(discriminator(ROUND[0]), 1.0) + losses.cross_entropy(discriminator(fake), 0.0)

    for _ in range(game.unrolling_steps):
        adam.zero_grad()
        cost().backward()
        adam.step()
    return -cost().item()


@pytest.mark.parametrize("steps", [0, 1, 5])
def test_the_surrogate_is_that_of_real_steps(steps, monkeypatch):
    game = trained(monkeypatch, steps)
    assert sum(game.generator_loss(*ROUND).values()).item() == pytest.approx(surrogate(game), rel=1e-6)


@pytest.mark.parametrize("steps", [0, 1, 5])
def test_its_gradient_flows_through_the_steps(steps, monkeypatch):
    """Both terms of eq. 12, against finite differences of D's real answer."""
    game = trained(monkeypatch, steps)
    weight = game.generator[2].weight
    (gradient,) = torch.autograd.grad(sum(game.generator_loss(*ROUND).values()), weight)
    for place in ((0, 0), (1, 3)):
        values = []
        for step in (1e-6, -1e-6):
            with torch.no_grad():
                weight[place] += step
            values.append(surrogate(game))
            with torch.no_grad():
                weight[place] -= step
        assert gradient[place].item() == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-4)


def test_adam_may_start_from_nothing(monkeypatch):
    """As it does where a game is validated that was never trained; and a weight without any gradient stays finite."""
    torch.manual_seed(0)
    game = ganzoo.UnrolledGAN(shape=(2,), discriminator=partial(ganzoo.MLPDiscriminator, width=4))
    with torch.no_grad():
        game.discriminator.layers[-1].weight.zero_()  # no gradient reaches the layers before
    game.configure_optimizers()
    _, gradients = game.move("generator", game.generator_loss, (torch.randn(4, 2),))
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


class Scaled(nn.Module):
    """A G of nothing that autocast does in half precision: [N, 2] -> [N, 2]."""

    def __init__(self, latent_dim: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.size = nn.Parameter(torch.ones(shape))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return z * self.size


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_does_not_touch_the_unrolled_steps(dtype, monkeypatch):
    """Rounded to zero, D's gradients made the generator's hundreds of times too large."""
    torch.manual_seed(0)
    game = ganzoo.UnrolledGAN(shape=(2,), latent_dim=2, generator=Scaled)
    game.configure_optimizers()
    real, z = torch.randn(2, 8, 2)
    monkeypatch.setattr(game, "latent", lambda n: z)
    moves = []
    for half in (False, True):
        with torch.autocast("cpu", dtype, enabled=half, cache_enabled=False):
            moves.append(game.move("generator", game.generator_loss, (real,)))
    torch.testing.assert_close(moves[1], moves[0], rtol=0, atol=0)


def test_the_generators_move_leaves_the_discriminator_alone():
    """Weights, moments and, with batch normalisation, running statistics."""
    torch.manual_seed(0)
    game = ganzoo.UnrolledGAN(shape=(1, 16, 16), discriminator=partial(ganzoo.DCGANDiscriminator, width=4))
    optimizers = game.configure_optimizers().of
    batch = (torch.rand(4, 1, 16, 16) * 2 - 1,)
    _, gradients = game.move("discriminator", game.discriminator_loss, batch)
    learn(optimizers["discriminator"], game._weights["discriminator"], gradients, 1.0)
    game.after_turn("discriminator")
    before = copy.deepcopy((game.discriminator.state_dict(), game.moments, game.steps_taken))
    assert int(before[2]) == 1
    assert before[0]["layers.3.running_mean"].abs().max() > 0, "its own turn does move them"
    game.move("generator", game.generator_loss, batch)
    for name, value in game.discriminator.state_dict().items():
        assert torch.equal(value, before[0][name]), name
    for name, moments in game.moments.items():
        assert all(torch.equal(*pair) for pair in zip(moments, before[1][name], strict=True)), name
    assert game.steps_taken == before[2]


def test_no_steps_are_the_minimax_game(monkeypatch):
    terms = trained(monkeypatch, 0).generator_loss(*ROUND)
    game = trained(monkeypatch, 0)
    assert terms["fake"].item() == pytest.approx(losses.minimax(game.discriminator(game.fake(6))).item())
