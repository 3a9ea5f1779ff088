"""Several devices, as processes of their own: they end together, and together they are one."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from command import TINY, ended
from ranks import CASES, normed

ROUNDS = [*("--trainer.max_steps", "100000", "--trainer.log_every_n_steps", "1"), "--trainer.enable_progress_bar=false"]
HERE = Path(__file__).parent


def devices(n: int) -> list[str]:
    return ["--trainer.devices", str(n), "--trainer.strategy", "ddp"]


def started(folder: Path, *arguments: str, by: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """`ganzoo ARGUMENTS`, which also knows what tests misbehave by; `by` torchrun, say."""
    return subprocess.Popen(
        [sys.executable, "-m", *by, "ganzoo", *arguments],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(HERE.parent.parent), str(HERE)])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout
    return [int(each) for each in listed.split()]


def alive(pids: list[int]) -> list[int]:
    """Those that have not ended; what has ended but was not waited for has."""
    states = subprocess.run(["ps", "-o", "pid=,stat=", "-p", ",".join(map(str, pids))], capture_output=True, text=True).stdout
    return [int(pid) for pid, state in map(str.split, states.splitlines()) if not state.startswith("Z")]


def until(true, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def trained(folder: Path, rounds: int = 3) -> bool:
    return any(len(list(csv.reader(log.open()))) > rounds for log in folder.glob("runs/*/version_0/metrics.csv"))


def killed(run: subprocess.Popen[str], victim: int, seconds: float = 10) -> str:
    """Kill one process of a run; all of it must end. Its errors."""
    everyone = [run.pid, *children(run.pid)]
    os.kill(victim, signal.SIGKILL)
    until(lambda: run.poll() is not None and not alive(everyone), seconds, "it lingers")
    status, _, errors = ended(run)
    assert status != 0
    return errors


@pytest.mark.parametrize("victim", [0, 1, 3])
def test_a_rank_that_dies_ends_the_run(victim, tmp_path):
    world = 4 if victim == 3 else 2
    run = started(tmp_path, "fit", *TINY, *ROUNDS, *devices(world))
    until(lambda: trained(tmp_path), 100, "it never trained")
    ranks = [run.pid, *children(run.pid)]
    errors = killed(run, ranks[victim])
    how = "is gone (killed, or out of memory)" if victim == 0 else "was killed by signal 9 (SIGKILL)"
    line = f"ganzoo: rank {victim} {how}: the run ends; the same command goes on from its last checkpoint"
    assert [each for each in errors.splitlines() if each.startswith("ganzoo: ")] == [line]
    assert "Traceback" not in errors


@pytest.mark.parametrize("victim", [0, 1])
def test_nobody_waits_for_the_dead(victim, tmp_path):
    """Not even a rank that no error can reach."""
    waits = ["--trainer.callbacks", "misbehaving.Waits", "--trainer.callbacks.rank", str(1 - victim)]
    run = started(tmp_path, "fit", *TINY, *ROUNDS, *devices(2), *waits)
    until(lambda: trained(tmp_path, 2), 100, "it never trained")
    time.sleep(1)
    errors = killed(run, [run.pid, *children(run.pid)][victim])
    assert f"ganzoo: rank {victim} " in errors


@pytest.mark.parametrize("victim", [0, 1])
def test_a_rank_that_dies_before_the_first_round(victim, tmp_path):
    run = started(tmp_path, "fit", *TINY, *ROUNDS, *devices(2))
    until(lambda: children(run.pid), 60, "it never started another")
    killed(run, [run.pid, *children(run.pid)][victim], 20)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_fails_ends_the_run(rank, tmp_path):
    fails = ["--trainer.callbacks", "misbehaving.Fails", "--trainer.callbacks.rank", str(rank)]
    run = started(tmp_path, "fit", *TINY, *ROUNDS, *devices(2), *fails)
    until(lambda: trained(tmp_path, 2), 100, "it never trained")
    everyone = [run.pid, *children(run.pid)]
    until(lambda: run.poll() is not None and not alive(everyone), 15, "it lingers")
    status, _, errors = ended(run)
    assert status == 1
    assert errors.count("Traceback") == 1, "of the rank that failed, and of no other"
    assert f"ganzoo: rank {rank} failed (KeyError: 'nobody expected this'): the run ends" in errors


@pytest.mark.parametrize("victim", [0, 1])
def test_under_torchrun_too(victim, tmp_path):
    torchrun = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
    run = started(tmp_path, "fit", *TINY, *ROUNDS, *devices(2), by=torchrun)
    until(lambda: trained(tmp_path), 100, "it never trained")
    errors = killed(run, children(run.pid)[victim])
    assert f"ganzoo: rank {victim} is gone" in errors


def test_ranks_do_not_outlive_torchrun(tmp_path):
    torchrun = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
    run = started(tmp_path, "fit", *TINY, *ROUNDS, *devices(2), by=torchrun)
    until(lambda: trained(tmp_path), 100, "it never trained")
    errors = killed(run, run.pid)
    assert "ganzoo: " in errors


# --- batch normalisation over all devices ---


def test_synchronised_batch_norm_is_that_of_the_whole_batch(tmp_path):
    """Values, gradients, a penalty's gradients of gradients, running statistics: in float64."""
    subprocess.run([sys.executable, HERE / "ranks.py", "normed", tmp_path, "2"], check=True, timeout=100)
    normed(0, 1, tmp_path)
    for kind in CASES:
        whole, *parts = (torch.load(tmp_path / f"{kind}-{name}.pt") for name in ("1-0", "2-0", "2-1"))
        for name, value in whole.items():
            if name in ("y", "slope", "by_x", "still"):  # of each sample
                together = torch.cat([part[name] for part in parts])
            elif name.startswith("weight"):
                together = sum(part[name] for part in parts)
            else:
                assert torch.equal(parts[0][name], parts[1][name])
                together = parts[0][name]
            torch.testing.assert_close(together, value, rtol=1e-9, atol=1e-9, msg=lambda text, name=name: f"{kind} {name} {text}")
