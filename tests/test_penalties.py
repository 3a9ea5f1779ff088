"""DRAGAN and R1GAN: where the penalty looks, what it costs by hand, and its gradient by finite differences."""

from functools import partial

import pytest
import torch

import ganzoo

LINEAR = {"generator": partial(ganzoo.MLPGenerator, width=4), "discriminator": partial(ganzoo.MLPDiscriminator, layers=0)}
SMALL = {"generator": partial(ganzoo.MLPGenerator, width=4), "discriminator": partial(ganzoo.MLPDiscriminator, width=4)}


def linear(variant, **arguments):
    """D(x) = 3 x_1 + 4 x_2, whose gradient has norm 5 everywhere."""
    game = variant(shape=(2,), **LINEAR, **arguments)
    with torch.no_grad():
        game.discriminator.layers[0].weight.copy_(torch.tensor([[3.0, 4.0]]))
    return game


def seen(game, monkeypatch, module: str, real: torch.Tensor) -> list[torch.Tensor]:
    """The points whose gradients are penalised."""
    points = []
    monkeypatch.setattr(f"ganzoo.models.{module}.gradient_norm", lambda _, x: points.append(x) or x.flatten(1).norm(dim=1))
    game.discriminator_loss(real)
    return points


def test_dragan_penalty():
    assert linear(ganzoo.DRAGAN).discriminator_loss(torch.randn(7, 2))["penalty"].item() == pytest.approx(10 * (5 - 1) ** 2)


def test_dragan_looks_around_real_data_only(monkeypatch):
    """x + epsilon 0.5 std U[0, 1]: on one side of x, by less than half a standard deviation of the batch."""
    real = torch.randn(500, 1, 16, 16) * 3 + 100
    [near] = seen(ganzoo.DRAGAN(shape=(1, 16, 16)), monkeypatch, "dragan", real)
    away = (near - real) / real.std()
    assert away.min() > -1e-4 and away.max() < 0.5
    assert away.mean().item() == pytest.approx(0.5 / 4, rel=0.05), "E epsilon U = 1/4"
    farthest = away.flatten(1).amax(1)  # 0.5 epsilon of each sample, nearly
    assert farthest.min() < 0.05 and farthest.max() > 0.45, "one epsilon for each sample"
    [exact] = seen(ganzoo.DRAGAN(shape=(1, 16, 16), perturbation=0.0), monkeypatch, "dragan", real)
    assert torch.equal(exact, real)


def test_r1_and_r2():
    terms = linear(ganzoo.R1GAN).discriminator_loss(torch.randn(7, 2))
    assert terms["penalty"].item() == pytest.approx(10 / 2 * 5**2)
    assert "fake_penalty" not in terms
    terms = linear(ganzoo.R1GAN, penalty=2.0, fake_penalty=6.0).discriminator_loss(torch.randn(7, 2))
    assert terms["penalty"].item() == pytest.approx(2 / 2 * 5**2)
    assert terms["fake_penalty"].item() == pytest.approx(6 / 2 * 5**2)


def test_r1_looks_at_real_data_and_r2_at_fakes(monkeypatch):
    game = ganzoo.R1GAN(shape=(2,), fake_penalty=1.0, **SMALL)
    real, fake = torch.randn(5, 2), torch.randn(5, 2)
    monkeypatch.setattr(game, "fake", lambda n: fake)
    assert [x is y for x, y in zip(seen(game, monkeypatch, "r1_gan", real), (real, fake), strict=True)] == [True, True]


def test_r2_moves_the_discriminator_only():
    """It differentiates by the fakes, which takes the generator's graph, but not its weights."""
    torch.manual_seed(0)
    game = ganzoo.R1GAN(shape=(2,), fake_penalty=1.0, **SMALL)
    game.configure_optimizers()
    _, gradients = game.move("discriminator", game.discriminator_loss, (torch.randn(5, 2).requires_grad_(),))
    assert len(gradients) == len(list(game.discriminator.parameters()))
    assert all(weight.grad is None for weight in game.generator.parameters())


@pytest.mark.parametrize("arguments", [{"penalty": 3.0}, {"penalty": 0.0, "fake_penalty": 3.0}])
def test_the_penaltys_gradient_by_finite_differences(arguments, monkeypatch):
    torch.manual_seed(0)
    game = ganzoo.R1GAN(shape=(2,), **SMALL, **arguments).double()
    real, fake = (torch.randn(5, 2, dtype=torch.float64).requires_grad_() for _ in range(2))
    monkeypatch.setattr(game, "fake", lambda n: fake)
    weight = game.discriminator.layers[0].weight

    def penalty() -> torch.Tensor:
        return sum(term for name, term in game.discriminator_loss(real).items() if "penalty" in name)

    (gradient,) = torch.autograd.grad(penalty(), weight)
    for place in ((0, 0), (2, 1)):
        values = []
        for step in (1e-6, -1e-6):
            with torch.no_grad():
                weight[place] += step
            values.append(penalty().item())
            with torch.no_grad():
                weight[place] -= step
        assert gradient[place].item() == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-5, abs=1e-9)


def test_the_equilibrium_costs_nothing_and_has_finite_gradients():
    """D = 0 everywhere: the norm's own gradient at zero must not be infinite."""
    game = ganzoo.R1GAN(shape=(2,), fake_penalty=1.0, **SMALL)
    with torch.no_grad():
        game.discriminator.layers[-1].weight.zero_()
    terms = game.discriminator_loss(torch.randn(5, 2))
    assert terms["penalty"] == terms["fake_penalty"] == 0
    gradients = torch.autograd.grad(terms["penalty"] + terms["fake_penalty"], game.discriminator.layers[-1].weight)
    assert torch.isfinite(gradients[0]).all()


@pytest.mark.parametrize("variant", [ganzoo.DRAGAN, ganzoo.R1GAN])
def test_batch_norm_is_refused(variant):
    with pytest.raises(ValueError, match=f"{variant.__name__}'s discriminator cannot have batch normalisation"):
        variant(shape=(1, 16, 16), discriminator=ganzoo.DCGANDiscriminator)
    variant(shape=(1, 16, 16), discriminator=partial(ganzoo.DCGANDiscriminator, norm="layer"))


def test_defaults_are_the_papers():
    dragan, r1 = ganzoo.DRAGAN(shape=(1, 16, 16)), ganzoo.R1GAN(shape=(1, 16, 16))
    assert (dragan.penalty, dragan.perturbation, dragan.lr["generator"], dragan.betas) == (10, 0.5, 1e-4, (0.5, 0.9))
    assert (r1.penalty, r1.fake_penalty, r1.latent_dim, r1.average_decay) == (10, 0, 256, 0.999)
    for optimizer in r1.configure_optimizers().of.values():
        assert isinstance(optimizer, torch.optim.RMSprop)
        assert (optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["alpha"]) == (1e-4, 0.99)
