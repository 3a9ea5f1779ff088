"""CycleGAN: Zhu, Park, Isola, Efros, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks", 2017, https://arxiv.org/abs/1703.10593"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.game import Batch, Terms, Turn
from ganzoo.image_to_image import DiscriminatorClass, ImageToImage, TranslatorClass, through
from ganzoo.networks.patch import PatchDiscriminator, means
from ganzoo.networks.pool import HistoryPool
from ganzoo.networks.translation_resnet import TranslationResNet


class CycleGAN(ImageToImage):
    """Sources become targets by G, targets sources by F, and each returns: F(G(x)) is near x, G(F(y)) near y. No pair is known.

    Both generators are one player, both discriminators the other. D_X tells sources from F's, D_Y targets from G's, by least
    squares, and sees fakes of earlier rounds too.

    Args:
        generator: class of both generators, called with (shape); None for `TranslationResNet`.
        discriminator: class of both discriminators, called with (shape); None for `PatchDiscriminator` with CycleGAN's norm.
        cycle: lambda of eq. 3.
        identity: weight of the identity terms as a share of `cycle`; 0 for none.
        pool: fakes that each discriminator's memory holds (`HistoryPool`).
        lr, betas, decay: Adam's (section 4); there batches of one, and the rate falls to zero in the second 100 of 200 epochs.

    Differences from the paper: the identity terms are there from the first, as in the authors' code, where the paper has them
    for photos of paintings alone (section 5.2); D's turn has fakes of its own, after G's, as the rest of ganzoo does.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        generator: TranslatorClass | None = None,
        discriminator: DiscriminatorClass | None = None,
        cycle: float = 10.0,
        identity: float = 0.5,
        pool: int = 50,
        **learning: Any,
    ) -> None:
        shape = tuple(shape)
        super().__init__(
            shape=shape,
            generator=both(("there", "back"), generator or TranslationResNet, shape),
            discriminator=both(("source", "target"), discriminator or partial(PatchDiscriminator, affine=False), shape),
            **learning,
        )
        self.cycle, self.identity = cycle, identity
        self.pools = both(("source", "target"), partial(HistoryPool, size=pool), shape)

    def generator_loss(self, source: Tensor, target: Tensor) -> Terms:
        """Least squares (section 4), eq. 2 times lambda, and the identity terms (section 5.2)."""
        there, back = self.generator["there"], self.generator["back"]  # G and F
        fake_target, fake_source = there(source), back(target)
        terms = {
            "adversarial_target": (self.discriminator["target"](fake_target) - 1).square().mean(),
            "adversarial_source": (self.discriminator["source"](fake_source) - 1).square().mean(),
            "cycle_source": self.cycle * (back(fake_target) - source).abs().mean(),
            "cycle_target": self.cycle * (there(fake_source) - target).abs().mean(),
        }
        if self.identity:
            terms["identity_target"] = self.cycle * self.identity * (there(target) - target).abs().mean()
            terms["identity_source"] = self.cycle * self.identity * (back(source) - source).abs().mean()
        return terms

    def discriminator_loss(self, source: Tensor, target: Tensor) -> Terms:
        """1/2 E (D(y) - 1)^2 + 1/2 E D(G(x))^2 of both, halved to slow them down (section 4 and appendix 7.1)."""
        with torch.no_grad():
            fakes = {"target": self.generator["there"](source), "source": self.generator["back"](target)}
        terms = {}
        for domain, real in (("target", target), ("source", source)):
            judge = self.discriminator[domain]
            terms[f"real_{domain}"] = (judge(real) - 1).square().mean() / 2
            terms[f"fake_{domain}"] = judge(self.pools[domain](fakes[domain])).square().mean() / 2
        return terms

    def turns(self, step: int, batches: list[Batch]) -> Iterator[Turn]:
        [batch] = batches
        yield "generator", self.generator_loss, batch
        yield "discriminator", self.discriminator_loss, batch

    def opinions(self, source: Tensor, *others: Tensor) -> tuple[Tensor, Tensor]:
        """Of targets and of what G makes: means over patches."""
        [target] = others
        real, fake = (self.discriminator["target"](image) for image in (target, self.generator["there"](source)))
        return means(real), means(fake)

    @property
    def translator(self) -> nn.Module:
        return self.sampler["there"]

    def back(self, target: Tensor) -> Tensor:
        """As `translate`, but sources of targets."""
        return through(self.sampler["back"], target)

    def held_out_terms(self, source: Tensor, target: Tensor) -> Terms:  # type: ignore[override]
        """Mean absolute error of the whole way round, both ways."""
        return {
            "cycle_source": (self.back(self.translate(source)) - source).abs().mean(),
            "cycle_target": (self.translate(self.back(target)) - target).abs().mean(),
        }


def both(names: tuple[str, str], kind: Callable[[tuple[int, ...]], nn.Module], shape: tuple[int, ...]) -> nn.ModuleDict:
    """Two networks of a kind."""
    return nn.ModuleDict({name: kind(shape) for name in names})
