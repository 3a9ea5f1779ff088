"""StyleGAN2's layers against slow references in float64, its lazy turns, and its styles."""

from functools import partial
from math import sqrt

import pytest
import torch
import torch.nn.functional as F
from conftest import TINY, of_digits
from torch.autograd import gradcheck, gradgradcheck

import ganzoo
from ganzoo.duel import truncated
from ganzoo.networks.stylegan2 import Halving, MappingNetwork, StyledLayer, ToRGB, modulated

TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64) / 8


def drawn(*shape: int, grad: bool = False) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=grad)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def filtered(x: torch.Tensor, before: int, after: int) -> torch.Tensor:
    """By the outer product of [1, 3, 3, 1] / 8, zeros around."""
    padded = F.pad(x.flatten(0, 1)[:, None], [before, after, before, after])
    return F.conv2d(padded, TAPS.outer(TAPS)[None, None])[:, 0].unflatten(0, x.shape[:2])


def by_its_own_weights(x, weight, style, demodulate: bool, up: bool) -> torch.Tensor:
    """Section 2.2 literally: weights of each sample, and one convolution after another."""
    out = []
    for sample, scale in zip(x, style, strict=True):
        own = weight * scale[None, :, None, None]
        if demodulate:
            own = own / (own.pow(2).sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if up:
            between = F.conv_transpose2d(sample[None], own.transpose(0, 1), stride=2)
            out.append(4 * filtered(between, 1, 1))
        else:
            out.append(F.conv2d(sample[None], own, padding=own.shape[2] // 2))
    return torch.cat(out)


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("demodulate", [False, True])
def test_one_convolution_is_each_samples_own(demodulate, up):
    x, weight, style = drawn(3, 4, 5, 5), drawn(2, 4, 3, 3), drawn(3, 4)
    out = modulated(x, weight, style, demodulate=demodulate, up=up)
    torch.testing.assert_close(out, by_its_own_weights(x, weight, style, demodulate, up), rtol=1e-6, atol=1e-6)


def test_upsampling_is_a_convolution_between_zeros():
    """What a transposed convolution stands for: zeros between the pixels, and the kernel turned around."""
    x, weight = drawn(1, 1, 3, 3), drawn(1, 1, 3, 3)
    between = torch.zeros(1, 1, 5, 5, dtype=x.dtype)
    between[:, :, ::2, ::2] = x
    convolved = F.conv2d(F.pad(between, [2] * 4), weight.flip(2, 3))
    out = modulated(x, weight, torch.ones(1, 1, dtype=x.dtype), demodulate=False, up=True)
    torch.testing.assert_close(out, 4 * filtered(convolved, 1, 1))


@pytest.mark.parametrize("up", [False, True])
def test_gradients_of_modulation_and_theirs(up):
    inputs = drawn(2, 2, 3, 3, grad=True), drawn(2, 2, 3, 3, grad=True), drawn(2, 2, grad=True)

    def layer(x: torch.Tensor, weight: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        return modulated(x, weight, style, demodulate=True, up=up)

    def in_float64(*inputs: torch.Tensor) -> torch.Tensor:  # demodulation is in float32, too coarse for finite differences
        x, weight, style = inputs
        sigma = (style.square() @ weight.square().sum((2, 3)).T + 1e-8).rsqrt()
        return modulated(x, weight, style, demodulate=False, up=up) * sigma[:, :, None, None]

    assert gradcheck(in_float64, inputs) and gradgradcheck(in_float64, inputs)
    for fast, slow in zip(*(torch.autograd.grad(f(*inputs).pow(3).sum(), inputs) for f in (layer, in_float64)), strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-5, atol=1e-5)


def test_demodulated_maps_have_unit_variance_whatever_the_style():
    """Section 2.2: of inputs that are independent with unit variance."""
    x, weight = torch.randn(8, 64, 32, 32), torch.randn(16, 64, 3, 3)
    for size in (0.01, 1.0, 100.0):
        out = modulated(x, weight, size * torch.randn(8, 64), demodulate=True)
        assert out[:, :, 1:-1, 1:-1].var().item() == pytest.approx(1, rel=0.03)


@pytest.mark.parametrize("residual", [False, True])
def test_halving_is_the_authors(residual):
    block = Halving(2, 3, residual=residual).double()
    x = drawn(2, 2, 8, 8)
    h = F.leaky_relu(F.conv2d(x, block.one.weight / sqrt(18), block.one.bias, padding=1), 0.2) * sqrt(2)
    h = F.conv2d(filtered(h, 2, 2), block.two.weight / sqrt(18), block.two.bias, stride=2)
    h = F.leaky_relu(h, 0.2) * sqrt(2)
    if residual:
        shortcut = F.conv2d(filtered(x, 1, 1)[:, :, ::2, ::2], block.shortcut[1].weight / sqrt(2))
        h = (h + shortcut) * sqrt(0.5)
    torch.testing.assert_close(block(x), h)
    assert gradgradcheck(block, drawn(1, 2, 4, 4, grad=True))


def test_a_styled_layer_adds_noise_by_its_strength():
    layer = StyledLayer(4, 4, 8, 4)
    x, w = torch.randn(3, 4, 4, 4), torch.randn(3, 8)
    assert torch.equal(layer(x, w), layer(x, w)), "its strength begins at zero"
    with torch.no_grad():
        layer.strength.fill_(0.5)
    assert not torch.equal(layer(x, w), layer(x, w))
    layer.eval()
    silent = modulated(x, layer.weight, layer.affine(w), demodulate=True)
    torch.testing.assert_close(layer(x, w), F.leaky_relu(silent + 0.5 * layer.noise, 0.2) * sqrt(2))


def test_images_are_neither_demodulated_nor_activated():
    layer = ToRGB(4, 3, 8)
    x, w = torch.randn(2, 4, 5, 5), torch.randn(2, 8)
    with torch.no_grad():
        layer.bias.normal_()
    style = layer.affine(w)
    assert style.mean().item() == pytest.approx(1, abs=1), "styles begin around 1"
    slow = torch.stack([F.conv2d(x[i : i + 1], layer.weight * style[i, :, None, None] / 2, layer.bias)[0] for i in (0, 1)])
    torch.testing.assert_close(layer(x, w), slow)


def test_the_mapping():
    f = MappingNetwork(6, 4, layers=2, classes=3)
    z, label = torch.randn(5, 6), torch.tensor([0, 1, 2, 0, 1])

    def normed(x):
        return x / (x.pow(2).mean(1, keepdim=True) + 1e-8).sqrt()

    x = torch.cat([normed(z), normed(F.one_hot(label, 3).float() @ f.embed.weight.T / sqrt(3) + f.embed.bias)], dim=1)
    for layer in f.layers:
        x = F.leaky_relu(x @ layer.weight.T * 0.01 / sqrt(x.shape[1]) + 0.01 * layer.bias, 0.2) * sqrt(2)
    torch.testing.assert_close(f(z, label), x)
    assert f.layers[0].weight.std().item() == pytest.approx(100, rel=0.3)
    torch.testing.assert_close(f(3 * z, label), f(z, label)), "z counts by its direction"


# --- the game ---


def game(**arguments) -> ganzoo.StyleGAN2:
    return of_digits(ganzoo.StyleGAN2, **arguments)


def test_regularisers_have_turns_of_their_own():
    def turns(step: int, **arguments) -> list[str]:
        return [loss.__name__ for _, loss, _ in game(**arguments).turns(step, [()])]

    assert turns(0) == ["generator_loss", "path_loss", "discriminator_loss", "penalty_loss"]
    assert turns(1) == ["generator_loss", "discriminator_loss"]
    assert turns(4) == ["generator_loss", "path_loss", "discriminator_loss"]
    assert turns(16, path_penalty=0) == ["generator_loss", "discriminator_loss", "penalty_loss"]


def test_adam_is_corrected_for_the_turns_between():
    """Appendix B: c = k / (k + 1), for D 16 / 17 and for G 4 / 5."""
    optimizers = game(lr=0.002).configure_optimizers().of
    assert optimizers["discriminator"].defaults["lr"] == pytest.approx(0.002 * 16 / 17)
    assert optimizers["generator"].defaults["lr"] == pytest.approx(0.0016)
    assert optimizers["generator"].defaults["betas"] == (0.0, pytest.approx(0.99**0.8))


def test_the_average_has_a_half_life_in_images(fit):
    for steps, rampup, kept in ((3, None, 0.5 ** (8 / 16)), (1, 0.5, 0.0), (3, 0.5, 0.5 ** (8 / 8))):  # rounds of 8 images
        duel = game(average_half_life_kimg=0.016, average_rampup=rampup)
        fit(duel, max_steps=steps)
        assert duel.kept == pytest.approx(kept)
    duel = game(average_half_life_kimg=0.016, discriminator_steps=2)
    fit(duel, max_steps=1)
    assert duel.kept == 0.5, "16 images a round, as they are counted everywhere"


def test_an_average_moves_once_a_round(fit, monkeypatch):
    follows = []
    monkeypatch.setattr(ganzoo.StyleGAN2, "follow", lambda *_: follows.append(1))
    fit(game(), max_steps=5)
    assert len(follows) == 5, "though G has two turns in the first and the fifth"


def test_the_penalty_by_hand():
    """D(x) = <v, x>: ||v||^2 for each sample, times gamma / 2 and the rounds between."""
    duel = game(penalty=3.0, classes=None, conditional=False)
    v = torch.randn(TINY)
    duel.realness = lambda x, *label: (x * v).sum((1, 2, 3))
    real = torch.rand(4, *TINY, requires_grad=True)
    assert duel.penalty_loss(real)["penalty"].item() == pytest.approx(16 * 1.5 * v.pow(2).sum().item(), rel=1e-4)


class Linear(torch.nn.Module):
    """g(w) = sum over the styles of A w, whose Jacobian is A for each of them."""

    def __init__(self, a: torch.Tensor) -> None:
        super().__init__()
        self.a = torch.nn.Parameter(a)

    def styles_for(self, z: torch.Tensor) -> torch.Tensor:
        return (z + self.a[0]).unsqueeze(1).expand(-1, 2, -1)

    def synthesis(self, w: torch.Tensor) -> torch.Tensor:
        return (w.sum(1) @ self.a.T).view(-1, *TINY)


def test_the_path_length_by_hand(monkeypatch):
    """Every length is ||A^T y||, y the same for all: its mean begins at zero and moves by a hundredth."""
    duel = game(classes=None, conditional=False)
    a = torch.randn(256, 16)
    duel.generator = Linear(a)
    y = torch.randn(256)
    monkeypatch.setattr(torch, "randn_like", lambda fake: y.view(1, *TINY).expand_as(fake))
    length = (a.T @ y / 16).norm().item()
    terms = duel.path_loss(torch.zeros(6, *TINY))
    assert terms["path_penalty"].item() == pytest.approx(4 * 2 * (0.99 * length) ** 2, rel=1e-4)
    assert duel.mean_length.item() == pytest.approx(0.01 * length, rel=1e-4)
    duel.eval()
    duel.path_loss(torch.zeros(6, *TINY))
    assert duel.mean_length.item() == pytest.approx(0.01 * length, rel=1e-4), "held-out data moves nothing"


def test_the_path_lengths_gradient_is_that_of_finite_differences():
    """Through the whole of g, in float64; the noise is the same each time."""
    generator = ganzoo.StyleGAN2Generator(4, (1, 8, 8), w_dim=4, mapping_layers=1, channel_base=16, channel_max=2).double()
    w = drawn(2, generator.styles, 4, grad=True)
    y = drawn(2, 1, 8, 8)
    generator.eval()  # but for its clamp
    images = generator.synthesis(w).detach()
    assert images.abs().max() <= 1

    def lengths(constant: torch.Tensor) -> torch.Tensor:
        fake = torch.func.functional_call(generator, {"constant": constant}, (w,), strict=False)
        (gradient,) = torch.autograd.grad((fake * y).sum(), w, create_graph=True)
        return gradient.square().sum(2).mean(1).sqrt()

    generator.forward = generator.synthesis
    constant = generator.constant.detach()
    (gradient,) = torch.autograd.grad(lengths(c := constant.clone().requires_grad_()).sum(), c)
    step, at = 1e-3, (0, 1, 2, 3)
    up, down = constant.clone(), constant.clone()
    up[at] += step
    down[at] -= step
    slope = (lengths(up).sum() - lengths(down).sum()) / (2 * step)
    assert gradient[at].item() == pytest.approx(slope.item(), rel=2e-2)  # g returns float32


def test_styles_mix_from_a_layer_on():
    generator = ganzoo.StyleGAN2Generator(4, (1, 16, 16), w_dim=4, channel_base=64, channel_max=4, mixing=1.0)
    own, other = torch.zeros(2, generator.styles, 4), torch.ones(2, 4)
    seen = set()
    for _ in range(200):
        mixed = generator.mixed(own, other)[:, :, 0]
        assert torch.equal(mixed, mixed.sort(1).values) and torch.equal(mixed[0], mixed[1])
        seen.add(int(mixed[0].sum()))
    assert seen == set(range(1, generator.styles)), "the first layer keeps its own, the last has the other's"
    generator.mixing = 0.5
    share = sum(float(generator.mixed(own, other).sum() == 0) for _ in range(400)) / 400
    assert share == pytest.approx(0.5, abs=0.1)
    generator.eval()
    z = torch.randn(2, 4)
    assert torch.equal(generator(z), generator(z)), "samples mix nothing"


def test_truncation_goes_from_w_to_its_mean():
    duel = game(average_decay=None)
    for _ in range(20):
        duel.fake(8)
    assert duel.generator.mean_w.abs().max() > 0
    z, label = duel.latent(4), torch.arange(4)
    plain = duel.styles_of(z, label)
    for psi in (0.5, 1.0, 1e-6):
        with truncated(duel, psi):
            mean = duel.generator.mean_w
            torch.testing.assert_close(duel.styles_of(z, label), mean + psi * (plain - mean))
            samples = duel.samples_of(z, label)
    torch.testing.assert_close(samples, samples[:1].expand_as(samples), atol=1e-4, rtol=0)
    with truncated(duel, 1.0):
        torch.testing.assert_close(duel.samples_of(z, label), duel.samples_of(z, label))
        assert duel.latent(1000).abs().max() > 3, "z itself stays"


def test_classes_reach_both_networks():
    duel = game(average_decay=None)
    z, x = duel.latent(1).repeat(10, 1), torch.rand(1, *TINY).repeat(10, 1, 1, 1)
    labels = torch.arange(10)
    assert len(duel.samples_of(z, labels).flatten(1).unique(dim=0)) == 10
    assert len(duel.discriminator(x, labels).unique()) == 10
    assert game(conditional=False).kinds == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"path_every": 0}, "for no turns set path_penalty to 0"),
        ({"generator": ganzoo.DCGANGenerator}, "choose StyleGAN2Generator"),
        ({"generator": ganzoo.DCGANGenerator, "conditional": False}, "knows no styles: choose StyleGAN2Generator"),
        ({"discriminator": ganzoo.DCGANDiscriminator, "conditional": False}, "batch normalisation"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, says):
    with pytest.raises(ValueError, match=says):
        game(**arguments)


@pytest.mark.parametrize("conditional", [False, True])
def test_any_discriminator_of_single_samples_will_do(fit, conditional):
    duel = game(conditional=conditional, discriminator=partial(ganzoo.DCGANDiscriminator, norm="none"))
    fit(duel)
    assert all(term.isfinite() for term in duel.terms.values())


def test_lower_layers_can_be_frozen():
    duel = game(freeze_discriminator=2)
    assert not duel.discriminator.blocks[0].one.weight.requires_grad
    assert duel.discriminator.blocks[1].one.weight.requires_grad
