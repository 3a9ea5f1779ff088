"""Games whose generator makes images of images: the parent of pix2pix, CycleGAN and cross-domain transfer."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.duel import evaluating, follow
from ganzoo.game import Batch, Game
from ganzoo.schedules import linear, refuse_reversed
from ganzoo.translation import SourceMemory

TranslatorClass = Callable[[tuple[int, ...]], nn.Module]  # (shape): images [N, *shape] -> [N, *shape]
DiscriminatorClass = Callable[[tuple[int, ...]], nn.Module]  # (shape of what it sees): [N, *shape] -> logits

PORTION = 64  # translated at once


class ImageToImage(SourceMemory, Game):
    """Parent of games of batches `(source, target)` or `(source, label, target)`, [N, *shape] each, whose `translate` makes
    targets of sources.

    `sample(n)` translates sources that the game remembers: of its latest rounds, up to 256 or 16 MB of them, in its
    checkpoint too, so that grids, the watch and evaluation need no data to draw from. Which of them come first is the
    noise's choice, as is whatever is random in the generator.

    Args:
        generator: what makes targets of sources; CycleGAN's is both of its generators.
        discriminator: likewise.
        lr, betas: Adam's.
        discriminator_lr: the discriminator's own learning rate; None for the same one.
        decay: the learning rates stay until the first of these rounds, then fall linearly to zero in the second; None: they
            stay.
        average_decay: decay per round of the generator's weight average, which translations then come from; None for none.

    Raises:
        ValueError: samples that are not images; a decay that ends before it begins.
    """

    one_logit = False  # but one for each patch: nothing that listens to a discriminator stands in front of this one
    gaussian = False  # there is no z to truncate or walk through
    probabilistic = False
    generator: Any
    discriminator: Any

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        generator: nn.Module,
        discriminator: nn.Module,
        lr: float = 2e-4,
        betas: tuple[float, float] = (0.5, 0.999),
        discriminator_lr: float | None = None,
        decay: tuple[int, int] | None = None,
        average_decay: float | None = None,
        **game: Any,
    ) -> None:
        super().__init__(shape=shape, **game)
        refuse_reversed(decay)
        self.generator, self.discriminator = generator, discriminator
        self.lr = {"generator": lr, "discriminator": lr if discriminator_lr is None else discriminator_lr}
        self.betas, self.decay, self.average_decay = betas, decay, average_decay
        self.average = None if average_decay is None else copy.deepcopy(generator).requires_grad_(False)
        self.begin_memory(self.shape)

    def players(self) -> dict[str, nn.Module]:
        return {"discriminator": self.discriminator, "generator": self.generator}

    def opinions(self, source: Tensor, *others: Tensor) -> tuple[Tensor, Tensor]:
        """D's of the real targets of a batch, and of as many translations, [N] each: what a run is watched by."""
        raise NotImplementedError(f"{type(self).__name__} must say what its discriminator says")

    def optimizer(self, player: str, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=self.lr[player], betas=self.betas, fused=True)

    def rate(self, step: int) -> float:
        return 1.0 if self.decay is None else linear(step, 1.0, 0.0, *self.decay)

    def before_round(self, batches: list[Batch], optimizers: dict[str, torch.optim.Optimizer]) -> None:
        self.remember(batches[0][0], self.global_step)

    @torch.no_grad()
    def after_round(self) -> None:
        if self.average is not None:
            follow(self.average, self.generator, self.memory())

    def memory(self) -> float:
        """How much of the weight average stays this round: not much at first, or the untrained weights would count for long."""
        assert self.average_decay is not None
        return min(self.average_decay, (1 + self.global_step) / (10 + self.global_step))

    @property
    def averaged(self) -> bool:
        return self.average is not None

    @property
    def sampler(self) -> Any:
        """The generator that translations come from: the averaged one, if there is one."""
        return self.generator if self.average is None else self.average

    @property
    def translator(self) -> Any:
        """The network that makes targets of sources."""
        return self.sampler

    @property
    def multiple(self) -> int:
        """What the sides of an image to be translated must be multiples of."""
        return getattr(self.translator, "multiple", max(self.shape[1:]))

    def translate(self, source: Tensor) -> Tensor:
        """Images [N, C, H, W] in [-1, 1] -> what the generator makes of them, in evaluation mode: the same, float32."""
        return through(self.translator, source)

    def sample(self, n: int) -> Tensor:
        """n translations of remembered sources, each of which comes again only when all have: float32 [n, *shape]."""
        return self.translate(self.recalled(n))


def through(network: nn.Module, images: Tensor) -> Tensor:
    """What a network makes of images in evaluation mode, in portions."""
    with evaluating(network):
        return torch.cat([network(part) for part in images.split(PORTION)])
