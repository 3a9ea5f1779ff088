"""f-GAN's table: each activation and conjugate against the divergence it stands for, on two Gaussians with known densities."""

import math
import sys

import pytest
import torch
from conftest import REPOSITORY
from test_papers import FAKE, REAL, X, duel

import ganzoo
from ganzoo.models.fgan import DIVERGENCES

sys.path.insert(0, str(REPOSITORY / "benchmarks"))

import f_divergence

# name: f(u), f'(u), and the logit V with g_f(V) = f'(u); table 1 of the paper, differentiated and solved by hand
F_OF = {
    "kl": (lambda u: u * u.log(), lambda u: u.log() + 1, lambda u: u.log() + 1),
    "reverse_kl": (lambda u: -u.log(), lambda u: -1 / u, lambda u: u.log()),
    "pearson": (lambda u: (u - 1) ** 2, lambda u: 2 * (u - 1), lambda u: 2 * (u - 1)),
    "squared_hellinger": (lambda u: (u.sqrt() - 1) ** 2, lambda u: 1 - 1 / u.sqrt(), lambda u: 0.5 * u.log()),
    "jensen_shannon": (
        lambda u: -(u + 1) * ((1 + u) / 2).log() + u * u.log(),
        lambda u: (2 * u / (1 + u)).log(),
        lambda u: u.log(),
    ),
    "gan": (lambda u: u * u.log() - (u + 1) * (u + 1).log(), lambda u: (u / (1 + u)).log(), lambda u: u.log()),
}
BY_NAME = pytest.mark.parametrize("name", DIVERGENCES)

GRID = torch.linspace(-14, 15, 400_001, dtype=torch.float64)
P, Q = (torch.distributions.Normal(mean, 1.0).log_prob(GRID).exp() for mean in (0.0, 1.0))


def integral(values: torch.Tensor) -> float:
    return torch.trapezoid(values, GRID).item()


def test_every_divergence_of_the_paper_is_there():
    assert set(DIVERGENCES) == set(F_OF)


@BY_NAME
def test_the_bound_is_reached_by_the_best_function(name):
    """E_P T* - E_Q f*(T*) with T* = f'(p / q) is the divergence itself."""
    f, derivative, logit = F_OF[name]
    activation, conjugate = DIVERGENCES[name]
    v = logit(P / Q)
    torch.testing.assert_close(activation(v), derivative(P / Q))
    bound = integral(P * activation(v) - Q * conjugate(v))
    assert bound == pytest.approx(integral(Q * f(P / Q)), abs=1e-6)
    assert bound == pytest.approx(f_divergence.TRUE[name], abs=1e-3)
    for worse in (v + 0.1, 0.9 * v):
        assert integral(P * activation(worse) - Q * conjugate(worse)) < bound


@BY_NAME
def test_conjugates_are_suprema(name):
    """f*(t) = sup_u (u t - f(u)) at t = g_f(v), over a fine grid of u."""
    activation, conjugate = DIVERGENCES[name]
    u = torch.linspace(-14, 14, 400_001, dtype=torch.float64).exp()
    for v in torch.linspace(-1.9, 2.5, 12, dtype=torch.float64):
        assert conjugate(v).item() == pytest.approx((u * activation(v) - F_OF[name][0](u)).max().item(), abs=1e-5, rel=1e-5)


@BY_NAME
def test_gradients_by_finite_differences(name):
    v = torch.linspace(-3, 3, 9, dtype=torch.float64, requires_grad=True)
    for function in DIVERGENCES[name]:
        assert torch.autograd.gradcheck(function, v)


@BY_NAME
def test_both_are_finite_where_the_discriminator_is_sure(name):
    v = torch.tensor([-80.0, -20.0, 0.0, 20.0, 80.0], requires_grad=True)
    for function in DIVERGENCES[name]:
        assert torch.isfinite(function(v)).all()
        assert torch.isfinite(torch.autograd.grad(function(v).sum(), v)[0]).all()


def test_losses_by_hand():
    terms = duel(ganzoo.FGAN, REAL, FAKE, divergence="reverse_kl").discriminator_loss(X)
    t_real, t_fake = ([-math.exp(-v) for v in logits] for logits in (REAL, FAKE))
    assert terms["real"].item() == pytest.approx(-sum(t_real) / 2)
    assert terms["fake"].item() == pytest.approx(sum(-1 - math.log(-t) for t in t_fake) / 2)
    cost = {
        how: duel(ganzoo.FGAN, FAKE, (), divergence="reverse_kl", generator_cost=how).generator_loss(X)["adversarial"].item()
        for how in ("minimax", "non_saturating")
    }
    assert cost["minimax"] == pytest.approx(-sum(-1 - math.log(-t) for t in t_fake) / 2)
    assert cost["non_saturating"] == pytest.approx(-sum(t_fake) / 2)


def test_the_gan_divergence_is_the_gan():
    """But for GAN's factor of 1/2."""
    ours = duel(ganzoo.FGAN, REAL, FAKE, divergence="gan").discriminator_loss(X)
    theirs = duel(ganzoo.GAN, REAL, FAKE).discriminator_loss(X)
    for name in ("real", "fake"):
        assert ours[name].item() == pytest.approx(2 * theirs[name].item())


@pytest.mark.slow
@BY_NAME
def test_divergences_are_estimated_within_a_tenth(name):
    assert f_divergence.estimate(name) == pytest.approx(f_divergence.TRUE[name], rel=0.1)
