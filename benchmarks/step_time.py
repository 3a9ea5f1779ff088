"""How many real images a second does each variant take, and what do compiling and `ganzoo fit` change about it?

    python benchmarks/step_time.py --tasks 32x32 64x64                                # on a CPU: some 20 minutes
    python benchmarks/step_time.py --device cuda --precision bf16-mixed               # on a GPU
    python benchmarks/step_time.py --tasks DCGAN --hows eager --batch 4 --seconds 1   # a try

A row is a task (a variant with its own networks, or at 64 x 64, or with the ResNets of the WGAN-GP paper), how its
moves are played (eager, compiled, graphs), and by whom: `fit` is `ganzoo fit` with its run folder, logger and callbacks,
`moves` the same moves on one batch that never changes, with nothing around them. Each task is measured in a process of its
own, with empty compiler caches, so that memory (the process's peak, or on CUDA the allocator's) and warm-up (what the first
rounds take beyond their later time) are its own. On a CPU, rivals.py's contenders follow. CSV and plot go to --out.
"""

import argparse
import csv
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import chdir
from functools import partial
from itertools import chain, count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import lightning as L
import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from ganzoo import compiling
from ganzoo.data.base import DataModule
from ganzoo.data.stream import Samples
from ganzoo.game import Game, differentiable
from ganzoo.listing import variants
from ganzoo.optimizers import learn
from ganzoo.precision import tf32

WARM_UP = 4  # rounds before the clock starts: CUDA graphs are recorded in the second of each move
CHUNK = {"cuda": 10}  # rounds between two looks at the clock, for which CUDA has to finish; 1 elsewhere
HOWS: dict[str, compiling.Compile] = {"eager": False, "compiled": True, "graphs": "graphs"}

RESNETS = ["--model.generator=ResNetGenerator", "--model.discriminator=ResNetDiscriminator"]
PARTS = {"SemiSupervisedGAN": ["--data.labelled=100"]}  # what a variant's batches need besides
IMAGES = [kind.__name__ for kind in variants() if len(kind.usual_shape) == 3]
TASKS = {f"{name} 32x32": ["--model", name, *PARTS.get(name, [])] for name in IMAGES} | {
    "WGANGP, ResNets": ["--model=WGANGP", *RESNETS],
    "GAN 64x64": ["--model=GAN", "--data.size=64"],
    "DCGAN 64x64, batch 128": ["--model=DCGAN", "--data.size=64", "--data.batch_size=128"],
}


class Pixels(DataModule):
    """Random images of ten classes: what they show does not change the speed."""

    flip = True
    classes = 10

    def __init__(self, *, size: int = 32, **loading: Any) -> None:
        super().__init__(**loading)
        self.shape = (3, size, size)

    def splits(self) -> tuple[Samples, None]:
        pixels = np.random.default_rng(0).integers(0, 256, (10_000, *self.shape), np.uint8)
        return Samples(pixels, torch.arange(len(pixels)) % 10), None


class Clock(L.Callback):
    """Times chunks of rounds until `seconds` are over, then stops the run. The latest one is kept in `Clock.latest`."""

    latest: "Clock"

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.times: list[float] = []
        Clock.latest = self

    def on_train_start(self, trainer: L.Trainer, game: Game) -> None:  # type: ignore[override]
        self.start(game)

    def on_train_batch_end(self, trainer: L.Trainer, game: Game, *_: object) -> None:  # type: ignore[override]
        enough = self.tick(trainer.global_step)
        if enough is not None:
            trainer.should_stop = trainer.strategy.reduce_boolean_decision(enough)  # on several devices all stop at once

    def start(self, game: Game) -> None:
        self.game, self.chunk = game, CHUNK.get(game.device.type, 1)
        self.times.append(now(game.device))

    def tick(self, step: int) -> bool | None:
        """If round `step`, counted from 1, ends a chunk: note the time, and say whether that is enough."""
        if step < WARM_UP or (step - WARM_UP) % self.chunk:
            return None
        self.times.append(now(self.game.device))
        return len(self.times) > 4 and self.times[-1] - self.times[1] > self.seconds

    def result(self) -> dict[str, float]:
        """Seconds of a round, the median of all chunks, and what the first rounds took beyond that."""
        start, warm, *later = self.times
        seconds = float(median(np.diff([warm, *later]))) / self.chunk
        return {"seconds": seconds, "warm_up": warm - start - WARM_UP * seconds}


def now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def fit(arguments: list[str], given: argparse.Namespace) -> tuple[Game, dict[str, float]]:
    """The game after `ganzoo fit`, and what the clock said."""
    from ganzoo import cli

    with TemporaryDirectory() as folder, chdir(folder):
        cli.run(
            "fit",
            [
                *("--data=step_time.Pixels", f"--data.batch_size={given.batch}"),
                *(f"--trainer.accelerator={given.device}", "--trainer.devices=1", f"--trainer.precision={given.precision}"),
                *("--trainer.max_steps=-1", "--trainer.callbacks=step_time.Clock"),
                f"--trainer.callbacks.seconds={given.seconds}",
                *arguments,
            ],
        )
    clock = sys.modules["step_time"].Clock.latest
    return clock.game, clock.result()


class Operations(TorchDispatchMode):
    """Counts floating point operations by torch's formulas. Its own FlopCounterMode cannot take gradients of weights that are
    spectrally normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if function._overloadpacket in flop_registry:
            self.total += flop_registry[function._overloadpacket](*args, **(kwargs or {}), out_val=result)
        return result


def rounds(game: Game, how: str, seconds: float) -> tuple[dict[str, float], float]:
    """What the clock said of bare moves, and the floating point operations of a round."""
    game.train()
    optimizers = game.configure_optimizers().of
    data: DataModule = game.trainer.datamodule  # type: ignore[attr-defined]
    of_host = data.train.__getitems__(range(data.batch_size))
    [batch] = data.on_after_batch_transfer([part.to(game.device) for part in of_host])
    batches = [differentiable(batch)] * game.minibatches

    def play(moves: compiling.Move) -> None:
        for player, loss, part in game.turns(0, batches):
            _, gradients = moves(player, loss, part)
            learn(optimizers[player], game._weights[player], gradients, 1.0)
            game.after_turn(player)

    clock = Clock(seconds)
    with tf32(True), game.trainer.precision_plugin.forward_context():
        with Operations() as counter:
            play(game.move)
        compiled = compiling.played(game.move, HOWS[how], game.device)
        clock.start(game)
        for step in count(1):
            play(compiled)
            if clock.tick(step):
                break
    return clock.result(), float(counter.total)


def peak(device: torch.device, precision: str) -> float:
    """Floating point operations a second in the largest product of matrices that the device does at this precision."""
    size, kind = (8192 if device.type == "cuda" else 2048), torch.bfloat16 if "bf16" in precision else torch.float32
    a, b = (torch.randn(size, size, device=device, dtype=kind) for _ in range(2))
    times = []
    with tf32(True):
        for _ in range(12):
            started = now(device)
            a @ b
            times.append(now(device) - started)
    return 2 * size**3 / min(times)


def measure(name: str, how: str, given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The rows of one task, as `main` prints them: through `ganzoo fit` and by bare moves."""
    game, of_fit = fit([*TASKS[name], f"--model.compile={HOWS[how]}"], given)
    device = torch.device(given.device)
    game.to(device)  # whence Lightning took it when the run was over
    cuda = device.type == "cuda"
    # ru_maxrss is in KiB on Linux and in bytes on macOS
    unit = 1 if cuda or sys.platform == "darwin" else 1024
    memory = torch.cuda.max_memory_allocated() if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    of_moves, operations = rounds(game, how, given.seconds)
    most = peak(device, given.precision)
    images = game.minibatches * game.trainer.datamodule.batch_size  # type: ignore[attr-defined]
    for through, of in (("fit", of_fit), ("moves", of_moves)):
        yield {
            "task": name,
            "how": how,
            "through": through,
            "ms_per_round": round(1000 * of["seconds"], 3),
            "images_per_second": round(images / of["seconds"], 1),
            "share_of_peak": round(operations / of["seconds"] / most, 4),
            "peak_tflops": round(most / 1e12, 3),
            "warm_up_seconds": round(of["warm_up"], 1) if through == "fit" else "",
            "memory_mib": round(memory * unit / 2**20) if through == "fit" else "",
            "note": "",
        }


def contenders(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """rivals.py's rows, `ganzoo fit` on the same networks among them."""
    import rivals

    images = torch.randint(0, 256, (2048, *rivals.SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for task, penalty in (("GAN", False), ("WGANGP", True)):
        found = rivals.measure(rivals.CONTENDERS, images, given.batch, given.width, rounds=5, penalty=penalty, repeats=4)
        for name, seconds in found.items():
            row = {"task": f"rivals: {task}, DCGAN's networks, one critic step", "how": name, "through": "its own loop"}
            if isinstance(seconds, str):
                yield row | {"note": seconds}
            else:
                of = median(seconds)
                yield row | {"ms_per_round": round(1000 * of, 3), "images_per_second": round(given.batch / of, 1)}


def in_own_process(name: str, how: str, given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """`measure` in a new process; the row says what went wrong, if it failed."""
    with TemporaryDirectory() as cache:
        environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": cache, "GANZOO_STEP_TIME": json.dumps([name, how])}
        done = subprocess.run([sys.executable, __file__, *sys.argv[1:]], env=environment, capture_output=True, text=True)
    if done.returncode:
        yield {"task": name, "how": how, "note": done.stderr.strip().rpartition("\n")[2]}
    else:
        yield from json.loads(done.stdout.splitlines()[-1])


def plot(rows: list[dict[str, Any]], path: Path, title: str) -> None:
    """Images a second: a panel for the variants, one for each set of rivals. Nothing, if nothing could be measured."""
    measured = [row for row in rows if row.get("images_per_second")]
    if not measured:
        return
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    panels: dict[str, list[tuple[str, float, str]]] = {}
    colours = {"eager": "#b0b7c3", "compiled": "#5b8def", "graphs": "#1b3a8c", "ganzoo fit": "#d1495b"}
    for row in measured:
        panel = row["task"] if row["task"].startswith("rivals") else "variants: through ganzoo fit (bars), bare moves (lines)"
        label = row["how"] if row["task"].startswith("rivals") else f"{row['task']}, {row['how']}"
        if row["through"] != "moves":
            panels.setdefault(panel, []).append((label, row["images_per_second"], colours.get(row["how"], "#8d99ae")))
    bare = {f"{row['task']}, {row['how']}": row["images_per_second"] for row in measured if row["through"] == "moves"}
    heights = [len(bars) + 2 for bars in panels.values()]
    figure, axes = plt.subplots(len(panels), 1, figsize=(9, 2 + 0.28 * sum(heights)), height_ratios=heights, squeeze=False)
    for (panel, bars), axis in zip(panels.items(), axes[:, 0], strict=True):
        labels, speeds, shades = zip(*bars, strict=True)
        axis.barh(labels, speeds, color=shades)
        for at, (label, speed) in enumerate(zip(labels, speeds, strict=True)):
            axis.text(max(speed, bare.get(label, 0)), at, f" {speed:,.0f}", va="center", fontsize=8)
            if label in bare:
                axis.plot([bare[label]] * 2, [at - 0.4, at + 0.4], color="black", linewidth=1.5)
        axis.set_title(panel, fontsize=9, loc="left")
        axis.invert_yaxis()
        axis.margins(x=0.12, y=0.02)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1, 0].set_xlabel("real images a second", fontsize=9)
    figure.suptitle(title, fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--tasks", nargs="*", default=[], help=f"only those whose names contain one of these: {', '.join(TASKS)}"
    )
    parser.add_argument("--hows", nargs="*", choices=list(HOWS), help="all that the device can do")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--precision", default="32-true", help="32-true or bf16-mixed")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--width", type=int, default=64, help="of the networks that the rivals train (64)")
    parser.add_argument("--seconds", type=float, default=10.0, help="to measure each row for (10)")
    parser.add_argument("--no-rivals", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "step_time", help="writes OUT.csv and OUT.png")
    return parser.parse_args()


def setting(given: argparse.Namespace) -> str:
    """Hardware, version, precision and commit, in one line."""
    name = torch.cuda.get_device_name() if given.device == "cuda" else f"{platform.processor() or platform.machine()} CPU"
    git = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(git, cwd=Path(__file__).parent, capture_output=True, text=True).stdout.strip()
    return (
        f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}, {given.precision}, commit {commit or 'unknown'}"
    )


def tabulated(rows: Iterable[dict[str, Any]], columns: dict[str, int], title: str, path: Path) -> list[dict[str, Any]]:
    """All rows, each printed, in columns of these widths, and written as soon as it is there: a run may be cut off."""
    found = []
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*columns, "setting"])
        writer.writeheader()
        for row in rows:
            found.append(row | {"setting": title})
            writer.writerow(found[-1])
            file.flush()
            print(*(f"{row.get(key, '')!s:{width}}" for key, width in columns.items()), flush=True)
    return found


def main() -> None:
    given = arguments()
    if "GANZOO_STEP_TIME" in os.environ:
        print(json.dumps(list(measure(*json.loads(os.environ["GANZOO_STEP_TIME"]), given))))
        return
    hows = given.hows or (list(HOWS) if given.device == "cuda" else ["eager", "compiled"])
    names = [name for name in TASKS if not given.tasks or any(part in name for part in given.tasks)]
    title = setting(given)
    sources = [partial(in_own_process, name, how, given) for name in names for how in hows]
    if given.device == "cpu" and not given.no_rivals:
        sources.append(partial(contenders, given))
    rows = tabulated(chain.from_iterable(source() for source in sources), COLUMNS, title, Path(f"{given.out}.csv"))
    plot(rows, Path(f"{given.out}.png"), title)


COLUMNS = {
    "task": 24,
    "how": 10,
    "through": 8,
    "ms_per_round": 10,
    "images_per_second": 10,
    "share_of_peak": 8,
    "peak_tflops": 8,
    "warm_up_seconds": 8,
    "memory_mib": 8,
    "note": 0,
}


if __name__ == "__main__":
    main()
