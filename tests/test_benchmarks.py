"""The judges in benchmarks/ judge real data as they should."""

import csv
import json
import subprocess
import sys
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from conftest import REPOSITORY, data_for, of_digits
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

import ganzoo
from ganzoo.conditional import ConditionalDuel
from ganzoo.data.bicubic import enlarged
from ganzoo.data.native import SplitSamples
from ganzoo.duel import Duel
from ganzoo.evaluation import Evaluator
from ganzoo.growing import GrowingDuel
from ganzoo.listing import variants
from ganzoo.metrics import stamp
from ganzoo.metrics.features import extractor
from ganzoo.metrics.stamp import Origin, Protocol, Stamped
from ganzoo.record import Record

sys.path.insert(0, str(REPOSITORY / "benchmarks"))

import ada_curves
import data_rate
import image_to_image
import mnist_quality
import ring_modes
import ring_table
import rivals
import scaling
import semi_supervised
import step_time
import super_resolution
import watch_cost


def test_ring_modes_of_real_points():
    data = ganzoo.Gaussians()
    found, share, on = ring_modes.modes(data.real_samples(20_000), data.centres, data.std)
    assert found == 8
    assert share == pytest.approx(1 - torch.tensor(-4.5).exp().item(), abs=0.003)  # Rayleigh: within three deviations
    assert len(on) == 8


def test_ring_modes_of_a_collapsed_generator():
    data = ganzoo.Gaussians()
    found, share, on = ring_modes.modes(data.centres[3].repeat(1000, 1), data.centres, data.std)
    assert (found, share) == (1, 1.0)
    assert on[3] == 1000
    assert ring_modes.modes(torch.zeros(1000, 2), data.centres, data.std)[:2] == (0, 0.0)


def test_the_rings_table_has_every_unconditional_variant():
    missing = {variant for variant in variants() if issubclass(variant, Duel) and not issubclass(variant, ConditionalDuel)} - {
        variant for variant, _ in ring_table.GAMES.values()
    }
    missing = {variant for variant in missing if not issubclass(variant, ganzoo.Upscaler | GrowingDuel)}
    missing = {variant for variant in missing if len(variant.usual_shape) == 3}
    assert missing <= {ganzoo.DCGAN, ganzoo.SNGAN, ganzoo.SemiSupervisedGAN}, "those for images, and one that needs labels"


def test_the_rings_table_goes_on_where_it_was(tmp_path, monkeypatch, capsys):
    arguments = ["ring_table.py", "--out", str(tmp_path / "ring"), "--samples", str(tmp_path), "--rounds", "2"]
    monkeypatch.setattr(sys, "argv", [*arguments, "--only", "GAN", "WGAN", "--seeds", "0"])
    ring_table.main()
    first = (tmp_path / "ring.csv").read_text()
    monkeypatch.setattr(sys, "argv", [*arguments, "--only", "GAN", "WGAN", "--seeds", "0", "1"])
    capsys.readouterr()
    ring_table.main()
    rows = ring_table.done(tmp_path / "ring.csv")
    assert (tmp_path / "ring.csv").read_text().startswith(first)
    assert [(row["variant"], row["seed"]) for row in rows] == [("GAN", "0"), ("WGAN", "0"), ("GAN", "1"), ("WGAN", "1")]
    assert [row["real_points"] for row in rows[:2]] == ["512", "2560"]
    printed = capsys.readouterr().out
    assert "seed 0" not in printed
    assert printed.count("0 of 2") == 2
    assert Image.open(tmp_path / "ring.png").width > 100


def test_the_rings_table_in_words():
    rows = [
        {"variant": "GAN", "seed": str(seed), "modes": modes, "share": share, "real_points": "512"}
        for seed, modes, share in [(1, "7", "0.5"), (0, "8", "0.25"), (2, "8", "0.75")]
    ]
    assert ring_table.summary(rows).splitlines()[2:] == ["| GAN | 8 7 8 | 2 of 3 | 50 % (25 - 75) | 512 |"]


def test_the_digit_judge_counts_confident_samples_and_classes():
    probability = torch.full((4, 10), 0.01)
    for sample, (digit, confidence) in enumerate([(0, 0.95), (0, 0.91), (7, 0.89), (9, 0.5)]):
        probability[sample, digit] = confidence
    row = mnist_quality.row("x", probability)
    assert row.split()[:2] == ["50.0%", "3/10"]
    assert "[2, 0, 0, 0, 0, 0, 0, 1, 0, 1]" in row
    assert mnist_quality.row("x", probability, torch.tensor([0, 1, 7, 9])).split()[:3] == ["50.0%", "75.0%", "3/10"]


def test_the_digit_judge_learns():
    images = torch.zeros(400, 1, 32, 32, dtype=torch.uint8)
    labels = torch.arange(400) % 10
    for image, label in zip(images, labels, strict=True):
        image[:, :, 3 * label : 3 * label + 2] = 255
    classifier = mnist_quality.train(images, labels, epochs=20)
    probability = mnist_quality.probabilities(classifier, mnist_quality.normalised(images))
    assert (probability.argmax(1) == labels).all()
    small = mnist_quality.normalised(images[:, :, 2:30, 2:30])  # 28x28 gets its black border back
    assert torch.allclose(mnist_quality.probabilities(classifier, small[labels % 9 != 0]).argmax(1), labels[labels % 9 != 0])


@pytest.mark.parametrize("penalty", [False, True])
@pytest.mark.parametrize("reuse", [False, True])
def test_the_plain_loop_trains_both_networks(penalty, reuse):
    images = torch.randint(0, 256, (24, *rivals.SHAPE), dtype=torch.uint8)
    task = rivals.Task(images, batch=8, width=2, rounds=4, penalty=penalty)
    players = [task.generator, task.discriminator]
    before = [[weight.clone() for weight in player.parameters()] for player in players]
    rivals.plain(task, reuse=reuse)
    for player, weights in zip(players, before, strict=True):
        after = list(player.parameters())
        assert all(weight.isfinite().all() for weight in after)
        assert not any(torch.equal(one, other) for one, other in zip(weights, after, strict=True))
    assert len(task.asked) == 4


def test_rivals_are_timed_or_say_why_not(monkeypatch):
    def broken(task):
        raise AttributeError("torch\nhas no such thing")

    rivals_there = {"absent": ("no-such-gan", rivals.plain), "old": ("torch", broken)}
    monkeypatch.setattr(rivals, "CONTENDERS", rivals.CONTENDERS | rivals_there)
    images = torch.randint(0, 256, (16, *rivals.SHAPE), dtype=torch.uint8)
    names = ["plain loop", "ganzoo fit", "absent", "old"]
    found = rivals.measure(names, images, batch=4, width=2, rounds=2, repeats=2)
    for name in names[:2]:
        assert len(found[name]) == 4
        assert all(0 < seconds < 60 for seconds in found[name])
    assert found["absent"] == "not installed: pip install --no-deps no-such-gan"
    assert found["old"] == "AttributeError: torch has no such thing"


def test_the_clock_takes_the_median_of_chunks_and_the_warm_up_apart():
    clock = step_time.Clock(seconds=2.0)
    clock.chunk = 2
    clock.times = [0.0, 11.0, 13.0, 15.0, 99.0]
    assert clock.result() == {"seconds": 1.0, "warm_up": 11.0 - 4}


def test_the_clock_stops_after_its_seconds_and_at_the_end_of_a_chunk(monkeypatch):
    monkeypatch.setattr(step_time, "now", lambda device: float(next(seconds)))
    seconds = iter(range(100))
    clock = step_time.Clock(seconds=4.0)
    clock.start(SimpleNamespace(device=torch.device("cuda")))
    ends = {step: enough for step in range(1, 60) if (enough := clock.tick(step)) is not None}
    assert list(ends)[:3] == [4, 14, 24], "after the warm-up, then every ten rounds on CUDA"
    assert next(step for step, enough in ends.items() if enough) == 54  # 4 seconds after the first chunk began, and more


def test_step_times_are_written_and_drawn(tmp_path):
    """One variant, for a second, as the command line is used."""
    script = REPOSITORY / "benchmarks" / "step_time.py"
    given = ["--tasks", "LSGAN", "--hows", "eager", "--batch", "2", "--seconds", "0", "--no-rivals"]
    done = subprocess.run(
        [sys.executable, script, *given, "--out", tmp_path / "x"], capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr[-3000:]
    rows = list(csv.DictReader((tmp_path / "x.csv").open()))
    assert [(row["task"], row["through"]) for row in rows] == [("LSGAN 32x32", "fit"), ("LSGAN 32x32", "moves")]
    for row in rows:
        assert float(row["images_per_second"]) == pytest.approx(2000 / float(row["ms_per_round"]), abs=0.06)
        assert 0 < float(row["share_of_peak"]) < 2
        assert "torch" in row["setting"] and "commit" in row["setting"]
    assert Image.open(tmp_path / "x.png").width > 500


def test_a_task_that_fails_leaves_a_row_that_says_so(monkeypatch):
    failed = SimpleNamespace(returncode=1, stdout="", stderr="Traceback ...\nValueError: no such device")
    monkeypatch.setattr(step_time.subprocess, "run", lambda *_, **__: failed)
    [row] = step_time.in_own_process("DCGAN 32x32", "eager", SimpleNamespace())
    assert row["note"] == "ValueError: no such device"


def test_all_reduces_of_gradients_are_counted(monkeypatch):
    monkeypatch.setattr(scaling.dist, "all_reduce", lambda tensor, *_, **__: None)
    counter = scaling.AllReduces()
    counter(torch.zeros(10))
    counter(torch.zeros(3, dtype=torch.int64))
    counter(torch.zeros(2, 2))
    assert counter.bytes == [40, 16]


def test_what_more_devices_would_give(monkeypatch):
    """Two all-reduces of 300 MB in all, over links of 300 GB/s: 2 latencies, and 7/4 of a millisecond."""
    monkeypatch.setattr(scaling, "in_own_process", lambda *_: {"all_reduces": 2, "mb_per_round": 300.0})
    monkeypatch.setattr(scaling, "PAPER", ["WGANGP, ResNets"])
    monkeypatch.setattr(scaling, "LINKS", {8: (300e9, 125e-6)})
    [row] = scaling.on_paper(SimpleNamespace(round_ms=[2.0]))
    assert (row["all_reduce_ms_per_round"], row["ms_per_round"], row["efficiency"]) == (2.0, 4.0, 0.5)


@pytest.mark.parametrize("workers", [0, 1])
def test_delivered_images_are_counted(workers):
    assert data_rate.delivered(ganzoo.Digits(batch_size=4, workers=workers), batches=30) > 100


def test_the_plain_loop_learns_points_too():
    points = torch.randn(24, 2)
    task = rivals.Task(points, batch=8, width=4, rounds=4)
    before = task.generator.layers[0].weight.clone()
    rivals.plain(task)
    assert not torch.equal(before, task.generator.layers[0].weight)
    assert len(task.asked) == 4


def test_all_reduces_are_sized_on_the_cpu_whatever_is_measured(monkeypatch):
    """The numbers of a GPU, say: a machine that has one device cannot start two processes on it."""
    given = {"device": "cuda", "precision": "bf16-mixed", "how": "graphs", "seconds": 10.0, "batch": 64, "round_ms": [1.0, 1.0]}
    asked = []

    def run(command, env, **_):
        asked.append(json.loads(env["GANZOO_SCALING"]))
        return SimpleNamespace(returncode=0, stdout='{"all_reduces": 2, "mb_per_round": 1.0}')

    monkeypatch.setattr(scaling.subprocess, "run", run)
    list(scaling.on_paper(SimpleNamespace(**given)))
    for arguments, settings in asked:
        assert settings == {"device": "cpu", "precision": "32-true", "how": "eager", "seconds": 0.0, "batch": 64}
        assert "--trainer.devices" in arguments


@pytest.mark.parametrize("variant", [ganzoo.DCGAN, ganzoo.WGANGP])
def test_operations_are_counted_as_torch_counts_them(variant):
    game = variant(shape=(1, 16, 16))
    game.configure_optimizers()
    batch = (torch.rand(4, 1, 16, 16).requires_grad_(),)
    with FlopCounterMode(display=False) as theirs:
        game.move("discriminator", game.discriminator_loss, batch)
    with step_time.Operations() as ours:
        game.move("discriminator", game.discriminator_loss, batch)
    assert ours.total == theirs.get_total_flops() > 0


def test_operations_are_counted_under_spectral_normalisation():
    linear = torch.nn.utils.parametrizations.spectral_norm(torch.nn.Linear(3, 5))
    with step_time.Operations() as counter:
        torch.autograd.grad(linear(torch.ones(2, 3)).sum(), list(linear.parameters()))
    assert counter.total >= 2 * 2 * 3 * 5 * 2  # the product, forwards and backwards


def test_the_watchs_cost_is_all_that_it_takes():
    took = watch_cost.measure(ganzoo.GAN(shape=(2,), latent_dim=2), ganzoo.Gaussians(samples=2000), 12)
    assert took.keys() == {"round", "check", "preparation"}
    assert all(0 < seconds < 60 for seconds in took.values())


def test_the_supervised_baseline_sees_the_labelled_images_only(tiny_data):
    data = ganzoo.MNIST(root=str(tiny_data), size=28, labelled=20)
    data.setup()
    images, labels = semi_supervised.known(data.train)
    assert images.shape == (20, 1, 28, 28) and labels.bincount().tolist() == [2] * 10
    game = semi_supervised.baseline(images, labels, classes=10, rounds=40, seed=0)
    assert (game.classify(images).argmax(1) == labels).float().mean() > 0.9, "random images are learnt by heart"
    assert semi_supervised.error(game.classify, data.train) < 0.1
    assert semi_supervised.error(game.classify, data.held_out) > 0.5, "and say nothing of others"


def test_errors_are_counted():
    data = ganzoo.Digits(labelled=10)
    data.setup()
    label = data.held_out.labels
    always = iter([torch.nn.functional.one_hot(label, 10), torch.nn.functional.one_hot((label + (label == 3)) % 10, 10)])
    assert semi_supervised.error(lambda x: next(always), data.held_out) == 0
    assert semi_supervised.error(lambda x: next(always), data.held_out) == pytest.approx((label == 3).float().mean().item())


@pytest.mark.parametrize("name", ["SemiSupervisedGAN 32x32", "ACGAN 32x32"])
def test_bare_rounds_get_the_datas_batches(name, fit):
    variant = getattr(ganzoo, name.split()[0])
    data = step_time.Pixels(batch_size=2, size=16, labelled=100 if variant is ganzoo.SemiSupervisedGAN else None)
    game = variant(shape=data.shape, classes=10)
    fit(game, data=data, max_steps=1)
    took, operations = step_time.rounds(game, "eager", seconds=0.0)
    assert took["seconds"] > 0 and operations > 0


def test_adas_controller_is_drawn(tmp_path, monkeypatch, capsys):
    for name, logged in (("GAN-0", {}), ("ADA-0", {ada_curves.P: 0.25, ada_curves.R: 0.5})):
        record = Record(tmp_path / "runs" / name / "version_0")
        for step in range(1, 61):
            record.log_metrics({"images_seen": 100 * step, "generator/loss": 1.0} | logged, step)
        of = Protocol("fd_x", 1, {}, "x", "w", "none", "float32", 9, 9, "train", "r", False, None, 0)
        at = Origin(name, "training", 60, 6000, "cpu", "0", None, "2")
        stamp.append(record.path.with_name("scores.jsonl"), [Stamped(7.0, None, of, at)])
    monkeypatch.setattr(sys, "argv", ["ada_curves.py", str(tmp_path / "runs"), "--out", str(tmp_path / "ada.png")])
    ada_curves.main()
    assert capsys.readouterr().out == "ADA-0: r_t 0.500, p 0.25 to 0.25\n"
    assert Image.open(tmp_path / "ada.png").size[0] > 1000


def test_super_resolution_next_to_bicubic(tmp_path, monkeypatch, capsys):
    (tmp_path / "Tiny" / "HR").mkdir(parents=True)
    for name, size in (("1.png", (40, 32)), ("2.png", (33, 37))):
        Image.effect_noise(size, 50).convert("RGB").save(tmp_path / "Tiny" / "HR" / name)
    monkeypatch.setattr(super_resolution.ganzoo, "load", lambda path: upscaler)
    upscaler = ganzoo.SRGAN(shape=(3, 16, 16), scale=2, generator=partial(ganzoo.SRResNet, width=4, blocks=1))
    upscaler.generator.forward = lambda x: enlarged(x, 2)
    arguments = [str(tmp_path), "x.ckpt", "--sets", "Tiny", "--scale", "2", "--cache", str(tmp_path / "cache")]
    monkeypatch.setattr(sys, "argv", ["super_resolution.py", *arguments, "--device", "cpu"])
    super_resolution.main()
    bicubic, same = capsys.readouterr().out.strip().splitlines()[-2:]
    assert bicubic.startswith("| bicubic | ")
    assert same == bicubic.replace("bicubic", "x")
    monkeypatch.setattr(sys, "argv", ["super_resolution.py", *arguments, "--device", "cpu", "--scale", "4"])
    with pytest.raises(ValueError, match="does not enlarge 4 times"):
        super_resolution.main()


def test_image_to_image_writes_what_it_measures(tmp_path, fit, capsys):
    twin = of_digits(ganzoo.Pix2Pix)
    twin.__class__ = image_to_image.L1Only
    before = [weight.detach().clone() for weight in twin.discriminator.parameters()]
    watch = image_to_image.Watch("twin", lambda game: {"l1": 0.5}, 2, tmp_path / "x.csv", 0)
    fit(twin, data=data_for(ganzoo.Pix2Pix), max_steps=3, callbacks=[watch])
    assert all(torch.equal(*pair) for pair in zip(before, twin.discriminator.parameters(), strict=True))
    with (tmp_path / "x.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["game"], row["round"], row["score"], row["value"]) for row in rows] == [
        ("twin", "2", "l1", "0.5"),
        ("twin", "3", "l1", "0.5"),
    ]
    assert "twin      round      2 l1 0.5000" in capsys.readouterr().out


def test_image_to_image_draws_few_rows_too():
    assert [*image_to_image.spread(5)] == [0, 1, 2, 3, 4]
    assert [*image_to_image.spread(40)] == [*range(0, 32, 2)]


@pytest.mark.usefixtures("tiny_extractor")
def test_image_to_image_measures_pairs():
    data = ganzoo.Denoising(of=ganzoo.Digits(), std=0.0)
    data.setup()
    judge = Evaluator(["fd"], extractor("tiny"), SplitSamples(data.held_out, 150), split="held_out", data=data)
    idle = of_digits(ganzoo.Pix2Pix)
    idle.translate = lambda source: source
    assert image_to_image.of_pairs(idle, data, judge) == pytest.approx({"l1": 0.0, "fd": 0.0}, abs=1e-4)
