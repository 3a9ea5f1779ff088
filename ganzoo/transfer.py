"""A run that begins with another's weights, and lower layers of its discriminator that stay as they were there."""

import re
from pathlib import Path

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn

from ganzoo.game import Game
from ganzoo.loading import read
from ganzoo.networks.front import Front

NAMED = 8  # weights that are named before the rest is counted


def take(game: Game, path: str | Path) -> None:
    """Put into the game all weights in a checkpoint, or in exported weights, that have the same name and shape.

    Batch statistics come with them; optimizers, histories and schedules begin anew. Where there is no weight average, ours
    begins as the weights themselves. One line tells what was not taken.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it was not written by ganzoo or is damaged, or none of its weights fits.
    """
    there = {bare(name): value for name, value in read(path)["state_dict"].items()}
    left: list[str] = []
    taken: set[str] = set()
    for name, here in learnt(game).items():
        value = there.get(bare(name), there.get(latest(bare(name))))
        if value is None or value.shape != here.shape:
            left.append(f"{name} ({'absent' if value is None else list(value.shape)} there, {list(here.shape)} here)")
            continue
        with torch.no_grad():
            here.copy_(value)
        taken.add(name)
    if not taken & {name for name, _ in game.named_parameters()}:
        raise ValueError(f"none of the weights in {path} fits this {type(game).__name__}: {some(left)}")
    rank_zero_info(f"{len(taken)} tensors are those of {path}" + (f"; left as they were: {some(left)}" if left else ""))


def learnt(game: Game) -> dict[str, Tensor]:
    """Weights and batch statistics of the game's networks by their names: all that is saved but what techniques keep."""
    kept = {
        f"{prefix}.{name}"
        for prefix, module in game.named_modules()
        if isinstance(module, Front)
        for name, _ in module.named_buffers(recurse=False)
    }
    return {
        name: value
        for name, value in game.state_dict().items()
        if "." in name and not name.startswith("history.") and name not in kept
    }


def bare(name: str) -> str:
    """A weight's name whatever stands in front of the discriminator."""
    return re.sub(r"^(discriminator\.)+", "discriminator.", name)


def latest(name: str) -> str:
    """The name of the weight whose average this is."""
    return re.sub(r"^average\.", "generator.", re.sub(r"^encoder_average\.", "encoder.", name))


def some(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def freeze(discriminator: nn.Module, stages: int) -> None:
    """Let the lowest stages of a discriminator, those next to the image, learn no more (Mo et al. 2020, FreezeD,
    https://arxiv.org/abs/2002.10964). G still learns through them; batch normalisation there still sees its batches.

    Args:
        discriminator: a network that says which its `stages` are, or one made of such a network.

    Raises:
        ValueError: it does not say so, or has not so many.
    """
    network = next((module for module in discriminator.modules() if hasattr(module, "stages")), None)
    if network is None:
        raise ValueError(
            "freeze_discriminator counts the lower layers of a convolutional network, such as DCGANDiscriminator: choose one"
        )
    lower: list[list[nn.Module]] = network.stages  # type: ignore[assignment]
    if not 0 <= stages <= len(lower):
        raise ValueError(
            f"this {type(network).__name__} has {len(lower)} layers below its last: freeze 0 to {len(lower)}, not {stages}"
        )
    for layer in [layer for stage in lower[:stages] for layer in stage]:
        layer.requires_grad_(False)
