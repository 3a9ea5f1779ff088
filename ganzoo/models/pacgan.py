"""PacGAN: Lin, Khetan, Fanti, Oh, "PacGAN: The power of two samples in generative adversarial networks", 2017, https://arxiv.org/abs/1712.04086"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ganzoo.duel import DiscriminatorClass, Duel
from ganzoo.game import Batch, Terms, Turn
from ganzoo.losses import cross_entropy, non_saturating


class PacGAN(Duel):
    """D judges m samples at once, all real or all fake: too little variety among them gives a collapsed G away.

    Args:
        pack: m; 1 is the plain GAN.
        discriminator: class of the discriminator, called with the shape of a pack, (m channels, height, width) or
            (m features,): only its first layer differs from the unpacked one's (section 2).

    Differences from the paper: a round has as many samples as without packing, and so N / m packs instead of N.

    Raises:
        ValueError: a batch cannot be divided into packs.
    """

    def __init__(self, *, pack: int = 2, discriminator: DiscriminatorClass | None = None, **duel: Any) -> None:
        if pack < 1:
            raise ValueError(f"a pack has at least one sample: set --model.pack to 2 or more, not {pack}")
        judge = discriminator or self.default_discriminator
        super().__init__(discriminator=lambda shape: judge((pack * shape[0], *shape[1:])), **duel)
        self.pack = pack

    def packed(self, x: Tensor) -> Tensor:
        """Each m samples in a row become one: [N, C, H, W] -> [N / m, m C, H, W], and [N, D] -> [N / m, m D]."""
        return x.reshape(len(x) // self.pack, self.pack * x.shape[1], *x.shape[2:])

    def turns(self, step: int, batches: list[Batch]) -> Iterator[Turn]:
        n = len(batches[0][0])
        whole = n // self.pack * self.pack
        if whole != n and self.training:
            raise ValueError(f"{n} samples are not packs of {self.pack}: set --data.batch_size to {whole or self.pack}")
        if whole != n:  # the last of the held-out data
            batches = [tuple(part[:whole] for part in batch) for batch in batches]
        if whole:
            yield from super().turns(step, batches)

    def realness(self, x: Tensor, *label: Tensor) -> Tensor:
        """Of packs: [N, *shape] -> [N / m]."""
        return self.discriminator(self.packed(x))

    def discriminator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        with torch.no_grad():
            fake = self.fake(len(real))
        return {
            "real": cross_entropy(self.discriminator(self.packed(real)), 1.0),
            "fake": cross_entropy(self.discriminator(self.packed(fake)), 0.0),
        }

    def generator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        return {"adversarial": non_saturating(self.discriminator(self.packed(self.fake(len(real)))))}
