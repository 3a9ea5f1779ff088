"""Networks: every size they promise, float32 whatever autocast does, and layers against slow references in float64."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F

import ganzoo
from ganzoo.networks.conditional import conditionally_normalised
from ganzoo.networks.dcgan import SIZES
from ganzoo.networks.layers import normalisation
from ganzoo.networks.resnet import Block

PAIRS = {
    "mlp": (partial(ganzoo.MLPGenerator, width=8), partial(ganzoo.MLPDiscriminator, width=8)),
    "dcgan": (partial(ganzoo.DCGANGenerator, width=2), partial(ganzoo.DCGANDiscriminator, width=2)),
    "resnet": (partial(ganzoo.ResNetGenerator, width=4), partial(ganzoo.ResNetDiscriminator, width=4)),
}
CASES = [("mlp", (2,)), ("mlp", (3, 8, 8)), ("resnet", (3, 32, 32)), ("resnet", (1, 64, 64))]
CASES += [("dcgan", (channels, size, size)) for size in SIZES for channels in (1, 3)] + [("dcgan", (5, 32, 32))]


@pytest.mark.parametrize(("name", "shape"), CASES, ids=lambda value: str(value))
def test_shapes(name, shape):
    generator, discriminator = PAIRS[name][0](7, shape), PAIRS[name][1](shape)
    samples = generator(torch.randn(2, 7))
    assert samples.shape == (2, *shape)
    assert discriminator(samples).shape == (2,)
    if len(shape) == 3:
        assert samples.abs().max() <= 1


def test_the_promised_sizes():
    assert {16, 28, 32, 48, 64, 96, 128, 256} <= set(SIZES)


@pytest.mark.parametrize("norm", ["batch", "layer", "spectral", "none"])
def test_a_generator_cannot_hide_in_grey(norm):
    """With no bias at all D(a x) = a D(x): the logit of grey is 0, and of nearly grey nearly 0, whatever D has learned."""
    torch.manual_seed(0)
    discriminator = ganzoo.DCGANDiscriminator((1, 16, 16), width=4, norm=norm)
    for name, weight in discriminator.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(weight)  # as if learned
    assert discriminator(torch.zeros(2, 1, 16, 16)).abs().min() > 0.01


@pytest.mark.parametrize("name", PAIRS)
def test_float32_under_autocast(name):
    generator, discriminator = PAIRS[name][0](7, (3, 32, 32)), PAIRS[name][1]((3, 32, 32))
    with torch.autocast("cpu", torch.bfloat16):
        samples = generator(torch.randn(2, 7))
        logits = discriminator(samples)
    assert samples.dtype == logits.dtype == torch.float32


@pytest.mark.parametrize(
    ("network", "shape", "said"),
    [
        (ganzoo.DCGANDiscriminator, (3, 30, 30), "28 or 32"),
        (ganzoo.DCGANDiscriminator, (3, 512, 512), "224 or 256"),
        (ganzoo.DCGANDiscriminator, (3, 32, 64), "32 x 64"),
        (ganzoo.ResNetDiscriminator, (3, 48, 48), "32 or 64"),
        (ganzoo.DCGANDiscriminator, (2,), "choose an MLP"),
        (ganzoo.LSTMDiscriminator, (2,), "is of time series"),
        (ganzoo.TCNDiscriminator, (3, 32, 32), "is of time series"),
    ],
)
def test_sizes_a_network_cannot_do(network, shape, said):
    with pytest.raises(ValueError, match=said):
        network(shape)


@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
def test_normalisation(norm):
    x = torch.randn(6, 4, 5, 5, dtype=torch.float64) * 3 + 1
    axes = {"batch": (0, 2, 3), "layer": (1, 2, 3), "none": ()}[norm]
    expected = x
    if axes:
        expected = (x - x.mean(axes, keepdim=True)) / (x.var(axes, keepdim=True, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(normalisation(norm, 4).double()(x), expected)


@pytest.mark.parametrize("resample", ["up", "down", None])
def test_a_residual_block_against_its_definition(resample):
    """The shortcut's 1x1 convolution, moved to the smaller map, gives what it gave on the larger."""
    block = Block(3, 5, resample=resample, norm="none").double()
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64, requires_grad=True)

    def up(h: torch.Tensor) -> torch.Tensor:
        return h.repeat_interleave(2, 2).repeat_interleave(2, 3) if resample == "up" else h

    def down(h: torch.Tensor) -> torch.Tensor:
        return h.unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5)) if resample == "down" else h

    main = down(block.two(F.relu(block.one(up(F.relu(x))))))
    expected = main + down(block.shortcut(up(x)))
    torch.testing.assert_close(block(x), expected)
    (gradient,) = torch.autograd.grad(block(x).square().sum(), x)
    (expected_gradient,) = torch.autograd.grad(expected.square().sum(), x)
    torch.testing.assert_close(gradient, expected_gradient)


def test_dcgan_begins_as_the_paper_says():
    network = ganzoo.DCGANGenerator(100, (3, 64, 64))
    weights = network.layers[2].weight
    assert weights.std().item() == pytest.approx(0.02, rel=0.02)
    assert abs(weights.mean().item()) < 1e-4


@pytest.mark.parametrize("norm", ["batch", "layer", "virtual", "spectral", "none"])
def test_dcgan_with_a_hidden_layer(norm):
    """InfoGAN's table 1 but for the width: a fully connected layer of its own at the noise's end of either network."""
    if norm != "spectral":
        generator = ganzoo.DCGANGenerator(7, (1, 28, 28), width=2, hidden=6, norm=norm)
        assert [layer.in_features for layer in generator.modules() if isinstance(layer, torch.nn.Linear)] == [7, 6]
        assert generator(torch.randn(3, 7)).shape == (3, 1, 28, 28)
    if norm != "virtual":
        discriminator = ganzoo.DCGANDiscriminator((1, 28, 28), width=2, hidden=6, norm=norm, minibatch_kernels=5)
        x = torch.randn(3, 1, 28, 28)
        assert discriminator.features(x).shape == (3, 11)
        assert discriminator(x).shape == (3,)


def test_a_hidden_layer_is_conditional_too():
    generator = conditionally_normalised(partial(ganzoo.DCGANGenerator, width=2, hidden=6), 3, 7, (1, 16, 16))
    assert generator(torch.randn(3, 7), torch.arange(3)).shape == (3, 1, 16, 16)
