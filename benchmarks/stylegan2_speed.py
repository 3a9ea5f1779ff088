"""Seconds for a thousand images of StyleGAN2 at 256 x 256, beside what NVIDIA published for its own code.

    python benchmarks/stylegan2_speed.py                                              # one GPU: some 5 minutes
    python benchmarks/stylegan2_speed.py --size 16 --rounds 16 --narrow               # a try on a CPU

NVlabs/stylegan2-ada-pytorch's README: 21.6 to 24.2 sec/kimg and 5.0 GB at 256 x 256 on one V100 with --cfg=auto, which is
configs/stylegan2_folder_256.yaml. Another GPU is not a V100, so theirs is scaled by how fast the two multiply
matrices: a V100's tensor cores do 125 Tflop/s in fp16 by its data sheet, this device what is measured here, in bf16:

    ratio = (theirs * 125 Tflop/s / measured Tflop/s) / ours         1 or more: at least as good a use of the device

The data sheet's number is more than a V100 reaches, which makes the ratio harder to meet. Images are random and on the device;
theirs were read from a file. It counts whole cycles of 16 rounds: four with path length, one with R1.
"""

import argparse
import json
from contextlib import chdir
from tempfile import TemporaryDirectory

import lightning as L
import numpy as np
import torch
from step_time import now, peak

from ganzoo import cli
from ganzoo.callbacks.budget import most_memory
from ganzoo.data.base import DataModule
from ganzoo.data.stream import Samples
from ganzoo.game import Game

THEIRS = (21.6, 24.2)  # sec/kimg on one V100
V100 = 125e12  # flop/s
CYCLE = 16


class Noise(DataModule):
    """Random colour images without classes."""

    flip = True

    def __init__(self, *, size: int = 256, **loading: object) -> None:
        super().__init__(**loading)  # type: ignore[arg-type]
        self.shape = (3, size, size)

    def splits(self) -> tuple[Samples, None]:
        return Samples(np.random.default_rng(0).integers(0, 256, (1024, *self.shape), np.uint8), None), None


class Cycles(L.Callback):
    """Times the rounds after the first two cycles, in which everything is compiled and recorded."""

    latest: "Cycles"

    def __init__(self) -> None:
        Cycles.latest = self

    def on_train_batch_end(self, trainer: L.Trainer, game: Game, *_: object) -> None:  # type: ignore[override]
        if trainer.global_step == 2 * CYCLE:
            self.start = now(game.device)

    def on_train_end(self, trainer: L.Trainer, game: Game) -> None:  # type: ignore[override]
        images = (trainer.global_step - 2 * CYCLE) * trainer.datamodule.batch_size  # type: ignore[attr-defined]
        self.seconds = 1000 * (now(game.device) - self.start) / images
        self.device, self.memory = game.device, most_memory(game.device.type == "cuda")  # after the run it is on the CPU


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=40 * CYCLE)
    parser.add_argument("--plain", action="store_true", help="without ADA")
    parser.add_argument("--compile", default="auto", help="auto, false, true or graphs")
    parser.add_argument("--narrow", action="store_true", help="networks of a few channels")
    given = parser.parse_args()
    options = [
        *("--config=stylegan2_folder_256.yaml", "--data=stylegan2_speed.Noise", f"--data.size={given.size}"),
        *("--data.batch_size=16", f"--trainer.max_steps={2 * CYCLE + given.rounds // CYCLE * CYCLE}"),
        *("--trainer.callbacks=stylegan2_speed.Cycles", "--samples.every_steps=1000000", "--watch.every_steps=1000000"),
        *(f"--model.compile={given.compile}", *(["--model.augment=null"] if given.plain else [])),
    ]
    if given.narrow:
        for player in ("generator", "discriminator"):
            options += [f"--model.{player}.channel_base=256", f"--model.{player}.channel_max=16"]
    with TemporaryDirectory() as folder, chdir(folder):
        cli.run("fit", cli.with_configs_found(options))
    of = __import__("stylegan2_speed").Cycles.latest  # the one that the run imported
    flops = peak(of.device, "bf16-mixed")
    ratios = [theirs * V100 / flops / of.seconds for theirs in THEIRS]
    device = torch.cuda.get_device_name() if of.device.type == "cuda" else "cpu"
    print(
        json.dumps(
            {
                "device": device,
                "torch": torch.__version__,
                "size": given.size,
                "ada": not given.plain,
                "compile": given.compile,
                "sec_per_kimg": round(of.seconds, 3),
                "memory_GB": round(of.memory / 1e9, 2),
                "measured_Tflops": round(flops / 1e12, 1),
                "ratio_to_NVIDIAs_code_scaled": [round(ratio, 2) for ratio in ratios],
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
