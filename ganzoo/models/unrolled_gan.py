"""Unrolled GAN: Metz, Poole, Pfau, Sohl-Dickstein, "Unrolled Generative Adversarial Networks", 2016, https://arxiv.org/abs/1611.02163"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ganzoo.duel import DiscriminatorClass, Duel, GeneratorClass
from ganzoo.game import Terms
from ganzoo.losses import cross_entropy
from ganzoo.networks.mlp import MLPDiscriminator, MLPGenerator

EPSILON = 1e-8  # Adam's


class UnrolledGAN(Duel):
    """G plays against the discriminator that would answer it: D after K more steps, through which G's gradient flows.

    A G that collapses onto the spot that D likes best sees D take that spot away (the second term of eq. 12), so it spreads.
    The K steps are Adam's, as D would take them from its present moments, all on one minibatch (section 3); afterwards D's
    weights, moments and batch statistics are what they were before.

    Args:
        unrolling_steps: K of eq. 9; 0 is the minimax GAN.
        lr, discriminator_lr, betas: Adam's. The unrolled steps have D's, and do not follow `decay`.

    Differences from the paper: LeakyReLU MLPs, and MLPs for images too; both learning rates are 2e-4 and z has 100 numbers, where
    the authors' code for the ring has 1e-3 for G, 1e-4 for D, and 256. Adam's denominator is sqrt(v + eps^2), not sqrt(v) + eps,
    whose gradient is infinite at v = 0.
    """

    default_generator: GeneratorClass = MLPGenerator
    default_discriminator: DiscriminatorClass = MLPDiscriminator
    probabilistic = True

    def __init__(self, *, unrolling_steps: int = 5, **duel: Any) -> None:
        super().__init__(**duel)
        self.unrolling_steps = unrolling_steps
        self.moments: dict[str, tuple[Tensor, Tensor]] = {}  # of D's optimizer, which changes them in place
        self.steps_taken: Tensor | float = 0.0

    def cost(self, weights: dict[str, Tensor], statistics: dict[str, Tensor], real: Tensor, fake: Tensor) -> Terms:
        """-E log D(x) and -E log(1 - D(G(z))), whose sum is -f (eq. 4), for a D of these weights."""
        real_logit, fake_logit = (functional_call(self.discriminator, (weights, statistics), (x,)) for x in (real, fake))
        return {"real": cross_entropy(real_logit, 1.0), "fake": cross_entropy(fake_logit, 0.0)}

    def discriminator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:  # eq. 11
        with torch.no_grad():
            fake = self.fake(len(real))
        return self.cost({}, {}, real, fake)

    def generator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:  # eq. 10
        fake = self.fake(len(real))
        # A weight's Adam step is its gradient over that gradient's own size: of one that half precision has rounded to zero,
        # the derivative is thousands of times too large.
        with torch.autocast(fake.device.type, enabled=False):
            return self.surrogate(real, fake)

    def surrogate(self, real: Tensor, fake: Tensor) -> Terms:
        """f_K, eq. 9."""
        weights: dict[str, Tensor] = dict(self.learning())  # eq. 6
        statistics = {name: buffer.clone() for name, buffer in self.discriminator.named_buffers()}  # to be thrown away
        moments: dict[str, tuple[Any, Any]] = {name: self.moments.get(name, (0.0, 0.0)) for name in weights}
        for k in range(1, self.unrolling_steps + 1):
            loss = torch.stack(list(self.cost(weights, statistics, real, fake).values())).sum()
            gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
            for (name, weight), gradient in zip(list(weights.items()), gradients, strict=True):
                weights[name], moments[name] = self.adam(weight, gradient, *moments[name], self.steps_taken + k)  # eq. 7
        return {name: -term for name, term in self.cost(weights, statistics, real, fake).items()}

    def learning(self) -> dict[str, nn.Parameter]:
        """D's weights by their names, but for frozen ones."""
        return {name: weight for name, weight in self.discriminator.named_parameters() if weight.requires_grad}

    def adam(self, weight: Tensor, gradient: Tensor, mean: Any, square: Any, step: Any) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Adam's step number `step` as a differentiable function: the new weight, and the new moments."""
        beta_1, beta_2 = self.betas
        mean = beta_1 * mean + (1 - beta_1) * gradient
        square = beta_2 * square + (1 - beta_2) * gradient.square()
        size = (square / (1 - beta_2**step) + EPSILON**2).sqrt()
        return weight - self.lr["discriminator"] / (1 - beta_1**step) * mean / size, (mean, square)

    def optimizer(self, player: str, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        optimizer = super().optimizer(player, parameters)
        if player == "discriminator":
            self.adam_of_discriminator = optimizer
        return optimizer

    def after_turn(self, player: str) -> None:
        super().after_turn(player)
        if player == "discriminator":
            state = self.adam_of_discriminator.state
            named = self.learning()
            self.moments = {name: (state[weight]["exp_avg"], state[weight]["exp_avg_sq"]) for name, weight in named.items()}
            self.steps_taken = state[next(iter(named.values()))]["step"]
