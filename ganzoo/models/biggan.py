"""BigGAN: Brock, Donahue, Simonyan, "Large Scale GAN Training for High Fidelity Natural Image Synthesis", 2018, https://arxiv.org/abs/1809.11096"""

from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.conditional import ConditionalDuel
from ganzoo.game import Terms
from ganzoo.losses import correlation, hinge
from ganzoo.networks.biggan import BigGANDiscriminator, BigGANGenerator, SharedEmbedding, projecting


class BigGAN(ConditionalDuel):
    """Class-conditional GANs made large: wide ResNets with self-attention, an embedding of the class that all layers of G
    share, z at each of them, and weights that are kept nearly orthogonal, so that G can be given truncated noise
    (`ganzoo sample --truncation 0.5`): better samples, and less varied ones (section 3.1).

    The loss is the hinge one, with a projection discriminator. Images without classes are all of one class: G's embedding
    and D's projection are then constants that are learned, beside which batch normalisation is told z alone.

    Args:
        orthogonality: beta of eq. 3; 0 leaves it out, as the authors' PyTorch scripts do.
        conditional: whether the data's classes, if there are any, are used.
        generator: class of the generator, which takes an embedding beside z.
        discriminator: class of the discriminator, with `features(x)` and `last`.
        latent_dim: 120, in chunks of 20 at 128x128; divisible by the number of chunks, 3 at 16x16 to 7 at 256x256.
        discriminator_steps, lr, discriminator_lr, betas, average_decay: those of section 3 and appendix C; batches are of
            2048 there.

    Raises:
        ValueError: networks of another kind, or a latent_dim that cannot be split.

    Differences from the paper: samples are made with batch normalisation's running statistics, averaged as the weights are,
    instead of new ones from many batches; fakes' labels are drawn uniformly; each device normalises its own batch
    unless `--trainer.sync_batchnorm`. The authors' PyTorch code takes half of eq. 3's gradient, and for CIFAR-10 splits no z, shares
    no embedding and has one gain and bias for each class.
    """

    needs_classes = False
    default_generator = BigGANGenerator
    default_discriminator = BigGANDiscriminator
    conditional_generator = SharedEmbedding
    conditional_discriminator = staticmethod(projecting)

    def __init__(
        self,
        *,
        orthogonality: float = 1e-4,
        conditional: bool = True,
        classes: int | None = None,
        latent_dim: int = 120,
        discriminator_steps: int = 2,
        lr: float = 5e-5,
        discriminator_lr: float | None = 2e-4,
        betas: tuple[float, float] = (0.0, 0.999),
        average_decay: float | None = 0.9999,
        **duel: Any,
    ) -> None:
        super().__init__(
            classes=(classes if conditional else None) or 1,
            latent_dim=latent_dim,
            discriminator_steps=discriminator_steps,
            lr=lr,
            discriminator_lr=discriminator_lr,
            betas=betas,
            average_decay=average_decay,
            **duel,
        )
        self.orthogonality = orthogonality

    @property
    def kinds(self) -> int:
        """Samples can be asked for by their class, if there are several."""
        return self.classes if self.classes and self.classes > 1 else 0

    def realness(self, x: Tensor, *label: Tensor) -> Tensor:
        return self.discriminator(x, *(label if label and self.kinds else [self.labels(len(x))]))

    def opinions(self, real: Tensor, *label: Tensor) -> tuple[Tensor, Tensor]:
        return super().opinions(real, *(label if self.kinds else ()))

    def discriminator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        """E max(0, 1 - D(x, y)) + E max(0, 1 + D(G(z, y), y))."""
        drawn = self.labels(len(real))
        with torch.no_grad():
            fake = self.fake(len(real), drawn)
        return hinge(self.realness(real, *([] if label is None else [label])), self.discriminator(fake, drawn))

    def generator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        """-E D(G(z, y), y) + beta sum_W ||W^T W * (1 - I)||_F^2, eq. 3."""
        drawn = self.labels(len(real))
        terms = {"adversarial": -self.discriminator(self.fake(len(real), drawn), drawn).mean()}
        if self.orthogonality > 0:
            penalties = [correlation(weight) for weight in self.matrices()]
            terms["orthogonality"] = self.orthogonality * torch.stack(penalties).sum()
        return terms

    def matrices(self) -> list[Tensor]:
        """G's weights [out, ...] but for embeddings, as they are before spectral normalisation."""
        layers = [layer for layer in self.generator.modules() if not isinstance(layer, nn.Embedding)]
        return [weight for layer in layers for weight in layer.parameters(recurse=False) if weight.ndim > 1]
