"""The collapse watch speaks when a run has gone wrong, says what to try, and is silent when all is well."""

import csv
import re
import shlex
from functools import partial

import pytest
import torch
from conftest import trainer
from lightning.pytorch.loggers import CSVLogger
from test_models import data_for, of_digits

import ganzoo
from ganzoo.__main__ import main
from ganzoo.callbacks.collapse import AGAIN, troubles
from ganzoo.callbacks.remedies import GONE, NOT_FINITE, STILL, WON, remedies
from ganzoo.game import Game
from ganzoo.listing import variants
from ganzoo.metrics.variety import CELLS, Variation, k_means

HEALTHY = {
    **{f"{player}/{name}": 1e-3 for player in ("discriminator", "generator") for name in ("gradient_norm", "moved")},
    **{"accuracy_real": 0.9, "accuracy_fake": 0.8, "margin": 3.0, "coverage": 0.9, "diversity": 1.0, "distinct": 1.0},
}


def of_ring(variant: type[Game] = ganzoo.GAN, **arguments) -> Game:
    torch.manual_seed(0)
    networks = {
        "generator": partial(ganzoo.MLPGenerator, width=32, layers=2),
        "discriminator": partial(ganzoo.MLPDiscriminator, width=32, layers=2),
    }
    return variant(shape=(2,), latent_dim=2, **(networks | arguments))


def watched(fit, capsys, game: Game, rounds: int = 100, every_steps: int = 10, *callbacks) -> str:
    """What is said in so many rounds on the ring."""
    watch = ganzoo.CollapseWatch(every_steps=every_steps, n=64)
    data = ganzoo.Gaussians(batch_size=64, samples=5000)
    fit(game, max_steps=rounds, data=data, callbacks=[*callbacks, watch])
    return "\n".join(line for line in capsys.readouterr().err.splitlines() if line.startswith("round "))


# --- real runs ---


@pytest.mark.parametrize("variant", [ganzoo.GAN, ganzoo.WGANGP, ganzoo.RaGAN], ids=lambda variant: variant.__name__)
def test_a_healthy_run_is_left_in_peace(variant, fit, capsys):
    critic = {"penalty": 0.1, "discriminator_steps": 3} if variant is ganzoo.WGANGP else {}
    assert watched(fit, capsys, of_ring(variant, lr=1e-3, **critic), 600, 100) == ""


def test_a_discriminator_without_a_match_has_won(fit, capsys):
    said = watched(fit, capsys, of_ring(lr=0.0, discriminator_lr=1e-3), 200)
    line = next(line for line in said.splitlines() if "has won" in line)
    assert re.match(r"round \d+: the discriminator has won: to it real and fake are \d\d standard deviations apart, and", line)
    assert "Try --model.discriminator_lr 0.00025, or --model.instance_noise '[0.1, 200]', or --model WGANGP" in line


def test_a_generator_that_chases_one_mode_after_another(fit, capsys):
    """It learns ten times as fast as its discriminator."""
    said = watched(fit, capsys, of_ring(lr=2e-3, discriminator_lr=2e-4), 600, 50)
    assert re.search(
        r"modes are gone: samples reach \d+% of the data. Try --model.discriminator_lr 0.002, or --model PacGAN", said
    )
    assert "has won" not in said
    assert "nothing moves" not in said


def test_a_constant_generator_has_no_modes(fit, capsys):
    class Constant(ganzoo.MLPGenerator):
        def forward(self, z):
            return 0 * super().forward(z) + 1

    assert "modes are gone" in watched(fit, capsys, of_ring(generator=Constant), 50)


def test_copies_are_no_modes(fit, capsys):
    """Sixteen points, all over the data."""

    class Points(ganzoo.MLPGenerator):
        def forward(self, z):
            angle = torch.arange(len(z), device=z.device) % 16 * (torch.pi / 8)
            return 0 * super().forward(z) + 2 * torch.stack([angle.cos(), angle.sin()], dim=1)

    assert "modes are gone: 100% of the samples are near copies" in watched(fit, capsys, of_ring(generator=Points), 50)


def test_nobody_moves_without_a_learning_rate(fit, capsys):
    said = watched(fit, capsys, of_ring(lr=0.0), 20)
    assert "round 10: nothing moves: the discriminator's weights and the generator's weights are where they were" in said
    assert "10 rounds ago. Try --model.lr 2e-4" in said


def test_a_rate_that_has_decayed_is_no_standstill(fit, capsys):
    assert "nothing moves" not in watched(fit, capsys, of_ring(lr=1e-3, decay=(50, 100)), 100)


def test_a_number_that_is_not_finite_is_named(fit, capsys):
    class Spoil(ganzoo.SampleGrid):
        def draw(self, trainer, game) -> None:
            with torch.no_grad():
                game.discriminator.layers[0].weight[0, 0] = float("nan")

    said = watched(fit, capsys, of_ring(), 30, 10, Spoil(every_steps=15))
    [line] = said.splitlines()
    assert line.startswith("round 20: numbers are not finite: discriminator/gradient_norm, ")
    assert "Try --model.lr 5e-05, or --checkpoints.keep_every_steps 1000 to go back by --ckpt_path" in line


# --- what is said, and when ---


def test_each_trouble_has_its_own_numbers():
    assert troubles(HEALTHY, 500, 1.0) == {}
    assert troubles(HEALTHY | {"margin": 20.0}, 500, 1.0) == {}, "a few samples on the wrong side: it has not won yet"
    sure = {"margin": 20.0, "accuracy_real": 1.0, "accuracy_fake": 1.0}
    assert troubles(HEALTHY | sure, 500, 1.0) == {}, "it may be right: samples are still where the data is"
    sure["coverage"] = 0.4
    assert troubles(HEALTHY | sure, 500, 1.0).keys() == {WON}
    assert troubles(HEALTHY | {"coverage": 0.2}, 500, 1.0).keys() == {GONE}
    assert troubles(HEALTHY | {"distinct": 0.2}, 500, 1.0).keys() == {GONE}
    assert troubles(HEALTHY | {"generator/moved": 1e-6}, 500, 1.0).keys() == {STILL}
    assert troubles(HEALTHY | {"generator/moved": 1e-6}, 500, 0.001) == {}
    assert troubles(HEALTHY | sure | {"coverage": float("nan")}, 500, 1.0).keys() == {NOT_FINITE}
    assert troubles({"generator/moved": 1.0}, 500, 1.0) == {}, "a game without opinions or samples"


def test_modes_are_not_gone_before_the_game():
    """TimeGAN's samples are no series while only the embedder learns."""
    gone = {"coverage": 0.0, "distinct": 0.0}
    assert troubles({"embedder/moved": 0.1} | gone, 500, 1.0) == {}
    assert troubles({"embedder/moved": 0.1, "generator/moved": 0.1} | gone, 500, 1.0).keys() == {GONE}


def test_a_trouble_is_said_when_it_begins_goes_on_and_ends(capsys):
    watch, of, game = ganzoo.CollapseWatch(), trainer(), of_ring()
    told = []
    for check, gone in enumerate([True] * 2 + [False] + [True] * (AGAIN + 4) + [False] * 2):
        watch._tell(of, game, {GONE: "modes are gone"} if gone else {})
        said = capsys.readouterr().err
        told += [(check, said.removeprefix("round 0: ").split(". Try")[0].strip())] if said else []
    assert told == [(5, "modes are gone"), (15, "still: modes are gone"), (AGAIN + 7, "modes are back")]


def test_numbers_that_are_not_finite_do_not_bring_modes_back(capsys):
    watch, of, game = ganzoo.CollapseWatch(), trainer(), of_ring()
    game.trainer = of
    for found in [{GONE: "modes are gone"}] * 3 + [{NOT_FINITE: "NaN"}] * 2 + [{GONE: "modes are gone"}]:
        watch._tell(of, game, found)
    said = [
        line.removeprefix("round 0: ").split(". Try")[0] for line in capsys.readouterr().err.splitlines() if "round" in line
    ]
    assert said == ["modes are gone", "NaN", "numbers are finite again"]


def test_never_is_never(fit, capsys):
    watch = ganzoo.CollapseWatch(every_steps=0)
    fit(of_ring(lr=0.0), data=ganzoo.Gaussians(samples=500), callbacks=[watch])
    assert not watch.values
    assert "nothing moves" not in capsys.readouterr().err
    with pytest.raises(ValueError, match="at least 0"):
        ganzoo.CollapseWatch(every_steps=-1)


@pytest.mark.parametrize("variant", variants(), ids=lambda variant: variant.__name__)
def test_only_options_of_the_variant_are_advised(variant, capsys):
    game = of_digits(variant)
    game.trainer = trainer(precision="bf16-mixed")
    advised = [option for trouble in (WON, GONE, STILL, NOT_FINITE) for option in remedies(game, trouble, 1000)]
    assert "--trainer.precision 32-true" in advised
    assert all(option.split()[1] in ganzoo.__all__ for option in advised if option.startswith("--model "))
    mine = shlex.split(
        " ".join(option.removesuffix(" to go back by --ckpt_path") for option in advised if "--model " not in option)
    )
    with pytest.raises(SystemExit) as end:
        data = type(data_for(variant)).__name__ if data_for(variant).kind else "Digits"
        main(["fit", "--model", variant.__name__, "--data", data, *mine, "--print_config"])
    assert end.value.code == 0, capsys.readouterr().err


def test_no_variant_is_advised_that_cannot_play_on_the_same_data():
    for variant in (ganzoo.SRGAN, ganzoo.GAIN, ganzoo.GumbelGAN, ganzoo.QuantGAN, ganzoo.TimeGAN, ganzoo.SemiSupervisedGAN):
        game = of_digits(variant)
        advised = [option for trouble in (WON, GONE) for option in remedies(game, trouble, 1000)]
        assert not any(option.startswith("--model ") for option in advised), variant


def test_what_is_done_already_is_not_advised():
    game = of_ring(instance_noise=(0.1, 100), average_decay=0.9, generator_cost="minimax")
    assert remedies(game, WON, 100)[0] == "--model.generator_cost non_saturating"
    assert not any("noise" in option or "average" in option for option in remedies(game, WON, 100) + remedies(game, GONE, 100))


# --- the numbers ---


def test_numbers_go_to_the_loggers(fit, tmp_path):
    logger = CSVLogger(tmp_path, name="", version="", flush_logs_every_n_steps=1)
    fit(of_ring(), max_steps=4, data=ganzoo.Gaussians(samples=500), callbacks=[ganzoo.CollapseWatch(2, n=8)], logger=logger)
    rows = [row for row in csv.DictReader((tmp_path / "metrics.csv").open()) if row["watch/margin"]]
    assert [row["step"] for row in rows] == ["2", "4"]
    assert float(rows[1]["watch/generator/moved"]) > 0


def test_gradients_movement_and_losses_are_those_of_the_round(fit):
    """Plain gradient descent moves by the gradient times the rate."""

    class Descent(ganzoo.GAN):
        def optimizer(self, player, parameters):
            return torch.optim.SGD(parameters, lr=0.1)

    game, watch = of_ring(Descent), ganzoo.CollapseWatch(every_steps=1, n=8)
    norms = {name: torch.cat([w.detach().flatten() for w in net.parameters()]).norm() for name, net in game.players().items()}
    fit(game, max_steps=1, data=ganzoo.Gaussians(samples=500), callbacks=[watch])
    for player, norm in norms.items():
        moved = 0.1 * watch.values[f"{player}/gradient_norm"] / norm
        assert watch.values[f"{player}/moved"] == pytest.approx(float(moved), rel=1e-3)
        assert watch.values[f"{player}/loss_ratio"] == pytest.approx(1.0)


def test_losses_are_compared_with_the_runs_first_after_a_resumption_too(fit, tmp_path):
    data = partial(ganzoo.Gaussians, samples=500)
    straight, resumed = ganzoo.CollapseWatch(every_steps=2, n=8), ganzoo.CollapseWatch(every_steps=2, n=8)
    fit(of_ring(lr=0.01), max_steps=4, data=data(), callbacks=[straight])
    fit(of_ring(lr=0.01), max_steps=1, data=data(), callbacks=[ganzoo.CollapseWatch(every_steps=2, n=8)]).save_checkpoint(
        tmp_path / "x.ckpt"
    )
    fit(of_ring(lr=0.01), tmp_path / "x.ckpt", max_steps=4, data=data(), callbacks=[resumed])
    for name in ("generator/loss_ratio", "generator/gradient_norm", "margin"):
        assert resumed.values[name] == straight.values[name]


def test_what_was_found_survives_a_resumption_on_whatever_device(fit):
    """A checkpoint is read to the CPU. `meta` stands for a GPU."""
    watch, again = ganzoo.CollapseWatch(every_steps=2, n=8), ganzoo.CollapseWatch(every_steps=2, n=8)
    fit(of_ring(lr=0.0), max_steps=3, data=ganzoo.Gaussians(samples=500), callbacks=[watch])
    assert STILL in watch.found
    again.load_state_dict(watch.state_dict() | {"real": [torch.zeros(2, 2)]})
    assert again.found == watch.found
    again.on_train_start(trainer(), of_ring().to("meta"))
    moved = [*again._weights["generator"], *again._real, again._variation.centres, again._variation.near]
    assert {tensor.device.type for tensor in moved} == {"meta"}


def test_accuracies_are_around_the_midpoint():
    class Told(ganzoo.GAN):
        def opinions(self, real, *label):
            return torch.tensor([103.0, 101.0, 99.0, 97.0, 100.0]), torch.tensor([93.0, 91.0, 99.0, 97.0, 80.0])

    real = torch.zeros(5, 2)
    found = ganzoo.callbacks.collapse.opinions(of_ring(Told), (real,))  # the averages are 100 and 92
    assert (found["accuracy_real"], found["accuracy_fake"]) == (1.0, pytest.approx(0.6))
    assert found["margin"] == pytest.approx(8 / ((5 + 55) / 2) ** 0.5)


def test_modes_are_counted_by_their_share_of_the_data():
    data = ganzoo.Gaussians()
    real = data.real_samples(1024)
    variation = Variation(real, 256)
    assert k_means(real, 8).sub(data.centres[:, None]).norm(dim=2).amin(1).max() < 0.02, "one centre at each"
    assert len(variation.centres) == CELLS
    whole = variation(real[-256:])
    assert whole.coverage == pytest.approx(1.0, abs=0.05)
    assert whole.diversity == pytest.approx(1.0, abs=0.1)
    assert whole.distinct > 0.9
    beside = real[-256:] * 1.05
    assert variation(beside).coverage > 0.5, "a little beside a mode is still there"
    one_mode = data.centres[0] + 0.02 * torch.randn(256, 2)
    assert variation(one_mode).coverage == pytest.approx(1 / 8, abs=0.06)
    assert variation(one_mode).diversity < 0.05
    assert variation(one_mode).distinct > 0.9
    assert variation(data.centres.repeat(32, 1)).distinct == 0
