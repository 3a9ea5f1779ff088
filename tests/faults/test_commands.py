"""Commands that run others, ended from outside: nothing that they began goes on."""

import os
import re
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from command import TINY, ended, started
from test_bad_data import alive, children

NETWORKS = {part: {"class_path": f"DCGAN{part.title()}", "init_args": {"width": 4}} for part in ("generator", "discriminator")}
SUITE = {
    "budget": {"images": 10_000_000},
    "points": 1000,
    "seeds": [0, 1],
    "data": {"digits": {"class_path": "Digits", "init_args": {"batch_size": 8}}},
    "evaluation": {"metrics": ["kd"], "extractor": "effnet-lite0", "n": 8, "split": "held_out"},
    "model": {"init_args": NETWORKS},
    "variants": ["DCGAN"],
}
TUNED = {"config": "dcgan_digits.yaml", "ranges": {"model.lr": {"low": 1e-5, "high": 1e-3}}, "score": "kd_effnet_lite0"}
MEASURED = ["--evaluation.every_steps", "100", "--evaluation.n", "8", "--evaluation.metrics", "[kd]"]
COMMANDS = {
    "benchmark": (["benchmark", "x.yaml", "--devices", "cpu", "cpu"], SUITE, 2),
    "tune": (
        ["tune", "x.yaml", *TINY[4:], *MEASURED, "--evaluation.extractor", "effnet-lite0", "--trainer.max_steps", "1000000"],
        TUNED,
        1,
    ),
}


def began(pid: int) -> list[int]:
    """The Python processes that it began."""
    return [child for child in children(pid) if b"ganzoo" in Path(f"/proc/{child}/cmdline").read_bytes()]


@pytest.fixture
def begin(tmp_path):
    """Starts a command; in the end, however that came, it and what it began is killed."""
    processes = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        processes.append(started(tmp_path, *arguments, GANZOO_CACHE=str(tmp_path / "cache")))
        return processes[-1]

    yield start
    for process in processes:
        for pid in [*(began(process.pid) if alive(process.pid) else []), process.pid]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    "command, word, status",
    [
        ("benchmark", signal.SIGTERM, 143),
        pytest.param("benchmark", signal.SIGINT, 130, marks=pytest.mark.slow),
        pytest.param("tune", signal.SIGTERM, 143, marks=pytest.mark.slow),
        pytest.param("tune", signal.SIGINT, 130, marks=pytest.mark.slow),
    ],
)
def test_no_run_outlives_the_command_that_began_it(command, word, status, begin, tmp_path):
    arguments, content, runs = COMMANDS[command]
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(content))
    process = begin(*arguments)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("runs/**/metrics.csv"))) < runs:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    players = began(process.pid)
    assert len(players) == runs
    os.kill(process.pid, word)  # and nobody else
    since = time.monotonic()
    code, _, errors = ended(process, 30)
    assert code == status, errors
    assert re.search("stopped: the same command goes on", errors)
    assert "Traceback" not in errors
    assert time.monotonic() - since < 25
    assert not any(map(alive, players))
