"""ADA: each transform against a slow reference, the controller worked by hand, and every variant that learns with it."""

from functools import partial

import numpy as np
import pytest
import torch
from conftest import TINY, four_samples, of_digits
from test_lecam import a_round
from torch import nn
from torch._dynamo.utils import counters

import ganzoo
from ganzoo import ada
from ganzoo.__main__ import main
from ganzoo.duel import Duel
from ganzoo.listing import variants
from ganzoo.networks import wavelets

ALL = ("blit", "geom", "color", "filter", "noise", "cutout")
SHAPES = [(1, 7, 7), (3, 8, 8), (3, 5, 9), (1, 16, 16)]  # odd sides, grey, oblong
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)
FIT = [
    variant
    for variant in variants()
    if issubclass(variant, Duel) and len(variant.usual_shape) == 3 and variant is not ganzoo.BEGAN
]
PI = np.pi


def images(shape, n: int = 3) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(n, *shape, dtype=torch.float64, requires_grad=True)


def front(shape=(3, 16, 16), **arguments) -> ganzoo.AdaptiveAugment:
    return ganzoo.AdaptiveAugment(nn.Identity(), shape, **arguments)


def numbers(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def whole(*values: int) -> torch.Tensor:
    return torch.tensor(values)


def for_variant(variant) -> partial:
    """The controller on, or a fixed p where there is nothing that it could listen to."""
    return partial(ganzoo.AdaptiveAugment, **({"kimg": 1} if variant.one_logit else {"target": None, "p": 0.5}))


def differentiable(operation, x: torch.Tensor) -> None:
    """Gradients, and gradients of gradients, by finite differences."""
    assert torch.autograd.gradcheck(operation, x)
    assert torch.autograd.gradgradcheck(lambda x: operation(x).sin(), x)


# --- wavelets


@pytest.mark.parametrize("taps", [wavelets.SYM2, wavelets.SYM6], ids=["sym2", "sym6"])
def test_symlets_are_orthogonal_and_have_vanishing_moments(taps):
    h, n = np.array(taps), len(taps)
    for shift in range(0, n, 2):
        assert h[shift:] @ h[: n - shift] == pytest.approx(float(shift == 0), abs=1e-10)
    assert h.sum() == pytest.approx(2**0.5)
    for power in range(n // 2):  # of the high-pass filter: as many as half its taps
        assert (h * (-1.0) ** np.arange(n)) @ np.linspace(-1, 1, n) ** power == pytest.approx(0, abs=1e-9)


def test_sym2_in_closed_form():
    root = 3**0.5
    assert pytest.approx([part / (4 * 2**0.5) for part in (1 - root, 3 - root, 3 + root, 1 + root)]) == wavelets.SYM2


@pytest.mark.parametrize("side", [5, 16, 32])
def test_downsampling_undoes_upsampling(side):
    torch.testing.assert_close(wavelets.downsampling(side) @ wavelets.upsampling(side), torch.eye(side, dtype=torch.float64))


def test_a_reflection_has_no_end():
    assert [wavelets.folded(i, 4) for i in range(-7, 11)] == [1, 0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2]
    assert torch.equal(wavelets.folded(torch.tensor([-0.5, 3.25]), 4), torch.tensor([0.5, 2.75]))


def test_the_bands_are_octaves_and_their_sum_is_the_identity():
    bands = wavelets.bank().numpy()
    assert bands.shape == (4, 43)
    np.testing.assert_allclose(bands.sum(0), np.eye(43)[21], atol=1e-12)
    np.testing.assert_allclose(bands, bands[:, ::-1], atol=1e-12)
    frequency = np.array([0, PI / 12, 3 * PI / 16, 3 * PI / 8, PI])  # the last four: in the middle of a band
    response = np.abs(bands @ np.exp(-1j * np.outer(np.arange(43) - 21, frequency)))
    np.testing.assert_allclose(response[:, 0], [1, 0, 0, 0], atol=1e-9)
    np.testing.assert_allclose(response[:, 4], [0, 0, 0, 1], atol=1e-9)
    assert response[:, 1:].argmax(0).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("side", [16, 64])
def test_band_filters_are_convolutions_of_the_reflected_image(side):
    x = np.random.default_rng(0).normal(size=side)
    padded = np.pad(x, 21, mode="reflect")
    expected = [np.convolve(padded, band, mode="valid") for band in wavelets.bank().numpy()]
    np.testing.assert_allclose(wavelets.band_filters(side).numpy() @ x, expected, atol=1e-12)


def test_sampling_and_its_adjoint():
    x = images((2, 4, 5), 2)
    grid = torch.rand(2, 3, 6, 2, dtype=torch.float64) * 2 - 1
    y = torch.randn(2, 2, 3, 6, dtype=torch.float64)
    torch.testing.assert_close((wavelets.sampled(x, grid) * y).sum(), (x * wavelets.scattered(y, grid, 4, 5)).sum())
    for operation in (lambda x: wavelets.sampled(x, grid), lambda x: wavelets.sampled(x.sin(), grid)):
        differentiable(operation, x)
    torch.library.opcheck(wavelets.sampled, (x, grid))
    torch.library.opcheck(wavelets.scattered, (y.requires_grad_(), grid, 4, 5))


# --- blit


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 7, 7)], ids=str)
def test_flips_quarter_turns_and_shifts_copy_pixels(shape):
    x = images(shape, 5)
    flip, quarters = whole(1, 0, 0, 0, 1), whole(0, 1, 2, 3, 1)
    down, right = whole(0, 0, 0, 0, 2), whole(0, 0, 0, 0, -1)

    def reference(x):
        last = x[4].flip(2).rot90(1, (1, 2)).detach().numpy()
        last = np.pad(last, [(0, 0), (2, 2), (1, 1)], mode="reflect")[:, :-4, 2:]
        turned = [x[i].rot90(i, (1, 2)) for i in (1, 2, 3)]
        return torch.stack([x[0].flip(2), *turned, torch.from_numpy(last)])

    assert torch.equal(ada.blitted(x, flip, quarters, down, right), reference(x))
    differentiable(lambda x: ada.blitted(x, flip, quarters, down, right), x)


def test_oblong_images_turn_about_their_middle():
    x = torch.arange(15.0).view(1, 1, 3, 5)
    turned = ada.blitted(x, whole(0), whole(1), whole(0), whole(0))
    square = x[..., 1:4].rot90(1, (2, 3))
    assert torch.equal(turned[..., 1:4], square)
    assert torch.equal(turned[0, 0, :, 0], square[0, 0, :, 1]), "reflected"


# --- geom


def slow_resampling(x: np.ndarray, inverse: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """One channel [H, W], by sums over taps, of an image that is padded by reflection as far as needed."""
    pad, h, (height, width) = 60, np.array(wavelets.SYM6), x.shape
    padded = np.pad(x, pad, mode="reflect")

    def sample(i: int, j: int) -> float:
        """Of the twice as large image, number 0 on pixel 0."""
        return sum(
            2 * h[a] * h[b] * padded[(i + 5 - a) // 2 + pad, (j + 5 - b) // 2 + pad]
            for a in range((i + 1) % 2, 12, 2)
            for b in range((j + 1) % 2, 12, 2)
        )

    def at(i: int, j: int) -> float:
        """The moved one, bilinear."""
        place = np.array([j - (width - 1), i - (height - 1)]) - 2 * shift * (width, height)
        u, v = inverse @ place + (width - 1, height - 1)
        m, n = int(np.floor(v)), int(np.floor(u))
        v, u = v - m, u - n
        corners = [(m, n, (1 - v) * (1 - u)), (m, n + 1, (1 - v) * u), (m + 1, n, v * (1 - u)), (m + 1, n + 1, v * u)]
        return sum(weight * sample(i, j) for i, j, weight in corners)

    moved = np.array([[at(i, j) for j in range(-5, 2 * width + 5)] for i in range(-5, 2 * height + 5)])
    return np.array([[h @ moved[2 * i : 2 * i + 12, 2 * j : 2 * j + 12] @ h / 2 for j in range(width)] for i in range(height)])


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 7, 10)], ids=str)
def test_resampling_is_the_slow_one(shape):
    x = images(shape, 1)
    turned, shift = ada.turn(numbers(0.1)), numbers(0.02, -0.03)[None]
    inverse = turned * numbers(1.05, 0.9)
    expected = slow_resampling(x[0, 0].detach().numpy(), inverse[0].numpy(), shift[0].numpy())
    got = front(shape).double().resampled(x, inverse, shift)[0, 0].detach().numpy()
    inside = (slice(2, -2), slice(2, -2))  # at the edges samples are reflected instead of pixels
    np.testing.assert_allclose(got[inside], expected[inside], atol=0.02)
    np.testing.assert_allclose(got[3:-3, 3:-3], expected[3:-3, 3:-3], atol=1e-5)
    np.testing.assert_allclose(got, expected, atol=0.3)


def test_no_move_and_whole_pixels_are_exact():
    x, module = images((3, 16, 16), 2), front()
    same, by = torch.eye(2, dtype=torch.float64).expand(2, 2, 2), numbers(1 / 16, -2 / 16).expand(2, 2)
    torch.testing.assert_close(module.resampled(x, same, 0 * by), x, atol=1e-8, rtol=0)
    moved = ada.blitted(x, *(whole(0, 0) for _ in range(2)), whole(-2, -2), whole(1, 1))
    inner = (..., slice(2, -4), slice(3, -2))
    torch.testing.assert_close(module.resampled(x, same, by)[inner], moved[inner], atol=1e-8, rtol=0)


@pytest.mark.parametrize(
    "degrees, scale, by", [(0, 1, (0.3, 0.7)), (30, 1, (0, 0)), (-100, 1.3, (1.5, -0.2)), (0, 0.8, (0, 0))]
)
def test_a_wave_is_moved_as_it_should_be(degrees, scale, by):
    """cos(k . (x - middle)) shown at place is cos(k . inverse (place - shift)), apart from what is bilinear about it."""
    side, k = 32, numbers(0.35, -0.2)
    axis = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
    places = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), 2)  # [H, W, (x, y)]
    inverse, shift = ada.turn(numbers(np.radians(degrees))) / scale, numbers(*by)
    wave = (places @ k + 0.4).cos()[None, None]
    expected = ((places - shift) @ inverse[0].T @ k + 0.4).cos()
    got = front((1, side, side)).resampled(wave, inverse, shift[None] / side)[0, 0]
    inner = (slice(9, -9), slice(9, -9))
    torch.testing.assert_close(got[inner], expected[inner], atol=0.02, rtol=0)


def test_the_direction_is_that_of_quarter_turns_and_shifts():
    """Of a spot off the middle: what both do with it."""
    x = torch.zeros(4, 1, 16, 16, dtype=torch.float64)
    x[:, :, 3:6, 8:10] = 1
    angles = numbers(PI / 2, PI, -PI / 2, 0)
    module = front((1, 16, 16))
    got = module.resampled(x, ada.turn(angles), numbers(*[0] * 6, 2 / 16, 1 / 16).view(4, 2))
    expected = ada.blitted(x, whole(0, 0, 0, 0), whole(1, 2, 3, 0), whole(0, 0, 0, 1), whole(0, 0, 0, 2))
    correlation = [
        float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1]) for a, b in zip(got, expected, strict=True)
    ]
    assert min(correlation) > 0.97


def test_resampling_is_differentiable_twice():
    module = front((1, 5, 6)).double()
    inverse = ada.turn(numbers(0.7, -2.0)) * numbers(1.3, 0.8)
    differentiable(lambda x: module.resampled(x, inverse, numbers(0.1, -0.2).expand(2, 2)), images((1, 5, 6), 2))


# --- color


def slow_colours(x: np.ndarray, b: float, c: float, i: int, theta: float, s: float) -> np.ndarray:
    """Appendix B: a product of 4x4 matrices of [R, G, B, 1]."""
    v = np.array([1, 1, 1, 0]) / 3**0.5
    vv, one = np.outer(v, v), np.eye(4)
    brightness = one.copy()
    brightness[:3, 3] = b
    contrast = np.diag([2**c] * 3 + [1])
    cross = np.array([[0, -1, 1, 0], [1, 0, -1, 0], [-1, 1, 0, 0], [0, 0, 0, 0]]) / 3**0.5
    plane = np.diag([1, 1, 1, 0]) - vv
    hue = vv + np.cos(theta) * plane + np.sin(theta) * cross + np.diag([0, 0, 0, 1])
    saturation = vv + 2**s * plane + np.diag([0, 0, 0, 1])
    matrix = saturation @ hue @ (one - 2 * i * vv) @ contrast @ brightness
    if len(x) == 1:  # a grey image as three equal channels, and the mean of what comes out
        x = np.repeat(x, 3, axis=0)
        return (np.einsum("ij,jhw->ihw", matrix[:3, :3], x) + matrix[:3, 3, None, None]).mean(0, keepdims=True)
    return np.einsum("ij,jhw->ihw", matrix[:3, :3], x) + matrix[:3, 3, None, None]


@shapes
def test_colours_are_the_product_of_matrices(shape):
    x = images(shape, 4)
    amounts = [
        numbers(0.3, 0, 0, -0.1),
        numbers(-0.4, 0.2, 0, 1),
        whole(1, 0, 0, 1),
        numbers(1, 2, 0, -3),
        numbers(0.5, 0, 0, -1),
    ]
    expected = [slow_colours(one, *(float(of[i]) for of in amounts)) for i, one in enumerate(x.detach().numpy())]
    np.testing.assert_allclose(ada.recoloured(x, *amounts).detach().numpy(), np.stack(expected), atol=1e-12)
    differentiable(lambda x: ada.recoloured(x[:2], *(of[:2] for of in amounts)), x)


def test_colours_by_hand():
    red = numbers(1.0, 0.0, 0.0).view(1, 3, 1, 1).expand(5, 3, 1, 1)
    third = 2 * PI / 3
    rows = [(0.5, 0, 0, 0, 0), (0, 1, 0, 0, 0), (0, 0, 1, 0, 0), (0, 0, 0, third, 0), (0, 0, 0, 0, 1)]
    got = ada.recoloured(red, *(torch.tensor(of, dtype=torch.float64) for of in zip(*rows, strict=True)))[:, :, 0, 0]
    assert got.tolist() == [
        pytest.approx(of, abs=1e-12)
        for of in ([1.5, 0.5, 0.5], [2, 0, 0], [1 / 3, -2 / 3, -2 / 3], [0, 1, 0], [5 / 3, -1 / 3, -1 / 3])
    ]


# --- filter, noise, cutout


def test_gains_by_hand():
    """Band 1 twice as loud: power 10/13 + 4/13 + 2/13, so all are divided by sqrt(16/13); each band so in turn."""
    got = ada.evened(numbers(0, 1, 0, 0, 0, 0, 0, 0, 1, 0, -1, 0).view(3, 4))
    first = np.array([1, 2, 1, 1]) / (16 / 13) ** 0.5
    third = np.array([2, 1, 1, 1]) / (43 / 13) ** 0.5 * np.array([1, 1, 0.5, 1]) / (12.25 / 13) ** 0.5
    np.testing.assert_allclose(got.numpy(), [first, [1, 1, 1, 1], third])


def test_filters_are_convolutions_along_both_sides(monkeypatch):
    x, module = images((3, 32, 32), 2), front((3, 32, 32), policy=("filter",), p=1.0)
    drawn = iter(torch.tensor([[0.5, 0], [-1, 0], [2, 0], [0.3, 0]], dtype=torch.float64))
    monkeypatch.setattr(ada, "normal", lambda x: next(drawn))
    got = module(x)
    assert torch.equal(got[1], x[1])
    kernel = ada.evened(numbers(0.5, -1, 2, 0.3)[None])[0].numpy() @ wavelets.bank().numpy()
    padded = np.pad(x[0].detach().numpy(), [(0, 0), (21, 21), (21, 21)], mode="reflect")
    for axis in (1, 2):
        padded = np.apply_along_axis(np.convolve, axis, padded, kernel, mode="valid")
    np.testing.assert_allclose(got[0].detach().numpy(), padded, atol=1e-8)


def test_noise_is_of_each_images_own_size():
    torch.manual_seed(0)
    noise = front((3, 64, 64), policy=("noise",), p=1.0)(torch.zeros(400, 3, 64, 64))
    sizes = noise.flatten(1).std(1)
    assert sizes.mean().item() == pytest.approx(0.1 * (2 / PI) ** 0.5, rel=0.1)
    assert sizes.square().mean().sqrt().item() == pytest.approx(0.1, rel=0.1)


def test_holes():
    x = torch.ones(3, 1, 8, 6)
    holes = ada.holed(x, numbers(0.5, 0.5, 0), numbers(0.5, 0.5, 0, 1, 0.5, 0.5).view(3, 2))
    expected = torch.ones(3, 1, 8, 6)
    expected[0, :, 2:6, 2:4] = 0  # pixels' middles are less than a quarter of the side away
    expected[1, :, :2, 5:] = 0
    assert torch.equal(holes, expected)


# --- all together


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 16, 16), (3, 17, 24)], ids=str)
def test_at_p_zero_images_are_what_they_were(shape):
    x = torch.randn(5, *shape)
    assert torch.equal(front(shape, policy=ALL)(x), x)


@pytest.mark.parametrize("group", ALL)
def test_p_is_the_share_of_changed_images(group):
    """Of each transform: a flip and a quarter turn of zero are drawn too, and luma is inverted in half of the cases."""
    torch.manual_seed(0)
    module, x = front((3, 16, 16), policy=(group,), p=0.3), torch.randn(3000, 3, 16, 16)
    left = {"blit": 0.85 * 0.775 * 0.7, "geom": 0.7**4, "color": 0.7**4 * 0.85, "filter": 0.7**4, "noise": 0.7, "cutout": 0.7}
    changed = (module(x) != x).flatten(1).any(1).float().mean().item()
    assert changed == pytest.approx(1 - left[group], abs=0.03)
    module.p.fill_(1)
    assert (module(x) != x).flatten(1).any(1).float().mean() > 0.93


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("shape", [(1, 5, 5), (3, 4, 5)], ids=str)
def test_the_whole_is_differentiable_twice(shape, seed):
    module = front(shape, policy=ALL, p=0.8).double()

    def operation(x):
        torch.manual_seed(seed)
        return module(x)

    differentiable(operation, images(shape, 2))


@pytest.mark.parametrize("p", [0.0, 0.5])
def test_it_compiles_as_one_graph(p):
    torch._dynamo.reset()
    module, x = front(policy=ALL, p=p), torch.randn(4, 3, 16, 16, requires_grad=True)
    outputs = []
    for run in (module, torch.compile(module, backend="aot_eager", fullgraph=True)):
        torch.manual_seed(1)
        y = run(x)
        outputs.append((y, *torch.autograd.grad(y.square().sum(), x)))
    for eager, compiled in zip(*outputs, strict=True):
        assert torch.equal(eager, compiled)


def test_under_autocast_images_stay_precise():
    module, x = front(p=0.9), torch.randn(4, 3, 16, 16)
    torch.manual_seed(0)
    expected = module(x)
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(module(x), expected)


def test_packed_images_change_each_for_itself():
    single, packed = front((3, 16, 16), p=0.7), front((3, 16, 16), p=0.7)
    x = images((3, 16, 16), 6).detach()
    torch.manual_seed(1)
    expected = single(x)
    torch.manual_seed(1)
    assert torch.equal(packed(x.reshape(3, 6, 16, 16)), expected.reshape(3, 6, 16, 16))


def test_only_in_training_mode():
    module, x = front(p=1.0), torch.rand(4, 3, 16, 16)
    state = torch.get_rng_state()
    assert module.eval()(x) is x
    assert torch.equal(torch.get_rng_state(), state)


# --- p


def turns_of(module, turns: list[list[float]]) -> None:
    """Discriminator's turns with these logits of real samples."""

    def loss(x):
        return {"real": module(x).sum(), "fake": module(x).sum()}

    for real in turns:
        answers = iter([torch.tensor(real), torch.ones(len(real))])
        module.discriminator.forward = lambda x, answers=answers: next(answers)
        assert set(module.overheard(loss)(torch.zeros(len(real), 1, 16, 16))) == {"real", "fake"}
        assert module.heard is None, "no tensor is kept"


def test_p_moves_by_the_stated_step():
    module = front((1, 16, 16), kimg=1, interval_steps=2)
    turns_of(module, [[1.0, 2.0, -0.1, 3.0], [0.5, 1.0, 1.0, 2.0]])  # signs: mean (2 + 4) / 8 = 0.75
    module.anneal(1)
    assert module.p.item() == 0, "not yet"
    module.anneal(2)
    assert (module.p.item(), module.r.item()) == pytest.approx((8 / 1000, 0.75))
    assert module.signs.item() == module.logits.item() == module.images.item() == 0
    turns_of(module, [[1.0, 1.0, 1.0, 1.0, -1.0]])  # 3 / 5: just so
    module.r.fill_(0)
    module.anneal(4)
    assert module.r.item() == pytest.approx(0.6)
    up = module.p.item()
    turns_of(module, [[1.0, -1.0]])  # 0
    module.anneal(6)
    assert module.p.item() == pytest.approx(up - 2 / 1000)
    turns_of(module, [[-1.0] * 500])
    module.anneal(8)
    assert module.p.item() == 0
    turns_of(module, [[1.0] * 1500])
    module.anneal(10)
    assert module.p.item() == 1
    module.anneal(12)
    assert module.p.item() == 1, "nothing was heard"


def test_p_counts_the_images_of_all_devices(monkeypatch):
    """Sums are averaged over them with the gradients: a mean sign stays one, a number of images does not."""
    monkeypatch.setattr(ada.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(ada.dist, "get_world_size", lambda: 3)
    module = front((1, 16, 16), kimg=1)
    turns_of(module, [[1.0, 1.0]])
    module.anneal(4)
    assert (module.p.item(), module.r.item()) == pytest.approx((3 * 2 / 1000, 1.0))


def test_a_fixed_p_stays():
    module = front((1, 16, 16), target=None, p=0.3)
    assert module.overheard(dict) is dict, "the loss itself"
    module.anneal(4)
    assert module.p.item() == pytest.approx(0.3)
    assert set(module.logged()) == {"augment_p"}


@pytest.mark.parametrize("variant", [ganzoo.DCGAN, ganzoo.WGANGP, ganzoo.PacGAN], ids=lambda variant: variant.__name__)
def test_p_is_that_of_the_real_samples_that_were_seen(variant, fit):
    """Several turns a round, packs, penalties: images of all D's turns are counted, real logits of each turn's first pass."""
    torch.manual_seed(0)
    game = of_digits(
        variant, augment=partial(ganzoo.AdaptiveAugment, kimg=1, interval_steps=2), discriminator_steps=3, lecam=0.1
    )
    signs, rounds = [], []
    module = game.discriminator.discriminator
    told, anneal = module.told, module.anneal
    module.told = lambda real, fake, images: (
        signs.append((real.sign().sum().item(), real.numel(), images)),
        told(real, fake, images),
    )[1]
    module.anneal = lambda step: (rounds.append(step), anneal(step))
    fit(game, max_steps=4)
    assert rounds == [1, 2, 3, 4]
    assert len(signs) == 12
    p = 0.0
    for half in (signs[:6], signs[6:]):
        total, logits, seen = (sum(of) for of in zip(*half, strict=True))
        assert seen == 48
        p = min(1.0, max(0.0, p + float(np.sign(total / logits - 0.6)) * 0.048))
    assert module.p.item() == pytest.approx(p)
    assert game.terms["discriminator/augment_r"].item() == pytest.approx(
        sum(s for s, _, _ in signs[:6]) / sum(n for _, n, _ in signs[:6])
    )


def test_p_is_logged_and_no_part_of_the_loss(fit):
    torch.manual_seed(0)
    game = of_digits(ganzoo.DCGAN, augment=partial(ganzoo.AdaptiveAugment, p=0.5, kimg=1))
    fit(game, max_steps=5)
    terms = {name.partition("/")[2]: term.item() for name, term in game.terms.items() if name.startswith("discriminator/")}
    assert set(terms) == {"real", "fake", "loss", "gradient_norm", "augment_p", "augment_r"}
    assert terms["loss"] == pytest.approx(terms["real"] + terms["fake"])
    assert terms["augment_p"] == pytest.approx(game.discriminator.p.item())
    assert abs(terms["augment_p"] - 0.5) == pytest.approx(0.032), "in the fifth round, after one step"
    assert not any("augment" in name for name in game.terms if name.startswith("generator/"))


# --- games


@pytest.mark.parametrize("variant", FIT, ids=lambda variant: variant.__name__)
def test_every_variant_learns_with_it(variant, fit):
    torch.manual_seed(0)
    game = of_digits(variant, augment=for_variant(variant))
    calls = []
    augmented = game.discriminator.augmented
    game.discriminator.augmented = lambda x: (calls.append(tuple(x.shape[1:])), augmented(x))[1]
    fit(game, max_steps=5)
    assert all(term.isfinite() for term in game.terms.values())
    assert set(calls) == {TINY}, "single images, whatever stands beside them"
    p = game.discriminator.p.item()
    if variant.one_logit:
        assert p in (0, pytest.approx(4 * 8 * game.discriminator_steps / 1000))
    else:
        assert p == 0.5
    calls.clear()
    game.eval()
    game.opinions(*four_samples(game))
    assert not calls, "nothing in evaluation mode"
    assert game.discriminator.p.item() == p


SOME = [ganzoo.DCGAN, ganzoo.WGANGP, ganzoo.ACGAN, ganzoo.UnrolledGAN, ganzoo.PacGAN, ganzoo.R1GAN]
some = pytest.mark.parametrize("variant", SOME, ids=lambda variant: variant.__name__)


def busy(variant, **arguments) -> ganzoo.Game:
    torch.manual_seed(0)
    augment = partial(ganzoo.AdaptiveAugment, p=0.5, kimg=1, interval_steps=2, policy=ALL)
    return of_digits(variant, augment=augment, lecam=0.1, **arguments)


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


@some
def test_compiled_rounds_are_the_eager_ones(variant, fit, aot_eager):
    few = {"unrolling_steps": 1} if variant is ganzoo.UnrolledGAN else {}
    eager, compiled = (busy(variant, compile=how, **few) for how in (False, True))
    fit(eager, max_steps=3)
    counters.clear()
    fit(compiled, max_steps=3)
    assert counters["stats"]["unique_graphs"] == 2, "each loss is compiled once, whatever p is"
    assert same(eager, compiled)
    assert eager.discriminator.discriminator.p != 0.5, "after one step of the controller"


@pytest.mark.parametrize("variant", [ganzoo.DCGAN, ganzoo.WGANGP], ids=lambda variant: variant.__name__)
def test_a_run_resumes_exactly_also_within_an_interval(variant, fit, tmp_path):
    straight, first, second = (busy(variant) for _ in range(3))
    fit(straight, max_steps=6)
    fit(first, max_steps=3).save_checkpoint(tmp_path / "x.ckpt")
    assert first.discriminator.discriminator.images > 0
    assert same(first, ganzoo.load(tmp_path / "x.ckpt"))
    fit(second, max_steps=6, ckpt_path=tmp_path / "x.ckpt")
    assert same(straight, second)


def test_the_host_reads_no_value(monkeypatch):
    """Nor does p's own step, which is due after this round."""
    torch.manual_seed(0)
    game = of_digits(
        ganzoo.WGANGP, augment=partial(ganzoo.AdaptiveAugment, policy=ALL, interval_steps=1), discriminator_steps=1
    )
    turns = a_round(game, ganzoo.WGANGP)
    for name in ("item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__", "__index__"):
        monkeypatch.setattr(torch.Tensor, name, lambda *_, name=name, **__: pytest.fail(f"{name} was called"))
    for player, loss, batch in turns:
        game.move(player, loss, batch)
        game.after_turn(player)
    game.after_round()
    monkeypatch.undo()
    assert game.discriminator.images == 0


def test_the_watch_changes_nothing(fit):
    alone, watched = busy(ganzoo.DCGAN), busy(ganzoo.DCGAN)
    fit(alone, max_steps=5)
    fit(watched, max_steps=5, callbacks=[ganzoo.CollapseWatch(every_steps=1, n=6)])
    assert same(alone, watched)


def test_no_constant_is_averaged_over_devices_or_saved():
    """Floating buffers are, and are rounded each time."""
    module = front(policy=ALL)
    floating = {name for name, buffer in module.named_buffers() if buffer.is_floating_point()}
    assert floating == set(module.state_dict()) == {"p", "r", "signs", "logits", "images"}
    torch.testing.assert_close(module.matrix("bands_rows", torch.zeros(1).double()), wavelets.band_filters(16))


def test_what_cannot_be_augmented_is_refused():
    with pytest.raises(
        ValueError, match=r"^AdaptiveAugment changes images, not samples of shape \(2,\): leave out --model\.augment$"
    ):
        ganzoo.GAN(shape=(2,), augment=ganzoo.AdaptiveAugment)
    for variant in (ganzoo.R3GAN, ganzoo.SemiSupervisedGAN):
        with pytest.raises(
            ValueError, match=rf"^{variant.__name__}'s discriminator has no one logit .*: set --model\.augment\.target null"
        ):
            of_digits(variant, augment=ganzoo.AdaptiveAugment)
    with pytest.raises(ValueError, match=r"colours of 1 or 3 channels, not 4: leave color out"):
        front((4, 16, 16))
    assert front((4, 16, 16), policy=("blit", "geom")).policy == ("blit", "geom")
    for wrong in ({"p": 1.5}, {"target": -1}, {"kimg": 0}, {"interval_steps": 0}):
        with pytest.raises(ValueError, match="AdaptiveAugment are"):
            front(**wrong)


def test_it_is_switched_on_from_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = ["fit", "--config", "dcgan_digits.yaml", "--trainer.accelerator", "cpu", "--trainer.max_steps", "2"]
    command += ["--evaluation.every_steps", "null", "--model.augment", "AdaptiveAugment"]
    main(command)
    assert ganzoo.load(tmp_path / "runs/dcgan_digits/version_0/checkpoints/last.ckpt").discriminator.target == 0.6
    main([*command, "--model.augment.policy", "[blit, cutout]", "--model.augment.target", "null", "--model.augment.p", "0.2"])
    game = ganzoo.load(tmp_path / "runs/dcgan_digits/version_1/checkpoints/last.ckpt")
    assert (game.discriminator.policy, game.discriminator.target) == (("blit", "cutout"), None)
    assert game.discriminator.p.item() == pytest.approx(0.2)
