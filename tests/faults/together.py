"""Run by test_devices: python together.py WORLD FOLDER trains each case on so many devices, which share a batch of 8."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from conftest import TINY, trainer
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

import ganzoo
from ganzoo.game import Game, draw_from

BATCH = 8
ROUNDS = 4


def networks(generator: str, discriminator: str) -> dict[str, Any]:
    return {
        "generator": partial(ganzoo.DCGANGenerator, width=4, norm=generator),
        "discriminator": partial(ganzoo.DCGANDiscriminator, width=4, norm=discriminator),
    }


CASES: dict[str, tuple[type[Game], dict[str, Any]]] = {
    "GAN": (ganzoo.GAN, networks("none", "none")),
    "LSGAN of five steps": (ganzoo.LSGAN, networks("layer", "spectral") | {"discriminator_steps": 5}),
    "R1GAN": (ganzoo.R1GAN, networks("layer", "none")),
    "WGANGP": (ganzoo.WGANGP, networks("batch", "layer")),
    "DCGAN": (ganzoo.DCGAN, networks("batch", "batch") | {"average_decay": 0.9}),
    "DCGAN of two steps": (ganzoo.DCGAN, networks("batch", "batch") | {"discriminator_steps": 2}),
    "ProjectionGAN": (ganzoo.ProjectionGAN, networks("batch", "spectral") | {"classes": 10}),
}


def train(name: str, world: int) -> tuple[Game, dict[str, Tensor]]:
    """A game trained for some rounds, and the weights that it began with."""
    variant, arguments = CASES[name]
    torch.manual_seed(0)
    game = variant(shape=TINY, **arguments)
    if any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in game.modules()):
        # Weights before batch normalisation have gradients of rounding alone, and Adam makes steps as large as any of them.
        game.optimizer = lambda player, weights: torch.optim.SGD(weights, lr=1e-3)  # type: ignore[method-assign]
    start = {name: weight.clone() for name, weight in game.state_dict().items()}
    of = trainer(
        devices=world,
        strategy=ganzoo.UnwrappedDDP() if world > 1 else "auto",
        sync_batchnorm=world > 1,
        max_steps=ROUNDS,
        log_every_n_steps=1,
    )
    of.fit(game, ganzoo.Digits(batch_size=BATCH // world))
    return game, start


class AsRanks(TorchFunctionMode):
    """Random numbers of one process as those of several ranks behind one another: the first dimension is all ranks' batch."""

    def __init__(self, world: int) -> None:
        super().__init__()
        self.world = world

    def draw_from(self, device: torch.device, *key: int) -> None:
        """In place of the game's, which is given (seed, round, rank)."""
        self.states = []
        for rank in range(self.world):
            draw_from(device, *key[:-1], rank)
            self.states.append(torch.get_rng_state())

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (torch.randn, torch.rand):
            return self._joined(func, [(n // self.world, *rest) for n, *rest in [args]] * self.world, kwargs)
        if func is torch.randint:
            high, (n,) = args
            return self._joined(func, [(high, (n // self.world,))] * self.world, kwargs)
        if func in (torch.randn_like, torch.rand_like):
            return self._joined(func, [(part,) for part in args[0].chunk(self.world)], kwargs)
        return func(*args, **kwargs)

    def _joined(self, func: Any, of_ranks: list[tuple[Any, ...]], kwargs: Any) -> Tensor:
        parts = []
        for rank, args in enumerate(of_ranks):
            torch.set_rng_state(self.states[rank])
            parts.append(func(*args, **kwargs))
            self.states[rank] = torch.get_rng_state()
        return torch.cat(parts)


if __name__ == "__main__":
    world, folder = int(sys.argv[1]), Path(sys.argv[2])
    for name in CASES:
        game, _ = train(name, world)
        noise = game.latent(4)
        record = {"weights": game.state_dict(), "noise": noise, "seen": game.images_seen, "terms": game.measured}
        torch.save(record, folder / f"{name}-{game.global_rank}.pt")
