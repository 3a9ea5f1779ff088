"""The style family's layers, against slow references in float64."""

from math import sqrt

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck, gradgradcheck

import ganzoo
from ganzoo.networks.equalised import activated, pixel_norm
from ganzoo.networks.filters import blurred, boxed

LINEAR = ganzoo.EqualisedLinear(2, 3, rate=0.1).double()


def smooth(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True, generator=torch.Generator().manual_seed(0))


def filtered(x: torch.Tensor, taps: list[float], before: int, after: int) -> torch.Tensor:
    """The slow way: zeros around, and a convolution of each map by the outer product of the taps over their sum."""
    one = torch.tensor(taps, dtype=x.dtype) / sum(taps)
    padded = F.pad(x.flatten(0, 1)[:, None], [before, after, before, after])
    return F.conv2d(padded, one.outer(one)[None, None])[:, 0].unflatten(0, x.shape[:2])


def test_boxes_are_binomial_filters():
    x = smooth(2, 3, 6, 7)
    torch.testing.assert_close(blurred(x), filtered(x, [1, 2, 1], 1, 1))
    torch.testing.assert_close(boxed(x, 3, padding=2), filtered(x, [1, 3, 3, 1], 2, 2))


def test_smooth_resampling_is_the_authors():
    """upfirdn: zeros between, [1, 3, 3, 1], each second pixel; paddings as in StyleGAN2's code."""
    x = smooth(2, 3, 4, 4)
    between = torch.zeros(2, 3, 8, 8, dtype=x.dtype)
    between[:, :, ::2, ::2] = x
    torch.testing.assert_close(ganzoo.SmoothUpsampling()(x), 4 * filtered(between, [1, 3, 3, 1], 2, 1))
    torch.testing.assert_close(ganzoo.SmoothDownsampling()(x), filtered(x, [1, 3, 3, 1], 1, 1)[:, :, ::2, ::2])


@pytest.mark.parametrize(
    "layer",
    [
        lambda x: boxed(x, 3, padding=2),
        ganzoo.SmoothUpsampling(),
        ganzoo.SmoothDownsampling(),
        pixel_norm,
        activated,
        ganzoo.MinibatchStddev(2),
        ganzoo.EqualisedConv2d(2, 3, 3).double(),
        lambda x: LINEAR(x.mean((2, 3))),
    ],
    ids=["boxed", "up", "down", "pixel_norm", "activated", "stddev", "conv", "linear"],
)
def test_gradients_and_theirs(layer):
    x = smooth(4, 2, 4, 4)
    assert gradcheck(layer, x) and gradgradcheck(layer, x)


def test_pixel_norm_leaves_a_mean_square_of_one():
    x = smooth(3, 5, 2, 2)
    slow = torch.stack([x[:, :, i, j] / x[:, :, i, j].pow(2).mean(1, keepdim=True).sqrt() for i in (0, 1) for j in (0, 1)], 2)
    torch.testing.assert_close(pixel_norm(x).flatten(2), slow, rtol=1e-6, atol=1e-6)
    assert pixel_norm(torch.tensor([[3.0, 4.0]])).tolist() == [pytest.approx([3 / sqrt(12.5), 4 / sqrt(12.5)])]


def test_equalised_weights_are_scaled_when_used():
    linear = ganzoo.EqualisedLinear(8, 2, bias=1.0, gain=3.0, rate=0.5)
    x = torch.randn(5, 8)
    torch.testing.assert_close(linear.bias, torch.full((2,), 2.0))
    torch.testing.assert_close(linear(x), x @ linear.weight.T * 3 * 0.5 / sqrt(8) + 1)
    conv = ganzoo.EqualisedConv2d(3, 4, 3, gain=2.0)
    with torch.no_grad():
        conv.bias.normal_()
    x = torch.randn(2, 3, 5, 5)
    torch.testing.assert_close(conv(x), F.conv2d(x, conv.weight * 2 / sqrt(27), conv.bias, padding=1))


def test_equalised_weights_begin_standard_normal():
    """And outputs begin with the inputs' second moment times the gain's square, whatever the rate."""
    torch.manual_seed(0)
    for rate in (1.0, 0.01):
        layer = ganzoo.EqualisedLinear(512, 512, gain=sqrt(2), rate=rate)
        assert layer.weight.std().item() == pytest.approx(1 / rate, rel=0.01)
        assert layer(torch.randn(256, 512)).square().mean().item() == pytest.approx(2, rel=0.02)
    assert ganzoo.EqualisedConv2d(64, 64, 3).weight.std().item() == pytest.approx(1, rel=0.02)


def test_minibatch_stddev_by_hand():
    """Two groups of two: samples 0 and 2, and 1 and 3. Half the distance of a pair is its standard deviation."""
    x = torch.tensor([0.0, 5.0, 2.0, 5.0]).view(4, 1, 1, 1).repeat(1, 2, 3, 3)
    out = ganzoo.MinibatchStddev(2)(x)
    assert out.shape == (4, 3, 3, 3) and torch.equal(out[:, :2], x)
    torch.testing.assert_close(out[:, 2, 0, 0], torch.tensor([1.0, 1e-4, 1.0, 1e-4]))


@pytest.mark.parametrize("n", [4, 5])
def test_samples_that_are_alike_in_half_precision(n):
    """As are all of a group of one: the gradient stays finite, and small differences do not vanish."""
    x = (1e-4 * torch.randn(n, 2, 3, 3)).half()
    x[:, :, 0, 0] = 1.0
    out = ganzoo.MinibatchStddev(4)(x.requires_grad_())
    assert out.dtype == torch.float16
    assert out[:, 2].min() > 0
    (gradient,) = torch.autograd.grad(out[:, 2].float().sum(), x)
    assert gradient.isfinite().all()


@pytest.mark.parametrize(("n", "size"), [(1, 1), (2, 2), (5, 1), (6, 3), (8, 4)])
def test_groups_fit_the_batch(n, size):
    x = smooth(n, 2, 3, 3)
    slow = torch.empty(n, dtype=x.dtype)
    for i in range(n):
        members = x[[j for j in range(n) if j % (n // size) == i % (n // size)]]
        slow[i] = (members.var(0, correction=0) + 1e-8).sqrt().mean()
    torch.testing.assert_close(ganzoo.MinibatchStddev(4)(x)[:, 2, 1, 1], slow)
