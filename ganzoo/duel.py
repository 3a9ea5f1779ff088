"""The commonest game: one generator, which makes samples of noise, against one discriminator."""

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from ganzoo.augment import Augmentation
from ganzoo.game import Batch, Game, Loss, Terms, Turn
from ganzoo.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from ganzoo.networks.front import Front
from ganzoo.networks.history import HistoricalAverage
from ganzoo.networks.lecam import LeCam
from ganzoo.networks.noise import InstanceNoise
from ganzoo.schedules import Scheduled, kept, linear, refuse_reversed
from ganzoo.transfer import freeze, take

GeneratorClass = Callable[[int, tuple[int, ...]], nn.Module]  # (latent_dim, shape): [N, latent_dim] -> [N, *shape]
DiscriminatorClass = Callable[[tuple[int, ...]], nn.Module]  # (shape): [N, *shape] -> logits [N]
AugmentationClass = Callable[[nn.Module, tuple[int, ...]], Augmentation]  # (discriminator, shape)


class Duel(Game):
    """Parent of every variant with one generator and one discriminator; the variant adds their two losses.

    Args:
        latent_dim: size of the noise z ~ N(0, I).
        generator: class of the generator, called with (latent_dim, shape); None for the variant's own.
        discriminator: class of the discriminator, called with (shape); None for the variant's own.
        discriminator_steps: discriminator turns in a round, each on a minibatch of its own.
        lr, betas: Adam's.
        discriminator_lr: the discriminator's own learning rate; None for the same one.
        decay: the learning rates stay until the first of these rounds, then fall linearly to zero in the second; None: they
            stay.
        average_decay: decay per round of the generator's weight average, which samples then come from; None for none. In
            round t it is at most (1 + t) / (10 + t).
        instance_noise: standard deviation of Gaussian noise on all that the discriminator sees, and the round in which,
            falling linearly, it reaches zero (`InstanceNoise`); None for no noise.
        historical_averaging: weight of ||theta - 1/t sum_i theta_i||^2 in both players' losses (`HistoricalAverage`).
        augment: class of what changes the images that the discriminator sees (`DiffAugment`, `AdaptiveAugment`); None for
            nothing. Noise comes after it, so that all pixels have the same, in holes too.
        lecam: weight of LeCam's regularisation in the discriminator's loss (`LeCam`).
        init_from: a checkpoint, or exported weights, of another run: a new one begins with all weights that fit
            (`ganzoo.transfer`). Reloading does not need it.
        freeze_discriminator: so many of the discriminator's lower layers, or blocks, do not learn (FreezeD, `freeze`).

    Raises:
        ValueError: augmentation of anything but images; LeCam, or augmentation that adapts itself, where the discriminator has
            no logit for each sample; more layers to freeze than there are; discriminator_steps below 1; a decay
            that ends before it begins.
    """

    default_generator: GeneratorClass = DCGANGenerator
    default_discriminator: DiscriminatorClass = DCGANDiscriminator
    one_logit = True  # whether D has one for each sample, alone or as the first of its outputs
    gaussian = True  # whether z is, and may be truncated
    probabilistic = False  # whether sigmoid(logit) learns p_data / (p_data + p_g): arXiv:1406.2661, Proposition 1
    kept: float | None = None  # of the weight average, this round, where that follows from a half-life

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        latent_dim: int = 100,
        generator: GeneratorClass | None = None,
        discriminator: DiscriminatorClass | None = None,
        discriminator_steps: int = 1,
        lr: float = 2e-4,
        discriminator_lr: float | None = None,
        betas: tuple[float, float] = (0.5, 0.999),
        decay: tuple[int, int] | None = None,
        average_decay: float | None = None,
        instance_noise: tuple[float, int] | None = None,
        historical_averaging: float = 0.0,
        augment: AugmentationClass | None = None,
        lecam: float = 0.0,
        init_from: str | None = None,
        freeze_discriminator: int = 0,
        **game: Any,
    ) -> None:
        super().__init__(shape=shape, **game)
        if discriminator_steps < 1:
            raise ValueError(f"discriminator_steps must be at least 1, not {discriminator_steps}")
        refuse_reversed(decay)
        self.latent_dim = latent_dim
        self.generator = (generator or self.default_generator)(latent_dim, self.shape)
        self.discriminator = (discriminator or self.default_discriminator)(self.shape)
        if freeze_discriminator:
            freeze(self.discriminator, freeze_discriminator)
        if instance_noise is not None:
            self.discriminator = InstanceNoise(self.discriminator, *instance_noise)
        if augment is not None:
            self.discriminator = augment(self.discriminator, self.shape)
        if lecam:
            self.discriminator = LeCam(self.discriminator, lecam)
        if isinstance(self.discriminator, Front) and not self.one_logit:
            self.discriminator.refuse_no_logit(type(self).__name__)
        self.init_from = init_from
        self.minibatches = self.discriminator_steps = discriminator_steps
        self.lr = {"generator": lr, "discriminator": lr if discriminator_lr is None else discriminator_lr}
        self.betas, self.decay = betas, decay
        self.average_decay = average_decay
        self.average = None if average_decay is None else copy.deepcopy(self.generator).requires_grad_(False)
        self.historical_averaging = historical_averaging
        remembered = ("discriminator", "generator") if historical_averaging else ()
        self.history = nn.ModuleDict({player: HistoricalAverage(getattr(self, player)) for player in remembered})

    def discriminator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        """real [N, *shape] and, where the data has classes, label [N]."""
        raise NotImplementedError(f"{type(self).__name__} must say what its discriminator minimises")

    def generator_loss(self, real: Tensor, label: Tensor | None = None) -> Terms:
        """As many fakes as there are real samples."""
        raise NotImplementedError(f"{type(self).__name__} must say what its generator minimises")

    def players(self) -> dict[str, nn.Module]:
        return {"discriminator": self.discriminator, "generator": self.generator}

    def turns(self, step: int, batches: list[Batch]) -> Iterator[Turn]:  # arXiv:1406.2661, Algorithm 1
        for batch in batches:
            yield "discriminator", self.discriminator_loss, batch
        yield "generator", self.generator_loss, batches[-1]

    def move(self, player: str, loss: Loss, batch: Batch) -> tuple[Terms, list[Tensor | None]]:
        """The variant's loss and, whichever it is, the penalties that are on."""
        front = self.discriminator if player == "discriminator" and isinstance(self.discriminator, Front) else None
        moved = loss if front is None else front.overheard(loss)

        def penalised(*batch: Tensor) -> Terms:
            return moved(*batch) | {"history": self.historical_averaging * self.history[player](self.players()[player])}

        terms, gradients = super().move(player, penalised if player in self.history else moved, batch)
        return terms if front is None else terms | front.logged(), gradients

    def optimizer(self, player: str, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=self.lr[player], betas=self.betas, fused=True)

    def rate(self, step: int) -> float:
        return 1.0 if self.decay is None else linear(step, 1.0, 0.0, *self.decay)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Of the noise of one sample."""
        return (self.latent_dim,)

    def latent(self, n: int) -> Tensor:
        """z ~ N(0, I), truncated if the game is `truncated`: [n, *latent_shape]."""
        z = torch.randn(n, *self.latent_shape, device=self.device)
        return z if self.truncation is None else squeezed(z, self.truncation)

    def fake(self, n: int) -> Tensor:
        """What the generator in training makes of new noise, [n, *shape]."""
        return self.generator(self.latent(n))

    def realness(self, x: Tensor, *label: Tensor) -> Tensor:
        """How real D takes samples to be, on any scale, larger for more real: [N, *shape] -> [N]. A variant whose D gives
        anything but one number says here what its opinion is."""
        return self.discriminator(x)

    def opinions(self, real: Tensor, *label: Tensor) -> tuple[Tensor, Tensor]:
        """D's of a real batch, and of as many new fakes: what a run is watched by."""
        return self.realness(real), self.realness(self.fake(len(real)))

    @property
    def averaged(self) -> bool:
        return self.average is not None

    @property
    def sampler(self) -> nn.Module:
        """The generator that samples come from: the averaged one, if there is one."""
        return self.generator if self.average is None else self.average

    def sample(self, n: int) -> Tensor:
        """n samples of the averaged generator, if there is one, in evaluation mode: float32 [n, *shape]."""
        return self.samples_of(self.latent(n))

    def samples_of(self, *inputs: Tensor) -> Tensor:
        """What `sample` draws: all that the generator takes, each [n, ...] -> [n, *shape]."""
        chunks = zip(*(whole.split(256) for whole in inputs), strict=True)  # the same samples whatever the chunks
        with evaluating(self.sampler):
            return torch.cat([self.sampler(*chunk) for chunk in chunks])

    def on_fit_start(self) -> None:
        super().on_fit_start()
        if self.init_from is not None and not self.images_seen:  # a run that goes on has weights of its own
            take(self, self.init_from)

    @torch.no_grad()
    def after_round(self) -> None:
        for network in (self.discriminator, self.generator):
            if isinstance(network, Scheduled):
                network.anneal(self.global_step + 1)  # for the next round
        if self.average is not None:
            self.follow(self.average, self.generator)

    def follow(self, average: nn.Module, network: nn.Module) -> None:
        """Move the weight average towards the network's weights, once a round."""
        follow(average, network, self.memory())

    def set_memory(self, batches: list[Batch], half_life: float) -> None:
        """Before a round of these batches: half of the weight average is to be new after so many images."""
        self.kept = kept(sum(len(batch[0]) for batch in batches) * self.trainer.world_size, half_life)

    def memory(self) -> float:
        """How much of the weight average stays this round: by its half-life if it has one, else not much at first, or the
        untrained weights would count for long."""
        assert self.average_decay is not None
        share = (1 + self.global_step) / (10 + self.global_step) if self.kept is None else self.kept
        return min(self.average_decay, share)


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, memory: float) -> None:
    """Move the weight average towards the network's weights, keeping this share of it."""
    # Batch normalisation's statistics too: the averaged weights' activations lag behind just as much.
    averages, latest = ([*net.parameters(), *net.buffers()] for net in (average, network))
    moving = [i for i, tensor in enumerate(latest) if tensor.is_floating_point()]
    torch._foreach_lerp_([averages[i] for i in moving], [latest[i] for i in moving], 1 - memory)
    # Spectral normalisation's vectors are those of the averaged weights: the mean of unit vectors is shorter than they are,
    # and would make sigma too small. Reading the weight in training mode is one power iteration.
    for layer in average.modules():
        if is_parametrized(layer, "weight"):
            _ = layer.weight


@contextmanager
def at_rest(network: nn.Module) -> Iterator[None]:
    """In evaluation mode, where no loss changes any buffer, and afterwards in the mode of before."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """At rest, and nothing is differentiated."""
    with at_rest(network), torch.no_grad():
        yield


def squeezed(z: Tensor, threshold: float) -> Tensor:
    """Standard normal noise turned into the truncated normal: |z| <= threshold, of any shape.

    As if values beyond the threshold were drawn anew (arXiv:1809.11096, section 3.1), but through the distribution's quantiles:
    F_t^-1(F(z)). The random draws are those of plain noise, and each sample, as the threshold falls, goes from what it is
    without truncation towards z = 0.
    """
    exact = z.double().cpu()  # float32 has no digits left in the tails, and not all devices have float64
    half = math.sqrt(0.5)
    within = torch.special.erfinv(torch.erf(exact * half) * math.erf(threshold * half)) / half
    return within.clamp(-threshold, threshold).to(z)


@contextmanager
def truncated(game: Game, threshold: float | None) -> Iterator[None]:
    """While it lasts, the game's samples are of noise truncated to [-threshold, threshold]: better ones, and less varied.

    None leaves the noise as it is, and so, nearly, does a large threshold; towards 0 all samples (of a class) become one.

    Raises:
        ValueError: a threshold that is not above 0, or a game without Gaussian noise.
    """
    if threshold is not None and not 0 < threshold < math.inf:
        raise ValueError(f"noise is truncated to a number above 0, such as 0.5, not {threshold:g}")
    if threshold is not None and not (isinstance(game, Duel) and game.gaussian):
        raise ValueError(f"{type(game).__name__} has no Gaussian noise that could be truncated: leave out --truncation")
    before, game.truncation = game.truncation, threshold
    try:
        yield
    finally:
        game.truncation = before
