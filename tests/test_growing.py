"""ProGAN and StyleGAN: their layers against slow references in float64, how networks grow, and what growing does to a run."""

import math
from collections.abc import Iterator
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from conftest import TINY, data_for, of_digits, trainer
from torch import nn
from torch._dynamo.utils import counters
from torch.autograd import gradcheck, gradgradcheck

import ganzoo
from ganzoo.duel import truncated
from ganzoo.game import draw_from
from ganzoo.growing import BATCH_SIZES, GrowingDuel
from ganzoo.loading import exported, read
from ganzoo.networks.equalised import EqualisedConv2d, EqualisedLinear, pixel_norm
from ganzoo.networks.filters import enlarged
from ganzoo.networks.progressive import doubled, halved, reduced
from ganzoo.networks.stylegan import adaptive_instance_norm
from ganzoo.schedules import at_size, grown

VARIANTS = pytest.mark.parametrize("variant", [ganzoo.ProGAN, ganzoo.StyleGAN])
GENERATORS = pytest.mark.parametrize("generator", [ganzoo.ProGANGenerator, ganzoo.StyleGANGenerator])
DISCRIMINATORS = pytest.mark.parametrize("discriminator", [ganzoo.ProGANDiscriminator, ganzoo.StyleGANDiscriminator])


def doubles(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def learned(network: nn.Module) -> nn.Module:
    """In float64 and evaluation mode, with weights that are nowhere zero."""
    for weight in network.parameters():
        nn.init.normal_(weight, std=0.5)
    return network.double().eval()


def small(variant, **arguments) -> GrowingDuel:
    """The variant's game of digits in narrow networks that stay as small as they are at first."""
    torch.manual_seed(0)
    return of_digits(variant, **{"stabilise_kimg": 1000.0} | arguments)


# --- schedules ---


def test_growth_by_hand():
    thousands = {0: 0, 600: 0, 750: 0.25, 900: 0.5, 1200: 1, 1800: 1, 2100: 1.5, 2400: 2}
    for kimg, levels in thousands.items():
        assert grown(1000 * kimg, 600_000, 600_000) == levels, kimg
    assert [grown(images, 10, 0) for images in (0, 9, 10, 25)] == [0, 0, 1, 2], "without fading a level is there at once"
    assert [grown(images, 0, 10) for images in (0, 5, 10, 25)] == [0, 0.5, 1, 2.5]
    assert grown(-5, 10, 10) == 0


@pytest.mark.parametrize(("first", "stabilise", "fade"), [(4, 600, 600), (8, 600, 600), (4, 100, 0), (16, 30, 70)])
def test_levels_are_the_authors(first, stabilise, fade):
    """Their level of detail counts down from the images' size: 64 here."""
    with torch.device("meta"):
        game = ganzoo.ProGAN(
            shape=(3, 64, 64), first_size=first, stabilise_kimg=stabilise, fade_kimg=fade, average_decay=None, compile=False
        )
    for kimg in range(0, 6000, 7):
        phase = kimg // (stabilise + fade)
        lod = 6 - math.log2(first) - phase
        if fade > 0:
            lod -= max(kimg - phase * (stabilise + fade) - stabilise, 0.0) / fade
        lod = max(lod, 0.0)
        game.images_seen = 1000 * kimg
        assert 4 << game.level == 2 ** (6 - math.floor(lod))
        stage = game.stage(game.images_seen)
        assert 1 - (game.level - stage) == pytest.approx(1 - (lod - math.floor(lod)))


def test_tables_by_size():
    assert [at_size(BATCH_SIZES, size, 999) for size in (4, 8, 16, 32, 64, 128, 256, 512, 1024)] == (
        [128] * 3 + [64, 32, 16, 8, 4, 4]
    )
    assert at_size({128: 1.5}, 64, 1.0) == 1.0
    assert at_size({}, 64, 1.0) == 1.0


# --- resampling and fading ---


def test_enlarging_and_reducing():
    x = doubles(2, 3, 4, 4)
    for times in (0, 1, 2):
        assert torch.equal(enlarged(x, times), F.interpolate(x, scale_factor=2.0**times))
        torch.testing.assert_close(reduced(enlarged(x, times), times), x)
        assert gradcheck(partial(enlarged, doublings=times), x)
        assert gradgradcheck(partial(enlarged, doublings=times), x)
    torch.testing.assert_close(reduced(x)[0, 0, 0, 0], x[0, 0, :2, :2].mean())


@pytest.mark.parametrize("bias", [True, False])
def test_convolutions_that_resample(bias):
    layer = learned(EqualisedConv2d(2, 3, 3, bias=bias, gain=1.5))
    x = doubles(2, 2, 4, 4)
    torch.testing.assert_close(doubled(x, layer), layer(F.interpolate(x, scale_factor=2.0)))
    torch.testing.assert_close(halved(x, layer), F.avg_pool2d(layer(x), 2))
    for resampled in (doubled, halved):
        assert gradcheck(lambda x, _, of=resampled: of(x, layer), (x, layer.weight))
        assert gradgradcheck(lambda x, _, of=resampled: of(x, layer), (x, layer.weight))


@GENERATORS
def test_a_generators_levels(generator):
    network = learned(generator(5, TINY, width=4))
    z, before = doubles(3, 5), torch.zeros(())
    for level in range(3):
        network.grow(level, 1.0)
        image = network(z)
        assert image.shape == (3, *TINY)
        torch.testing.assert_close(enlarged(reduced(image, 2 - level), 2 - level), image)  # of 4 2^level pixels a side
        if level:
            network.grow(level, 0.0)
            assert torch.equal(network(z), before), "at first it is the network that it was"
            network.grow(level, 0.25)
            expected = before.lerp(image, 0.25)
            inside = (before.abs() < 1) & (image.abs() < 1)  # what is not clamped
            torch.testing.assert_close(network(z)[inside], expected[inside])
        before = image


@DISCRIMINATORS
def test_a_discriminators_levels(discriminator):
    network = learned(discriminator(TINY, width=4))
    x, before = doubles(4, *TINY), torch.zeros(())
    for level in range(3):
        network.grow(level, 1.0)
        logit = network(x)
        assert logit.shape == (4,)
        blurred = enlarged(reduced(x, 2 - level), 2 - level)
        torch.testing.assert_close(network(blurred), logit)
        if level:
            network.grow(level, 0.0)
            torch.testing.assert_close(network(x), before, rtol=1e-12, atol=1e-12)
        before = logit


@GENERATORS
@DISCRIMINATORS
def test_a_level_that_is_there_leaves_the_one_below_aside(generator, discriminator):
    for network, x, layers in (
        (generator(5, TINY, width=4).eval(), torch.randn(3, 5), "to_rgb"),
        (discriminator(TINY, width=4), torch.randn(4, *TINY), "from_rgb"),
    ):
        for level in (1, 2):
            network.grow(level, 1.0)
            before = network(x)
            nn.init.normal_(getattr(network, layers)[level - 1].weight)
            assert torch.equal(network(x), before)
            network.grow(level, 0.5)
            assert not torch.equal(network(x), before)


def test_real_images_fade_like_the_authors():
    network = ganzoo.ProGANGenerator(5, TINY, width=4).double()
    real = doubles(2, *TINY)

    def at(size: int) -> torch.Tensor:
        means = real.unflatten(3, (size, -1)).unflatten(2, (size, -1)).mean((3, 5))
        return means.repeat_interleave(16 // size, 2).repeat_interleave(16 // size, 3)

    for level, alpha in ((0, 1.0), (1, 0.25), (1, 1.0), (2, 0.5), (2, 1.0)):
        network.grow(level, alpha)
        size = 4 << level
        expected = at(size) if level == 0 else alpha * at(size) + (1 - alpha) * at(size // 2)
        torch.testing.assert_close(network.faded(real), expected)
    assert torch.equal(network.faded(real), real), "the whole network sees them as they are"


# --- layers ---


def scales(network: nn.Module) -> Iterator[tuple[str, float]]:
    """Each layer's gain: what its weights are multiplied by, times the root of its inputs."""
    for name, layer in network.named_modules():
        if isinstance(layer, EqualisedConv2d | EqualisedLinear):
            yield name, layer.scale * math.sqrt(layer.weight[0].numel())


def test_learning_rates_are_equalised_with_the_authors_gains():
    root = math.sqrt(2)
    networks = [
        ganzoo.ProGANGenerator(64, (3, 16, 16), width=64),
        ganzoo.ProGANDiscriminator((3, 16, 16), width=64),
        ganzoo.StyleGANGenerator(64, (3, 16, 16), width=64),
        ganzoo.StyleGANDiscriminator((3, 16, 16), width=64),
    ]
    for network in networks:
        for name, gain in scales(network):
            slow = 0.01 if name.startswith("mapping") else 1.0
            one = any(part in name for part in ("to_rgb", "last", "style.")) or name.endswith(".style")
            assert gain == pytest.approx(slow * (1.0 if one else root / 4 if name == "first" else root)), name
            weight = network.get_submodule(name).weight
            if weight.numel() > 1000:
                assert weight.std().item() == pytest.approx(1 / slow, rel=0.1), name
        for name, weight in network.named_parameters():
            assert "weight" in name or not weight.any() or (name.endswith("constant") and (weight == 1).all()), name


def test_progans_layers_are_table_2s():
    network = learned(ganzoo.ProGANGenerator(6, (3, 8, 8), width=4))
    z = doubles(2, 6)
    x = F.normalize(z, dim=1) * math.sqrt(6)
    x = F.linear(x, network.first.weight * math.sqrt(2 / 6) / 4).view(2, 4, 4, 4) + network.bias[:, None, None]
    x = norm(F.leaky_relu(x, 0.2))
    for layer in (network.convolution, network.blocks[0].one, network.blocks[0].two):
        x = F.interpolate(x, scale_factor=2.0) if layer is network.blocks[0].one else x
        x = norm(F.leaky_relu(F.conv2d(x, layer.weight * math.sqrt(2 / (4 * 9)), layer.bias, padding=1), 0.2))
    last = network.to_rgb[1]
    torch.testing.assert_close(network(z), F.conv2d(x, last.weight / 2, last.bias).clamp(-1, 1))


def norm(x: torch.Tensor) -> torch.Tensor:
    return x / (x.square().mean(1, keepdim=True) + 1e-8).sqrt()


def test_pixel_norm_in_half_precision():
    x = torch.tensor([[300.0, 400.0], [0.0, 0.0], [3e-5, 4e-5]]).half()
    expected = norm(x.double())
    torch.testing.assert_close(pixel_norm(x).double(), expected, rtol=1e-2, atol=1e-3)


def slow_adain(x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    out = torch.empty_like(x)
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            of = x[n, c]
            out[n, c] = scale[n, c] * (of - of.mean()) / (of.var(correction=0) + 1e-8).sqrt() + shift[n, c]
    return out


def test_adaptive_instance_norm():
    x, scale, shift = doubles(2, 3, 4, 4), doubles(2, 3), doubles(2, 3)
    torch.testing.assert_close(adaptive_instance_norm(x, scale, shift), slow_adain(x, scale, shift))
    assert gradcheck(adaptive_instance_norm, (x, scale, shift))
    assert gradgradcheck(adaptive_instance_norm, (x, scale, shift))


def test_a_style_block_step_by_step():
    block = learned(ganzoo.StyleBlock(4, 3, 8, 5))
    x, w = doubles(2, 4, 4, 4), doubles(2, 2, 5)
    taps = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64) / 4
    blur = taps.outer(taps).expand(3, 1, 3, 3)

    def styled(h: torch.Tensor, i: int) -> torch.Tensor:
        of = block.styling[i]
        h = h + of.strength[:, None, None] * of.noise + of.bias[:, None, None]
        y = w[:, i] @ (of.style.weight / math.sqrt(5)).T + of.style.bias
        return slow_adain(F.leaky_relu(h, 0.2), y[:, :3] + 1, y[:, 3:])

    h = F.conv2d(F.interpolate(x, scale_factor=2), block.one.weight * math.sqrt(2 / 36), padding=1)
    h = styled(F.conv2d(h, blur, padding=1, groups=3), 0)
    h = styled(F.conv2d(h, block.two.weight * math.sqrt(2 / 27), padding=1), 1)
    torch.testing.assert_close(block(x, w), h)


def test_styles_mapping():
    mapping = ganzoo.StyleMapping(6, 4, layers=2).double()
    z = doubles(3, 6)
    assert mapping.layers[0].weight.std() > 30, "a hundredth of the rate, and so a hundred times the weight"
    w = F.normalize(z, dim=1) * math.sqrt(6)
    for layer, inputs in zip(mapping.layers, (6, 4), strict=True):
        nn.init.normal_(layer.bias)
        w = F.leaky_relu(w @ (layer.weight * 0.01 * math.sqrt(2 / inputs)).T + layer.bias * 0.01, 0.2)
    torch.testing.assert_close(mapping(z), w)


def test_a_halving_block_blurs_first():
    block = learned(ganzoo.SmoothHalvingBlock(3, 4))
    x = doubles(2, 3, 8, 8)
    taps = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64) / 4
    h = F.leaky_relu(F.conv2d(x, block.one.weight * math.sqrt(2 / 27), block.one.bias, padding=1), 0.2)
    h = F.conv2d(h, taps.outer(taps).expand(3, 1, 3, 3), padding=1, groups=3)
    h = F.conv2d(h, block.two.weight * math.sqrt(2 / 27), block.two.bias, padding=1)
    torch.testing.assert_close(block(x), F.leaky_relu(F.avg_pool2d(h, 2), 0.2))


@DISCRIMINATORS
def test_discriminators_differentiate_twice(discriminator):
    network = learned(discriminator((1, 8, 8), width=2))
    network.grow(1, 0.3)
    x = doubles(2, 1, 8, 8)
    assert gradcheck(network, x)
    assert gradgradcheck(network, x)


# --- styles ---


def test_noise_is_new_in_training_and_the_same_in_evaluation():
    network = ganzoo.StyleGANGenerator(5, TINY, width=4, mixing=0.0)
    for name, weight in network.named_parameters():
        if name.endswith("strength"):
            nn.init.ones_(weight)
    z = torch.randn(1, 5).expand(3, -1)
    first, second = network(z), network(z)
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1]), "each sample has its own"
    network.eval()
    images = network(z)
    assert torch.equal(images, network(z))
    torch.testing.assert_close(images[0], images[1])


def test_styles_are_mixed_from_a_layer_on():
    network = ganzoo.StyleGANGenerator(5, TINY, width=4, mixing=0.9)
    own, other = torch.zeros(2, 6, 4), torch.ones(2, 4)
    torch.manual_seed(0)
    for level in (0, 2):
        network.grow(level, 1.0)
        playing = 2 * (level + 1)
        draws = torch.stack([network.mixed(own, other) for _ in range(2000)])
        assert (draws == draws[:, :1, :, :1]).all(), "one place for all samples of a pass"
        crossover = (draws[:, 0, :, 0] == 0).sum(1)  # layers with their own style
        whole = (crossover == playing).float().mean().item()
        assert whole == pytest.approx(0.1, abs=0.03)
        assert (draws[:, 0].diff(dim=1) >= 0).all()
        for place in range(1, playing):
            assert (crossover == place).float().mean().item() == pytest.approx(0.9 / (playing - 1), abs=0.04)
        assert crossover.max() == playing


def test_the_mean_of_w_moves_in_training_only():
    network = ganzoo.StyleGANGenerator(5, TINY, width=4, mean_decay=0.75)
    z = torch.randn(6, 5)
    w = network.mapping(z).mean(0)
    network(z)
    torch.testing.assert_close(network.mean_w, 0.25 * w)
    network(z)
    torch.testing.assert_close(network.mean_w, (0.25 + 0.75 * 0.25) * w)
    network.eval()(z)
    torch.testing.assert_close(network.mean_w, (0.25 + 0.75 * 0.25) * w)


def test_styles_are_truncated_towards_their_mean(fit):
    game = small(ganzoo.StyleGAN)
    fit(game)
    draw_from(game.device, 1)
    z = game.latent(5)
    whole = game.styles_of(z)
    with truncated(game, 0.25):
        torch.testing.assert_close(game.styles_of(z), game.average.mean_w.lerp(whole, 0.25))
    with truncated(game, 1.0):
        torch.testing.assert_close(game.samples_of(z), game.images_of(whole))
    assert game.average.mean_w.any()


def test_progans_noise_is_on_a_sphere():
    game = small(ganzoo.ProGAN)
    z = torch.randn(4, 8)
    torch.testing.assert_close(game.samples_of(z), game.samples_of(3 * z), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="truncation"), truncated(game, 0.5):
        pass


# --- the round ---


@VARIANTS
def test_a_round_has_a_pair_of_turns_for_each_part(variant):
    game = small(variant, batch_sizes={4: 8, 8: 4}, first_size=8)
    real = torch.randn(8, *TINY, requires_grad=True)
    turns = list(game.turns(0, [(real,)]))
    assert [player for player, _, _ in turns] == ["discriminator", "generator"] * 2
    assert torch.equal(torch.cat([batch[0] for player, _, batch in turns if player == "discriminator"]), real)
    assert all(batch[0].requires_grad and batch[0].is_leaf and len(batch[0]) == 4 for _, _, batch in turns)
    game.images_seen = 10**9
    assert game.part(8) == 4
    assert small(variant, batch_sizes={4: 16}).part(8) == 8, "not more than there are"


@VARIANTS
def test_parts_do_not_change_what_a_round_consumes(variant, fit):
    game = small(variant, batch_sizes={4: 2})
    steps = []
    game.after_turn = lambda player, after=game.after_turn: (steps.append(player), after(player))
    fit(game, max_steps=2)
    assert game.images_seen == 16
    assert len(steps) == 2 * 4 * 2
    step = next(iter(game.optimizers().optimizer.of["generator"].state.values()))["step"]
    assert step == 8


@VARIANTS
def test_real_and_fake_are_never_in_one_pass(variant, monkeypatch):
    """D compares the samples of a pass."""
    game = small(variant)
    monkeypatch.setattr(game, "fake", lambda n: torch.full((n, *TINY), 0.5))
    passes = []
    game.discriminator.register_forward_pre_hook(lambda _, given: passes.append(given[0].detach()))
    game.discriminator_loss(torch.full((8, *TINY), -0.5, requires_grad=True))
    assert all(len(x) == 8 for x in passes)
    assert (passes[0] == -0.5).all()
    assert (passes[1] == 0.5).all()
    assert len(passes) == (3 if variant is ganzoo.ProGAN else 2)


@VARIANTS
def test_optimizers_begin_anew_when_a_level_begins_and_when_it_is_there(variant, fit):
    game = of_digits(variant, first_size=4, stabilise_kimg=0.016, fade_kimg=0.016)
    seen = []

    def watched(batches, optimizers, before=game.before_round):
        before(batches, optimizers)
        seen.append(({len(of.state) > 0 for of in optimizers.values()}, game.generator.level, game.generator.alpha.item()))

    game.before_round = watched
    fit(game, max_steps=12)
    # Images seen: 0, 8, ..., 88. The first level fades in after 16 and is there after 32.
    assert [level for _, level, _ in seen] == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2]
    assert [alpha for _, _, alpha in seen] == [1, 1, 1, 0.5, 1, 1, 1, 0.5, 1, 1, 1, 1]
    assert [keeps == {True} for keeps, _, _ in seen] == [False, True, True, *[False, False, True, True] * 2, True]
    assert {network.level for network in game.growing()} == {2}


@VARIANTS
@pytest.mark.parametrize("stop", [3, 4, 6, 9])
def test_resumes_exactly_wherever_it_was(variant, stop, fit, tmp_path):
    """Before, in and after a fade; bit for bit, optimizers too."""

    def new() -> GrowingDuel:
        torch.manual_seed(0)
        return of_digits(variant, stabilise_kimg=0.02, fade_kimg=0.03, batch_sizes={8: 4}, average_decay=0.9)

    straight, first, second = new(), new(), new()
    fit(straight, max_steps=12)
    fit(first, max_steps=stop).save_checkpoint(tmp_path / "x.ckpt")
    fit(second, max_steps=12, ckpt_path=tmp_path / "x.ckpt")
    assert (straight.level, straight.generator.alpha) == (second.level, second.generator.alpha)
    for name, value in straight.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name
    for player, optimizer in straight.optimizers().optimizer.of.items():
        states = [state["exp_avg_sq"] for state in optimizer.state.values()]
        others = [state["exp_avg_sq"] for state in second.optimizers().optimizer.of[player].state.values()]
        assert len(states) == len(others)
        assert all(map(torch.equal, states, others)), player


@VARIANTS
def test_samples_come_back_as_far_as_they_have_grown(variant, fit, tmp_path):
    tables = {"batch_sizes": {4: 4}, "rates": {8: 0.5}}  # which become JSON
    game = of_digits(variant, stabilise_kimg=0.02, fade_kimg=0.03, average_decay=0.9, **tables)
    fit(game, max_steps=4).save_checkpoint(tmp_path / "x.ckpt")
    assert (game.average.level, game.average.alpha.item()) == (1, pytest.approx(0.4))
    (tmp_path / "x.safetensors").write_bytes(exported(read(tmp_path / "x.ckpt")))
    samples = game.samples_of(z := torch.randn(3, 8))
    for name in ("x.ckpt", "x.safetensors"):
        again = ganzoo.load(tmp_path / name)
        assert {(network.level, network.alpha.item()) for network in again.growing()} == {(1, game.average.alpha.item())}
        assert (again.part(8), again.rate(0)) == (4, 0.5)
        again.to(memory_format=torch.channels_last)
        assert torch.equal(again.samples_of(z), samples)
    assert not any("alpha" in name or "level" in name for name in game.state_dict())


@VARIANTS
@pytest.mark.usefixtures("aot_eager")
def test_compiled_once_for_each_level_whatever_its_batch(variant, fit):
    arguments = {"stabilise_kimg": 0.01, "fade_kimg": 0.02, "batch_sizes": {8: 4, 16: 2}}
    eager, compiled = (small(variant, compile=how, **arguments) for how in (False, True))
    fit(eager, max_steps=12)
    counters.clear()
    fit(compiled, max_steps=12)
    assert compiled.level == 2
    assert counters["stats"]["unique_graphs"] == 2 * 3
    assert all(torch.equal(value, compiled.state_dict()[name]) for name, value in eager.state_dict().items())


def test_rates_follow_the_size():
    with torch.device("meta"):
        arguments = {"average_decay": None, "compile": False, "shape": (3, 1024, 1024)}
        progan, stylegan = ganzoo.ProGAN(**arguments), ganzoo.StyleGAN(**arguments)
    rates = {}
    for kimg in range(0, 12_000, 300):
        progan.images_seen = stylegan.images_seen = 1000 * kimg
        rates[4 << stylegan.level] = stylegan.rate(0)
        assert progan.rate(0) == (1.5 if progan.level == 8 else 1.0)
    assert rates == {8: 1, 16: 1, 32: 1, 64: 1, 128: 1.5, 256: 2, 512: 3, 1024: 3}


def test_averages_do_not_depend_on_the_parts(fit):
    """StyleGAN's is half new after ten thousand images; ProGAN's keeps 0.999 in each turn."""
    for part in (8, 4):
        stylegan, progan = (small(variant, batch_sizes={4: part}) for variant in (ganzoo.StyleGAN, ganzoo.ProGAN))
        fit(stylegan, max_steps=1)
        fit(progan, max_steps=1)
        assert stylegan.memory() == 0.5 ** (8 / 10_000)
        assert progan.memory() == pytest.approx((2 / 11) ** (8 / part)), "early on it is less"
        progan.average_decay = 0.1
        assert progan.memory() == pytest.approx(0.1 ** (8 / part))
    assert small(ganzoo.StyleGAN, average_decay=None).average is None


@VARIANTS
def test_other_variants_have_them_whole(variant):
    """Nothing but these games makes networks small."""
    networks = {"generator": partial(variant.default_generator, width=4)}
    game = ganzoo.R1GAN(shape=TINY, latent_dim=5, discriminator=partial(variant.default_discriminator, width=4), **networks)
    assert (game.generator.level, game.discriminator.level) == (2, 2)
    assert game.sample(2).shape == (2, *TINY)


@VARIANTS
def test_fronts_stand_before_them(variant, fit):
    """Augmentation, noise and LeCam know of no levels."""
    game = small(variant, stabilise_kimg=0.004, augment=ganzoo.DiffAugment, lecam=0.3, instance_noise=(0.1, 10))
    fit(game, max_steps=3)
    assert game.discriminator.discriminator.discriminator.discriminator.level == 2
    assert all(torch.isfinite(term) for term in game.terms.values())


def test_the_held_out_loss_takes_any_batch(fit):
    """Also one that cannot be divided."""
    game = small(ganzoo.ProGAN, batch_sizes={4: 4})
    data = data_for(ganzoo.ProGAN)
    trainer(limit_val_batches=100).validate(game, data, verbose=False)


@VARIANTS
def test_opinions_are_of_images_as_sharp_as_in_training(variant):
    game = small(variant).eval()
    real = torch.randn(4, *TINY)
    torch.testing.assert_close(game.opinions(real)[0], game.discriminator(game.faded(real)))
    assert torch.equal(game.faded(real), enlarged(reduced(real, 2), 2))


# --- mistakes ---


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"first_size": 12}, "first_size is one of 4, 8, 16 here, not 12"),
        ({"first_size": 32}, "first_size is one of 4, 8, 16 here, not 32"),
        ({"stabilise_kimg": 0.0, "fade_kimg": 0.0}, "first_size 16"),
        ({"generator": ganzoo.DCGANGenerator}, "choose ProGANGenerator and ProGANDiscriminator"),
        ({"discriminator": ganzoo.DCGANDiscriminator}, "choose ProGANGenerator and ProGANDiscriminator"),
    ],
)
def test_mistakes_are_told(arguments, message):
    with pytest.raises(ValueError, match=message):
        small(ganzoo.ProGAN, **arguments)


def test_stylegans_generator_has_styles():
    with pytest.raises(ValueError, match="ProGANGenerator knows no styles: choose StyleGANGenerator"):
        small(ganzoo.StyleGAN, generator=partial(ganzoo.ProGANGenerator, width=4))


def test_no_time_is_needed_where_nothing_grows():
    assert small(ganzoo.ProGAN, stabilise_kimg=0.0, fade_kimg=0.0, first_size=16).level == 2


def test_a_batch_that_cannot_be_divided_is_told_before_the_first_round(fit):
    game = small(ganzoo.ProGAN, batch_sizes={16: 3})
    with pytest.raises(ValueError, match=r"a batch of 8 cannot be divided into parts of 3 at 16 x 16: .* multiple of 3"):
        fit(game)


@pytest.mark.parametrize("shape", [(3, 4, 4), (3, 24, 24), (3, 16, 32), (2,)])
def test_shapes_that_do_not_grow(shape):
    for network in (partial(ganzoo.ProGANGenerator, 5), ganzoo.StyleGANDiscriminator):
        with pytest.raises(ValueError, match=r"(ProGAN|StyleGAN)\w+ (cannot do|makes images)"):
            network(shape)


def test_variants_of_points_are_refused():
    with pytest.raises(ValueError, match="images"):
        ganzoo.ProGAN(shape=(2,))
