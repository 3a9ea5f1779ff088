"""What holds for every variant. A new variant is tested here as soon as `ganzoo` exports it."""

import copy

import pytest
import torch
from conftest import TINY, trainer

import ganzoo
from ganzoo.game import Game, draw_from, learn
from ganzoo.listing import paper, variants

pytestmark = pytest.mark.parametrize("variant", variants(), ids=lambda variant: variant.__name__)


def new(variant: type[Game], **arguments) -> Game:
    torch.manual_seed(0)
    return variant(shape=TINY, **arguments)


def weights_of(game: Game) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in game.named_parameters()}


def a_round(game: Game) -> list:
    """The game's first round, on random images."""
    game.configure_optimizers()
    return list(game.turns(0, [((torch.rand(4, *TINY) * 2 - 1).requires_grad_(),) for _ in range(game.minibatches)]))


def noise(*key: int) -> None:
    draw_from(torch.device("cpu"), *key)


def test_fits(variant, fit):
    game = new(variant)
    before = weights_of(game)
    trainer = fit(game)
    assert trainer.global_step == 3  # rounds, however many turns they have
    assert game.images_seen == 3 * game.minibatches * 8
    assert all(torch.isfinite(term) for term in game.terms.values())
    trained = [weight for networks in game.players().values() for weight in networks.parameters()]
    moved = {name for name, weight in game.named_parameters() if not torch.equal(weight, before[name])}
    assert len(moved) == len(trained), "every player's every weight moves"


def test_samples_have_the_datas_shape_and_range(variant):
    game = new(variant)
    samples = game.sample(5)
    assert samples.shape == (5, *TINY)
    assert samples.dtype == torch.float32
    assert samples.abs().max() <= 1
    assert not samples.requires_grad
    assert game.training, "sampling leaves the mode as it was"


def test_samples_depend_on_the_noise_alone(variant):
    game = new(variant)
    noise(1)
    first = game.sample(300)
    noise(1)
    assert torch.equal(game.sample(300), first)
    noise(2)
    assert not torch.equal(game.sample(300), first)


def test_reloads_from_its_checkpoint(variant, fit, tmp_path):
    game = new(variant)
    fit(game).save_checkpoint(tmp_path / "x.ckpt")
    noise(0)
    samples = game.sample(4)
    torch.load(tmp_path / "x.ckpt", weights_only=True)
    for again in (ganzoo.load(tmp_path / "x.ckpt"), variant.load_from_checkpoint(tmp_path / "x.ckpt", weights_only=True)):
        assert type(again) is variant
        noise(0)
        assert torch.equal(again.sample(4), samples)


def test_resumes_exactly(variant, fit, tmp_path):
    straight = new(variant)
    fit(straight, max_steps=4)
    first, second = new(variant), variant(shape=TINY)
    fit(first, max_steps=2).save_checkpoint(tmp_path / "x.ckpt")
    fit(second, max_steps=4, ckpt_path=tmp_path / "x.ckpt")
    for name, value in straight.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name
    assert second.images_seen == straight.images_seen


def test_a_turn_changes_only_its_players_weights(variant):
    game = new(variant)
    optimizers = game.configure_optimizers().of
    for player, loss, batch in a_round(game):
        before = weights_of(game)
        _, gradients = game.move(player, loss, batch)
        learn(optimizers[player], game._weights[player], gradients, game.rate(0))
        game.after_turn(player)
        own = {id(weight) for weight in game.players()[player].parameters()}
        for name, weight in game.named_parameters():
            if id(weight) not in own and weight.requires_grad:
                assert torch.equal(weight, before[name]), f"{player}'s turn changed {name}"


@torch._dynamo.config.patch(trace_autograd_ops=True)
def test_moves_compile_and_equal_eager(variant):
    torch._dynamo.reset()
    eager, compiled = new(variant), new(variant)
    turns = list(zip(a_round(eager), a_round(compiled), strict=True))
    move = torch.compile(compiled.move, fullgraph=True, backend="aot_eager")
    for (player, loss, batch), (_, same_loss, _) in turns[:1] + turns[-1:]:
        noise(3)
        terms, gradients = eager.move(player, loss, batch)
        noise(3)
        same_terms, same_gradients = move(player, same_loss, batch)
        torch.testing.assert_close(same_terms, terms, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(same_gradients, gradients, rtol=1e-3, atol=1e-5)


def test_bf16(variant, fit):
    game = new(variant)
    fit(game, precision="bf16-mixed")
    assert all(term.dtype == torch.float32 and torch.isfinite(term) for term in game.terms.values())
    with torch.autocast("cpu", torch.bfloat16):
        assert game.sample(2).dtype == torch.float32


def test_validation_changes_nothing(variant, fit):
    game = new(variant)
    before = copy.deepcopy(game.state_dict())
    [metrics] = trainer(limit_val_batches=2).validate(game, ganzoo.Digits(batch_size=8), verbose=False)
    assert {name.split("/")[1] for name in metrics} == set(game.players())
    assert all(torch.equal(value, before[name]) for name, value in game.state_dict().items())


def test_begins_with_its_paper(variant):
    assert paper(variant)["link"].startswith("https://")
    assert int(paper(variant)["year"]) >= 2014


def test_arguments_are_keyword_only(variant):
    with pytest.raises(TypeError):
        variant(TINY)
