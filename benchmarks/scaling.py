"""How does the speed of `ganzoo fit` change with batch size, image size and the number of devices?

    python benchmarks/scaling.py                                        # on a CPU: some 15 minutes
    python benchmarks/scaling.py --device cuda --precision bf16-mixed --devices 1 2 4 8
    python benchmarks/scaling.py --only paper --round-ms 3.3 23.1       # the last table for a GPU on which rounds take so long

The last table is worked out, not measured, from all-reduces whose sizes were measured: every move averages its gradients
over the devices by one all-reduce, after it and before the optimizer steps, so that nothing is overlapped. A ring all-reduce of
B bytes over n devices takes latency + 2 (n - 1) / n * B / bandwidth. Rounds take as long on n devices as on one. What is
assumed of the links is in LINKS and printed with the table.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any
from unittest.mock import patch

import step_time
import torch
import torch.distributed as dist

PAPER = ["DCGAN 64x64, batch 128", "WGANGP, ResNets"]  # tasks of step_time.py
# devices: (bytes a second that nccl-tests calls bus bandwidth, seconds of the smallest all-reduce)
LINKS = {8: (300e9, 30e-6), 64: (40e9, 100e-6)}


class AllReduces:
    """Counts the bytes of all-reduces of floats, and the seconds that the host spends in them."""

    def __init__(self) -> None:
        self.bytes: list[int] = []
        self.seconds = 0.0
        self.all_reduce = dist.all_reduce

    def __call__(self, tensor: torch.Tensor, *others: Any, **how: Any) -> Any:
        if not tensor.is_floating_point():  # Lightning's decisions
            return self.all_reduce(tensor, *others, **how)
        self.bytes.append(tensor.numel() * tensor.element_size())
        started = time.perf_counter()
        done = self.all_reduce(tensor, *others, **how)
        self.seconds += time.perf_counter() - started
        return done


def measure(arguments: list[str], given: argparse.Namespace) -> dict[str, Any]:
    """One `ganzoo fit`, in each of its processes."""
    counter = AllReduces()
    with patch.object(dist, "all_reduce", counter):
        game, clock = step_time.fit([*arguments, f"--model.compile={step_time.HOWS[given.how]}"], given)
    devices, images = game.trainer.world_size, game.trainer.datamodule.batch_size  # type: ignore[attr-defined]
    steps = game.trainer.global_step
    turns = len(counter.bytes) // steps if devices > 1 else 0
    return {
        "devices": devices,
        "batch": images,
        "ms_per_round": round(1000 * clock["seconds"], 3),
        "images_per_second": round(images * game.minibatches * devices / clock["seconds"], 1),
        "all_reduces": turns,
        "mb_per_round": round(sum(counter.bytes[-turns:]) / 1e6, 3) if turns else 0,
        "all_reduce_ms_per_round": round(1000 * counter.seconds / steps, 3),
    }


def in_own_process(arguments: list[str], given: argparse.Namespace, devices: int = 1, threads: int = 0) -> dict[str, Any]:
    """`measure` in new processes, of `threads` threads each."""
    several = ["--trainer.devices", str(devices), "--trainer.strategy", "ddp"] if devices > 1 else []
    settings = {key: getattr(given, key) for key in ("device", "precision", "how", "seconds", "batch")}
    environment = os.environ | {"GANZOO_SCALING": json.dumps([[*arguments, *several], settings])}
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    done = subprocess.run([sys.executable, __file__], env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    return json.loads(next(line for line in reversed(done.stdout.splitlines()) if line.startswith("{")))


def sweeps(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    dcgan = ["--model=DCGAN"]
    for batch in given.batches:
        yield {"sweep": "batch", "size": 32} | in_own_process([*dcgan, f"--data.batch_size={batch}"], given)
    for size in given.sizes:
        yield {"sweep": "size", "size": size} | in_own_process([*dcgan, f"--data.size={size}"], given)
    for devices in given.devices:
        threads = 0 if given.device == "cuda" else 1
        yield {"sweep": "devices", "size": 32} | in_own_process(dcgan, given, devices, threads)


def on_paper(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The sizes of all-reduces, measured in two processes on the CPU, and what follows from them."""
    small = argparse.Namespace(**vars(given) | {"device": "cpu", "precision": "32-true", "how": "eager", "seconds": 0.0})
    for name, milliseconds in zip(PAPER, given.round_ms, strict=True):
        of = in_own_process([*step_time.TASKS[name], "--data.batch_size=2"], small, 2, 1)
        for devices, (bandwidth, latency) in LINKS.items():
            sent = 2 * (devices - 1) / devices * of["mb_per_round"] * 1e6 / bandwidth
            added = 1000 * (of["all_reduces"] * latency + sent)
            yield {
                "sweep": f"on paper: {name}",
                "devices": devices,
                "ms_per_round": round(milliseconds + added, 3),
                "all_reduces": of["all_reduces"],
                "mb_per_round": of["mb_per_round"],
                "all_reduce_ms_per_round": round(added, 3),
                "efficiency": round(milliseconds / (milliseconds + added), 3),
            }


def plot(rows: list[dict[str, Any]], path: Path, title: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    sweeps = [name for name in ("batch", "size", "devices") if any(row["sweep"] == name for row in rows)]
    figure, axes = plt.subplots(1, len(sweeps), figsize=(3.4 * len(sweeps), 3.2), squeeze=False)
    for name, axis in zip(sweeps, axes[0], strict=True):
        of = [row for row in rows if row["sweep"] == name]
        axis.plot([row[name] for row in of], [row["images_per_second"] for row in of], marker="o", color="#1b3a8c")
        axis.set_xlabel(
            {"batch": "batch size, 32 x 32", "size": "image size, batch 64", "devices": "devices, batch 64 on each"}[name]
        )
        axis.set_xscale("log", base=2)
        axis.set_xticks([row[name] for row in of], [str(row[name]) for row in of], minor=False)
        if name == "size":
            axis.set_yscale("log")
        else:
            axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("real images a second")
    figure.suptitle(f"DCGAN through ganzoo fit: {title}", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--precision", default="32-true", help="32-true or bf16-mixed")
    parser.add_argument("--how", choices=list(step_time.HOWS), help="how moves are played: eager, on CUDA graphs")
    parser.add_argument("--batches", nargs="*", type=int, default=[8, 16, 32, 64, 128, 256])
    parser.add_argument("--sizes", nargs="*", type=int, default=[16, 32, 64, 128])
    parser.add_argument("--devices", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--seconds", type=float, default=10.0, help="to measure each row for (10)")
    parser.add_argument("--only", choices=["sweeps", "paper"])
    parser.add_argument(
        "--round-ms", nargs=2, type=float, default=[3.3, 23.1], metavar="MS", help=f"of one GPU: {', '.join(PAPER)}"
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "scaling", help="writes OUT.csv and OUT.png")
    given = parser.parse_args()
    given.how = given.how or ("graphs" if given.device == "cuda" else "eager")
    given.batch = 64
    return given


def main() -> None:
    if "GANZOO_SCALING" in os.environ:
        command, settings = json.loads(os.environ["GANZOO_SCALING"])
        row = measure(command, argparse.Namespace(**settings))
        print(json.dumps(row), flush=True)  # every process prints the same but for noise: the last one is read
        return
    given = arguments()
    title = step_time.setting(given)
    sources = ([] if given.only == "paper" else [sweeps]) + ([] if given.only == "sweeps" else [on_paper])
    rows = chain.from_iterable(source(given) for source in sources)
    found = step_time.tabulated(rows, COLUMNS, title, Path(f"{given.out}.csv"))
    for devices, (bandwidth, latency) in LINKS.items():
        print(f"assumed of {devices} GPUs: {bandwidth / 1e9:g} GB/s, {1e6 * latency:g} us")
    if given.only != "paper":
        plot(found, Path(f"{given.out}.png"), title)


COLUMNS = {
    "sweep": 36,
    "devices": 8,
    "size": 5,
    "batch": 5,
    "ms_per_round": 10,
    "images_per_second": 10,
    "all_reduces": 4,
    "mb_per_round": 9,
    "all_reduce_ms_per_round": 8,
    "efficiency": 0,
}


if __name__ == "__main__":
    main()
