"""Several devices, as processes of their own: they end together, and together they are one."""

import csv
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import together
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


@pytest.mark.parametrize(("victim", "world", "workers"), [(0, 2, 0), (1, 2, 0), (1, 2, 1), (3, 4, 0)])
def test_a_rank_that_dies_ends_the_run(victim, world, workers, tmp_path):
    run = started(tmp_path, "fit", *TINY, *ROUNDS, *devices(world), "--data.workers", str(workers))
    until(lambda: trained(tmp_path), 100, "it never trained")
    ranks = [run.pid, *children(run.pid)]  # and behind these, what reads data
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
                joined = torch.cat([part[name] for part in parts])
            elif name.startswith("weight"):
                joined = sum(part[name] for part in parts)
            else:
                assert torch.equal(parts[0][name], parts[1][name])
                joined = parts[0][name]
            assert torch.allclose(joined, value, rtol=1e-9, atol=1e-9), (kind, name)


# --- several devices are one with all their batches ---


@pytest.mark.parametrize("world", [2, 4])
def test_devices_together_are_one(world, tmp_path, monkeypatch):
    """Weights bit for bit the same on all ranks, and one process's of the same batches and noise; noise different."""
    here = os.pathsep.join([str(HERE.parent.parent), str(HERE), str(HERE.parent)])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": here}
    subprocess.run([sys.executable, HERE / "together.py", str(world), tmp_path], check=True, env=environment, timeout=200)
    for name in together.CASES:
        ranks = [torch.load(tmp_path / f"{name}-{rank}.pt", weights_only=True) for rank in range(world)]
        for rank in ranks[1:]:
            assert all(torch.equal(weight, rank["weights"][key]) for key, weight in ranks[0]["weights"].items()), name
            assert not torch.equal(ranks[0]["noise"], rank["noise"]), name
        as_ranks = together.AsRanks(world)
        monkeypatch.setattr("ganzoo.game.draw_from", as_ranks.draw_from)
        with as_ranks:
            one, start = together.train(name, 1)
        assert ranks[0]["seen"] == one.images_seen
        apart = distance(ranks[0]["weights"], one.state_dict(), start)
        assert apart < 2e-5, (name, apart)


def distance(here: dict, there: dict, start: dict) -> float:
    """How far weights and running statistics are apart, in units of how far they have moved; of the worst network."""
    worst = 0.0
    for network in {key.partition(".")[0] for key in start}:
        keys = [key for key in start if key.startswith(network) and start[key].is_floating_point()]
        a, b, c = (torch.cat([of[key].double().flatten() for key in keys]) for of in (here, there, start))
        assert not torch.equal(b, c)
        worst = max(worst, float((a - b).norm() / (b - c).norm()))
    return worst


# --- who starts the processes makes no difference ---


FIT = ["fit", *TINY, "--trainer.max_steps", "3", "--trainer.enable_progress_bar=false", "--trainer.strategy", "ddp"]


@pytest.fixture(scope="module")
def by_lightning(tmp_path_factory) -> dict[str, torch.Tensor]:
    """Weights of two processes that Lightning started."""
    folder = tmp_path_factory.mktemp("lightning")
    return all_ended(folder, started(folder, *FIT, "--trainer.devices", "2"))


def test_torchrun_trains_what_lightning_trains(by_lightning, tmp_path):
    by = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
    assert_equal(all_ended(tmp_path, started(tmp_path, *FIT, "--trainer.devices", "2", by=by)), by_lightning)


def test_two_nodes_train_what_one_trains(by_lightning, tmp_path):
    address = ("--master-addr", "127.0.0.1", "--master-port", str(free_port()))
    nodes = []
    for rank in "01":
        by = ("torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1", "--node-rank", rank, *address, "-m")
        nodes.append(started(tmp_path, *FIT, "--trainer.devices", "1", "--trainer.num_nodes", "2", by=by))
    assert_equal(all_ended(tmp_path, *nodes), by_lightning)


def test_a_rank_that_dies_ends_the_run_on_all_nodes(tmp_path):
    address = ("--master-addr", "127.0.0.1", "--master-port", str(free_port()))
    nodes = []
    for rank in "01":
        by = ("torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1", "--node-rank", rank, *address, "-m")
        nodes.append(started(tmp_path, "fit", *TINY, *ROUNDS, *devices(1), "--trainer.num_nodes", "2", by=by))
    until(lambda: trained(tmp_path), 100, "it never trained")
    ranks = [children(node.pid)[0] for node in nodes]
    os.kill(ranks[1], signal.SIGKILL)
    until(lambda: not alive(ranks), 10, "it lingers")
    errors = [ended(node) for node in nodes]
    assert all(status != 0 for status, _, _ in errors)
    assert "ganzoo: rank 1 is gone" in errors[0][2]


def all_ended(folder: Path, *runs: subprocess.Popen[str]) -> dict[str, torch.Tensor]:
    """The weights in the run folder, once all its processes have ended well."""
    for run in runs:
        status, _, errors = ended(run)
        assert status == 0, errors[-3000:]
    [path] = folder.glob("runs/*/version_0/checkpoints/last.ckpt")
    return torch.load(path, weights_only=True)["state_dict"]


def assert_equal(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    """Bit for bit."""
    assert ours.keys() == theirs.keys()
    for name, weight in ours.items():
        assert torch.equal(weight, theirs[name]), name


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
