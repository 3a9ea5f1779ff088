"""BigGAN's networks and regulariser, and truncated noise."""

import math
from functools import partial

import pytest
import torch
from conftest import TINY, of_digits
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

import ganzoo
from ganzoo import losses
from ganzoo.compiling import played
from ganzoo.duel import squeezed, truncated
from ganzoo.game import differentiable, draw_from
from ganzoo.networks.biggan import ARCHITECTURES

SMALL = {
    "generator": partial(ganzoo.BigGANGenerator, width=2),
    "discriminator": partial(ganzoo.BigGANDiscriminator, width=2),
}


def small(size: int = 16, classes: int | None = 10, **arguments) -> ganzoo.BigGAN:
    torch.manual_seed(0)
    return ganzoo.BigGAN(shape=(1, size, size), classes=classes, **(SMALL | {"latent_dim": 60} | arguments))


# --- networks ---


@pytest.mark.parametrize("size", [16, 32, 64, 128])
def test_shapes(size):
    game = small(size, classes=3)
    samples = game.sample(2)
    assert samples.shape == (2, 1, size, size)
    assert game.discriminator(samples, torch.tensor([0, 2])).shape == (2,)
    assert game.discriminator.network.features(samples).shape == (2, 2 * ARCHITECTURES[size].discriminator[-1])


@pytest.mark.parametrize(("size", "at"), [(16, []), (32, []), (64, [32]), (128, [64])])
def test_where_attention_is(size, at):
    game, seen = small(size), []
    for network in (game.generator, game.discriminator):
        for layer in network.modules():
            if isinstance(layer, ganzoo.SelfAttention):
                layer.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[-1]))
    game.discriminator(game.fake(1), torch.tensor([0]))
    assert seen == at * 2


def test_all_weights_are_normalised_but_the_embedding():
    game = small(64)
    for network in (game.generator, game.discriminator):
        for name, layer in network.named_modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                assert is_parametrized(layer, "weight"), name
                singular = torch.linalg.svdvals(layer.parametrizations.weight.original.flatten(1))
                torch.testing.assert_close(singular, torch.ones_like(singular), msg=name)  # orthogonal
    embed = game.generator.embed.weight
    torch.testing.assert_close(embed @ embed.T, torch.eye(10), msg="orthogonal")


def test_coded_batch_norm_against_its_definition():
    layer = ganzoo.CodedBatchNorm(3, 5).double()
    x = torch.randn(4, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    code = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)

    def slow(x: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), keepdim=True, unbiased=False)
        h = (x - mean) / (var + 1e-5).sqrt()
        gain, bias = 1 + code @ layer.gain.weight.T, code @ layer.bias.weight.T
        return h * gain[:, :, None, None] + bias[:, :, None, None]

    torch.testing.assert_close(layer(x, code), slow(x, code))
    for ours, theirs in zip(
        torch.autograd.grad(layer(x, code).pow(3).sum(), (x, code)),
        torch.autograd.grad(slow(x, code).pow(3).sum(), (x, code)),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)
    assert torch.autograd.gradgradcheck(layer, (x, code))


def test_every_chunk_of_z_reaches_the_image_where_it_should():
    """The first makes the map of 4x4, the others their block's normalisation alone."""
    game = small(32)
    network, label = game.generator.network.eval(), torch.tensor([1])
    z = torch.randn(1, 60)
    given = []
    for block in network.blocks:
        block.register_forward_hook(lambda _, inputs, __: given.append(inputs[1]))
    network(z, game.generator.embed(label))
    for i, code in enumerate(given, 1):
        torch.testing.assert_close(code, torch.cat([game.generator.embed(label), z[:, 15 * i : 15 * (i + 1)]], 1))
    (gradient,) = torch.autograd.grad(network((z := z.requires_grad_()), game.generator.embed(label)).square().sum(), z)
    assert gradient.unflatten(1, (4, 15)).norm(dim=2).min() > 0


def test_latents_that_cannot_be_split():
    with pytest.raises(ValueError, match=r"4 equal chunks at this size: set --model\.latent_dim to 80"):
        ganzoo.BigGANGenerator(50, (3, 32, 32))
    with pytest.raises(ValueError, match="choose BigGANGenerator"):
        small(generator=ganzoo.DCGANGenerator)
    with pytest.raises(ValueError, match="32 or 64"):
        ganzoo.BigGANDiscriminator((3, 48, 48))


def test_its_networks_serve_other_variants():
    """Without an embedding the blocks are given z alone."""
    generator = partial(ganzoo.BigGANGenerator, width=2, embedding=0)
    game = ganzoo.LSGAN(shape=TINY, latent_dim=6, generator=generator, discriminator=SMALL["discriminator"])
    assert game.sample(3).shape == (3, *TINY)
    assert torch.isfinite(game.generator_loss(game.sample(3))["adversarial"])


# --- the game ---


@pytest.mark.parametrize("how", [{"classes": None}, {"classes": 10, "conditional": False}])
def test_without_classes(how, fit):
    """Labels are passed over, if the data have any."""
    game = small(**how)
    fit(game, callbacks=[ganzoo.CollapseWatch(every_steps=1, n=6)])
    assert game.kinds == 0
    assert game.generator.embed.weight.shape == (1, 128)
    for batch in [(torch.randn(4, *TINY),), (torch.randn(4, *TINY), torch.arange(4))]:
        terms = game.discriminator_loss(*batch) | game.generator_loss(*batch)
        assert all(torch.isfinite(term) for term in terms.values())
        assert all(opinion.shape == (4,) for opinion in game.opinions(*batch))


def test_with_classes():
    game = small(classes=3)
    assert game.kinds == 3
    samples = game.sample(3, torch.arange(3))
    assert not torch.equal(game.discriminator(samples, torch.arange(3)), game.discriminator(samples, torch.zeros(3).long()))


def test_attention_compiles(aot_eager):
    """Bit for bit: `test_models.py`'s digits are too small for it."""
    found = []
    for how in (False, True):
        game = small(64, classes=3)
        game.configure_optimizers()
        play = played(game.move, how, game.device)
        for layer in game.modules():
            if isinstance(layer, ganzoo.SelfAttention):
                nn.init.constant_(layer.gamma, 0.5)
        draw_from(game.device, 0)
        batch = differentiable((torch.randn(2, 1, 64, 64), torch.tensor([0, 2])))
        moves = [play(player, getattr(game, f"{player}_loss"), batch) for player in ("discriminator", "generator")]
        found.append([terms["loss"] for terms, _ in moves] + [gradient for _, gradients in moves for gradient in gradients])
    assert all(torch.equal(eager, compiled) for eager, compiled in zip(*found, strict=True))


def test_the_average_has_its_own_spectral_norms(fit):
    """u and v are not averages: sigma is that of the averaged weights."""
    game = small(average_decay=0.9, lr=0.01)
    fit(game, max_steps=30)
    for layer in game.average.eval().modules():
        if is_parametrized(layer, "weight"):
            spectral = layer.parametrizations.weight[0]
            for vector in (spectral._u, spectral._v):
                assert vector.norm().item() == pytest.approx(1, abs=1e-5)
            assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, rel=0.05)


def test_correlation_by_hand():
    """Two filters of length 5 and 13 whose product is 33: 33^2 twice, whatever their lengths."""
    weight = torch.tensor([[[3.0], [4.0]], [[-5.0], [12.0]]])
    assert losses.correlation(weight).item() == 2 * 33**2
    assert losses.correlation(7 * torch.eye(3)) == 0
    w = torch.randn(4, 3, 2, dtype=torch.float64, requires_grad=True)
    gram = (rows := w.flatten(1)) @ rows.T
    by_hand = 4 * (gram * (1 - torch.eye(4))) @ rows  # twice what the authors' code takes
    torch.testing.assert_close(torch.autograd.grad(losses.correlation(w), w)[0].flatten(1), by_hand)
    assert torch.autograd.gradcheck(losses.correlation, w)


def test_what_is_regularised():
    """All of G's weights but the embedding, before spectral normalisation; nothing of D's."""
    game = small(orthogonality=1.0)
    counted = sum(weight.numel() for weight in game.matrices())
    vectors = sum(weight.numel() for weight in game.generator.parameters() if weight.ndim < 2)
    assert counted == sum(weight.numel() for weight in game.generator.parameters()) - vectors - 10 * 128
    before = game.generator_loss(torch.randn(2, *TINY))["orthogonality"].item()
    assert before < 0.3 * counted, "near nothing, for filters no more than their inputs are orthogonal at first"
    with torch.no_grad():
        game.generator.embed.weight.add_(5)
    assert game.generator_loss(torch.randn(2, *TINY))["orthogonality"].item() == pytest.approx(before)
    assert "orthogonality" not in small(orthogonality=0.0).generator_loss(torch.randn(2, *TINY))
    assert "orthogonality" not in game.discriminator_loss(torch.randn(2, *TINY), torch.zeros(2).long())


# --- truncation ---


def test_truncated_noise_is_the_truncated_normal():
    torch.manual_seed(0)
    z = squeezed(torch.randn(200_000), 0.7)
    assert z.abs().max() <= 0.7
    density = math.sqrt(2 / math.pi) * math.exp(-(0.7**2) / 2) / math.erf(0.7 / math.sqrt(2))  # 2 phi(t) / (2 Phi(t) - 1)
    assert z.var().item() == pytest.approx(1 - 0.7 * density, rel=0.01)
    again = torch.randn(200_000)
    drawn_anew = again[again.abs() <= 0.7]  # what drawing anew gives
    shares = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95])
    torch.testing.assert_close(z.quantile(shares), drawn_anew.quantile(shares), atol=0.01, rtol=0)


def test_the_limits_of_truncation():
    z = torch.randn(1000)
    torch.testing.assert_close(squeezed(z, 9.0), z, atol=1e-6, rtol=1e-6)
    assert squeezed(z, 1e-6).abs().max() <= 1e-6
    assert squeezed(z, 1e-30).isfinite().all()
    assert squeezed(torch.tensor([-50.0, 0.0, 50.0]), 20.0).tolist() == [-20.0, 0.0, 20.0]
    order = z.argsort()
    assert (squeezed(z, 0.5)[order].diff() >= 0).all(), "each sample keeps its place"


def sampled(game, truncation: float | None) -> torch.Tensor:
    draw_from(game.device, 1)
    with truncated(game, truncation):
        return game.sample(8)


def test_samples_of_truncated_noise():
    game = ganzoo.GAN(shape=TINY, generator=ganzoo.MLPGenerator)
    plain = sampled(game, None)
    assert torch.equal(sampled(game, None), plain)
    spread = [sampled(game, threshold).std(0).mean().item() for threshold in (1e-6, 0.5, 1.0)]
    assert spread[0] < 1e-4, "one sample"
    assert spread[0] < spread[1] < spread[2] < plain.std(0).mean().item()
    assert game.truncation is None
    assert torch.equal(sampled(game, None), plain), "afterwards as before"


def test_a_codes_noise_alone_is_truncated():
    game = ganzoo.InfoGAN(shape=TINY)
    with truncated(game, 0.1):
        latent = game.latent(50)
    assert latent[:, :62].abs().max() <= 0.1
    assert latent[:, 62:72].sum(1).eq(1).all()
    assert latent[:, 72:].abs().max() > 0.5


@pytest.mark.parametrize("threshold", [0.0, -1.0, math.nan, math.inf])
def test_thresholds_that_mean_nothing(threshold):
    with pytest.raises(ValueError, match="above 0"), truncated(ganzoo.GAN(shape=TINY), threshold):
        pass


@pytest.mark.parametrize("variant", [ganzoo.BiGAN, ganzoo.BEGAN])
def test_uniform_noise_is_not_truncated(variant):
    with pytest.raises(ValueError, match="no Gaussian noise"), truncated(of_digits(variant), 0.5):
        pass
