"""What holds for every variant. A new variant is tested here as soon as `ganzoo` exports it."""

import copy
import math
from shutil import which

import pytest
import torch
from conftest import TINY, data_for, fp16, of_digits, stages, trainer
from torch._dynamo.utils import counters

import ganzoo
from ganzoo.duel import Duel
from ganzoo.game import Game, differentiable, draw_from
from ganzoo.listing import paper, variants
from ganzoo.optimizers import learn

pytestmark = pytest.mark.parametrize("variant", variants(), ids=lambda variant: variant.__name__)


def new(variant: type[Game], **arguments) -> Game:
    torch.manual_seed(0)
    return of_digits(variant, **arguments)


def weights_of(game: Game) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in game.named_parameters()}


def a_round(game: Game) -> list:
    """The game's first round; of a game in stages, the first of each."""
    data = data_for(type(game))
    data.setup()
    game.configure_optimizers()
    batches = data.on_after_batch_transfer(data.train.__getitems__(range(8 * game.minibatches)))
    batches = [differentiable(batch) for batch in batches]
    return [turn for step in stages(game) for turn in game.turns(step, batches)]


def whose_turns(game: Game, step: int) -> list[str]:
    batch = (torch.zeros(8, *game.shape),)
    return [player for player, *_ in game.turns(step, [batch] * game.minibatches)]


def positions(game: Game) -> dict[str, torch.Tensor]:
    """All of each player's weights as one vector."""
    return {
        player: torch.cat([weight.detach().double().flatten() for weight in networks.parameters()])
        for player, networks in game.players().items()
    }


def apart(one: Game, other: Game, start: dict[str, torch.Tensor]) -> float:
    """How far the weights of a player are from each other, in units of how far they have moved; of the worst player."""
    here, there = positions(one), positions(other)
    return max(float((here[player] - there[player]).norm() / (here[player] - start[player]).norm()) for player in here)


SLOWLY = {"lr": 1e-5, "discriminator_lr": 1e-5}  # or the game itself multiplies rounding errors, InfoGAN's a thousandfold


def tolerance(game: Game) -> float:
    """Of `apart` after 20 rounds at such rates. Weights before normalisation have gradients near zero, which Adam divides by
    their own size: there inductor's rounds are up to 0.07 from the eager ones (CycleGAN, torch 2.11), without it below 1e-4."""
    return (
        0.15
        if any(isinstance(layer, torch.nn.BatchNorm2d | torch.nn.InstanceNorm2d | ganzoo.Styling) for layer in game.modules())
        else 1e-4
    )


def uneven(game: Game) -> Game:
    """The game, whose maps are nowhere flat at first, as StyleGAN's constant is: AdaIN multiplies their rounding errors by 1e4,
    and one thread and two threads of the same eager code are 0.04 apart after one round."""
    for layer in game.modules():
        if isinstance(layer, ganzoo.ConstantBlock):
            torch.nn.init.normal_(layer.constant, generator=torch.Generator().manual_seed(0))
    return game


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
    moved = {name for name in moved if not name.startswith("average.")}
    assert len(moved) == len(trained), "every player's every weight moves"


def test_samples_have_the_datas_shape_and_range(variant):
    game = new(variant)
    samples = game.sample(5)
    assert samples.shape == (5, *data_for(variant).shape)
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
        again.to(memory_format=torch.channels_last)  # as in training: convolutions round otherwise in another order
        noise(0)
        assert torch.equal(again.sample(4), samples)


def test_resumes_exactly(variant, fit, tmp_path):
    straight = new(variant)
    fit(straight, max_steps=4)
    first, second = new(variant), of_digits(variant)
    fit(first, max_steps=2).save_checkpoint(tmp_path / "x.ckpt")
    fit(second, max_steps=4, ckpt_path=tmp_path / "x.ckpt")
    for name, value in straight.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name
    assert second.images_seen == straight.images_seen


def test_a_turn_changes_only_its_players_weights(variant):
    game = new(variant)
    turns = a_round(game)
    optimizers = game.configure_optimizers().of
    for player, loss, batch in turns:
        before = weights_of(game)
        _, gradients = game.move(player, loss, batch)
        learn(optimizers[player], game._weights[player], gradients, game.rate(0))
        game.after_turn(player)
        own = {id(weight) for weight in game.players()[player].parameters()}
        for name, weight in game.named_parameters():
            if id(weight) not in own and weight.requires_grad:
                assert torch.equal(weight, before[name]), f"{player}'s turn changed {name}"


def test_compiled_rounds_are_the_eager_ones(variant, fit, aot_eager, tmp_path):
    """Bit for bit: the operations and the noise are the same, only their tracing differs."""
    eager, compiled = (new(variant, compile=how, average_decay=0.9) for how in (False, True))
    fit(eager, max_steps=20)
    counters.clear()
    fit(
        compiled,
        max_steps=20,
        callbacks=[ganzoo.SampleGrid(every_steps=7), ganzoo.CollapseWatch(every_steps=5, n=8)],
        default_root_dir=tmp_path,
    )
    losses = {loss.__name__ for _, loss, _ in a_round(new(variant))}
    once = len(losses) * getattr(eager, "levels", 1)
    assert counters["stats"]["unique_graphs"] == once, "each loss is compiled once, at each level, whatever callbacks do"
    assert all(torch.equal(value, compiled.state_dict()[name]) for name, value in eager.state_dict().items())


def test_the_watch_changes_nothing(variant, fit):
    """Whatever it looks at: batch and spectral normalisation, histories and controllers are buffers."""
    historical = {"historical_averaging": 0.1} if issubclass(variant, Duel) else {}
    alone, watched = (new(variant, average_decay=0.9, **historical) for _ in range(2))
    watch = ganzoo.CollapseWatch(every_steps=1, n=6)
    fit(alone, max_steps=4)
    fit(watched, max_steps=4, callbacks=[watch])
    assert all(torch.equal(value, watched.state_dict()[name]) for name, value in alone.state_dict().items())
    players = whose_turns(watched, 3)
    of_players = {f"{player}/{name}" for player in players for name in ("gradient_norm", "loss_ratio", "moved")}
    assert set(watch.values) == of_players | {"accuracy_real", "accuracy_fake", "margin", "coverage", "diversity", "distinct"}
    assert all(math.isfinite(value) for value in watch.values.values())
    assert all(watch.values[f"{player}/{name}"] > 0 for player in players for name in ("gradient_norm", "moved"))


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(which("g++") is None, reason="inductor needs a C++ compiler")
def test_inductors_rounds_are_the_eager_ones(variant, fit):
    torch._dynamo.reset()
    eager, compiled = (uneven(new(variant, compile=how, **SLOWLY)) for how in (False, True))
    start = positions(eager)
    fit(eager, max_steps=20)
    fit(compiled, max_steps=20)
    assert apart(eager, compiled, start) < tolerance(eager)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("how", [True, "graphs"])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_rounds_on_cuda_are_the_eager_ones(variant, fit, how, precision, no_tf32):
    torch._dynamo.reset()
    eager, compiled = (uneven(new(variant, compile=way, average_decay=0.9, **SLOWLY)) for way in (False, how))
    start = positions(eager)
    for game in (eager, compiled):
        fit(game, max_steps=20, accelerator="cuda", devices=1, precision=precision)
    assert apart(eager, compiled, start) < (tolerance(eager) if precision == "32-true" else 0.5)


def test_the_host_reads_no_value_between_log_steps(variant, fit, monkeypatch):
    """Each read would make it wait for the device."""
    reads, watching = [], []

    def watched(name):
        read = getattr(torch.Tensor, name)
        return lambda tensor, *given, **how: (watching and reads.append(name), read(tensor, *given, **how))[1]

    for name in ("item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__", "__index__"):
        monkeypatch.setattr(torch.Tensor, name, watched(name))

    class Watched(variant):
        def training_step(self, *batch):
            watching.append(True)
            super().training_step(*batch)

        def on_train_batch_end(self, *batch):  # after the callbacks' own
            super().on_train_batch_end(*batch)
            watching.clear()

    def reads_of(log_every_n_steps: int) -> list[str]:
        reads.clear()
        game = new(Watched, compile=False, average_decay=0.9)
        bar = {"enable_progress_bar": True, "callbacks": [ganzoo.ProgressBar(), ganzoo.CollapseWatch(every_steps=9, n=6)]}
        fit(game, max_steps=4, log_every_n_steps=log_every_n_steps, **bar)
        return list(reads)

    assert reads_of(log_every_n_steps=3) == ["tolist"]
    assert reads_of(log_every_n_steps=9) == []


def test_bf16(variant, fit):
    game = new(variant)
    watch = ganzoo.CollapseWatch(every_steps=3, n=4)
    fit(game, precision="bf16-mixed", callbacks=[watch])
    assert all(math.isfinite(value) for value in watch.values.values())
    assert all(term.dtype == torch.float32 and torch.isfinite(term) for term in game.terms.values())
    with torch.autocast("cpu", torch.bfloat16):
        assert game.sample(2).dtype == torch.float32


def test_fp16(variant, fit):
    """Scales start too large for some losses, and are soon small enough."""
    game = new(variant)
    start = positions(game)
    fit(game, max_steps=8, **fp16())
    assert all(term.dtype == torch.float32 and torch.isfinite(term) for term in game.terms.values())
    assert all(torch.isfinite(value).all() for value in game.state_dict().values())
    for player, position in positions(game).items():
        assert not torch.equal(position, start[player]), player
        assert 2**8 < game.scalers[player].get_scale() <= 2**16


def test_validation_changes_nothing(variant, fit):
    game = new(variant)
    before = copy.deepcopy(game.state_dict())
    [metrics] = trainer(limit_val_batches=2).validate(game, data_for(variant), verbose=False)
    losses = {name for name in metrics if name.count("/") == 2}  # val/PLAYER/TERM
    first = set(whose_turns(game, 0))
    assert {name.split("/")[1] for name in losses} == (first if len(stages(game)) > 1 else set(game.players()))
    assert all(torch.equal(value, before[name]) for name, value in game.state_dict().items())


def test_begins_with_its_paper(variant):
    assert paper(variant)["link"].startswith("https://")
    assert int(paper(variant)["year"]) >= 2014


def test_arguments_are_keyword_only(variant):
    with pytest.raises(TypeError):
        variant(TINY)
