"""How many of the ring's Gaussians does a generator find, and how many of its samples lie on one?

    python benchmarks/ring_modes.py runs/wgan_gp_ring/version_0/checkpoints/last.ckpt ...

A sample lies on a mode if it is within three standard deviations (0.06) of its centre, as in Metz et al. 2016
(https://arxiv.org/abs/1611.02163); a mode is found if at least a tenth of its fair share of the samples lies on it.
"""

import argparse
from pathlib import Path

import torch

import ganzoo
from ganzoo.game import draw_from
from ganzoo.metrics.modes import modes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+", type=Path)
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    data = ganzoo.Gaussians()
    print("modes  on a mode  samples on each")
    for checkpoint in given.checkpoints:
        draw_from(torch.device("cpu"), given.seed)
        found, share, on = modes(ganzoo.load(checkpoint).sample(given.n), data.centres, data.std)
        print(f"{found}/{len(data.centres)}    {share:9.1%}  {on}  {checkpoint}")


if __name__ == "__main__":
    main()
