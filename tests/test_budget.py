"""What a run costs, and the end of its time."""

import json
import time
from types import SimpleNamespace

import pytest

import ganzoo
from ganzoo.__main__ import main
from ganzoo.metrics import stamp

RUN = [
    *("fit", "--model", "GAN", "--data", "Digits", "--trainer.accelerator", "cpu", "--data.batch_size", "8"),
    *("--evaluation.extractor", "tiny", "--evaluation.n", "20", "--evaluation.metrics", "[kd]"),
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, tiny_extractor):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs" / "gan_digits" / "version_0"


def cost_of(folder) -> dict:
    return json.loads((folder / "cost.json").read_text())


def test_a_run_keeps_account(folder):
    main([*RUN, "--trainer.max_steps", "6", "--watch.every_steps", "3", "--evaluation.every_steps", "3"])
    cost = cost_of(folder)
    assert (cost["state"], cost["rounds"], cost["images_seen"]) == ("finished", 6, 48)
    assert cost["images_per_second"] == pytest.approx(48 / cost["seconds"], rel=0.01)
    game = ganzoo.load(folder / "checkpoints" / "last.ckpt")
    assert cost["weights"]["generator"] == sum(weight.numel() for weight in game.generator.parameters())
    assert cost["memory_bytes"] > 50e6, "that of a process with torch in it"
    assert cost["device"] == "cpu"
    assert isinstance(cost["troubles"], list)
    first, last = stamp.read(folder / "scores.jsonl")
    assert 0 < first.origin.seconds < last.origin.seconds <= cost["seconds"]


def test_evaluations_cost_no_time(folder, monkeypatch):
    real = ganzoo.callbacks.evaluation.evaluate

    def slow(*given):
        time.sleep(1)
        return real(*given)

    monkeypatch.setattr("ganzoo.callbacks.evaluation.evaluate", slow)
    started = time.perf_counter()
    main([*RUN, "--trainer.max_steps", "3", "--evaluation.every_steps", "1"])
    assert time.perf_counter() - started > 3
    assert cost_of(folder)["seconds"] < 1


def test_a_resumed_run_adds_to_the_account(folder):
    main([*RUN, "--trainer.max_steps", "3"])
    checkpoint = str(folder / "checkpoints" / "last.ckpt")
    main([*RUN, "--trainer.max_steps", "6", "--ckpt_path", checkpoint])
    before, after = cost_of(folder), cost_of(folder.with_name("version_1"))
    assert (after["rounds"], after["images_seen"]) == (6, 48)
    assert after["seconds"] > before["seconds"]


def test_time_is_up(folder):
    budget = ["--budget.minutes", "0.02", "--evaluation.every_minutes", "0.01"]
    main([*RUN, "--trainer.max_steps", "-1", *budget])
    cost = cost_of(folder)
    assert 1.2 <= cost["seconds"] < 2.4
    first, last = stamp.read(folder / "scores.jsonl")
    assert first.origin.seconds == pytest.approx(0.6, abs=0.3)
    assert last.origin.step == cost["rounds"]
    with pytest.raises(ValueError, match="above 0"):
        ganzoo.Budget(0)


def test_a_run_that_diverges_says_so(folder, capsys):
    with pytest.raises(SystemExit):
        main([*RUN, "--trainer.max_steps", "8", "--evaluation.every_steps", "1", "--model.lr", "1e38"])
    assert "is nan" in capsys.readouterr().err
    cost = cost_of(folder)
    assert cost["state"] == "diverged"
    assert cost["rounds"] < 8


def test_a_run_that_ends_early_has_an_account_of_its_memory(folder):
    with pytest.raises(SystemExit):  # NaN in the first round, before any evaluation
        main([*RUN, "--trainer.max_steps", "8", "--trainer.log_every_n_steps", "1", "--model.lr", "1e38", "--rollbacks", "0"])
    assert cost_of(folder)["memory_bytes"] > 50e6
    budget = ganzoo.Budget()
    budget._go_on()
    assert budget.state_dict()["memory"] > 50e6, "a run that is killed after this checkpoint has not forgotten it"


@pytest.mark.parametrize(("seconds", "due"), [(59, False), (61, True), (200, True)])
def test_a_long_round_is_measured_once(seconds, due):
    evaluation = ganzoo.Evaluation(1000, ["kd"], "tiny", n=20, every_minutes=1)
    evaluation._budget = SimpleNamespace(seconds=seconds)
    of = SimpleNamespace(global_step=7, strategy=SimpleNamespace(broadcast=bool))
    assert evaluation.due(of) == due
    evaluation._times = evaluation.periods()  # as `score` does
    assert not evaluation.due(of), "whatever made it due, and however many minutes have passed"


def test_a_run_that_fails_has_no_account(folder, monkeypatch):
    monkeypatch.setattr(ganzoo.GAN, "after_turn", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main([*RUN, "--trainer.max_steps", "8"])
    assert not (folder / "cost.json").exists()


def test_without_a_clock_scores_have_no_seconds(fit, tmp_path):
    evaluation = ganzoo.Evaluation(2, ["kd"], "tiny", n=20)
    fit(ganzoo.GAN(shape=(1, 16, 16)), callbacks=[evaluation], max_steps=2, default_root_dir=tmp_path)
    assert [score.origin.seconds for score in evaluation.scores] == [None]
    with pytest.raises(ValueError, match="by the clock of Budget"):
        fit(
            ganzoo.GAN(shape=(1, 16, 16)),
            callbacks=[ganzoo.Evaluation(None, ["kd"], "tiny", n=20, every_minutes=1)],
            default_root_dir=tmp_path,
        )
