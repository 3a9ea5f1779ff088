"""Compiled moves: what the user is told, and what happens where a loss cannot be compiled."""

import copy
from functools import partial
from shutil import which

import pytest
import torch
from conftest import TINY

import ganzoo
from ganzoo import compiling
from ganzoo.optimizers import learn

CPU = torch.device("cpu")


class Undecided(ganzoo.GAN):
    """Its generator's loss asks for a value on the host, which no graph can hold."""

    def generator_loss(self, real, label=None):
        terms = super().generator_loss(real, label)
        return terms if terms["adversarial"].item() > 0 else {}


@pytest.fixture
def said(monkeypatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(compiling, "rank_zero_info", lines.append)
    monkeypatch.setattr(compiling, "rank_zero_warn", lines.append)
    return lines


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


def small(variant=ganzoo.GAN, **arguments) -> ganzoo.Game:
    torch.manual_seed(0)
    return variant(shape=TINY, **arguments)


@pytest.mark.parametrize("how, line", [(False, "not compiled"), (True, "moves are compiled"), ("auto", "not compiled (on cpu")])
def test_one_line_says_how_moves_are_played(fit, said, aot_eager, how, line):
    fit(small(compile=how))
    [only] = said
    assert line in only and "\n" not in only


def test_graphs_are_refused_where_there_are_none(fit):
    with pytest.raises(ValueError, match=r"no CUDA graphs on cpu: set --model\.compile auto"):
        fit(small(compile="graphs"))


@pytest.mark.parametrize(
    "capability, triton, chosen", [((8, 0), True, "graphs"), ((6, 1), True, False), ((9, 0), False, False)]
)
def test_cuda_gets_graphs_if_it_can(monkeypatch, capability, triton, chosen):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(compiling, "find_spec", lambda name: object() if triton else None)
    assert compiling.best(torch.device("cuda"))[0] == chosen


def test_a_loss_that_cannot_be_compiled_is_named(fit, aot_eager):
    with pytest.raises(ValueError, match=r"^generator_loss cannot be compiled \(.+\): set --model.compile false$"):
        fit(small(Undecided, compile=True))


def test_auto_goes_on_without_compiling(fit, said, aot_eager, monkeypatch):
    monkeypatch.setattr(compiling, "best", lambda device: (True, "pretended"))
    eager, fallen = small(Undecided, compile=False), small(Undecided)
    fit(eager)
    fit(fallen)
    assert "generator_loss cannot be compiled" in said[-1] and "not compiled from here on" in said[-1]
    assert same(eager, fallen), "the failure drew no noise and lost no round"


def test_a_loss_that_compiled_once_raises_its_own_errors(aot_eager):
    """Memory that runs out in round 1,000 is not the compiler's fault."""
    game = small()
    game.configure_optimizers()
    play = compiling.Compiled(game.move, graphs=False, fall_back=True)
    play("generator", game.generator_loss, (torch.rand(4, *TINY),))
    play._compiled = lambda *move: (_ for _ in ()).throw(torch.OutOfMemoryError("out of memory"))
    with pytest.raises(torch.OutOfMemoryError):
        play("generator", game.generator_loss, (torch.rand(4, *TINY),))


def test_terms_outlive_the_next_move(aot_eager):
    game = small()
    game.configure_optimizers()
    play = compiling.Compiled(game.move, graphs=False, fall_back=False)
    buffer = torch.zeros(2)  # what a CUDA graph writes into, each time it is played
    play._compiled = lambda *move: (("real", "loss"), buffer.add_(1), [])
    first, _ = play("discriminator", game.discriminator_loss, ())
    play("discriminator", game.discriminator_loss, ())
    assert [term.item() for term in first.values()] == [1, 1]


def test_a_game_can_be_copied_after_it_was_trained(fit, aot_eager):
    game = small(compile=True)
    fit(game)
    assert same(copy.deepcopy(game), game)


@pytest.mark.parametrize("variant", [ganzoo.DCGAN, ganzoo.WGANGP])
def test_a_graph_copies_in_nothing_but_the_batch(variant, monkeypatch):
    """Weights and batch statistics have fixed addresses: other inputs a replay would copy, and could not change."""
    moving = []

    def backend(graph, inputs):
        tensors = [node.meta for node in graph.graph.nodes if node.op == "placeholder"]
        moving.append(
            [tuple(of["example_value"].shape) for of in tensors if not of["tensor_dict"].get("_dynamo_static_input_type")]
        )
        return graph.forward

    torch._dynamo.reset()
    compile = torch.compile
    monkeypatch.setattr(torch, "compile", lambda move, *, options, **how: compile(move, backend=backend, **how))
    game = small(variant)
    game.configure_optimizers()
    play = compiling.Compiled(game.move, graphs=True, fall_back=False)
    batch = (torch.rand(4, *TINY).requires_grad_(),)
    play("discriminator", game.discriminator_loss, batch)
    play("generator", game.generator_loss, batch)
    assert moving == [[(4, *TINY)], []]


@pytest.mark.skipif(which("g++") is None, reason="inductor needs a C++ compiler")
def test_inductor_compiles_the_gradient_of_a_gradient():
    torch._dynamo.reset()
    networks = (partial(network, width=8, layers=1) for network in (ganzoo.MLPGenerator, ganzoo.MLPDiscriminator))
    game = ganzoo.WGANGP(shape=(2,), **dict(zip(("generator", "discriminator"), networks, strict=True)))
    game.configure_optimizers()
    batch = (torch.randn(4, 2).requires_grad_(),)
    torch.manual_seed(1)
    terms, gradients = game.move("discriminator", game.discriminator_loss, batch)
    torch.manual_seed(1)
    compiled = compiling.Compiled(game.move, graphs=False, fall_back=False)
    same_terms, same_gradients = compiled("discriminator", game.discriminator_loss, batch)
    torch.testing.assert_close(same_terms, terms, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(same_gradients, gradients, rtol=1e-3, atol=1e-5)


def test_gradients_in_another_order_in_memory():
    """Fused Adam refuses them, and a compiled gradient of a gradient may come in any order."""
    weight = torch.nn.Parameter(torch.zeros(8, 4, 3, 3).to(memory_format=torch.channels_last))
    gradient = torch.randn(8, 4, 3, 3)
    optimizer = torch.optim.Adam([weight], lr=0.1, fused=True)
    optimizer.param_groups[0]["initial_lr"] = 0.1
    learn(optimizer, [weight], [gradient], 1.0)
    torch.testing.assert_close(weight.detach(), -0.1 * gradient.sign(), rtol=1e-3, atol=1e-5)


def test_moments_of_another_kind_of_adam_are_taken_up():
    """From a checkpoint written before Adam was fused and images were channels last."""

    def a_step(game: ganzoo.Game, of: torch.optim.Optimizer) -> None:
        torch.manual_seed(1)
        weights = list(game.discriminator.parameters())
        learn(of, weights, [torch.randn(weight.shape) for weight in weights], 1.0)

    old, new = small(ganzoo.DCGAN), small(ganzoo.DCGAN)
    before, after = old.configure_optimizers(), new.configure_optimizers()
    old.to(memory_format=torch.contiguous_format)
    for name, of in before.of.items():
        before.of[name] = torch.optim.Adam(of.param_groups, fused=False)
    a_step(old, before.of["discriminator"])
    a_step(new, after.of["discriminator"])
    after.load_state_dict(before.state_dict())
    weight = new.discriminator.layers[2].weight
    assert weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()
    assert after.of["discriminator"].state[weight]["exp_avg"].stride() == weight.stride()
    assert after.of["discriminator"].param_groups[0]["fused"]
    a_step(old, before.of["discriminator"])
    a_step(new, after.of["discriminator"])
    for one, other in zip(old.discriminator.parameters(), new.discriminator.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def noisy(player, loss, batch):
    """Noise that is used in another order than it is drawn in, and whose large part could be drawn last to save memory."""
    [weight] = batch  # [1000, 1]
    large, middle, small = torch.randn(2000, 1000), torch.randn(1500, 1000), torch.randn(8, 1000)
    of_middle = ((middle @ weight).T @ torch.ones(1500, 1)).sum() * (small @ weight).sum()
    again = torch.rand_like(weight)
    return {"large": (large @ (weight * of_middle.sign())).mean(), "again": again[0].sum(), "small": small.sum()}, [None]


@pytest.mark.slow
@pytest.mark.skipif(which("g++") is None, reason="inductor needs a C++ compiler")
def test_compiled_moves_draw_their_noise_in_the_codes_order():
    """Inductor before 2.14 draws it when it is used, or when memory is free."""
    torch._dynamo.reset()
    drawn = []
    for move in (noisy, compiling.played(noisy, True, CPU)):
        torch.manual_seed(0)
        drawn.append(move("player", noisy, (torch.ones(1000, 1),))[0])
    assert all(torch.isclose(drawn[0][name], drawn[1][name], rtol=1e-4) for name in drawn[0])


class Two(torch.nn.Module):
    """Losses of one player."""

    def move(self, player, loss, batch):
        return loss(*batch), [None]

    def first(self, x):
        return {"first": x.sum()}

    def second(self, x):
        return {"second": 2 * x.sum()}


def test_a_players_losses_are_not_taken_for_each_other(aot_eager):
    """As torch 2.11 does, which tells two methods of one object apart only if something beside them differs."""
    torch._dynamo.reset()
    two, batch = Two(), (torch.ones(3),)
    move = compiling.played(two.move, True, CPU)
    assert [move("player", loss, batch)[0] for loss in (two.first, two.second, two.first)] == [
        {"first": 3}, {"second": 6}, {"first": 3}
    ]  # fmt: skip
