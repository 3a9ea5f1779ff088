"""Every unconditional variant on the ring of 8 Gaussians: modes found and share of samples on a mode, with one budget.

    python benchmarks/ring_table.py --out benchmarks/ring

All have the networks, the noise and the data of configs/gan_ring.yaml, and as many rounds, in the second half of which the
learning rates fall to zero; each has its paper's cost, rates and discriminator steps, but for what `GAMES` says. Every run
is added to OUT.csv as it ends and is not repeated, so that an interrupted table goes on and processes may share one
(`--only`); OUT.png shows what the generators make.
"""

import argparse
import csv
import logging
import time
from functools import partial
from pathlib import Path
from statistics import median
from textwrap import fill
from typing import Any

import lightning as L
import matplotlib.pyplot as plt
import numpy as np
import torch
from step_time import setting

import ganzoo
from ganzoo.game import Game, draw_from
from ganzoo.metrics.modes import modes

N = 10_000  # samples judged
SHOWN = 500  # samples drawn
COLUMNS = ["variant", "seed", "modes", "share", "rounds", "real_points", "seconds", "setting"]

WIDTH = 128
COMMON: dict[str, Any] = {
    "shape": (2,),
    "latent_dim": 2,
    "generator": partial(ganzoo.MLPGenerator, width=WIDTH),
    "discriminator": partial(ganzoo.MLPDiscriminator, width=WIDTH),
}
GAMES: dict[str, tuple[type[Game], dict[str, Any]]] = {
    "GAN, minimax": (ganzoo.GAN, {"generator_cost": "minimax"}),
    "GAN": (ganzoo.GAN, {}),
    "LSGAN": (ganzoo.LSGAN, {}),
    # The rates of its authors' experiment on this ring, and what they do without unrolling.
    "UnrolledGAN": (ganzoo.UnrolledGAN, {"lr": 1e-3, "discriminator_lr": 1e-4}),
    "GAN, minimax, UnrolledGAN's rates": (ganzoo.GAN, {"generator_cost": "minimax", "lr": 1e-3, "discriminator_lr": 1e-4}),
    "FGAN": (ganzoo.FGAN, {}),
    "BiGAN": (ganzoo.BiGAN, {}),
    "InfoGAN": (ganzoo.InfoGAN, {"categories": (8,), "continuous": 1}),
    "WGAN": (ganzoo.WGAN, {}),
    # The penalty of the authors' toy experiments, where images have 10, and three times the paper's rate, for so few rounds;
    # likewise the Cramer GAN's.
    "WGANGP": (ganzoo.WGANGP, {"penalty": 0.1, "lr": 3e-4}),
    "BEGAN": (ganzoo.BEGAN, {"discriminator": partial(ganzoo.MLPAutoencoder, width=WIDTH)}),
    "CramerGAN": (ganzoo.CramerGAN, {"penalty": 0.1, "lr": 3e-4}),
    "DRAGAN": (ganzoo.DRAGAN, {}),
    "PacGAN": (ganzoo.PacGAN, {}),
    "R1GAN": (ganzoo.R1GAN, {}),
    "RaGAN": (ganzoo.RaGAN, {}),
}


def points_of(game: Game, data: ganzoo.Gaussians, rounds: int) -> np.ndarray:
    """What the generator makes after so many rounds: [N, 2]."""
    trainer = L.Trainer(
        accelerator="cpu",
        max_steps=rounds,
        limit_val_batches=0,
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(game, data)
    draw_from(torch.device("cpu"), 0)
    return game.sample(N).numpy()


def measure(name: str, seed: int, rounds: int, title: str, out: Path) -> dict[str, Any]:
    """One run as a row of the table; some of its samples are kept for the picture."""
    data = ganzoo.Gaussians(batch_size=256)
    torch.manual_seed(seed)
    variant, given = GAMES[name]
    game = variant(**COMMON | {"decay": (rounds // 2, rounds)} | given)
    start = time.perf_counter()
    points = points_of(game, data, rounds)
    seconds = round(time.perf_counter() - start)
    out.mkdir(parents=True, exist_ok=True)
    np.save(out / f"{name}-{seed}.npy", points[:SHOWN].astype(np.float16))
    found, share, _ = modes(torch.from_numpy(points), data.centres, data.std)
    return dict(zip(COLUMNS, (name, seed, found, round(share, 4), rounds, game.images_seen, seconds, title), strict=True))


def done(path: Path) -> list[dict[str, str]]:
    """The rows of the table so far."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def add(row: dict[str, Any], path: Path) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if new:
            writer.writeheader()
        writer.writerow(row)


def summary(rows: list[dict[str, str]]) -> str:
    """A Markdown table: a line for each variant, in `GAMES`' order."""
    lines = [
        "| variant | modes, by seed | all 8 | samples on a mode, median (least - most) | real points |",
        "|---|---|---|---|---|",
    ]
    for name in GAMES:
        of = sorted((row for row in rows if row["variant"] == name), key=lambda row: int(row["seed"]))
        if not of:
            continue
        shares = [100 * float(row["share"]) for row in of]
        every = sum(row["modes"] == "8" for row in of)
        lines.append(
            f"| {name} | {' '.join(row['modes'] for row in of)} | {every} of {len(of)} "
            f"| {median(shares):.0f} % ({min(shares):.0f} - {max(shares):.0f}) | {int(of[0]['real_points']):,} |"
        )
    return "\n".join(lines)


def draw(rows: list[dict[str, str]], samples: Path, path: Path) -> None:
    """One row of scatter plots for each variant, one column for each seed."""
    names = [name for name in GAMES if any(row["variant"] == name for row in rows)]
    seeds = sorted({int(row["seed"]) for row in rows})
    figure, axes = plt.subplots(
        len(names), len(seeds), figsize=(1.2 * len(seeds) + 1.2, 1.25 * len(names)), squeeze=False, layout="constrained"
    )
    centres = ganzoo.Gaussians().centres
    for axis in axes.flat:
        axis.set(xlim=(-3, 3), ylim=(-3, 3), xticks=[], yticks=[], aspect="equal")
    for axis, name in zip(axes[:, 0], names, strict=True):
        axis.set_ylabel(fill(name, 14), rotation=0, ha="right", va="center", fontsize=9)
    for row in rows:
        axis = axes[names.index(row["variant"]), seeds.index(int(row["seed"]))]
        points = np.load(samples / f"{row['variant']}-{row['seed']}.npy")
        axis.scatter(*centres.T, s=30, facecolors="none", edgecolors="0.7", linewidths=0.8)
        axis.scatter(*points.T, s=1, color="tab:red", linewidths=0)
        axis.set_title(f"{row['modes']} of 8", fontsize=7, pad=2)
    figure.savefig(path, dpi=100, bbox_inches="tight")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("ring"), help="OUT.csv and OUT.png")
    parser.add_argument("--samples", type=Path, default=Path("runs/ring_table"), help="folder of samples for the picture")
    parser.add_argument("--only", nargs="+", choices=list(GAMES), default=list(GAMES), metavar="VARIANT")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--rounds", type=int, default=5000)
    given = parser.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)  # these networks are too small for two
    title = setting(argparse.Namespace(device="cpu", precision="32-true"))
    table = given.out.with_suffix(".csv")
    for seed in given.seeds:
        for name in given.only:
            if not any((row["variant"], row["seed"]) == (name, str(seed)) for row in done(table)):
                row = measure(name, seed, given.rounds, title, given.samples)
                add(row, table)
                print(
                    f"{name:14} seed {seed}: {row['modes']} of 8, {row['share']:.0%} on a mode, {row['seconds']} s", flush=True
                )
    print(summary(done(table)))
    draw(done(table), given.samples, given.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
