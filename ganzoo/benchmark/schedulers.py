"""Runs as a SLURM array or as Ray's tasks."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from ganzoo.benchmark.folder import DONE, Folder
from ganzoo.benchmark.runner import launch
from ganzoo.explain import explain
from ganzoo.tune.runs import last_words


def played_alone(out: Path, name: str) -> int:
    """A run where a scheduler has put it."""
    return launch(Folder(out), name, None).wait()


def on_slurm(folder: Folder, names: Sequence[str], how: dict[str, Any]) -> dict[str, str]:
    """One job array, a task for each run; waits for all of them.

    Args:
        how: submitit's parameters: `slurm_partition`, `timeout_min`, `gpus_per_node`, `slurm_array_parallelism` ...
    """
    try:
        import submitit
    except ImportError:
        raise ValueError("--on slurm needs submitit: pip install 'submitit>=1.5'") from None
    executor = submitit.AutoExecutor(folder.path / "slurm")
    executor.update_parameters(**{"name": folder.path.name} | how)
    jobs = executor.map_array(played_alone, [folder.path.absolute()] * len(names), names)
    return waited({name: job.result for name, job in zip(names, jobs, strict=True)}, folder)


def on_ray(folder: Folder, names: Sequence[str], how: dict[str, Any]) -> dict[str, str]:
    """One Ray task for each run; waits for all of them.

    Args:
        how: Ray's resources for one run: `num_gpus`, `num_cpus` ...
    """
    try:
        import ray
    except ImportError:
        raise ValueError("--on ray needs Ray: pip install ray") from None
    ray.init(ignore_reinit_error=True)
    task = ray.remote(**{"num_cpus": 1, "num_gpus": min(1, torch.cuda.device_count())} | how)(played_alone)
    jobs = {name: task.remote(folder.path.absolute(), name) for name in names}
    return waited({name: lambda job=job: ray.get(job) for name, job in jobs.items()}, folder)  # type: ignore[misc]


def waited(jobs: dict[str, Callable[[], int]], folder: Folder) -> dict[str, str]:
    """Why those jobs failed that did."""
    failures = {}
    for name, job in jobs.items():
        try:
            if job() and folder.state(name) != DONE:
                failures[name] = last_words(folder.log(name))
        except Exception as error:  # whatever a scheduler does to a job: the others go on
            failures[name] = explain(str(error))
    return failures
