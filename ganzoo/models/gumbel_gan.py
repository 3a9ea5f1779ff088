"""GumbelGAN: Kusner, Hernandez-Lobato, "GANS for Sequences of Discrete Elements with the Gumbel-softmax Distribution", 2016, https://arxiv.org/abs/1611.04051"""

from collections.abc import Callable
from functools import partial
from typing import Any

from ganzoo.duel import DiscriminatorClass, GeneratorClass
from ganzoo.models.gan import GAN
from ganzoo.networks.gumbel import GumbelSoftmax
from ganzoo.networks.strings import LSTMStringDiscriminator, LSTMStringGenerator

ChoiceClass = Callable[[float, float, int], GumbelSoftmax]


class GumbelGAN(GAN):
    """The GAN of strings: G chooses symbols by a softmax with Gumbel noise, y = softmax((h + g) / tau) (eq. 4), through which D's
    gradient passes. As tau falls, y comes nearer to the exact choice, argmax(h + g) (eq. 3), which samples are made of.

    The game is `GAN`'s: the choice is the generator's, and any other game of one generator plays on strings as well, with
    `--model.generator MLPStringGenerator` and the like.

    Args:
        temperature: tau at first, tau at last, and the round from which on it is that; linear in between.
        choice: class of the choice, called with these: `GumbelSoftmax`, the paper's, or `StraightThrough`, whose choices are
            exact and only their gradient relaxed; None for the former.
        generator: class of the generator, which takes `choice` beside (latent_dim, shape).

    Raises:
        ValueError: the samples are no strings.

    Differences from the paper: costs and learning rates are `GAN`'s, and the networks' widths ours; the end of a string, which
    fills the rest of it, is a symbol of its own, not a space.
    """

    usual_shape = (12, 6)
    default_generator: GeneratorClass = LSTMStringGenerator
    default_discriminator: DiscriminatorClass = LSTMStringDiscriminator

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        temperature: tuple[float, float, int] = (5.0, 1.0, 20_000),
        choice: ChoiceClass | None = None,
        generator: GeneratorClass | None = None,
        **gan: Any,
    ) -> None:
        chosen = partial(choice or GumbelSoftmax, *temperature)
        kind: Any = generator or self.default_generator
        super().__init__(shape=shape, generator=partial(kind, choice=chosen), **gan)
