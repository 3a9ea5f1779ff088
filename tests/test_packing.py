"""PacGAN: what a pack is, and what cannot be packed."""

import math
from functools import partial

import pytest
import torch
from conftest import TINY, trainer
from test_papers import FAKE, REAL, duel, sigmoid

import ganzoo

POINTS = {"generator": partial(ganzoo.MLPGenerator, width=4), "discriminator": partial(ganzoo.MLPDiscriminator, width=4)}


def test_samples_in_a_row_become_one():
    game = ganzoo.PacGAN(shape=(3, 16, 16), pack=4)
    images = torch.randn(8, 3, 16, 16)
    packs = game.packed(images)
    assert packs.shape == (2, 12, 16, 16)
    assert torch.equal(packs[1], torch.cat(list(images[4:])))
    assert game.discriminator(packs).shape == (2,)
    assert game.discriminator.layers[0].in_channels == 12
    points = torch.arange(12.0).view(6, 2)
    assert ganzoo.PacGAN(shape=(2,), pack=3, **POINTS).packed(points).tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]


def test_losses_by_hand():
    terms = duel(ganzoo.PacGAN, REAL, FAKE).discriminator_loss(torch.zeros(4, 2))
    assert terms["real"].item() == pytest.approx(-sum(math.log(sigmoid(x)) for x in REAL) / 2)
    assert terms["fake"].item() == pytest.approx(-sum(math.log(1 - sigmoid(x)) for x in FAKE) / 2)
    cost = duel(ganzoo.PacGAN, FAKE, ()).generator_loss(torch.zeros(4, 2))["adversarial"]
    assert cost.item() == pytest.approx(-sum(math.log(sigmoid(x)) for x in FAKE) / 2)


def test_packs_of_one_are_the_gan():
    """But for GAN's factor of 1/2 in D's cost."""
    terms = []
    for variant, arguments in ((ganzoo.PacGAN, {"pack": 1}), (ganzoo.GAN, {})):
        torch.manual_seed(0)
        game = variant(shape=(2,), **POINTS, **arguments)
        torch.manual_seed(1)
        terms.append(game.discriminator_loss(torch.ones(4, 2)) | game.generator_loss(torch.ones(4, 2)))
    factor = {"real": 2.0, "fake": 2.0, "adversarial": 1.0}
    for name, term in terms[0].items():
        assert term.item() == pytest.approx(factor[name] * terms[1][name].item()), name


def test_a_batch_that_cannot_be_packed_is_refused(fit):
    with pytest.raises(ValueError, match=r"^8 samples are not packs of 3: set --data\.batch_size to 6$"):
        fit(ganzoo.PacGAN(shape=TINY, pack=3))
    with pytest.raises(ValueError, match=r"^2 samples are not packs of 3: set --data\.batch_size to 3$"):
        fit(ganzoo.PacGAN(shape=TINY, pack=3), data=ganzoo.Digits(batch_size=2))
    with pytest.raises(ValueError, match="at least one sample"):
        ganzoo.PacGAN(shape=TINY, pack=0)


def test_the_last_held_out_batch_may_be_any_size():
    game = ganzoo.PacGAN(shape=TINY, pack=2)
    [metrics] = trainer().validate(game, ganzoo.Digits(batch_size=8), verbose=False)  # 297 = 37 * 8 + 1
    assert all(math.isfinite(value) for value in metrics.values())


def test_unpacked_samples_come_out():
    assert ganzoo.PacGAN(shape=TINY, pack=2).sample(5).shape == (5, *TINY)
