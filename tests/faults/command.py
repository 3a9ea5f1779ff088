"""The command line in processes of its own, which tests kill, starve and lie to."""

import os
import subprocess
import sys
from pathlib import Path

TINY = [  # a run of a few milliseconds a round
    *("--model", "DCGAN", "--data", "Digits", "--data.batch_size", "8", "--trainer.accelerator", "cpu"),
    *("--model.generator", "DCGANGenerator", "--model.generator.width", "4"),
    *("--model.discriminator", "DCGANDiscriminator", "--model.discriminator.width", "4"),
]


def started(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """`ganzoo ARGUMENTS` in `folder`, one thread, a session of its own so that all of it can be killed."""
    return subprocess.Popen(
        [sys.executable, "-m", "ganzoo", *arguments],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ended(process: subprocess.Popen[str], timeout: float = 120) -> tuple[int, str, str]:
    """Its exit status, what it printed, and its errors; killed if it takes longer."""
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.communicate()
        raise
    return process.returncode, output, errors


def run(folder: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    return ended(started(folder, *arguments, **environment))
