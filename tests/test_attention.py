"""Self-attention against its equations in float64, where it stands in the ResNets, and SAGAN and SNGAN with it."""

from functools import partial

import pytest
import torch
from torch.nn.utils.parametrize import is_parametrized

import ganzoo
from ganzoo.optimizers import learn


def layer(channels: int = 8, gamma: float = 0.7) -> ganzoo.SelfAttention:
    torch.manual_seed(0)
    attention = ganzoo.SelfAttention(channels).double()
    torch.nn.init.constant_(attention.gamma, gamma)
    return attention


def by_the_equations(attention: ganzoo.SelfAttention, x: torch.Tensor) -> torch.Tensor:
    """arXiv:1805.08318, eqs. 1 to 3, place by place; the places attended to are those left by a 2x2 max-pooling."""
    f, g, h, v = (getattr(attention, name).weight.flatten(1) for name in "fghv")

    def pooled(weight: torch.Tensor, sample: torch.Tensor) -> torch.Tensor:
        maps = torch.einsum("oc,cij->oij", weight, sample)
        return maps.unfold(1, 2, 2).unfold(2, 2, 2).amax((3, 4)).flatten(1)

    out = []
    for sample in x:
        keys, values = pooled(f, sample), pooled(h, sample)  # [C / 8, HW / 4], [C / 2, HW / 4]
        places = []
        for place in sample.flatten(1).unbind(1):  # x_j
            s = torch.stack([key @ (g @ place) for key in keys.unbind(1)])
            beta = s.exp() / s.exp().sum()
            o = v @ sum(b * value for b, value in zip(beta, values.unbind(1), strict=True))
            places.append(attention.gamma * o + place)
        out.append(torch.stack(places, 1).view_as(sample))
    return torch.stack(out)


@pytest.mark.parametrize(("channels", "height", "width"), [(8, 4, 4), (16, 4, 6)])
def test_values_gradients_and_gradients_of_gradients(channels, height, width):
    attention = layer(channels)
    x = torch.randn(2, channels, height, width, dtype=torch.float64, requires_grad=True)
    given = [x, *attention.parameters()]
    found = []
    for y in (attention(x), by_the_equations(attention, x)):
        first = torch.autograd.grad(y.sin().sum(), given, create_graph=True)
        second = torch.autograd.grad(sum(gradient.square().sum() for gradient in first), given)
        found.append((y, *first, *second))
    for ours, slow in zip(*found, strict=True):
        torch.testing.assert_close(ours, slow, rtol=1e-10, atol=1e-10)


def test_gradients_by_finite_differences():
    attention = layer()
    x = torch.randn(1, 8, 2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(attention, x)
    assert torch.autograd.gradgradcheck(attention, x)


def test_it_begins_as_the_identity():
    attention = ganzoo.SelfAttention(16)
    x = torch.randn(2, 16, 8, 8)
    assert torch.equal(attention(x), x)
    attention(x).square().sum().backward()
    assert attention.gamma.grad != 0, "and can leave it"


def test_float32_softmax_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        y = ganzoo.SelfAttention(16)(torch.randn(2, 16, 8, 8))
    assert y.isfinite().all()


def test_few_channels():
    """An eighth of them is one at least."""
    x = torch.randn(2, 4, 4, 4)
    assert torch.equal(ganzoo.SelfAttention(4)(x), x)


# --- in the ResNets ---


@pytest.mark.parametrize(
    ("size", "of_generator", "of_discriminator"),
    [(32, (2, 256), (1, 128)), (64, (3, 128), (1, 64)), (128, (3, 256), (2, 128))],
)
def test_where_sagan_attends(size, of_generator, of_discriminator):
    """At 128 as in the authors' code, on 32x32 maps; at 32 as in StudioGAN, on 16x16."""
    with torch.device("meta"):
        game = ganzoo.SAGAN(shape=(3, size, size), classes=10)
    found = []
    for network in (game.generator, game.discriminator.network):
        [place] = [
            (i, block.f.in_channels) for i, block in enumerate(network.blocks) if isinstance(block, ganzoo.SelfAttention)
        ]
        found.append(place)
    assert found == [of_generator, of_discriminator]


def test_maps_that_there_are_not():
    with pytest.raises(ValueError, match="a side of 8, 16, 32, not 64"):
        ganzoo.ResNetGenerator(8, (3, 32, 32), width=8, attention=64)
    with pytest.raises(ValueError, match="a side of 16, 8, not 32"):
        ganzoo.ResNetDiscriminator((3, 32, 32), width=8, attention=32)


def test_every_weight_of_sagan_is_normalised():
    """In both networks, attention and the projection of the classes included."""
    with torch.device("meta"):
        game = ganzoo.SAGAN(shape=(3, 32, 32), classes=10)
    for network in (game.generator, game.discriminator):
        layers = [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear)]
        assert len(layers) > 10
        assert all(is_parametrized(layer) for layer in layers)


def narrow(classes: int | None = None, **arguments) -> ganzoo.SAGAN:
    torch.manual_seed(0)
    return ganzoo.SAGAN(
        shape=(1, 32, 32),
        classes=classes,
        generator=partial(ganzoo.ResNetGenerator, width=8, spectral=True, attention=16),
        discriminator=partial(ganzoo.ResNetDiscriminator, width=8, norm="spectral", pool="sum", hidden="outputs", attention=16),
        **arguments,
    )


@pytest.mark.parametrize("classes", [None, 3])
def test_its_own_networks_compile(classes, aot_eager):
    """A round at 32, with attention that has left the identity, in one graph for each loss."""
    game = narrow(classes)
    for attention in game.modules():
        if isinstance(attention, ganzoo.SelfAttention):
            torch.nn.init.constant_(attention.gamma, 0.5)
    game.configure_optimizers()
    move = torch.compile(game.move, options={}, fullgraph=True, dynamic=False)
    torch._dynamo.config.trace_autograd_ops = True
    game.eval()  # spectral normalisation's vectors stay, so that both see the same network
    real = (torch.rand(4, 1, 32, 32).requires_grad_(), *([torch.tensor([0, 1, 2, 0])] if classes else []))
    for player, loss, batch in game.turns(0, [real]):
        found = []
        for play in (game.move, move):
            torch.manual_seed(1)
            found.append(play(player, loss, batch))
        (eager, gradients), (compiled, compiled_gradients) = found
        assert torch.allclose(eager["loss"], compiled["loss"], atol=1e-5)
        torch.testing.assert_close(gradients, compiled_gradients)


def test_a_penalty_can_differentiate_attention_twice():
    game = ganzoo.WGANGP(
        shape=(3, 32, 32),
        generator=partial(ganzoo.ResNetGenerator, width=8),
        discriminator=partial(ganzoo.ResNetDiscriminator, width=8, attention=16),
    )
    game.configure_optimizers()
    terms, gradients = game.move("discriminator", game.discriminator_loss, (torch.rand(4, 3, 32, 32).requires_grad_(),))
    assert all(term.isfinite() for term in terms.values())
    assert all(gradient.isfinite().all() for gradient in gradients if gradient is not None)


def test_the_average_of_a_normalised_generator_is_normalised(monkeypatch):
    """Its u and v are averages of unit vectors, which turn as the weights do: shorter, if nobody saw to it."""
    game = narrow(average_decay=0.9, lr=0.05)
    monkeypatch.setattr(ganzoo.SAGAN, "global_step", 100)  # the average's memory is long
    optimizers = game.configure_optimizers().of
    for _ in range(20):
        for player, loss, batch in game.turns(0, [(torch.rand(4, 1, 32, 32).requires_grad_(),)]):
            _, gradients = game.move(player, loss, batch)
            learn(optimizers[player], game._weights[player], gradients, 1.0)
        game.after_round()
    unit = [buffer.norm() for name, buffer in game.average.named_buffers() if name.endswith(("_u", "_v"))]
    assert len(unit) > 20
    torch.testing.assert_close(torch.stack(unit), torch.ones(len(unit)))


def test_it_resumes_exactly(fit, tmp_path):
    """With attention and spectral normalisation in both networks, which test_models.py has no small networks for."""
    straight, first, second = (narrow(10, average_decay=0.9) for _ in range(3))
    data = {"data": ganzoo.Digits(batch_size=8, size=32)}
    fit(straight, max_steps=4, **data)
    fit(first, max_steps=2, **data).save_checkpoint(tmp_path / "x.ckpt")
    fit(second, max_steps=4, ckpt_path=tmp_path / "x.ckpt", **data)
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in straight.state_dict().items())
    gammas = [layer.gamma for layer in straight.modules() if isinstance(layer, ganzoo.SelfAttention)]
    assert len(gammas) == 3, "G's, D's and the average's"
    assert all(gamma != 0 for gamma in gammas)
