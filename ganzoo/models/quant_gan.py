"""Quant GANs: Wiese, Knobloch, Korn, Kretschmer, "Quant GANs: Deep Generation of Financial Time Series", 2019, https://arxiv.org/abs/1907.06673"""

from typing import Any

from ganzoo.duel import DiscriminatorClass, GeneratorClass
from ganzoo.models.r1_gan import R1GAN
from ganzoo.networks.recurrent import refuse_no_series
from ganzoo.networks.tcn import TCNDiscriminator, TCNGenerator


class QuantGAN(R1GAN):
    """Convolutions in time on both sides: a return is a function of the last 127 steps' noise, which gives it a memory, and the
    same distribution at each step. This is the paper's pure TCN; its stabilisation is R1.

    What a Lipschitz network makes of Gaussian noise has moments of every order, as the paper proves, and returns may not: their
    tails are made light before the game, and heavy again after it, by Lambert's W (the data's `heavy_tails`).

    Args:
        latent_dim: numbers of noise at each step.
        generator: class with `tcn.field`, the steps that its outputs see: it is given field - 1 steps of noise before a series.

    Differences from the paper: samples end in tanh; the sum of the blocks' outputs is its skip connections, and D's field is the
    whole series, with zeros before it where 2^k - 1 is more. Penalty, optimizer and rates are `R1GAN`'s.

    Raises:
        ValueError: data that are no series; a generator without `tcn`.
    """

    default_generator: GeneratorClass = TCNGenerator
    generator: Any
    default_discriminator: DiscriminatorClass = TCNDiscriminator
    usual_shape = (127, 1)

    def __init__(
        self, *, shape: tuple[int, ...], latent_dim: int = 3, average_decay: float | None = None, **r1_gan: Any
    ) -> None:
        refuse_no_series(shape, "QuantGAN")
        super().__init__(shape=shape, latent_dim=latent_dim, average_decay=average_decay, **r1_gan)
        if not hasattr(self.generator, "tcn"):
            raise ValueError(f"{type(self.generator).__name__} takes no noise from before a series: choose TCNGenerator")

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return self.shape[0] + self.generator.tcn.field - 1, self.latent_dim
