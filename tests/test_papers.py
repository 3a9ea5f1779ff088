"""Facts of the papers: numbers of weights, losses worked by hand, gradients by finite differences."""

import inspect
import math
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import nn

import ganzoo
from ganzoo import losses
from ganzoo.networks.biggan import SharedEmbedding, projecting
from ganzoo.optimizers import learn


def count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def duel(variant, real_logits: tuple[float, ...], fake_logits: tuple[float, ...], **arguments):
    """A game of points whose discriminator answers first `real_logits`, then `fake_logits`."""
    mlp = {"generator": partial(ganzoo.MLPGenerator, width=4), "discriminator": partial(ganzoo.MLPDiscriminator, width=4)}
    game = variant(shape=(2,), **(mlp | arguments))
    answers = iter([torch.tensor(real_logits), torch.tensor(fake_logits)])
    game.discriminator.forward = lambda x: next(answers)
    return game


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


REAL, FAKE = (2.0, -1.0), (0.5, -3.0)
X = torch.zeros(2, 2)


# --- numbers of weights ---


def test_dcgan_weights():
    assert count(ganzoo.DCGANGenerator(100, (3, 64, 64))) == 3_576_704
    assert count(ganzoo.DCGANDiscriminator((3, 64, 64))) == 2_765_568


def test_resnet_32_weights():
    # By hand, SNGAN's table 4 (https://arxiv.org/abs/1802.05957). G: linear, three blocks with shortcuts, batch norm, conv.
    block = 2 * (256 * 256 * 9 + 256) + (256 * 256 + 256) + 2 * 2 * 256
    assert count(ganzoo.ResNetGenerator(128, (3, 32, 32), width=256)) == (
        (128 * 4096 + 4096) + 3 * block + 2 * 256 + (256 * 3 * 9 + 3)
    )
    first = (3 * 128 * 9 + 128) + (128 * 128 * 9 + 128) + (3 * 128 + 128)
    plain = 2 * (128 * 128 * 9 + 128)
    assert count(ganzoo.ResNetDiscriminator((3, 32, 32))) == first + 3 * plain + (128 * 128 + 128) + 129

    spectral = ganzoo.SNGAN(shape=(3, 32, 32))  # no weight more; the authors' code has no bias in D's last layer, one less
    assert count(spectral.generator) == 4_276_739
    assert count(spectral.discriminator) == 1_053_825


def test_sngan_begins_as_the_authors_code_does():
    """Glorot's uniform weights, sqrt(2) wider in residual convolutions; biases of zero."""
    game = ganzoo.SNGAN(shape=(3, 32, 32))
    for block in (game.generator.blocks[1], game.discriminator.blocks[1]):
        for layer, gain, fan in ((block.one, math.sqrt(2), 9), (block.two, math.sqrt(2), 9), (block.shortcut, 1.0, 1)):
            weight = getattr(layer, "parametrizations", {"weight": layer})["weight"]
            weight = getattr(weight, "original", layer.weight)
            bound = gain * math.sqrt(6 / (fan * (layer.in_channels + layer.out_channels)))
            assert weight.abs().max().item() == pytest.approx(bound, rel=1e-2)
            assert not layer.bias.any()


def test_sagan_128_weights():
    """By hand from the authors' code (brain-research/self-attention-gan) for ImageNet's 1,000 classes."""

    def block(a: int, b: int) -> int:
        return (a * b * 9 + b) + (b * b * 9 + b) + (a * b + b)

    def attention(c: int) -> int:
        return 2 * c * (c // 8) + 2 * c * (c // 2) + 1

    with torch.device("meta"):
        game = ganzoo.SAGAN(shape=(3, 128, 128), classes=1000)
    widths = [1024, 1024, 512, 256, 128, 64]
    blocks = sum(block(a, b) + 1000 * 2 * (a + b) for a, b in pairwise(widths))
    last = 1000 * 2 * 64 + (64 * 3 * 9 + 3)  # in the authors' code this batch normalisation has no classes: 2 * 64
    assert count(game.generator) == (128 * 16384 + 16384) + blocks + attention(256) + last
    blocks = sum(block(a, b) for a, b in pairwise([3, *reversed(widths[1:])])) + 2 * (1024 * 1024 * 9 + 1024)
    assert count(game.discriminator) == blocks + attention(128) + 1025 + 1000 * 1024


def biggan(size: int, classes: int, latent_dim: int, width: int) -> tuple[int, int]:
    """Weights of BigGAN's generator and discriminator of colour images."""
    with torch.device("meta"):
        generator = SharedEmbedding(partial(ganzoo.BigGANGenerator, width=width), classes, latent_dim, (3, size, size))
        discriminator = projecting(partial(ganzoo.BigGANDiscriminator, width=width), classes, (3, size, size))
    return count(generator), count(discriminator)


def test_biggan_weights(monkeypatch):
    monkeypatch.setattr("ganzoo.networks.biggan.spectrally_normalised", lambda network: network)  # it adds none
    # google/compare_gan's resnet_biggan_test.py
    assert biggan(128, 1000, 120, 96) == (70_433_988, 87_982_370)
    assert biggan(128, 1000, 120, 64) == (31_978_628, 39_448_258)  # notes in the authors' PyTorch code
    # A port of the authors' code lists these, its discriminators with 1,000 more for an auxiliary classifier's biases.
    assert biggan(64, 1000, 120, 96) == (70_377_348, 45_511_970)
    assert biggan(64, 1000, 120, 64) == (31_969_540, 20_571_842)
    assert biggan(256, 1000, 7 * 17, 96) == (82_108_548, 99_225_890)
    # By hand from the authors' PyTorch code, with the flags --G_shared --hier: G_ch 64, CIFAR-10, dim_z 120.
    blocks = 3 * (2 * (256 * 256 * 9 + 256) + (256 * 256 + 256) + 2 * 2 * (128 + 30) * 256)
    assert biggan(32, 10, 120, 64)[0] == 10 * 128 + (30 * 4096 + 4096) + blocks + 2 * 256 + (256 * 3 * 9 + 3)
    first = (3 * 256 * 9 + 256) + (256 * 256 * 9 + 256) + (3 * 256 + 256)
    halving, plain = 2 * (256 * 256 * 9 + 256) + (256 * 256 + 256), 2 * (256 * 256 * 9 + 256)
    assert biggan(32, 10, 120, 64)[1] == first + halving + 2 * plain + (256 + 1) + 10 * 256


def stylegan2(size: int, base: int, layers: int, residual: bool = True) -> tuple[int, int]:
    """Weights of StyleGAN2's generator and discriminator of colour images."""
    with torch.device("meta"):
        generator = ganzoo.StyleGAN2Generator(512, (3, size, size), channel_base=base, mapping_layers=layers)
        discriminator = ganzoo.StyleGAN2Discriminator((3, size, size), channel_base=base, residual=residual)
    return count(generator), count(discriminator)


def test_stylegan2_weights():
    """The authors' code prints each layer's, as in the logs in issues 181 and 182 of NVlabs/stylegan2-ada-pytorch."""

    def layer(a: int, b: int) -> int:  # modulated 3x3: weights, biases, noise's strength, style
        return a * b * 9 + b + 1 + 512 * a + a

    def rgb(a: int) -> int:
        return 3 * a + 3 + 512 * a + a

    assert (layer(512, 512), rgb(512)) == (2_622_465, 264_195)
    assert (layer(512, 256), layer(256, 256), rgb(256)) == (1_442_561, 721_409, 132_099)
    assert (layer(256, 128), layer(128, 128), rgb(128)) == (426_369, 213_249, 66_051)
    mapping = 8 * 262_656
    upto32 = 512 * 16 + 7 * layer(512, 512) + 4 * rgb(512)
    upto64 = upto32 + 2 * layer(512, 512) + rgb(512)
    ours = upto64 + sum(layer(a, b) + layer(b, b) + rgb(b) for a, b in ((512, 256), (256, 128)))
    assert stylegan2(256, 32768, 8)[0] == mapping + ours == 30_034_338
    halved = upto32 + sum(layer(a, b) + layer(b, b) + rgb(b) for a, b in ((512, 256), (256, 128), (128, 64)))
    assert stylegan2(256, 16384, 8)[0] == mapping + halved == 24_767_458  # ADA's setting paper256

    def halving(a: int, b: int) -> int:
        return (a * a * 9 + a) + (a * b * 9 + b) + a * b

    assert (halving(128, 256), halving(256, 512)) == (32_768 + 147_584 + 295_168, 131_072 + 590_080 + 1_180_160)
    end = (513 * 512 * 9 + 512) + (8192 * 512 + 512) + 513
    blocks = 4 * halving(512, 512) + end
    assert stylegan2(256, 32768, 8)[1] == (3 * 128 + 128) + halving(128, 256) + halving(256, 512) + blocks == 28_864_129
    halved = (3 * 64 + 64) + halving(64, 128) + halving(128, 256) + halving(256, 512) + 3 * halving(512, 512) + end
    assert stylegan2(256, 16384, 8)[1] == halved == 24_001_089
    assert stylegan2(1024, 32768, 8) == (30_370_060, 29_012_513)

    # CIFAR-10, ADA's setting: no residual blocks, 512 channels everywhere, two layers in f.
    assert stylegan2(32, 32768, 2, residual=False) == (2 * 262_656 + upto32, 4 * 512 + 3 * 2 * (512 * 512 * 9 + 512) + end)


def test_r3gan_weights():
    # By hand, from the authors' code (https://github.com/brownvc/R3GAN): its preset CIFAR10, with --cond=0 and --cond=1.
    blocks = 4 * 2 * ((768 * 1536 + 1536) + (1536 * 16 * 9 + 1536) + 1536 * 768)  # 96 groups of 16
    with torch.device("meta"):
        alone, told = (ganzoo.R3GAN(shape=(3, 32, 32), classes=classes) for classes in (None, 10))
    basis, rgb = 768 * 16, 3 * 768
    assert count(alone.generator) == (64 * 768 + basis) + blocks + rgb == 20_732_160
    assert count(told.generator) == 10 * 64 + (128 * 768 + basis) + blocks + rgb == 20_781_952
    assert count(alone.discriminator) == rgb + blocks + (basis + 768) == 20_683_776
    assert count(told.discriminator) == rgb + blocks + (basis + 768 * 768) + 10 * 768 == 21_280_512


def test_progan_and_stylegan_weights():
    """At 1024x1024. StyleGAN's code prints 26,219,627 of G (also in its README) and 23,087,249 of D, which is ProGAN's but for
    a blur. ProGAN's G is by hand: table 2, and a layer to RGB at each level."""
    with torch.device("meta"):
        progan, stylegan = (kind(512, (3, 1024, 1024)) for kind in (ganzoo.ProGANGenerator, ganzoo.StyleGANGenerator))
        kinds = (ganzoo.ProGANDiscriminator, ganzoo.StyleGANDiscriminator)
        discriminators = [kind((3, 1024, 1024)) for kind in kinds]
    widths = [512, 512, 512, 512, 256, 128, 64, 32, 16]
    to_rgb = sum(3 * c + 3 for c in widths)
    first = (512 * 512 * 16 + 512) + (512 * 512 * 9 + 512)
    doubling = sum((a * b * 9 + b) + (b * b * 9 + b) for a, b in pairwise(widths))
    assert count(progan) == first + doubling + to_rgb == 23_079_115
    # Of a style layer with b maps: strengths of the noise, biases, 2 b styles of a w of 512.
    mapping = 8 * (512 * 512 + 512)
    first = 16 * 512 + 512 * 512 * 9
    doubling = sum(a * b * 9 + b * b * 9 for a, b in pairwise(widths))
    styles = sum(2 * (2 * b + 513 * 2 * b) for b in widths)
    assert count(stylegan) == mapping + first + doubling + styles + to_rgb == 26_219_627
    from_rgb = sum(3 * c + c for c in widths)
    halving = sum((b * b * 9 + b) + (b * a * 9 + a) for a, b in pairwise(widths))
    last = (513 * 512 * 9 + 512) + (8192 * 512 + 512) + 513
    assert [count(network) for network in discriminators] == [from_rgb + halving + last] * 2 == [23_087_249] * 2


# --- losses by hand ---


def test_gan_discriminator_loss():
    terms = duel(ganzoo.GAN, REAL, FAKE).discriminator_loss(X)
    assert terms["real"].item() == pytest.approx(-0.5 * (math.log(sigmoid(2)) + math.log(sigmoid(-1))) / 2)
    assert terms["fake"].item() == pytest.approx(-0.5 * (math.log(1 - sigmoid(0.5)) + math.log(1 - sigmoid(-3))) / 2)


def test_one_sided_label_smoothing():
    terms = duel(ganzoo.GAN, REAL, FAKE, real_target=0.9).discriminator_loss(X)
    smoothed = [0.9 * math.log(sigmoid(x)) + 0.1 * math.log(1 - sigmoid(x)) for x in REAL]
    assert terms["real"].item() == pytest.approx(-0.5 * sum(smoothed) / 2)
    plain = duel(ganzoo.GAN, REAL, FAKE).discriminator_loss(X)
    assert terms["fake"] == plain["fake"], "one-sided: fake stays at 0"


@pytest.mark.parametrize(
    ("cost", "by_hand"),
    [
        ("minimax", lambda x: math.log(1 - sigmoid(x))),
        ("non_saturating", lambda x: -math.log(sigmoid(x))),
        ("maximum_likelihood", lambda x: -0.5 * math.exp(x)),
    ],
)
def test_generator_costs(cost, by_hand):
    terms = duel(ganzoo.GAN, FAKE, (), generator_cost=cost).generator_loss(X)
    assert terms["adversarial"].item() == pytest.approx(sum(map(by_hand, FAKE)) / 2)


def test_the_value_of_the_game_at_the_optimal_discriminator():
    """V(D*, G) = -2 log 2 + 2 JSD, with p_data = (0.8, 0.2) and p_g = (0.3, 0.7) on two points."""
    data, model = torch.tensor([0.8, 0.2]), torch.tensor([0.3, 0.7])
    logit = (data / model).log()  # of D* = p_data / (p_data + p_g)
    value = (data * nn.functional.logsigmoid(logit) + model * nn.functional.logsigmoid(-logit)).sum()
    mixture = (data + model) / 2
    jsd = 0.5 * ((data * (data / mixture).log()).sum() + (model * (model / mixture).log()).sum())
    assert value.item() == pytest.approx(-2 * math.log(2) + 2 * jsd.item())
    weights = [(data, 1.0), (model, 0.0)]
    cost = sum(0.5 * (p[i] * losses.cross_entropy(logit[i : i + 1], t)) for p, t in weights for i in range(2))
    assert cost.item() == pytest.approx(-value.item() / 2), "the discriminator's cost is -V/2"


def test_lsgan_losses():
    terms = duel(ganzoo.LSGAN, REAL, FAKE).discriminator_loss(X)
    assert terms["real"].item() == pytest.approx(0.5 * ((2 - 1) ** 2 + (-1 - 1) ** 2) / 2)
    assert terms["fake"].item() == pytest.approx(0.5 * (0.5**2 + 3**2) / 2)
    assert duel(ganzoo.LSGAN, FAKE, ()).generator_loss(X)["adversarial"].item() == pytest.approx(0.5 * (0.5**2 + 4**2) / 2)
    codes = {"fake_code": -1.0, "real_code": 1.0, "generator_code": 0.0}
    terms = duel(ganzoo.LSGAN, REAL, FAKE, **codes).discriminator_loss(X)
    assert terms["fake"].item() == pytest.approx(0.5 * (1.5**2 + 2**2) / 2)


def test_ragan_losses():
    relative = [x - sum(FAKE) / 2 for x in REAL], [x - sum(REAL) / 2 for x in FAKE]

    def cost(logits: list[float], target: int) -> float:
        return -sum(math.log(sigmoid(x) if target else 1 - sigmoid(x)) for x in logits) / 2

    terms = duel(ganzoo.RaGAN, REAL, FAKE).discriminator_loss(X)
    assert terms["real"].item() == pytest.approx(cost(relative[0], 1))
    assert terms["fake"].item() == pytest.approx(cost(relative[1], 0))
    terms = duel(ganzoo.RaGAN, REAL, FAKE).generator_loss(X)
    assert terms["real"].item() == pytest.approx(cost(relative[0], 0))
    assert terms["fake"].item() == pytest.approx(cost(relative[1], 1))


def test_sngan_losses():
    terms = duel(ganzoo.SNGAN, REAL, FAKE).discriminator_loss(X)
    assert terms["real"].item() == pytest.approx((0 + 2) / 2)  # max(0, 1 - 2), max(0, 1 + 1)
    assert terms["fake"].item() == pytest.approx((1.5 + 0) / 2)  # max(0, 1 + 0.5), max(0, 1 - 3)
    assert duel(ganzoo.SNGAN, FAKE, ()).generator_loss(X)["adversarial"].item() == pytest.approx(-(0.5 - 3) / 2)


def test_biggan_losses(monkeypatch):
    game = ganzoo.BigGAN(shape=(1, 16, 16), latent_dim=3, generator=partial(ganzoo.BigGANGenerator, width=2))
    answers = iter([torch.tensor(REAL), torch.tensor(FAKE), torch.tensor(FAKE)])
    monkeypatch.setattr(game.discriminator, "forward", lambda x, label: next(answers))
    x = torch.zeros(2, 1, 16, 16)
    terms = game.discriminator_loss(x)
    assert terms["real"].item() == pytest.approx((0 + (1 + 1)) / 2)
    assert terms["fake"].item() == pytest.approx(((1 + 0.5) + 0) / 2)
    assert game.generator_loss(x)["adversarial"].item() == pytest.approx((3 - 0.5) / 2)


def test_biggan_defaults_are_the_papers():
    small = {kind: partial(getattr(ganzoo, f"BigGAN{kind.title()}"), width=2) for kind in ("generator", "discriminator")}
    game = ganzoo.BigGAN(shape=(1, 16, 16), **small)
    groups = {player: optimizer.param_groups[0] for player, optimizer in game.configure_optimizers().of.items()}
    assert {player: group["lr"] for player, group in groups.items()} == {"generator": 5e-5, "discriminator": 2e-4}
    assert all(group["betas"] == (0.0, 0.999) for group in groups.values())
    assert (game.discriminator_steps, game.average_decay, game.orthogonality) == (2, 0.9999, 1e-4)
    network = inspect.signature(ganzoo.BigGANGenerator)
    assert (network.parameters["width"].default, network.parameters["embedding"].default) == (96, 128)


def test_wgan_losses():
    terms = duel(ganzoo.WGAN, REAL, FAKE).discriminator_loss(X)
    assert sum(terms.values()).item() == pytest.approx(-(2 - 1) / 2 + (0.5 - 3) / 2)
    assert duel(ganzoo.WGAN, FAKE, ()).generator_loss(X)["adversarial"].item() == pytest.approx((3 - 0.5) / 2)


def test_wgan_clips_the_critic_and_only_it():
    game = ganzoo.WGAN(shape=(1, 16, 16), clip=0.003, lr=1.0)
    optimizers = game.configure_optimizers().of
    assert isinstance(optimizers["discriminator"], torch.optim.RMSprop)
    for player, loss in (("discriminator", game.discriminator_loss), ("generator", game.generator_loss)):
        _, gradients = game.move(player, loss, (torch.rand(4, 1, 16, 16),))
        learn(optimizers[player], game._weights[player], gradients, 1.0)
        game.after_turn(player)
    assert max(weight.abs().max().item() for weight in game.discriminator.parameters()) == pytest.approx(0.003)
    assert max(weight.abs().max().item() for weight in game.generator.parameters()) > 0.1


@pytest.mark.parametrize(
    ("variant", "optimizer", "lr", "arguments"),
    [
        (ganzoo.GAN, torch.optim.Adam, 2e-4, {"discriminator_steps": 1}),
        (ganzoo.DCGAN, torch.optim.Adam, 2e-4, {"betas": (0.5, 0.999), "latent_dim": 100}),
        (ganzoo.WGAN, torch.optim.RMSprop, 5e-5, {"clip": 0.01, "discriminator_steps": 5}),
        (ganzoo.WGANGP, torch.optim.Adam, 1e-4, {"betas": (0.0, 0.9), "penalty": 10, "discriminator_steps": 5}),
    ],
)
def test_defaults_are_the_papers(variant, optimizer, lr, arguments):
    game = variant(shape=(1, 16, 16))
    made = game.configure_optimizers().of
    assert [type(of) for of in made.values()] == [optimizer] * 2
    assert {of.param_groups[0]["lr"] for of in made.values()} == {lr}
    for name, value in arguments.items():
        assert getattr(game, name) == value, name


@pytest.mark.parametrize(("variant", "rates", "steps"), [(ganzoo.SNGAN, (2e-4, 2e-4), 5), (ganzoo.SAGAN, (1e-4, 4e-4), 1)])
def test_defaults_of_the_spectrally_normalised(variant, rates, steps):
    with torch.device("meta"):
        game = variant(shape=(3, 32, 32))
    assert (game.lr["generator"], game.lr["discriminator"]) == rates
    assert (game.betas, game.latent_dim, game.discriminator_steps, game.decay) == ((0.0, 0.9), 128, steps, None)


class Slope(nn.Module):
    """3 times the upper left pixel, 4 times the lower right one, and a constant: a gradient of norm 5."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 3 * x[:, 0, 0, 0] + 4 * x[:, 0, -1, -1] + 2


def growing(variant, monkeypatch, **arguments):
    """A whole game of two 8x8 images, whose discriminator is that one, and whose fakes are black."""
    small = {kind: partial(getattr(variant, f"default_{kind}"), width=2) for kind in ("generator", "discriminator")}
    game = variant(shape=(1, 8, 8), first_size=8, latent_dim=3, **small, **arguments)
    monkeypatch.setattr(game, "discriminator", Slope())
    monkeypatch.setattr(game, "fake", lambda n: torch.zeros(n, 1, 8, 8))
    return game


def test_progan_losses(monkeypatch):
    game = growing(ganzoo.ProGAN, monkeypatch)
    real = torch.stack([torch.ones(1, 8, 8), -torch.ones(1, 8, 8)])  # D says 9 and -5, and 2 of the fakes
    terms = game.discriminator_loss(real)
    assert terms["real"].item() == pytest.approx(-(9 - 5) / 2)
    assert terms["fake"].item() == pytest.approx(2)
    assert terms["penalty"].item() == pytest.approx(10 * (5 - 1) ** 2)
    assert terms["drift"].item() == pytest.approx(0.001 * (9**2 + 5**2) / 2)
    assert game.generator_loss(real)["adversarial"].item() == pytest.approx(-2)


def test_stylegan_losses(monkeypatch):
    game = growing(ganzoo.StyleGAN, monkeypatch)
    real = torch.stack([torch.ones(1, 8, 8), -torch.ones(1, 8, 8)])
    terms = game.discriminator_loss(real)
    assert terms["real"].item() == pytest.approx(-(math.log(sigmoid(9)) + math.log(sigmoid(-5))) / 2)
    assert terms["fake"].item() == pytest.approx(-math.log(1 - sigmoid(2)))
    assert terms["penalty"].item() == pytest.approx(10 / 2 * 5**2)
    assert game.generator_loss(real)["adversarial"].item() == pytest.approx(-math.log(sigmoid(2)))


def test_defaults_of_the_growing():
    with torch.device("meta"):
        progan, stylegan = ganzoo.ProGAN(shape=(3, 64, 64)), ganzoo.StyleGAN(shape=(3, 64, 64))
        made = [optimizer for game in (progan, stylegan) for optimizer in game.configure_optimizers().of.values()]
    for optimizer in made:
        group = optimizer.param_groups[0]
        assert (group["lr"], group["betas"], group["eps"]) == (1e-3, (0.0, 0.99), 1e-8)
    assert (progan.penalty, progan.drift, progan.average_decay, progan.latent_dim) == (10, 1e-3, 0.999, 512)
    assert (stylegan.penalty, stylegan.average_half_life_kimg, stylegan.latent_dim) == (10, 10, 512)
    assert (progan.level, stylegan.level) == (0, 1), "4x4 and 8x8"
    assert (progan.stabilise, progan.fade) == (stylegan.stabilise, stylegan.fade) == (600_000, 600_000)
    generator = inspect.signature(ganzoo.StyleGANGenerator).parameters
    assert {name: generator[name].default for name in ("width", "layers", "mixing", "mean_decay")} == {
        **{"width": 512, "layers": 8, "mixing": 0.9, "mean_decay": 0.995}
    }


# --- the gradient penalty ---


def critic(x: torch.Tensor) -> torch.Tensor:
    """A smooth function of samples [N, 2, 3], differently steep everywhere."""
    return (x.sin() * torch.tensor([[1.0, 2.0, 3.0], [0.5, -1.0, 2.5]], dtype=x.dtype)).sum((1, 2)) ** 2


def test_gradient_norm_is_per_sample_and_over_all_dimensions():
    x = torch.randn(4, 2, 3, dtype=torch.float64, requires_grad=True)
    norms = losses.gradient_norm(critic, x)
    step = 1e-6
    for sample in range(4):
        slopes = []
        for i in range(2):
            for j in range(3):
                ahead, behind = x.detach().clone(), x.detach().clone()
                ahead[sample, i, j] += step
                behind[sample, i, j] -= step
                slopes.append((critic(ahead) - critic(behind))[sample].item() / (2 * step))
        assert norms[sample].item() == pytest.approx(math.sqrt(sum(slope**2 for slope in slopes)), rel=1e-6)


def test_gradient_norm_differentiates_again():
    x = torch.randn(3, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: losses.gradient_norm(critic, x), x)


def test_wgan_gp_penalty():
    """A linear critic has the same gradient everywhere: lambda (||w|| - 1)^2, wherever x_hat lies."""
    game = ganzoo.WGANGP(shape=(2,), generator=ganzoo.MLPGenerator, discriminator=partial(ganzoo.MLPDiscriminator, layers=0))
    with torch.no_grad():
        game.discriminator.layers[0].weight.copy_(torch.tensor([[3.0, 4.0]]))
    terms = game.discriminator_loss(torch.randn(7, 2))
    assert terms["penalty"].item() == pytest.approx(10 * (5 - 1) ** 2, rel=1e-5)


def test_wgan_gp_penalises_between_real_and_fake(monkeypatch):
    """x_hat = epsilon x + (1 - epsilon) G(z), one epsilon for each sample."""
    seen = []
    game = ganzoo.WGANGP(shape=(1, 16, 16))
    monkeypatch.setattr(game, "fake", lambda n: torch.zeros(n, 1, 16, 16))
    monkeypatch.setattr("ganzoo.models.wgan_gp.gradient_norm", lambda _, x: seen.append(x) or x.flatten(1).norm(dim=1))
    game.discriminator_loss(torch.ones(50, 1, 16, 16))
    [between] = seen
    epsilon = between.flatten(1)
    assert (epsilon == epsilon[:, :1]).all(), "one epsilon a sample"
    assert epsilon[:, 0].unique().numel() == 50
    assert epsilon.min() >= 0
    assert epsilon.max() <= 1


def test_cramer_gan_by_hand(monkeypatch):
    """h(x) = (3 x, 4 x): distances are 5 |x - y|, and f(x) = 5 |x - x'| - 5 |x|, whose gradient has norm 0 or 10."""
    game = ganzoo.CramerGAN(
        shape=(1,), features=2, generator=ganzoo.MLPGenerator, discriminator=partial(ganzoo.MLPDiscriminator, layers=0)
    )
    with torch.no_grad():
        game.discriminator.last.weight.copy_(torch.tensor([[3.0], [4.0]]))
        game.discriminator.last.bias.zero_()
    monkeypatch.setattr(game, "fake", lambda n: torch.tensor([[1.0], [2.0], [-3.0], [-1.0]]))  # x_g = 1, 2; x'_g = -3, -1
    real = torch.tensor([[4.0], [2.0]])
    terms = game.discriminator_loss(real)
    assert terms["real"].item() == pytest.approx(-((35 - 20) + (15 - 10)) / 2)  # 5 |4 + 3| - 5 |4|, and 5 |2 + 1| - 5 |2|
    assert terms["fake"].item() == pytest.approx(((20 - 5) + (15 - 10)) / 2)
    assert terms["penalty"].item() == pytest.approx(10 * 1)  # x_hat in 1 .. 4, and 2: f is constant above 0
    terms = game.generator_loss(real)
    assert terms["to_real"].item() == pytest.approx(((15 + 35) + (0 + 15)) / 2)
    assert terms["to_fake"].item() == pytest.approx(-(20 + 15) / 2)


def test_wgan_gp_refuses_batch_norm():
    with pytest.raises(ValueError, match="batch normalisation"):
        ganzoo.WGANGP(shape=(1, 16, 16), discriminator=ganzoo.DCGANDiscriminator)
    ganzoo.WGANGP(shape=(1, 16, 16), discriminator=partial(ganzoo.DCGANDiscriminator, norm="layer"))


@pytest.mark.parametrize("variant", [ganzoo.GAN, ganzoo.FGAN])
def test_an_unknown_cost_is_never_another_one(variant):
    with pytest.raises(KeyError, match="minmax"):
        variant(shape=(2,), generator_cost="minmax")


# --- image to image


def test_image_to_image_weights():
    """As the authors' later code (junyanz/pytorch-CycleGAN-and-pix2pix) counts them."""
    with torch.device("meta"):
        assert count(ganzoo.UNet((3, 256, 256))) == 54_413_955
        assert count(ganzoo.UNet((3, 256, 256), norm="batch")) == 54_413_955
        assert count(ganzoo.PatchDiscriminator((6, 256, 256))) == 2_768_705
        assert count(ganzoo.PatchDiscriminator((3, 256, 256), affine=False)) == 2_764_737


def test_a_patch_is_of_70_pixels():
    for halvings, patch in ((1, 16), (2, 34), (3, 70)):
        network = ganzoo.PatchDiscriminator((1, 128, 128), width=2, halvings=halvings, norm="none")
        x = torch.zeros(1, 1, 128, 128, requires_grad=True)
        logit = network(x)
        middle = logit.shape[1] // 2
        logit[0, middle, middle].backward()
        seen = x.grad[0, 0].ne(0).nonzero()
        assert (seen.amax(0) - seen.amin(0) + 1).tolist() == [patch, patch]


def test_pix2pix():
    """Logits of one patch each: real 2, fake 0.5; the fake is 0.25 from the target everywhere."""
    game = ganzoo.Pix2Pix(shape=(1, 16, 16), generator=partial(ganzoo.UNet, width=2))
    source, target = torch.zeros(2, 1, 16, 16), torch.full((2, 1, 16, 16), 0.75)
    game.generator.forward = lambda x: x + 0.5
    game.discriminator.forward = lambda x: torch.where(x[:, 1:].mean((2, 3), keepdim=True) > 0.6, 2.0, 0.5).squeeze(1)
    loss = game.discriminator_loss(source, target)
    assert loss["real"].item() == pytest.approx(-math.log(sigmoid(2)) / 2)
    assert loss["fake"].item() == pytest.approx(-math.log(1 - sigmoid(0.5)) / 2)
    loss = game.generator_loss(source, target)
    assert loss["adversarial"].item() == pytest.approx(-math.log(sigmoid(0.5)))
    assert loss["l1"].item() == pytest.approx(100 * 0.25)


def test_cyclegan_weights():
    with torch.device("meta"):
        game = ganzoo.CycleGAN(shape=(3, 256, 256))
        assert count(game.generator) == 2 * 11_378_179
        assert count(game.discriminator) == 2 * 2_764_737
        six = 11_378_179 - 3 * 2 * (256 * 256 * 9 + 256)
        assert count(ganzoo.CycleGAN(shape=(3, 128, 128)).generator["there"]) == six


def test_cyclegan():
    """G adds 0.5, F takes off 0.25: whole ways are 0.25 off. Logits are the images' means."""
    small = {"generator": partial(ganzoo.TranslationResNet, width=1, blocks=1), "pool": 0}
    game = ganzoo.CycleGAN(shape=(1, 16, 16), **small)
    game.generator["there"].forward = lambda x: x + 0.5
    game.generator["back"].forward = lambda x: x - 0.25
    for judge in game.discriminator.values():
        judge.forward = lambda x: x.mean((2, 3))
    source, target = torch.full((2, 1, 16, 16), 0.125), torch.full((2, 1, 16, 16), -0.5)
    terms = {name: term.item() for name, term in game.generator_loss(source, target).items()}
    assert terms == pytest.approx(
        {
            "adversarial_target": (0.625 - 1) ** 2,
            "adversarial_source": (-0.75 - 1) ** 2,
            "cycle_source": 10 * 0.25,
            "cycle_target": 10 * 0.25,
            "identity_target": 5 * 0.5,
            "identity_source": 5 * 0.25,
        }
    )
    terms = {name: term.item() for name, term in game.discriminator_loss(source, target).items()}
    assert terms == pytest.approx(
        {
            "real_target": (-0.5 - 1) ** 2 / 2,
            "fake_target": 0.625**2 / 2,
            "real_source": (0.125 - 1) ** 2 / 2,
            "fake_source": 0.75**2 / 2,
        }
    )


def test_cyclegans_terms_reach_their_own_networks():
    torch.manual_seed(0)
    small = partial(ganzoo.TranslationResNet, width=2, blocks=1)
    game = ganzoo.CycleGAN(shape=(1, 16, 16), generator=small)
    source, target = torch.rand(2, 2, 1, 16, 16).unbind()
    networks = {f"G {name}": net for name, net in game.generator.items()}
    networks |= {f"D {name}": net for name, net in game.discriminator.items()}

    def reached(term: torch.Tensor, player: str) -> set[str]:
        """Of the player's networks."""
        of = {name: list(net.parameters()) for name, net in networks.items() if name.startswith(player)}
        found = {name: torch.autograd.grad(term, own, retain_graph=True, allow_unused=True) for name, own in of.items()}
        return {name for name, grads in found.items() if any(grad is not None and grad.any() for grad in grads)}

    terms = game.generator_loss(source, target)
    assert {name: reached(term, "G") for name, term in terms.items()} == {
        "adversarial_target": {"G there"},
        "adversarial_source": {"G back"},
        "cycle_source": {"G there", "G back"},
        "cycle_target": {"G there", "G back"},
        "identity_target": {"G there"},
        "identity_source": {"G back"},
    }
    terms = game.discriminator_loss(source, target)
    assert {name: reached(term, "D") for name, term in terms.items()} == {
        "real_target": {"D target"},
        "fake_target": {"D target"},
        "real_source": {"D source"},
        "fake_source": {"D source"},
    }
    assert not any(reached(term, "G") for name, term in terms.items() if name.startswith("fake"))


def test_an_image_may_have_one_logit():
    """As pix2pix's own ImageGAN (section 4.4); and a series too."""
    whole = partial(ganzoo.DCGANDiscriminator, width=2)
    pix2pix = ganzoo.Pix2Pix(shape=(1, 16, 16), generator=partial(ganzoo.UNet, width=2), discriminator=whole)
    small = partial(ganzoo.TranslationResNet, width=2, blocks=1)
    cyclegan = ganzoo.CycleGAN(shape=(1, 16, 16), generator=small, discriminator=whole)
    rcgan = ganzoo.RCGAN(shape=(30, 1), discriminator=partial(ganzoo.TCNDiscriminator, width=2))
    for game, batch in (
        (pix2pix, torch.rand(2, 3, 1, 16, 16)),
        (cyclegan, torch.rand(2, 3, 1, 16, 16)),
        (rcgan, torch.rand(1, 3, 30, 1)),
    ):
        assert [opinion.shape for opinion in game.opinions(*batch)] == [(3,), (3,)]
        assert all(term.isfinite() for term in game.discriminator_loss(*batch).values())


def test_quant_gans_generator_is_given_noise_from_before():
    with pytest.raises(ValueError, match=r"^LSTMGenerator takes no noise from before a series: choose TCNGenerator$"):
        ganzoo.QuantGAN(shape=(30, 1), generator=ganzoo.LSTMGenerator)


def dtn(**arguments) -> ganzoo.DTN:
    """Of images of one brightness, which f tells, g gives back a quarter brighter, and D takes for the third kind by."""
    small = {"classifier": partial(ganzoo.FeatureClassifier, widths=(1, 1, 1, 1))}
    small |= {
        f"{player}": partial(getattr(ganzoo, f"DCGAN{player.title()}"), width=1) for player in ("generator", "discriminator")
    }
    game = ganzoo.DTN(shape=(1, 16, 16), classes=10, **small, **arguments)
    game.classifier.features = lambda x: x.mean((2, 3))
    game.generator.forward = lambda known: known[:, :, None, None].expand(-1, 1, 16, 16) + 0.25
    game.verdicts = lambda x: (x.mean((2, 3)) * torch.arange(3)).log_softmax(1)
    return game


def log_kind(kind: int, mean: float) -> float:
    return kind * mean - math.log(1 + math.exp(mean) + math.exp(2 * mean))


def test_dtn():
    source, target, label = torch.full((2, 1, 16, 16), 0.5), torch.full((2, 1, 16, 16), -0.5), torch.zeros(2).long()
    game = dtn(variation=0.05)
    terms = {name: term.item() for name, term in game.discriminator_loss(source, label, target).items()}
    assert terms == pytest.approx(
        {"real": -log_kind(2, -0.5), "fake": -log_kind(0, 0.75), "fake_of_target": -log_kind(1, -0.25)}
    )
    terms = {name: term.item() for name, term in game.generator_loss(source, label, target).items()}
    assert terms == pytest.approx(
        {
            "adversarial": -log_kind(2, 0.75),
            "adversarial_of_target": -log_kind(2, -0.25),
            "constancy": 15 * 0.25**2,
            "identity": 15 * 0.25**2,
            "variation": 0.0,
        },
        abs=1e-6,
    )
    assert "variation" not in dtn().generator_loss(source, label, target)


def test_total_variation():
    """Steps 3 to the right and 4 down, everywhere."""
    x = (3.0 * torch.arange(5)[None, :] + 4.0 * torch.arange(6)[:, None]).expand(2, 1, 6, 5)
    assert losses.total_variation(x).item() == pytest.approx(5.0)
    flat = torch.zeros(1, 1, 4, 4, requires_grad=True)
    losses.total_variation(flat).backward()
    assert flat.grad.isfinite().all()


def test_dtns_f_learns_first_and_is_then_fixed():
    game = ganzoo.DTN(shape=(1, 16, 16), classes=10, pretrain_steps=3)
    assert [[player for player, *_ in game.turns(step, [()])] for step in (0, 2, 3, 99)] == [
        ["classifier"],
        ["classifier"],
        ["discriminator", "generator"],
        ["discriminator", "generator"],
    ]
    assert game.classifier.features(torch.rand(2, 1, 16, 16)).shape == (2, 128)
    with pytest.raises(ValueError, match=r"^DTN needs classes of the sources: set --data.source_labels true"):
        ganzoo.DTN(shape=(1, 16, 16))
