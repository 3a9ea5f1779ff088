"""SAGAN: Zhang, Goodfellow, Metaxas, Odena, "Self-Attention Generative Adversarial Networks", 2018, https://arxiv.org/abs/1805.08318"""

from typing import Any

from torch import nn

from ganzoo.models.projection_gan import ProjectionGAN
from ganzoo.networks.resnet import sngan_discriminator, sngan_generator


def generator(latent_dim: int, shape: tuple[int, ...]) -> nn.Module:
    """SNGAN's, with spectral normalisation and attention on maps of 32x32, or of half the image's side."""
    return sngan_generator(latent_dim, shape, spectral=True, attention=min(32, shape[-1] // 2))


def discriminator(shape: tuple[int, ...]) -> nn.Module:
    """SNGAN's, with the authors' widths inside a block, and attention likewise."""
    return sngan_discriminator(shape, hidden="outputs", attention=min(32, shape[-1] // 2))


class SAGAN(ProjectionGAN):
    """Far parts of an image see each other: G and D have a layer of self-attention (section 3, `SelfAttention`). Besides,
    spectral normalisation of G's weights too (4.1), and a faster D in place of several steps (4.2).

    The losses (section 3) are the hinge's. With classes, the game is the projection discriminator's: the label is in G's batch
    normalisation and in D's last layer. Without any both are plain.

    Args:
        lr, discriminator_lr, betas: of section 4, Adam's. The paper's batches are of 256.

    Differences from the paper:
        1. It has networks for 128 alone, with attention on 32x32 maps (its best, table 1). At 64 it is on 32x32 maps, and at 32
           on 16x16, where StudioGAN has it; the other blocks at 32 are SNGAN's.
        2. G's last batch normalisation is conditional too, and its residual convolutions begin sqrt(2) wider.
        3. Fakes move the u and v of D's spectral normalisation as real images do; in the authors' code only the latter do.
        4. The authors' code leaves beta_2 at 0.999.
    """

    needs_classes = False
    default_generator = staticmethod(generator)
    default_discriminator = staticmethod(discriminator)

    def __init__(
        self,
        *,
        discriminator_steps: int = 1,
        lr: float = 1e-4,
        discriminator_lr: float | None = 4e-4,
        **duel: Any,
    ) -> None:
        super().__init__(discriminator_steps=discriminator_steps, lr=lr, discriminator_lr=discriminator_lr, **duel)
