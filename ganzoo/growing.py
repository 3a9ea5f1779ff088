"""A duel whose networks grow: small images first, and with each doubling layers that are faded in."""

from collections.abc import Iterator
from math import ceil, floor
from typing import Any

import torch
from torch import Tensor

from ganzoo.duel import Duel
from ganzoo.game import Batch, Turn, differentiable
from ganzoo.networks.progressive import Growing
from ganzoo.schedules import at_size, grown

BATCH_SIZES = {4: 128, 32: 64, 64: 32, 128: 16, 256: 8, 512: 4}  # of the authors of ProGAN and StyleGAN, on one device
NO_RATES: dict[int, float] = {}


class GrowingDuel(Duel):
    """Parent of games of `Growing` networks (ProGAN, arXiv:1710.10196, section 2): a level follows from the images seen.

    Levels and shares are those of the images seen so far, also between rounds and after reloading, so that samples are of
    what has been trained. When a level begins to be faded in, and when it is there, the optimizers begin anew, as in the
    authors' code.

    Args:
        first_size: pixels a side at first.
        stabilise_kimg: thousands of images for which networks stay at each size, ...
        fade_kimg: ... before, over so many, the next one is faded in.
        batch_sizes: most images in one turn, from each size of the images on. The data's batches may be larger: a round then
            has several pairs of turns, each on its own part of the batch.
        rates: factors on the learning rates, likewise from each size on.

    Raises:
        ValueError: a size that the networks do not have, networks that do not grow, no time to grow; at the first round: a
            batch that cannot be divided into parts of these sizes.
    """

    def __init__(
        self,
        *,
        first_size: int = 4,
        stabilise_kimg: float = 600.0,
        fade_kimg: float = 600.0,
        batch_sizes: dict[int, int] = BATCH_SIZES,
        rates: dict[int, float] = NO_RATES,
        **duel: Any,
    ) -> None:
        super().__init__(**duel)
        levels = {network.levels for network in self.growing()}
        if len(levels) != 1 or not (isinstance(self.generator, Growing) and len(self.growing()) == 2 + self.averaged):
            raise ValueError(f"{type(self).__name__}'s networks grow: choose ProGANGenerator and ProGANDiscriminator")
        sizes = [4 << level for level in range(levels.pop())]
        if first_size not in sizes:
            raise ValueError(f"first_size is one of {', '.join(map(str, sizes))} here, not {first_size}")
        if first_size < sizes[-1] and stabilise_kimg + fade_kimg <= 0:
            raise ValueError(f"networks grow with time: give stabilise_kimg or fade_kimg, or first_size {sizes[-1]}")
        self.first_level, self.last_level = sizes.index(first_size), len(sizes) - 1
        self.stabilise, self.fade = 1000 * stabilise_kimg, 1000 * fade_kimg
        # Exported weights have sizes as strings: JSON's keys are.
        self.batch_sizes = {int(size): batch for size, batch in batch_sizes.items()}
        self.rates = {int(size): rate for size, rate in rates.items()}
        self.pairs = 1  # of turns in this round
        self.grow()

    def growing(self) -> list[Growing]:
        """Generator, discriminator and weight average, whatever stands in front of them."""
        return [network for network in self.modules() if isinstance(network, Growing)]

    def stage(self, images: float) -> float:
        """The level after so many images: between two, as far as the higher one has been faded in."""
        if self.first_level == self.last_level:
            return float(self.last_level)
        return min(self.first_level + grown(images, self.stabilise, self.fade), float(self.last_level))

    def grow(self) -> None:
        stage = self.stage(self.images_seen)
        for network in self.growing():
            network.grow(ceil(stage), 1 - (ceil(stage) - stage))

    @property
    def levels(self) -> int:
        """How many levels are played in all."""
        return self.last_level - self.first_level + 1

    @property
    def level(self) -> int:
        """The highest level that plays: images of 4 2^level pixels a side."""
        return ceil(self.stage(self.images_seen))

    def part(self, n: int) -> int:
        """How many of a batch of n one turn is of."""
        return min(n, int(at_size(self.batch_sizes, 4 << self.level, n)))

    def turns(self, step: int, batches: list[Batch]) -> Iterator[Turn]:
        """Each part in turn, D first."""
        size = self.part(len(batches[0][0]))
        cut = [zip(*(tensor.detach().split(size) for tensor in batch), strict=True) for batch in batches]
        for parts in zip(*cut, strict=True):
            yield from super().turns(step, [differentiable(part) for part in parts])

    def rate(self, step: int) -> float:
        return super().rate(step) * at_size(self.rates, 4 << self.level, 1.0)

    def before_round(self, batches: list[Batch], optimizers: dict[str, torch.optim.Optimizer]) -> None:
        super().before_round(batches, optimizers)
        self.pairs = len(batches[0][0]) // self.part(len(batches[0][0]))
        images = sum(len(batch[0]) for batch in batches) * self.trainer.world_size
        now, before = self.stage(self.images_seen), self.stage(self.images_seen - images)
        if (floor(now), ceil(now)) != (floor(before), ceil(before)):
            for optimizer in optimizers.values():
                optimizer.state.clear()

    def training_step(self, batches: list[Batch], batch_idx: int) -> None:
        super().training_step(batches, batch_idx)
        self.grow()

    def on_train_batch_start(self, batch: list[Batch], batch_idx: int) -> None:
        if not self.terms:  # before the first round
            self.refuse_remainders(len(batch[0][0]))
        super().on_train_batch_start(batch, batch_idx)

    def refuse_remainders(self, n: int) -> None:
        """Raise ValueError if some part of a batch of n would be smaller than the others."""
        for level in range(self.first_level, self.last_level + 1):
            most = int(at_size(self.batch_sizes, 4 << level, n))
            if n % min(n, most):
                raise ValueError(
                    f"a batch of {n} cannot be divided into parts of {most} at {4 << level} x {4 << level}: set "
                    f"--data.batch_size to a multiple of {most}, or --model.batch_sizes"
                )

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self.grow()

    def opinions(self, real: Tensor, *label: Tensor) -> tuple[Tensor, Tensor]:
        return super().opinions(self.faded(real), *label)

    def faded(self, real: Tensor) -> Tensor:
        """Real images as sharp as the generator's now, [N, *shape] -> the same."""
        return self.generator.faded(real)  # type: ignore[operator]
