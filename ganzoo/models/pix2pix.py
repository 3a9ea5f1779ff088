"""pix2pix: Isola, Zhu, Zhou, Efros, "Image-to-Image Translation with Conditional Adversarial Networks", 2016, https://arxiv.org/abs/1611.07004"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ganzoo.game import Batch, Terms, Turn
from ganzoo.image_to_image import DiscriminatorClass, ImageToImage, TranslatorClass
from ganzoo.losses import cross_entropy, non_saturating
from ganzoo.metrics.fidelity import WINDOW, psnr, ssim
from ganzoo.networks.patch import PatchDiscriminator, means, side_by_side
from ganzoo.networks.unet import UNet


class Pix2Pix(ImageToImage):
    """A U-Net that makes targets of sources, against a PatchGAN that sees both; and the L1 distance to the true target.

    The generator's only noise is dropout, in evaluation mode too (section 2). So translations of the same sources differ
    with the random state, and with nothing else.

    Args:
        generator: class of the generator, called with (shape); None for `UNet`.
        discriminator: class of the discriminator of pairs, called with their shape; None for `PatchDiscriminator`.
        l1: lambda of eq. 4.
        lr, betas: Adam's (section 3.3); there with batches of 1 to 10.

    Differences from the paper: maps are normalised by each image's own statistics, which is the same in its batches of one, at
    test time too, and in larger ones leaves images apart (`norm: batch` of both networks is batch normalisation, with running
    statistics at test time); the one pixel at the bottom of the U-Net is not normalised, as in the authors' later code; G's turn
    has a fake of its own, after D's; images below 256 have smaller networks.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        generator: TranslatorClass | None = None,
        discriminator: DiscriminatorClass | None = None,
        l1: float = 100.0,
        **learning: Any,
    ) -> None:
        pair = (2 * shape[0], *shape[1:])
        super().__init__(
            shape=shape,
            generator=(generator or UNet)(tuple(shape)),
            discriminator=(discriminator or PatchDiscriminator)(pair),
            **learning,
        )
        self.l1 = l1

    def discriminator_loss(self, source: Tensor, target: Tensor) -> Terms:
        """-1/2 (E log D(x, y) + E log(1 - D(x, G(x, z)))), eq. 1, halved to slow D down (section 3.3)."""
        with torch.no_grad():
            fake = self.generator(source)
        return {
            "real": cross_entropy(self.discriminator(side_by_side(source, target)), 1.0) / 2,
            "fake": cross_entropy(self.discriminator(side_by_side(source, fake)), 0.0) / 2,
        }

    def generator_loss(self, source: Tensor, target: Tensor) -> Terms:
        """-E log D(x, G(x, z)) (section 3.3) + lambda E ||y - G(x, z)||_1, eq. 3 and 4."""
        fake = self.generator(source)
        return {
            "adversarial": non_saturating(self.discriminator(side_by_side(source, fake))),
            "l1": self.l1 * (target - fake).abs().mean(),
        }

    def turns(self, step: int, batches: list[Batch]) -> Iterator[Turn]:
        [batch] = batches
        yield "discriminator", self.discriminator_loss, batch
        yield "generator", self.generator_loss, batch

    def held_out_terms(self, source: Tensor, target: Tensor) -> Terms:  # type: ignore[override]
        """Mean absolute error, and PSNR and, of images large enough, SSIM of luma."""
        made = self.translate(source)
        terms = {"l1": (made - target).abs().mean(), "psnr": psnr(made, target).mean().float()}
        return terms | ({"ssim": ssim(made, target).mean().float()} if min(target.shape[2:]) >= WINDOW else {})

    def opinions(self, source: Tensor, *others: Tensor) -> tuple[Tensor, Tensor]:
        """Means over patches."""
        [target] = others
        fake = self.generator(source)
        real, made = (self.discriminator(side_by_side(source, image)) for image in (target, fake))
        return means(real), means(made)
