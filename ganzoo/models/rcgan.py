"""RCGAN: Esteban, Hyland, Rätsch, "Real-valued (Medical) Time Series Generation with Recurrent Conditional GANs", 2017, https://arxiv.org/abs/1706.02633"""

from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.conditional import ConditionalDuel
from ganzoo.duel import DiscriminatorClass, GeneratorClass
from ganzoo.game import Terms
from ganzoo.losses import cross_entropy
from ganzoo.networks.recurrent import LabelledSteps, LSTMDiscriminator, LSTMGenerator, refuse_no_series


def labelled_generator(kind: GeneratorClass, classes: int, latent_dim: int, shape: tuple[int, ...]) -> nn.Module:
    return LabelledSteps(lambda more: kind(latent_dim + more, shape), classes)


def labelled_discriminator(kind: DiscriminatorClass, classes: int, shape: tuple[int, ...]) -> nn.Module:
    return LabelledSteps(lambda more: kind((shape[0], shape[1] + more)), classes)


class RCGAN(ConditionalDuel):
    """A recurrent generator is given new noise at each step, a recurrent discriminator says at each step whether the series is
    real so far. Both are given the label, if there is one, beside each step (section 3); without labels it is the paper's RGAN.

    Args:
        latent_dim: numbers of noise at each step.
        discriminator: class whose logits are [N, length], or [N] of the whole series.
        lr: Adam's, of G.
        discriminator_lr: of D, which learns by plain gradient descent.

    Differences from the paper: the last layers begin as PyTorch's do, in the authors' code with normal weights of deviation 1;
    each turn of G follows D's, on the last of its minibatches. Hidden sizes, noise, rates and turns are those of the authors'
    code.

    Raises:
        ValueError: data that are no series.
    """

    default_generator = LSTMGenerator
    default_discriminator = LSTMDiscriminator
    conditional_generator = staticmethod(labelled_generator)
    conditional_discriminator = staticmethod(labelled_discriminator)
    needs_classes = False
    one_logit = False
    usual_shape = (30, 1)

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        latent_dim: int = 5,
        discriminator_steps: int = 5,
        lr: float = 1e-3,
        discriminator_lr: float | None = 0.1,
        betas: tuple[float, float] = (0.9, 0.999),
        **duel: Any,
    ) -> None:
        refuse_no_series(shape, "RCGAN")
        super().__init__(
            shape=shape,
            latent_dim=latent_dim,
            discriminator_steps=discriminator_steps,
            lr=lr,
            discriminator_lr=discriminator_lr,
            betas=betas,
            **duel,
        )

    def discriminator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        """The cross-entropy of each step, its mean over steps (section 3)."""
        with torch.no_grad():
            fake = self.fake(len(real), label)
        return {
            "real": cross_entropy(self.discriminator(real, *self.known(label)), 1.0),
            "fake": cross_entropy(self.discriminator(fake, *self.known(label)), 0.0),
        }

    def generator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        fake = self.fake(len(real), label)
        return {"adversarial": cross_entropy(self.discriminator(fake, *self.known(label)), 1.0)}

    def optimizer(self, player: str, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        if player == "discriminator":
            return torch.optim.SGD(parameters, lr=self.lr[player], fused=True)
        return super().optimizer(player, parameters)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return self.shape[0], self.latent_dim

    def realness(self, x: Tensor, *label: Tensor) -> Tensor:
        """The mean over steps, if there is a logit for each."""
        return super().realness(x, *label).reshape(len(x), -1).mean(1)
