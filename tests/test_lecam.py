"""LeCam's regularisation: against values worked by hand, and what every variant's loss must keep to."""

import pytest
import torch
from conftest import TINY, data_for, of_digits
from test_papers import FAKE, REAL, duel
from torch import nn
from torch._dynamo.utils import counters

import ganzoo
from ganzoo.duel import Duel
from ganzoo.game import Game, differentiable
from ganzoo.listing import variants

FIT = [variant for variant in variants() if issubclass(variant, Duel) and variant.one_logit and len(variant.usual_shape) == 3]
each = pytest.mark.parametrize("variant", FIT, ids=lambda variant: variant.__name__)


def a_round(game: Game, variant) -> list:
    data = data_for(variant)
    data.setup()
    game.configure_optimizers()
    batches = data.on_after_batch_transfer(data.train.__getitems__(range(8 * game.minibatches)))
    return list(game.turns(0, [differentiable(batch) for batch in batches]))


def test_by_hand():
    """Averages 0.5 and -1.25 of the first logits: (2 + 1.25)^2, (-1 + 1.25)^2; (0.5 - 0.5)^2, (-3 - 0.5)^2."""
    lecam = ganzoo.LeCam(nn.Identity(), 0.3)
    real, fake = torch.tensor(REAL), torch.tensor(FAKE)
    first = lecam.penalty(real, fake)
    assert first.item() == pytest.approx((3.25**2 + 0.25**2) / 2 + (0.0 + 3.5**2) / 2, rel=1e-5)
    assert (lecam.real.item(), lecam.fake.item()) == pytest.approx((0.5, -1.25))
    second = lecam.penalty(real + 1, fake)
    a_real = (0.99 * 0.5 + 1.5) / 1.99  # 0.01 sum_i 0.99^(2 - i) v_i / (1 - 0.99^2)
    assert (lecam.real.item(), lecam.fake.item()) == pytest.approx((a_real, -1.25))
    assert second.item() == pytest.approx((4.25**2 + 1.25**2) / 2 + ((0.5 - a_real) ** 2 + (3 + a_real) ** 2) / 2, rel=1e-5)


def test_the_averages_are_exponential_without_bias():
    torch.manual_seed(0)
    lecam = ganzoo.LeCam(nn.Identity(), 1.0, decay=0.9).double()
    real, fake = torch.randn(2, 30, 5, dtype=torch.float64)
    for pair in zip(real, fake, strict=True):
        lecam.penalty(*pair)
    weights = 0.9 ** torch.arange(29, -1, -1, dtype=torch.float64)
    torch.testing.assert_close(lecam.real, (weights * real.mean(1)).sum() / weights.sum())
    torch.testing.assert_close(lecam.fake, (weights * fake.mean(1)).sum() / weights.sum())


def test_the_gradient_leaves_the_averages_alone():
    lecam = ganzoo.LeCam(nn.Identity(), 1.0)
    real, fake = (torch.tensor(logits, requires_grad=True) for logits in (REAL, FAKE))
    of_real, of_fake = torch.autograd.grad(lecam.penalty(real, fake), [real, fake])
    assert of_real.tolist() == pytest.approx([2.0 + 1.25, -1.0 + 1.25])  # 2 (D(x) - a_F) / N
    assert of_fake.tolist() == pytest.approx([0.5 - 0.5, -3.0 - 0.5])


def test_it_is_one_term_of_the_discriminators_loss():
    game = duel(ganzoo.GAN, REAL, FAKE, lecam=0.3)
    game.discriminator.forward = type(game.discriminator).forward.__get__(game.discriminator)
    answers = iter([torch.tensor(REAL, requires_grad=True), torch.tensor(FAKE, requires_grad=True)])
    game.discriminator.discriminator.forward = lambda x: next(answers)
    terms = game.discriminator.overheard(game.discriminator_loss)(torch.zeros(2, 2))
    assert set(terms) == {"real", "fake", "lecam"}
    assert terms["lecam"].item() == pytest.approx(0.3 * ((3.25**2 + 0.25**2) / 2 + 3.5**2 / 2), rel=1e-5)
    assert game.discriminator.heard is None, "no tensor is kept"


@each
def test_a_loss_passes_real_samples_first_and_then_as_many_fakes(variant):
    torch.manual_seed(0)
    game = of_digits(variant, lecam=0.3)
    turns = {loss.__name__: (loss, batch) for _, loss, batch in a_round(game, variant)}  # penalties may have turns of their own
    loss, batch = turns["discriminator_loss"]
    made, passed = [], []
    generator, inner = game.generator.forward, game.discriminator.discriminator.forward
    game.generator.forward = lambda *z: (made.append(generator(*z)), made[-1])[1]
    game.discriminator.discriminator.forward = lambda x, *more: (passed.append(x), inner(x, *more))[1]
    terms, _ = game.move("discriminator", loss, batch)
    real = getattr(game, "faded", nn.Identity())(
        batch[-1 if issubclass(variant, ganzoo.Upscaler) else 0]
    )  # as sharp as what a growing generator makes
    assert torch.equal(passed[0].flatten(), real.flatten())
    assert torch.equal(passed[1].flatten(), made[0].flatten())
    assert terms["lecam"].isfinite()
    assert terms["lecam"] > 0
    assert game.discriminator.t == 1
    loss, batch = turns["generator_loss"]
    assert "lecam" not in game.move("generator", loss, batch)[0]
    assert game.discriminator.t == 1, "D's turns alone"


@each
def test_every_variant_learns_with_it(variant, fit):
    torch.manual_seed(0)
    game = of_digits(variant, lecam=0.3)
    fit(game)
    assert "discriminator/lecam" in game.terms
    assert all(term.isfinite() for term in game.terms.values())
    assert game.discriminator.t == 3 * game.discriminator_steps


@pytest.mark.parametrize("variant", [ganzoo.ACGAN, ganzoo.InfoGAN, ganzoo.UnrolledGAN, ganzoo.PacGAN, ganzoo.R1GAN])
@pytest.mark.usefixtures("aot_eager")
def test_compiled_rounds_are_the_eager_ones(variant, fit):
    """Of discriminators with several outputs, functional calls, packs, penalties."""
    games = []
    for how in (False, True):
        torch.manual_seed(0)
        games.append(of_digits(variant, lecam=0.3, augment=ganzoo.DiffAugment, compile=how))
        counters.clear()
        fit(games[-1], max_steps=6)
    assert counters["stats"]["unique_graphs"] == 2, "each loss is compiled once, whatever was heard before"
    eager, compiled = (game.state_dict() for game in games)
    assert all(torch.equal(value, compiled[name]) for name, value in eager.items())


@pytest.mark.parametrize("variant", [ganzoo.BEGAN, ganzoo.SemiSupervisedGAN])
def test_a_discriminator_without_one_logit_is_refused(variant):
    with pytest.raises(ValueError, match=rf"^{variant.__name__}'s discriminator has no one logit .* leave out --model\.lecam$"):
        of_digits(variant, lecam=0.3)
    assert of_digits(variant, lecam=0.0).generator(torch.zeros(2, of_digits(variant).latent_dim)).shape == (2, *TINY)
