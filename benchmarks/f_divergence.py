"""How near does f-GAN's discriminator come to the true divergence? Two Gaussians, N(0, 1) as data and N(1, 1) as fakes.

    python benchmarks/f_divergence.py

Trains the discriminator alone, then estimates each divergence by minus its loss on a million new samples.
"""

import argparse
from functools import partial
from math import e, exp, log

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

import ganzoo
from ganzoo.game import draw_from
from ganzoo.models.fgan import DIVERGENCES

# Closed forms, but for Jensen-Shannon's, which is integrated numerically (tests/test_f_divergences.py does it again).
JENSEN_SHANNON = 0.222843
TRUE = {
    "kl": 0.5,
    "reverse_kl": 0.5,
    "pearson": e - 1,
    "squared_hellinger": 2 - 2 * exp(-1 / 8),
    "jensen_shannon": JENSEN_SHANNON,
    "gan": JENSEN_SHANNON - log(4),
}


class Shift(nn.Module):
    """z + 1, a generator that has learned nothing and need not: [N, 1] -> [N, 1]."""

    def __init__(self, latent_dim: int, shape: tuple[int, ...]) -> None:
        super().__init__()

    def forward(self, z: Tensor) -> Tensor:
        return z + 1


def estimate(divergence: str, rounds: int = 3000, batch: int = 2048, seed: int = 0) -> float:
    """Minus the loss of a discriminator trained for so many rounds, at a rate that falls linearly to zero."""
    draw_from(torch.device("cpu"), seed)
    network = partial(ganzoo.MLPDiscriminator, width=64, layers=2)
    game = ganzoo.FGAN(shape=(1,), latent_dim=1, divergence=divergence, generator=Shift, discriminator=network)  # type: ignore[arg-type]
    optimizer = torch.optim.Adam(game.discriminator.parameters(), lr=2e-3)
    for step in range(rounds):
        optimizer.param_groups[0]["lr"] = 2e-3 * (1 - step / rounds)
        optimizer.zero_grad()
        torch.stack(list(game.discriminator_loss(torch.randn(batch, 1)).values())).sum().backward()
        optimizer.step()
    with torch.no_grad():
        return -sum(term.item() for term in game.discriminator_loss(torch.randn(1_000_000, 1)).values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    given = parser.parse_args()
    table = Table("divergence", "true", "estimated", "off by at most")
    for name in DIVERGENCES:
        found = [estimate(name, seed=seed) for seed in given.seeds]
        off = max(abs(value - TRUE[name]) / abs(TRUE[name]) for value in found)
        table.add_row(name, f"{TRUE[name]:.4f}", ", ".join(f"{value:.4f}" for value in found), f"{off:.1%}")
    Console().print(table)


if __name__ == "__main__":
    main()
