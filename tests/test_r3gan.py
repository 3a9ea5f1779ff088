"""R3GAN: its layers against slow references in float64, its losses by hand, and what its schedules do to a run."""

import math
from functools import partial

import lightning as L
import pytest
import torch
import torch.nn.functional as F
from conftest import TINY, of_digits
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

import ganzoo
from ganzoo.networks.r3gan import SIZES, grouped_convolution, widths
from ganzoo.schedules import cosine, kept, linear

GENERATOR, DISCRIMINATOR = partial(ganzoo.R3GANGenerator, width=8), partial(ganzoo.R3GANDiscriminator, width=8)
POINTS = {"generator": ganzoo.MLPGenerator, "discriminator": partial(ganzoo.MLPDiscriminator, layers=0)}


def doubles(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def as_learned(module: nn.Module) -> nn.Module:
    """In float64, with weights that are nowhere zero."""
    for weight in module.parameters():
        nn.init.normal_(weight, std=0.5)
    return module.double()


# --- schedules ---


@pytest.mark.parametrize("schedule", [linear, cosine])
def test_schedules_at_their_ends_and_in_the_middle(schedule):
    assert [schedule(now, 0.9, 0.99, 10, 30) for now in (0, 10)] == [0.9, 0.9]
    assert [schedule(now, 0.9, 0.99, 10, 30) for now in (30, 31, 10**9)] == [0.99] * 3
    assert schedule(20, 0.9, 0.99, 10, 30) == pytest.approx(0.945)
    falling = [schedule(now, 2, 0.2, 0, 30) for now in range(31)]
    assert falling == sorted(falling, reverse=True)
    assert [schedule(now, 1.0, 5.0, 10, 10) for now in (9, 10)] == [1.0, 5.0], "a way of no length is a jump"


def test_cosine_is_the_authors():
    for seen in range(0, 21, 3):
        decay = 0.5 * (1 + math.cos(math.pi * seen / 20))
        assert cosine(seen, 2e-4, 5e-5, 0, 20) == pytest.approx(2e-4 + (1 - decay) * (5e-5 - 2e-4))


def test_half_lives():
    assert kept(500, 500) == 0.5
    assert kept(1000, 500) == 0.25
    assert kept(512, 0) == 0.0, "nothing is kept: the average is the network"
    assert math.prod(kept(50, 500) for _ in range(10)) == pytest.approx(0.5)


# --- layers ---


def resampled(x: torch.Tensor, up: bool) -> torch.Tensor:
    """Along each axis, tap by tap: zeros between the samples or none, a filter, every sample or every second one."""
    for axis in (2, 3):
        if up:
            x = torch.stack([x, torch.zeros_like(x)], axis + 1).flatten(axis, axis + 1)
        n = x.shape[axis]
        padded = F.pad(x, (0, 0, 2, 2) if axis == 2 else (2, 2))
        first = 0 if up else 1  # half a sample to the left
        taps = [padded.narrow(axis, first + i, n) * weight / (4 if up else 8) for i, weight in enumerate((1, 3, 3, 1))]
        x = sum(taps)
        x = x if up else x[:, :, ::2] if axis == 2 else x[..., ::2]
    return x


@pytest.mark.parametrize("up", [True, False])
def test_resampling_against_its_definition(up):
    layer = (ganzoo.SmoothUpsampling() if up else ganzoo.SmoothDownsampling()).double()
    x = doubles(2, 3, 6, 4)
    torch.testing.assert_close(layer(x), resampled(x, up))
    (gradient,) = torch.autograd.grad(layer(x).pow(3).sum(), x)
    (expected,) = torch.autograd.grad(resampled(x, up).pow(3).sum(), x)
    torch.testing.assert_close(gradient, expected)
    assert gradgradcheck(layer, x)
    constant = layer(torch.ones(1, 2, 8, 8, dtype=torch.float64))[..., 1:-1, 1:-1]
    assert torch.allclose(constant, torch.ones_like(constant)), "away from the edges grey stays grey"


def test_resampling_is_the_authors():
    """One transposed or strided convolution of each channel."""
    x, row = doubles(2, 3, 6, 4), torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64)
    taps = (row[:, None] * row)[None, None]
    up = F.conv_transpose2d(x.flatten(0, 1)[:, None], taps / 16, stride=2, padding=1)
    torch.testing.assert_close(ganzoo.SmoothUpsampling()(x).flatten(0, 1)[:, None], up)
    down = F.conv2d(x.flatten(0, 1)[:, None], taps / 64, stride=2, padding=1)
    torch.testing.assert_close(ganzoo.SmoothDownsampling()(x).flatten(0, 1)[:, None], down)


def test_a_grouped_convolution_is_torchs():
    x, weight = doubles(2, 6, 4, 3), doubles(6, 2, 3, 3)

    def ours(x, weight):
        return grouped_convolution(x, weight, 3)

    torch.testing.assert_close(ours(x, weight), F.conv2d(x, weight, padding=1, groups=3))
    assert gradcheck(ours, (x, weight))
    assert gradgradcheck(ours, (x, weight))


def test_a_penalty_loops_over_no_groups():
    """Torch's own double backward has a convolution for each of them."""
    block = as_learned(ganzoo.R3GANBlock(16, depth=2, group_width=2))
    x = doubles(1, 16, 4, 4)
    with torch.profiler.profile() as profile:
        (gradient,) = torch.autograd.grad(block(x).pow(2).sum(), x, create_graph=True)
        torch.autograd.grad(gradient.square().sum(), list(block.parameters()))
    calls = sum(event.count for event in profile.key_averages() if event.key == "aten::convolution")
    assert calls < 16


def test_a_block_is_the_identity_at_first():
    block = ganzoo.R3GANBlock(6, depth=8, group_width=4)
    x = torch.randn(2, 6, 5, 5)
    assert torch.equal(block(x), x)
    gain = math.sqrt(2 / 1.04) * 8**-0.25
    wide = ganzoo.R3GANBlock(128, depth=8, group_width=16)
    assert wide.one.weight.std().item() == pytest.approx(gain / math.sqrt(128), rel=0.02)
    assert wide.two.weight.std().item() == pytest.approx(gain / math.sqrt(16 * 9), rel=0.02)


def test_a_block_against_its_definition():
    block = as_learned(ganzoo.R3GANBlock(4, depth=2, group_width=2))
    x = doubles(2, 4, 3, 3)
    h = torch.einsum("oi,nihw->nohw", block.one.weight[:, :, 0, 0], x) + block.one.bias[:, None, None]
    h = torch.where(h > 0, h, 0.2 * h)
    patches = F.pad(h, (1, 1, 1, 1)).unfold(2, 3, 1).unfold(3, 3, 1)  # [N, C, H, W, 3, 3]
    weights = block.two.weight.unflatten(0, (4, 2))  # 8 channels in 4 groups of 2: [groups, out, in, 3, 3]
    h = torch.einsum("goikl,ngihwkl->ngohw", weights, patches.unflatten(1, (4, 2))).flatten(1, 2)
    h = h + block.bias[:, None, None]
    h = torch.where(h > 0, h, 0.2 * h)
    expected = x + torch.einsum("oi,nihw->nohw", block.three.weight[:, :, 0, 0], h)
    torch.testing.assert_close(block(x), expected)
    (gradient,) = torch.autograd.grad(block(x).pow(3).sum(), x, create_graph=True)
    (reference,) = torch.autograd.grad(expected.pow(3).sum(), x, create_graph=True)
    torch.testing.assert_close(gradient, reference)
    weight = block.two.weight  # the penalty's gradient
    (second,) = torch.autograd.grad(gradient.square().sum(), weight)
    (reference,) = torch.autograd.grad(reference.square().sum(), weight)
    torch.testing.assert_close(second, reference)


def test_a_generators_basis():
    basis = ganzoo.GenerativeBasis(5, 3).double()
    z = doubles(2, 5)
    expected = torch.einsum("cd,nd,chw->nchw", basis.project.weight, z, basis.basis)
    torch.testing.assert_close(basis(z), expected)
    assert gradcheck(basis, z)


def test_a_discriminators_basis():
    basis = ganzoo.DiscriminativeBasis(3).double()
    x = doubles(2, 3, 4, 4)
    torch.testing.assert_close(basis(x), F.conv2d(x, basis.basis[:, None], groups=3).flatten(1))
    assert gradgradcheck(basis, x)
    assert ganzoo.DiscriminativeBasis(500).basis.std().item() == pytest.approx(1 / 4, rel=0.05)


@pytest.mark.parametrize("size", SIZES)
def test_every_size(size):
    generator, discriminator = GENERATOR(7, (3, size, size)), DISCRIMINATOR((3, size, size))
    with torch.autocast("cpu", torch.bfloat16):
        x = generator(torch.randn(2, 7))
        logit = discriminator(x)
    assert x.shape == (2, 3, size, size)
    assert logit.shape == (2,)
    assert x.dtype == logit.dtype == torch.float32
    assert generator.eval()(5 * torch.randn(4, 7)).abs().max() == 1, "clamped"


def test_widths_are_the_authors():
    assert widths(32, 768) == [768] * 4
    assert widths(64, 768) == [768] * 4 + [384]
    assert widths(256, 768) == [768] * 4 + [384, 192, 96]


def test_other_sizes_are_refused():
    for network in (partial(ganzoo.R3GANGenerator, 7), ganzoo.R3GANDiscriminator):
        with pytest.raises(ValueError, match="32 or 64"):
            network((3, 48, 48))


# --- losses by hand ---


def with_weights(*weights: float, **arguments) -> ganzoo.R3GAN:
    """Of points, with a linear D."""
    game = ganzoo.R3GAN(shape=(len(weights),), **(POINTS | arguments))
    with torch.no_grad():
        game.discriminator.layers[0].weight.copy_(torch.tensor([weights]))
    return game


def test_losses_by_hand(monkeypatch):
    game = with_weights(3.0, 4.0, penalty=0.1)
    real, fake = torch.tensor([[1.0, 0.0], [0.0, 0.5]]), torch.tensor([[0.0, 0.5], [-1.0, 1.0]])  # D: 3, 2 and 2, 1, and a bias
    monkeypatch.setattr(game, "fake", lambda n: fake)
    terms = game.discriminator_loss(real)
    assert terms["adversarial"].item() == pytest.approx(math.log(1 + math.exp(-1)))
    assert terms["penalty"].item() == pytest.approx(0.1 / 2 * 25), "gamma/2 ||w||^2, everywhere"
    assert terms["fake_penalty"].item() == pytest.approx(0.1 / 2 * 25)
    assert game.generator_loss(real)["adversarial"].item() == pytest.approx(math.log(1 + math.exp(1)))


def test_pairs_are_compared_one_by_one(monkeypatch):
    """Not the means: softplus of -(D(x_i) - D(G(z_i)))."""
    game = with_weights(1.0, penalty=0.0)
    monkeypatch.setattr(game, "fake", lambda n: torch.tensor([[-2.0], [2.0]]))
    by_hand = (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(2))) / 2
    assert game.discriminator_loss(torch.zeros(2, 1))["adversarial"].item() == pytest.approx(by_hand)


def test_penalties_are_means_of_each_samples_own(monkeypatch):
    """D(x) = x^2: gradients 2 x."""
    game = with_weights(1.0, penalty=1.0)
    game.discriminator.forward = lambda x: x.square().sum(1)
    monkeypatch.setattr(game, "fake", lambda n: torch.tensor([[0.5], [3.0]]))
    terms = game.discriminator_loss(torch.tensor([[1.0], [-2.0]]))
    assert terms["penalty"].item() == pytest.approx(0.5 * (4 * 1 + 4 * 4) / 2)
    assert terms["fake_penalty"].item() == pytest.approx(0.5 * (4 * 0.25 + 4 * 9) / 2)


def test_the_generator_is_asked_for_the_real_samples_classes(monkeypatch):
    game = of_digits(ganzoo.R3GAN)
    asked = []
    fake = game.fake
    monkeypatch.setattr(game, "fake", lambda n, label: asked.append(label) or fake(n, label))
    label = torch.tensor([3, 1])
    for loss in (game.discriminator_loss, game.generator_loss):
        loss(torch.rand(2, *TINY), label)
    assert all(torch.equal(given, label) for given in asked)
    assert len(asked) == 2


def test_a_conditional_discriminator_against_its_definition():
    network = ganzoo.EmbeddingDiscriminator(DISCRIMINATOR, 3, TINY)
    x, label = torch.rand(4, *TINY), torch.tensor([0, 2, 1, 2])
    phi = network.network.features(x)
    expected = torch.einsum("nf,ef,ne->n", phi, network.network.last.weight, network.embed.weight[label])
    torch.testing.assert_close(network(x, label), expected)
    assert network.network.last.weight.std().item() == pytest.approx(1 / math.sqrt(8), rel=0.3)


def test_batch_normalisation_is_refused():
    with pytest.raises(ValueError, match="R3GAN's discriminator cannot have batch normalisation"):
        ganzoo.R3GAN(shape=TINY, generator=GENERATOR, discriminator=ganzoo.DCGANDiscriminator)


@pytest.mark.parametrize("discriminator", [ganzoo.ProGANDiscriminator, ganzoo.StyleGAN2Discriminator])
def test_a_discriminator_that_compares_samples_is_refused(discriminator):
    """It would compare real ones with fakes, which are in one pass here."""
    with pytest.raises(ValueError, match="must not compare them: choose R3GANDiscriminator"):
        ganzoo.R3GAN(shape=TINY, generator=GENERATOR, discriminator=discriminator)


# --- without classes ---


@pytest.mark.parametrize("how", [{}, {"classes": 10, "conditional": False}])
def test_without_classes_labels_are_not_looked_at(how, fit):
    game = ganzoo.R3GAN(shape=TINY, generator=GENERATOR, discriminator=DISCRIMINATOR, **how)
    assert game.kinds == 0
    assert not any(isinstance(layer, nn.Embedding) for layer in game.modules())
    fit(game, callbacks=[ganzoo.CollapseWatch(every_steps=3, n=4)])  # on digits, which have labels
    assert all(term.isfinite() for term in game.terms.values())
    assert game.sample(3).shape == (3, *TINY)
    with pytest.raises(ValueError, match="made for data without classes"):
        game.sample(1, torch.tensor([0]))


# --- schedules in a run ---


class Notebook(L.Callback):
    """What each round was played with, and what the average should be."""

    def __init__(self) -> None:
        self.rounds: list[tuple[float, float, float]] = []
        self.expected: torch.Tensor | None = None

    def on_train_batch_end(self, trainer, game, *_):
        [[group], [other]] = [of.param_groups for of in trainer.optimizers[0].of.values()]
        assert group["lr"] == other["lr"]
        assert group["betas"] == other["betas"]
        self.rounds.append((group["lr"], group["betas"][1], game.gamma.item()))
        # 8 images a round; the half-life grows to 50 within 24 images, along the same wave.
        half_life = [0, 12.5, 37.5, 50, 50][len(self.rounds) - 1]
        weight = game.generator.network.layers[0].basis.detach().clone()
        share = 0.5 ** (8 / half_life) if half_life else 0.0
        self.expected = weight if self.expected is None else share * self.expected + (1 - share) * weight


def test_rates_and_averages_follow_the_images_that_d_has_seen(fit):
    ends = {"lr": 1e-3, "final_lr": 2e-4, "penalty": 2.0, "final_penalty": 0.2, "average_half_life_images": 50}
    game = ganzoo.R3GAN(
        shape=TINY, classes=10, generator=GENERATOR, discriminator=DISCRIMINATOR, burn_in_images=24, compile=False, **ends
    )
    notes = Notebook()
    fit(game, max_steps=5, callbacks=[notes])
    wave = [0, 0.25, 0.75, 1, 1]  # of rounds that begin with 0, 8, 16, 24 and 32 images seen
    for done, (lr, beta2, gamma) in zip(wave, notes.rounds, strict=True):
        assert lr == pytest.approx(1e-3 - 8e-4 * done)
        assert beta2 == pytest.approx(0.9 + 0.09 * done)
        assert gamma == pytest.approx(2 - 1.8 * done)
    torch.testing.assert_close(game.average.network.layers[0].basis, notes.expected)


def test_a_resumed_run_asks_its_schedules_again(fit, tmp_path):
    """In the middle of the burn-in; that it ends bit for bit as one in one piece, test_models.py knows."""
    first, second = of_digits(ganzoo.R3GAN), of_digits(ganzoo.R3GAN)
    fit(first, max_steps=3).save_checkpoint(tmp_path / "x.ckpt")
    notes = Notebook()
    fit(second, max_steps=4, ckpt_path=tmp_path / "x.ckpt", callbacks=[notes])
    [(lr, beta2, gamma)] = notes.rounds
    assert lr == pytest.approx(cosine(24, 2e-4, 5e-5, 0, 100))
    assert beta2 == pytest.approx(cosine(24, 0.9, 0.99, 0, 100))
    assert gamma == pytest.approx(cosine(24, 0.05, 0.005, 0, 100))


def test_schedules_count_all_images_that_d_sees():
    game = of_digits(ganzoo.R3GAN, discriminator_steps=3, burn_in_images=24)
    game.images_seen = 32  # rounds of four minibatches, three of them D's
    assert game.scheduled(1.0, 0.0) == 0
    game.images_seen = 16
    assert game.scheduled(1.0, 0.0) == pytest.approx(0.5)


def test_the_average_counts_all_images_that_d_sees(fit):
    game = of_digits(ganzoo.R3GAN, discriminator_steps=3, burn_in_images=24, average_half_life_images=24)
    fit(game, max_steps=2)  # 24 images of D a round
    assert game.kept == 0.5


def test_each_player_has_real_samples_of_its_own():
    game = of_digits(ganzoo.R3GAN, discriminator_steps=2)
    assert game.minibatches == 3
    batches = [(torch.rand(2, *TINY), torch.tensor([i, i])) for i in range(3)]
    turns = [(player, batch[1][0].item()) for player, _, batch in game.turns(0, batches)]
    assert turns == [("discriminator", 0), ("discriminator", 1), ("generator", 2)]
