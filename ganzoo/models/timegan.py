"""TimeGAN: Yoon, Jarrett, van der Schaar, "Time-series Generative Adversarial Networks", 2019, https://papers.nips.cc/paper/8789-time-series-generative-adversarial-networks"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.duel import Duel
from ganzoo.game import Batch, Terms, Turn
from ganzoo.losses import cross_entropy, non_saturating, one_step_error
from ganzoo.networks.recurrent import GRUEmbedding, StateDiscriminator, StateGenerator, refuse_no_series
from ganzoo.optimizers import SkippingAdam


class TimeGAN(Duel):
    """The game is played over latent states h = e(x), learned with their way back x = r(h). A supervisor s learns what state comes
    next, and fakes are s(g(z)), of noise z uniform in 0 .. 1 at each step.

    Three stages: e and r learn to be each other's inverse; s learns steps of real series; then all learn, D half as often, and
    not at all while it knows enough. A round has three minibatches, of which the first two stages make three turns.

    Args:
        hidden, layers: of each of the five networks; s has a layer less.
        gamma, moments: weights of what D says of g(z) itself, before s, and of how far means and deviations are from those of x.
        threshold: D learns only while its loss is above this.
        embedding_steps, supervised_steps: rounds of the first two stages: the authors' 10,000 iterations are a third as many.
        lr, betas: Adam's.

    Differences from the paper, where loss weights and order of turns are those of the authors' code: series are in [-1, 1], and in
    0 .. 1 inside; each player keeps Adam's moments from stage to stage; PyTorch's GRU, whose reset gate follows the product.

    Raises:
        ValueError: data that are no series.
    """

    one_logit = gaussian = False
    usual_shape = (24, 5)
    embedder: Any
    generator: Any
    loss_of_d: Tensor

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        hidden: int = 24,
        layers: int = 3,
        gamma: float = 1.0,
        moments: float = 100.0,
        threshold: float = 0.15,
        embedding_steps: int = 3333,
        supervised_steps: int = 3333,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        **duel: Any,
    ) -> None:
        refuse_no_series(shape, "TimeGAN")
        size: dict[str, Any] = {"hidden": hidden, "layers": layers}
        g, d = partial(StateGenerator, **size), partial(StateDiscriminator, **size)
        super().__init__(
            shape=shape, latent_dim=shape[1], generator=g, discriminator=d, discriminator_steps=3, lr=lr, betas=betas, **duel
        )
        self.embedder = GRUEmbedding(shape[1], **size)
        self.lr["embedder"] = lr
        self.gamma, self.moments, self.threshold = gamma, moments, threshold
        self.stages = (embedding_steps, embedding_steps + supervised_steps)  # where the later two begin
        self.register_buffer("loss_of_d", torch.ones(()))

    def players(self) -> dict[str, nn.Module]:
        return {"embedder": self.embedder} | super().players()

    def turns(self, step: int, batches: list[Batch]) -> Iterator[Turn]:
        if step < self.stages[1]:
            stage = ("embedder", self.autoencoder_loss) if step < self.stages[0] else ("generator", self.supervised_loss)
            yield from ((*stage, batch) for batch in batches)
            return
        for batch in batches[:2]:
            yield "generator", self.generator_loss, batch
            yield "embedder", self.embedder_loss, batch
        yield "discriminator", self.discriminator_loss, batches[2]

    def autoencoder_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        again = self.embedder.way_back(self.embedder(real))
        return {"reconstruction": 10 * F.mse_loss(again, real / 2 + 0.5).sqrt()}  # L_R, eq. 7

    def supervised_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        with torch.no_grad():
            h = self.embedder(real)
        return {"supervised": one_step_error(self.generator.supervisor(h), h)}  # L_S, eq. 9

    def embedder_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        h = self.embedder(real)
        reconstruction = 10 * F.mse_loss(self.embedder.way_back(h), real / 2 + 0.5).sqrt()
        return {"reconstruction": reconstruction, "supervised": 0.1 * one_step_error(self.generator.supervisor(h), h)}  # eq. 10

    def generator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        x = real / 2 + 0.5
        with torch.no_grad():
            h = self.embedder(real)
        before = self.generator.states(self.latent(len(real)))  # g(z)
        after, next_real = self.generator.supervisor(torch.cat([before, h])).chunk(2)
        of_s, of_g = self.discriminator(torch.cat([after, before])).chunk(2)
        fake = self.embedder.way_back(after)
        deviation, real_deviation = ((series.var(0, correction=0) + 1e-6).sqrt() for series in (fake, x))
        return {  # eq. 11, and how far means and deviations at each step are from those of x
            "adversarial": non_saturating(of_s),
            "adversarial_of_g": self.gamma * non_saturating(of_g),
            "supervised": 100 * one_step_error(next_real, h).sqrt(),
            "moments": self.moments * (F.l1_loss(deviation, real_deviation) + F.l1_loss(fake.mean(0), x.mean(0))),
        }

    def discriminator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        with torch.no_grad():
            before = self.generator.states(self.latent(len(real)))
            states = torch.cat([self.embedder(real), self.generator.supervisor(before), before])
        of_real, of_s, of_g = self.discriminator(states).chunk(3)
        cost, cost_of_g = cross_entropy(of_s, 0.0), self.gamma * cross_entropy(of_g, 0.0)
        terms = {"real": cross_entropy(of_real, 1.0), "fake": cost, "fake_of_g": cost_of_g}  # L_U, eq. 8
        if self.training:
            self.loss_of_d.copy_(sum(terms.values()).detach())  # type: ignore[union-attr]
        return terms

    def optimizer(self, player: str, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        if player != "discriminator":
            return super().optimizer(player, parameters)
        adam = {"lr": self.lr[player], "betas": self.betas, "fused": True}
        return SkippingAdam(parameters, lambda: (self.loss_of_d <= self.threshold).float(), **adam)

    def latent(self, n: int) -> Tensor:
        return torch.rand(n, *self.shape, device=self.device)

    def opinions(self, real: Tensor, *label: Tensor) -> tuple[Tensor, Tensor]:
        return tuple(self.discriminator(h).mean(1) for h in (self.embedder(real), self.fake(len(real))))  # type: ignore

    @torch.no_grad()
    def samples_of(self, *z: Tensor) -> Tensor:
        return 2 * self.embedder.way_back(super().samples_of(*z)) - 1
