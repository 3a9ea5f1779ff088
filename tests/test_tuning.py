"""Studies: quick ones, in which something else stands in for a run or for its process, and real ones."""

import csv
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

import ganzoo
from ganzoo.__main__ import main
from ganzoo.listing import CONFIGS
from ganzoo.metrics import stamp
from ganzoo.metrics.stamp import Origin, Protocol, Stamped
from ganzoo.tune import plan, runs
from ganzoo.tune.runs import Outcome

SMALL = ["--trainer.accelerator", "cpu", "--trainer.max_steps", "4", "--data.batch_size", "4", "--watch.every_steps", "0"]
SMALL += ["--evaluation.every_steps", "2", "--evaluation.n", "8", "--samples.n", "4"]
FILE = """
config: gan_digits.yaml
ranges:
  model.lr: {low: 1e-5, high: 1e-2, log: true}
  model.betas: {choices: [[0.0, 0.9], [0.5, 0.999]]}
  model.discriminator_steps: {low: 1, high: 3}
trials: 3
"""


@pytest.fixture(autouse=True)
def out(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(FILE)
    return tmp_path / "runs" / "tune" / "small"


def options(arguments: list[str]) -> dict[str, str]:
    return dict(argument[2:].split("=", 1) for argument in arguments if "=" in argument)


def table(out: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((out / "trials.csv").open()))


def score(value: float, number: int = 1) -> Stamped:
    of_it = Protocol("fd_effnet_lite0", 1, {}, "effnet-lite0", "", "", "float32", 8, 8, "train", "", True, None, 0)
    return Stamped(value, None, of_it, Origin("GAN", "training", number, 8 * number, "cpu", "0", None, "2", 1.0))


@pytest.fixture
def played(monkeypatch) -> list[dict[str, str]]:
    """Runs whose score is their learning rate, three times; their options, in order."""
    seen: list[dict[str, str]] = []

    def play(arguments, folder, metric, tell):
        assert metric == "fd_effnet_lite0"
        seen.append(options(arguments))
        value = float(seen[-1]["model.lr"])
        for number in (1, 2, 3):
            if tell(number, score(value, number)):
                return Outcome("pruned", value)
        version = folder / "gan_digits" / "version_0"
        version.mkdir(parents=True)
        (version / "config.yaml").write_text(f"seed_everything: 0\nruns: {folder}\nmodel: {{lr: {value}}}\n")
        return Outcome("finished", value)

    monkeypatch.setattr(runs, "play", play)
    return seen


def tuning(**arguments):
    from ganzoo.tune.study import Tuning

    return Tuning(plan.read(Path("small.yaml")), Path("runs/tune/small"), **arguments)


# --- what is tried ---


def test_a_study_finds_the_best_and_says_so(out, played, capsys):
    main(["tune", "small.yaml", "--trials", "8", "--no-pruning"])
    rates = [float(of["model.lr"]) for of in played]
    assert len(set(rates)) == 8
    assert all(1e-5 <= rate <= 1e-2 for rate in rates)
    assert {of["model.betas"] for of in played} <= {"[0.0, 0.9]", "[0.5, 0.999]"}
    assert {of["model.discriminator_steps"] for of in played} <= {"1", "2", "3"}
    assert {of["evaluation.best"] for of in played} == {"fd_effnet_lite0"}
    rows = table(out)
    assert [row["state"] for row in rows] == ["finished"] * 8
    assert [float(row["fd_effnet_lite0"]) for row in rows] == rates == [float(row["model.lr"]) for row in rows]
    assert rows[0]["images_seen"] == "24"
    best = yaml.safe_load((out / "best.yaml").read_text())
    assert float(best["model"]["lr"]) == min(rates)
    assert "runs" not in best
    said = capsys.readouterr()
    assert said.out.count("\n") == 8
    assert f"best so far {min(rates):.4g}, trial {rates.index(min(rates))}" in said.out.splitlines()[-1]
    assert "ganzoo fit --config runs/tune/small/best.yaml" in said.err


def test_what_is_tried_depends_on_the_seed_alone(out, played):
    for seed in ("0", "0", "1"):
        main(["tune", "small.yaml", "--seed", seed, "--out", f"study-{len(played)}"])
    assert played[:3] == played[3:6]
    assert all(played[i] != played[i + 6] for i in range(3))


def test_worse_than_the_median_is_pruned(out, played):
    main(["tune", "small.yaml", "--trials", "16"])
    states = [row["state"] for row in table(out)]
    assert states[:5] == ["finished"] * 5
    assert "pruned" in states[5:]
    assert {row["images_seen"] for row in table(out) if row["state"] == "pruned"} == {"16"}, "by the second of three scores"
    best = min(float(of["model.lr"]) for of in played)
    assert f"{best:.6g}" in (out / "best.yaml").read_text().splitlines()[0]


# --- a study that is stopped ---


def test_ctrl_c_and_on_again(out, played, monkeypatch, capsys):
    inner = runs.play

    def interrupted(*given):
        if len(played) == 1:
            played.append(options(given[0]))
            raise KeyboardInterrupt
        return inner(*given)

    monkeypatch.setattr(runs, "play", interrupted)
    with pytest.raises(SystemExit) as stopped:
        main(["tune", "small.yaml"])
    assert stopped.value.code == 130
    assert "the same command goes on" in capsys.readouterr().err
    main(["tune", "small.yaml"])
    assert played[2] == played[1], "the trial that was cut off begins anew"
    assert [row["state"] for row in table(out)] == ["finished", "cut off", "finished", "finished"]
    main(["tune", "small.yaml"])
    assert len(played) == 4, "nothing is left to do"
    main(["tune", "small.yaml", "--trials", "4"])
    assert len(played) == 5


def test_what_a_killed_process_left_begins_anew_once(out, played):
    _, values, lock = tuning().begin(3)
    lock.release()  # as the system does when the process dies
    tuning().run(3)
    assert float(played[0]["model.lr"]) == values["model.lr"]
    assert [row["state"] for row in table(out)] == ["cut off", "finished", "finished", "finished"]


def test_two_processes_share_the_work(out, played):
    one, other = tuning(), tuning()
    trial, values, lock = one.begin(3)
    other.run(3)
    assert len(played) == 2, "the first is being played elsewhere"
    assert values["model.lr"] not in [float(of["model.lr"]) for of in played]
    one.finish(trial, Outcome("finished", 1.0))
    lock.release()
    assert [row["state"] for row in table(out)] == ["finished"] * 3


def test_another_study_is_not_spoiled(out, played, capsys):
    main(["tune", "small.yaml"])
    Path("other.yaml").write_text(FILE.replace("1e-5", "1e-4"))
    for other in (["small.yaml", "--model.latent_dim", "3"], ["other.yaml"]):
        with pytest.raises(SystemExit):
            main(["tune", *other, "--trials", "9", "--out", str(out)])
    said = capsys.readouterr().err
    assert "another config: give another --out" in said
    assert "another ranges: give another --out" in said
    assert len(played) == 3


# --- trials that go wrong ---


def test_a_trial_that_diverges_or_fails_is_noted(out, played, monkeypatch):
    inner = runs.play
    wrong = [Outcome("diverged", None, "NaN or infinity"), Outcome("failed", None, "out of memory")]
    monkeypatch.setattr(runs, "play", lambda *given: wrong.pop(0) if wrong else inner(*given))
    main(["tune", "small.yaml"])
    rows = table(out)
    assert [row["state"] for row in rows] == ["diverged", "failed", "finished"]
    assert [row["reason"] for row in rows] == ["NaN or infinity", "out of memory", ""]


def test_a_study_of_failures_ends(out, monkeypatch, capsys):
    monkeypatch.setattr(runs, "play", lambda *_: Outcome("failed", None, "no data"))
    with pytest.raises(SystemExit):
        main(["tune", "small.yaml", "--trials", "20"])
    assert "the first 3 trials failed, the last one so: no data" in capsys.readouterr().err
    assert len(table(out)) == 3


@pytest.fixture
def process(tmp_path, monkeypatch):
    """process(python source): it stands in for a run; `write(value, ...)` in it appends scores where a run would."""
    row = json.dumps(score(7.0).row())
    head = f"""
import json, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[-1]) / "gan_digits" / "version_0"
folder.mkdir(parents=True)
def write(*values):
    with (folder / "scores.jsonl").open("a") as file:
        for value in values:
            file.write(json.dumps(json.loads({row!r}) | {{"value": value}}) + "\\n")
"""
    monkeypatch.setattr(runs, "PAUSE", 0.02)
    monkeypatch.setattr(runs, "GRACE", 0.3)

    def play(source: str, stop_at: int = 99) -> tuple[Outcome, list[float]]:
        monkeypatch.setattr(runs, "CHILD", [sys.executable, "-c", head + source])
        folder = tmp_path / "trial"
        folder.mkdir()
        told: list[float] = []

        def tell(number, score) -> bool:
            told.append(score.value)
            assert len(told) == number
            return number == stop_at

        return runs.play([], folder, "fd_effnet_lite0", tell), told

    return play


def test_a_run_is_followed_to_its_end(process):
    assert process("write(3.0); time.sleep(0.2); write(2.0, 1.0)") == (Outcome("finished", 1.0), [3.0, 2.0, 1.0])


def test_a_pruned_run_is_ended_even_if_it_will_not_hear(process):
    source = "signal.signal(signal.SIGTERM, signal.SIG_IGN); write(3.0, 4.0); time.sleep(60)"
    since = time.perf_counter()
    assert process(source, stop_at=2) == (Outcome("pruned", 4.0), [3.0, 4.0])
    assert time.perf_counter() - since < 10


@pytest.mark.parametrize(
    ("source", "outcome"),
    [
        ("print('ganzoo: no data at DATA', file=sys.stderr); print('bye'); sys.exit(2)", ("failed", "no data at DATA")),
        ("print('CUDA out of memory'); sys.exit(1)", ("failed", "CUDA out of memory")),
        ("import os; os.kill(os.getpid(), signal.SIGKILL)", ("failed", "it was killed without a word")),
        ("pass", ("failed", "no fd_effnet_lite0 was measured")),
        ("write(float('nan')); time.sleep(60)", ("diverged", "fd_effnet_lite0 is not finite")),
        (
            "(folder / 'cost.json').write_text('{\"state\": \"diverged\"}'); print('ganzoo: NaN'); sys.exit(2)",
            ("diverged", "NaN"),
        ),
    ],
)
def test_how_a_run_went_wrong(process, source, outcome):
    ended, _ = process(source)
    assert (ended.state, ended.reason) == outcome


# --- the file ---


@pytest.mark.parametrize(
    ("was", "now", "says"),
    [
        ("model.lr", "model.lrr", "GAN has no option lrr; did you mean lr?"),
        ("model.lr", "--model.lr", "write model.lr without dashes"),
        ("low: 1e-5", "low: 1", "low must not be above high"),
        ("low: 1e-5", "low: 0", "low must be above 0, not 0"),
        ("low: 1e-5", "low: few", "low and high are numbers, not few"),
        ("low: 1, high: 3", "low: 1", "model.discriminator_steps is a range"),
        ("low: 1, high: 3", "low: 1.5, high: 3", "--model.discriminator_steps must be int, not 1.5"),
        ("choices: [[0.0, 0.9], [0.5, 0.999]]", "choices: []", "at least one"),
        ("choices: [[0.0, 0.9], [0.5, 0.999]]", "choices: [[0.0, 0.9], 3]", "--model.betas"),
        ("trials: 3", "trials: none", "a number from 1 on"),
        ("trials: 3", "score: fid", "fd_effnet_lite0, kd_effnet_lite0, not fid"),
        ("trials: 3", "trails: 3", "a key trails; did you mean trials?"),
        ("gan_digits", "gan_digit", "no config gan_digit.yaml"),
        ("gan_digits", "gan_ring", "measures nothing while it trains: add --evaluation.every_steps"),
        ("ranges:", "ranges: {", "is not YAML"),
        ("config:", "konfig:", "must have the keys config and ranges"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(out, was, now, says, capsys):
    Path("small.yaml").write_text(FILE.replace(was, now))
    with pytest.raises(SystemExit) as stopped:
        main(["tune", "small.yaml"])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_optuna_is_asked_for(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.delitem(sys.modules, "ganzoo.tune.study", raising=False)
    with pytest.raises(SystemExit):
        main(["tune", "small.yaml"])
    assert "pip install 'ganzoo-lightning[tune]'" in capsys.readouterr().err


@pytest.mark.parametrize("path", sorted((CONFIGS / "tune").glob("*.yaml")), ids=lambda path: path.stem)
def test_bundled_files_are_right(path):
    of = plan.read(plan.find(path.name))
    assert of.trials >= 1
    header = path.read_text().partition("config:")[0]
    assert f"ganzoo tune {path.name}" in header


# --- W&B ---


def test_a_sweep_is_the_same_and_its_arguments_are_fit_s(capsys):
    main(["tune", "dcgan_digits.yaml", "--wandb-sweep", "--trainer.max_steps", "8"])
    sweep = yaml.safe_load(capsys.readouterr().out)
    assert sweep["method"] == "bayes"
    assert sweep["metric"] == {"name": "score/fd_effnet_lite0", "goal": "minimize"}
    assert sweep["early_terminate"]["type"] == "hyperband"
    assert sweep["parameters"]["model.lr"] == {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-2}
    assert sweep["parameters"]["model.betas"] == {"values": [[0.0, 0.9], [0.5, 0.999]]}
    assert sweep["parameters"]["model.discriminator_steps"] == {"distribution": "int_uniform", "min": 1, "max": 5}
    chosen = {"model.lr": 0.001, "model.betas": [0.0, 0.9], "model.discriminator_steps": 2}
    args = create_sweep_command_args({"args": {name: {"value": value} for name, value in chosen.items()}})["args"]
    env, ganzoo_, fit, config, name, *rest, last = sweep["command"]
    assert (env, ganzoo_, fit, last) == ("${env}", "ganzoo", "fit", "${args}")
    complete = plan.complete([config, str(CONFIGS / name), *rest, *args])
    assert complete["trainer"]["logger"]["class_path"] == "ganzoo.Wandb"
    assert complete["trainer"]["max_steps"] == 8
    given = complete["model"]["init_args"]
    assert (given["lr"], given["betas"], given["discriminator_steps"]) == (0.001, [0.0, 0.9], 2)


def test_a_score_that_grows_is_maximised():
    Path("small.yaml").write_text(FILE + "score: coverage_effnet_lite0\n")
    of = plan.read(Path("small.yaml"), ["--evaluation.metrics", "[prdc]"])
    assert yaml.safe_load(of.sweep())["metric"] == {"name": "score/coverage_effnet_lite0", "goal": "maximize"}


# --- real runs ---


@pytest.mark.slow
def test_a_real_study_survives_being_killed_and_its_best_runs(out, tmp_path, monkeypatch):
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "cache"))
    command = [sys.executable, "-m", "ganzoo", "tune", "small.yaml", "--trials", "2", *SMALL]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list(out.glob("trial-0001/*/version_0")):
        assert first.poll() is None, shlex.join(command)
        time.sleep(0.1)
    [child] = [pid for pid, (parent, _) in processes().items() if parent == first.pid]
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    time.sleep(2)
    assert processes().get(child, (0, "Z"))[1].startswith("Z"), "no run outlives its study"
    subprocess.run(command, check=True)
    assert [row["state"] for row in table(out)] == ["finished", "cut off", "finished"]
    assert len(stamp.read(out / "trial-0000" / "gan_digits" / "version_0" / "scores.jsonl")) == 4
    main(["fit", "--config", str(out / "best.yaml")])
    best = min(float(row["fd_effnet_lite0"]) for row in table(out) if row["state"] == "finished")
    again = stamp.read(tmp_path / "runs" / "best" / "version_0" / "scores.jsonl")
    assert [of.value for of in again if of.protocol.metric == "fd_effnet_lite0"][-1] == pytest.approx(best, rel=1e-4)
    assert isinstance(ganzoo.load("runs/best/version_0/checkpoints/best.ckpt"), ganzoo.GAN)


def processes() -> dict[int, tuple[int, str]]:
    """Parent and state of every process: Z is one that has ended, and that nobody has asked after."""
    rows = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True).stdout
    return {int(pid): (int(parent), state) for pid, parent, state in map(str.split, rows.splitlines())}


@pytest.mark.slow
def test_a_real_trial_that_diverges(out, tmp_path, monkeypatch):
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "cache"))
    Path("small.yaml").write_text("config: gan_digits.yaml\nranges:\n  model.lr: {choices: [1e38]}\n")
    with pytest.raises(SystemExit):  # nothing has finished
        main(["tune", "small.yaml", "--trials", "1", *SMALL])
    [row] = table(out)
    assert row["state"] == "diverged"
    assert "is nan" in row["reason"]
