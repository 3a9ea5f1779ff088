"""Runs that are killed or told to stop: what the same command makes of them then."""

import csv
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from command import TINY, at_call, ended, forked, kill_at, signal_at, started
from conftest import TinyExtractor

from ganzoo.metrics import features
from ganzoo.metrics.features import Extractor
from ganzoo.run_folder import RunFolder
from ganzoo.wandb_files import records, values

ALL = [  # everything that has a state, or might have one
    *("fit", *TINY, "--trainer.max_steps", "40", "--trainer.log_every_n_steps", "4", "--checkpoints.every_steps", "8"),
    *("--model.average_decay", "0.9", "--model.instance_noise", "[0.1, 30]", "--model.decay", "[10, 60]"),
    *("--model.historical_averaging", "0.01", "--model.discriminator_steps", "2", "--samples.every_steps", "10"),
    *(
        "--evaluation.every_steps",
        "12",
        "--evaluation.extractor",
        "tiny",
        "--evaluation.n",
        "20",
        "--evaluation.metrics",
        "[fd]",
    ),
    *("--watch.every_steps", "8", "--watch.n", "8"),
]
RUN = Path("runs/dcgan_digits/version_0")


@pytest.fixture(autouse=True)
def tiny(monkeypatch, tmp_path_factory):
    monkeypatch.setitem(features.EXTRACTORS, "tiny", lambda weights: Extractor("tiny", TinyExtractor(), 8, "none"))
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A run that nothing has interrupted."""
    folder = tmp_path_factory.mktemp("straight")
    features.EXTRACTORS["tiny"] = lambda weights: Extractor("tiny", TinyExtractor(), 8, "none")
    status, said = forked(folder, *ALL)
    del features.EXTRACTORS["tiny"]
    assert status == 0, said
    return folder / RUN


def weights(folder: Path, name: str = "last.ckpt") -> dict:
    return torch.load(folder / "checkpoints" / name, weights_only=True)


def equal(one, other) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other


def assert_same(run: Path, straight: Path) -> None:
    """Bit for bit the same game, optimizers, curves and scores; only clocks differ, and the last digit of LAPACK's sums."""
    for name in ("last.ckpt", "best.ckpt"):
        one, other = weights(run, name), weights(straight, name)
        for part in ("state_dict", "optimizer_states", "game", "global_step"):
            assert equal(one[part], other[part]), (name, part)

    clocks, scores = {"images_per_second", "seconds"}, {"score/fd_tiny", "value", "error"}

    def rows(folder):
        read = [*csv.DictReader((folder / "metrics.csv").open())]
        read += [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]
        return [
            {
                name: float(f"{float(value):.9g}") if value and name in scores else value
                for name, value in row.items()
                if name not in clocks
            }
            for row in read
        ]

    assert rows(run) == rows(straight)
    header = next(csv.reader((run / "metrics.csv").open()))
    assert len(header) == len(set(header)), "no column twice"
    assert {path.name for path in (run / "samples").iterdir()} == {path.name for path in (straight / "samples").iterdir()}
    assert json.loads((run / "cost.json").read_text())["state"] == "finished"
    assert not [path for path in run.rglob(".*") if path.name != ".lock"], "no temporary file is left"


@pytest.mark.parametrize(
    "target, number",
    [
        ("ganzoo.game:Game.on_fit_start", 1),  # before anything
        ("ganzoo.game:learn", 44),  # between the players' turns, far from a checkpoint
        ("ganzoo.game:Game.report", 7),
        ("ganzoo.record:Record._to", 11),  # in the middle of a row's writing
        ("ganzoo.callbacks.checkpoints:keep_a_copy", 3),
        ("ganzoo.checkpoint_files:refuse_unreadable", 3),  # the file is written, but has not its name yet
        ("ganzoo.checkpoint_files:keep_name", 2),  # it has it
        ("ganzoo.evaluation:Generated.batches", 2),  # while measuring
        ("ganzoo.metrics.stamp:append", 2),  # measured, and half of it recorded
        ("ganzoo.evaluation:Generated.batches", 4),  # after the last round
        ("ganzoo.callbacks.budget:Budget.write", 1),  # at the very end
    ],
)
def test_killed_the_same_command_ends_as_if_never_interrupted(target, number, straight, tmp_path):
    status, said = forked(tmp_path, *ALL, sabotage=kill_at(target, number))
    assert status == -signal.SIGKILL, said
    status, said = forked(tmp_path, *ALL)
    assert status == 0, said
    assert "goes on after round" in said or (number == 1 and "fit_start" in target)
    assert_same(tmp_path / RUN, straight)
    assert len(list((tmp_path / RUN).parent.iterdir())) == 1, "in the same folder"


@pytest.mark.parametrize("workers", [0, 2])
def test_killed_again_and_again(workers, straight, tmp_path):
    for number in (30, 30, 30):
        arguments = [*ALL, "--data.workers", str(workers)]
        assert forked(tmp_path, *arguments, sabotage=kill_at("ganzoo.game:learn", number))[0] == -signal.SIGKILL
    status, said = forked(tmp_path, *arguments)
    assert status == 0, said
    assert_same(tmp_path / RUN, straight)


@pytest.mark.parametrize("target, number", [("ganzoo.game:Game.validation_step", 3), ("ganzoo.game:learn", 35)])
def test_losses_of_held_out_data_are_there_once(target, number, tmp_path):
    """Killed while they are looked at, in the round of a checkpoint, or in the next one."""
    fit = ["fit", *TINY, "--trainer.max_steps", "24", "--trainer.log_every_n_steps", "4", "--checkpoints.every_steps", "8"]
    fit += ["--trainer.val_check_interval", "8", "--trainer.limit_val_batches", "2"]
    straight = tmp_path / "straight"
    straight.mkdir()
    assert forked(straight, *fit)[0] == 0
    assert forked(tmp_path, *fit, sabotage=kill_at(target, number))[0] == -9
    status, said = forked(tmp_path, *fit)
    assert status == 0, said

    def rows(folder):
        read = list(csv.DictReader((folder / RUN / "metrics.csv").open()))
        name = "val/generator/adversarial"
        return [(row["step"], row["images_seen"], row[name]) for row in read if row[name]]

    assert rows(tmp_path) == rows(straight)
    assert [row[:2] for row in rows(straight)] == [("8", "64.0"), ("16", "128.0"), ("24", "192.0")]


def test_last_goes_on_with_the_latest_run_whatever_has_changed(tmp_path):
    short = ["fit", *TINY, "--trainer.max_steps", "6", "--trainer.log_every_n_steps", "2"]
    assert forked(tmp_path, *short)[0] == 0
    status, said = forked(tmp_path, *short, "--trainer.max_steps", "10", "--ckpt_path", "last")
    assert status == 0, said
    assert "goes on after round 6" in said
    rows = list(csv.DictReader((tmp_path / RUN / "metrics.csv").open()))
    assert [row["step"] for row in rows if row["discriminator/loss"]] == ["2", "4", "6", "8", "10"]
    assert weights(tmp_path / RUN)["global_step"] == 10
    assert sorted(path.name for path in (tmp_path / RUN).glob("config*")) == ["config-1.yaml", "config.yaml"]
    status, said = forked(tmp_path, "fit", "--config", str(tmp_path / RUN / "config.yaml"))
    assert status == 0, said
    assert weights(tmp_path / "runs/config/version_0")["global_step"] == 10, "the config runs again, from the start"


def test_last_without_any_run_is_refused(tmp_path):
    status, said = forked(tmp_path, "fit", *TINY, "--ckpt_path", "last")
    assert status == 2
    assert "no run with a checkpoint" in said


def test_a_finished_run_is_not_gone_on_with(tmp_path):
    for _ in range(2):
        assert forked(tmp_path, "fit", *TINY, "--trainer.max_steps", "2")[0] == 0
    assert (tmp_path / "runs/dcgan_digits/version_1").is_dir()


@pytest.mark.parametrize("signum, status", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize(
    "target, number",
    [("ganzoo.game:learn", 40), ("ganzoo.evaluation:Generated.batches", 2), ("ganzoo.evaluation:Generated.batches", 4)],
)
def test_a_signal_saves_at_the_end_of_the_round(signum, status, target, number, straight, tmp_path):
    left, said = forked(tmp_path, *ALL, sabotage=signal_at(target, number, signum))
    assert left == status, said
    assert f"{signal.Signals(signum).name}: stopped after round" in said
    assert "Traceback" not in said
    at = weights(tmp_path / RUN)["global_step"]
    assert at == (14 if "learn" in target else 24 if number == 2 else 40), "the round that was under way, or that was measured"
    left, said = forked(tmp_path, *ALL)
    assert left == 0, said
    assert f"goes on after round {at}" in said
    assert_same(tmp_path / RUN, straight)


def test_a_second_ctrl_c_stops_at_once(tmp_path):
    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    status, said = forked(tmp_path, *ALL, sabotage=lambda: at_call("ganzoo.game:learn", 40, twice))
    assert status == 130, said
    assert "stopped at once" in said
    assert weights(tmp_path / RUN)["global_step"] == 12, "the earlier checkpoint, whole"


def test_slurms_signal_requeues_once(straight, tmp_path, monkeypatch):
    called = tmp_path / "called"
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(f"#!/bin/sh\necho $@ >> {called}\n")
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for name, value in {"SLURM_JOB_ID": "17", "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3"}.items():
        monkeypatch.setenv(name, value)
    # between the discriminator's and the generator's turn
    status, said = forked(tmp_path, *ALL, sabotage=signal_at("ganzoo.game:learn", 48, signal.SIGUSR1))
    assert status == 0, said
    assert called.read_text() == "requeue 12_3\n"
    saved = weights(tmp_path / RUN)
    assert saved["global_step"] == 16
    steps = {float(state["step"]) for player in saved["optimizer_states"][0].values() for state in player["state"].values()}
    assert steps == {16.0, 32.0}, "each player has had all its turns"
    status, said = forked(tmp_path, *ALL)
    assert status == 0, said
    assert_same(tmp_path / RUN, straight)


def test_a_folder_that_another_process_has_just_taken_away_is_not_held(tmp_path):
    assert RunFolder.held(tmp_path / "version_0") is None


def test_two_runs_at_once_have_folders_of_their_own(tmp_path):
    processes = [started(tmp_path, "fit", *TINY, "--trainer.max_steps", "30") for _ in range(2)]
    for process in processes:
        status, _, errors = ended(process)
        assert status == 0, errors
    folders = sorted((tmp_path / "runs/dcgan_digits").iterdir())
    assert [folder.name for folder in folders] == ["version_0", "version_1"]
    assert equal(*(weights(folder)["state_dict"] for folder in folders))


@pytest.mark.parametrize("signum, status", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_to_those_who_read_the_data_too(signum, status, straight, tmp_path):
    """As from a terminal, or from a cluster: all processes get it."""
    endless = ["fit", *TINY, "--trainer.max_steps", "1000000", "--data.workers", "2", "--checkpoints.every_steps", "50"]
    process = started(tmp_path, *endless)
    begun(tmp_path, process)
    os.killpg(process.pid, signum)
    left, _, errors = ended(process, 30)
    assert left == status, errors
    saved = weights(tmp_path / RUN)["global_step"]
    assert f"stopped after round {saved:,}" in errors
    assert "Traceback" not in errors


TWO = ["fit", *TINY, "--trainer.max_steps", "60", "--trainer.log_every_n_steps", "5", "--checkpoints.every_steps", "10"]
TWO += ["--trainer.devices", "2", "--trainer.strategy", "ddp"]


@pytest.fixture(scope="module")
def straight_on_two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    status, _, errors = ended(started(folder, *TWO))
    assert status == 0, errors
    return folder / RUN


def begun(folder: Path, process: subprocess.Popen[str]) -> None:
    """Wait until the first checkpoint is there."""
    deadline = time.monotonic() + 100
    while not (folder / RUN / "checkpoints" / "last.ckpt").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
        assert process.poll() is None, ended(process)


@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, "all SIGINT"])
def test_two_devices_are_stopped_and_go_on(way, straight_on_two, tmp_path):
    """SIGTERM and SIGINT reach the first rank alone, or as from a terminal all processes."""
    process = started(tmp_path, *TWO)
    begun(tmp_path, process)
    if way == signal.SIGKILL:
        os.killpg(process.pid, way)
    elif way == "all SIGINT":
        os.killpg(process.pid, signal.SIGINT)
    else:
        os.kill(process.pid, way)
    status, _, errors = ended(process, 30)
    if way == signal.SIGKILL:
        assert status == -way
    else:
        assert status == (143 if way == signal.SIGTERM else 130), errors
        assert "Traceback" not in errors
        assert "stopped after round" in errors
        saved = weights(tmp_path / RUN)["global_step"]
        assert f"stopped after round {saved}" in errors
        assert 10 <= saved < 60
    status, _, errors = ended(started(tmp_path, *TWO))
    assert status == 0, errors
    assert "goes on after round" in errors
    assert equal(weights(tmp_path / RUN)["state_dict"], weights(straight_on_two)["state_dict"])
    steps = [row["step"] for row in csv.DictReader((tmp_path / RUN / "metrics.csv").open()) if row["generator/loss"]]
    assert steps == [str(step) for step in range(5, 61, 5)]


def test_wandb_is_told_everything_once(tmp_path, monkeypatch):
    """In offline mode, whose files of both parts are uploaded to the same run."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    with_wandb = [*ALL, "--model.decay", "[10, 500]", "--trainer.logger", "Wandb", "--evaluation.every_steps", "null"]
    process = started(tmp_path, *with_wandb, "--trainer.max_steps", "400")
    begun(tmp_path, process)
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGKILL)
    ended(process)
    time.sleep(5)  # for W&B's own process to notice
    status, _, errors = ended(started(tmp_path, *with_wandb, "--trainer.max_steps", "400"))
    assert status == 0, errors
    assert "goes on after round" in errors
    files = list((tmp_path / RUN).glob("wandb/offline-run-*/*.wandb"))
    assert len(files) == 2
    assert len({path.stem for path in files}) == 1, "one run"
    rows = [values(record.history.item) for path in files for record in records(path) if record.HasField("history")]
    steps = [row["trainer/global_step"] for row in rows if "generator/loss" in row]
    assert sorted(steps) == list(range(4, 401, 4)), "none missing, none doubled"
    assert sorted(row["trainer/global_step"] for row in rows if "watch/diversity" in row) == list(range(8, 401, 8))
