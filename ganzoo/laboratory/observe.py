"""A game observed in one round, on data of known density: nothing in it moves, and no random number of the training's."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ganzoo.duel import Duel, at_rest
from ganzoo.game import draw_from
from ganzoo.laboratory.theory import Grid, jensen_shannon, jensen_shannon_seen, optimal_discriminator

PLACES = {1: 80, 2: 18}  # where the field is drawn, along each axis
NEGLIGIBLE = 1e-3  # of p_data + p_g, in units of its largest value: D* says nothing there that samples could show


@dataclass(frozen=True)
class Observed:
    """What a frame shows. Everything is on the CPU; grid functions are [cells^D], D being 1 or 2."""

    grid: Grid
    data: Tensor  # p_data
    model: Tensor  # p_g
    samples: Tensor  # of p_g, [N, D]
    logit: Tensor  # the discriminator's on the grid
    real_logit: Tensor  # on held-out data, [N]
    fake_logit: Tensor  # on the samples, [N]
    places: Tensor  # [M, D]
    field: Tensor  # -d cost / d x at the places, [M, D]
    probabilistic: bool  # whether D is a probability

    @property
    def optimal(self) -> Tensor:
        """D* on the grid, NaN where it says nothing."""
        both = self.data + self.model
        return optimal_discriminator(self.data, self.model).where(both > NEGLIGIBLE * both.max(), torch.nan)

    def numbers(self) -> dict[str, float]:
        """`jsd`, on the grid; if D is a probability also `jsd_seen` and the mean of |D - D*|, of critics E f(x) - E f(G(z))."""
        found = {"jsd": jensen_shannon(self.data, self.model, self.grid.volume)}
        if self.probabilistic:
            found["jsd_seen"] = jensen_shannon_seen(self.real_logit, self.fake_logit)
            both = (self.data + self.model) / 2 * self.grid.volume
            apart = (self.logit.sigmoid() - optimal_discriminator(self.data, self.model)).abs()
            found["discriminator_error"] = float((both * apart).nansum())
        else:
            found["gap"] = float(self.real_logit.mean() - self.fake_logit.mean())
        return found


def observe(game: Duel, grid: Grid, log_density: Callable[[Tensor], Tensor], real: Tensor, seed: int) -> Observed:
    """The game as it stands, by as many samples of the generator in training as there are held-out points [N, D]."""
    draw_from(game.device, seed)
    real = real.to(game.device)
    with at_rest(game):
        with torch.no_grad():
            samples = game.fake(len(real))
            on_grid, of_real, of_fake = (game.discriminator(x).cpu() for x in (grid.points.to(game.device), real, samples))
        places, field = field_of(game, grid, samples, real)
    samples = samples.cpu()
    data = log_density(grid.points).exp()
    model = grid.density(samples)
    return Observed(
        grid, data, model, samples, on_grid, of_real, of_fake, places.cpu(), field.cpu(), probabilistic=game.probabilistic
    )


def field_of(game: Duel, grid: Grid, samples: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """Places [M, D] and what pushes a fake there: on a lattice, or if a fake's push depends on other fakes, at samples."""
    some = samples[: 2 * PLACES[2] ** 2]
    among_all, among_half = push(game, some, real), push(game, some[: len(some) // 2], real)
    if torch.allclose(among_all[: len(among_half)], among_half, rtol=1e-3, atol=1e-6):
        lattice = torch.linspace(grid.low, grid.high, PLACES[grid.dimensions] + 2, device=samples.device)[1:-1]
        some = torch.cartesian_prod(*[lattice] * grid.dimensions).reshape(-1, grid.dimensions)
        among_all = push(game, some, real)
    return some, among_all


def push(game: Duel, x: Tensor, real: Tensor) -> Tensor:
    """-N d cost / d x_i, the way in which gradient descent would have the generator move each fake: [N, D] -> [N, D].

    The cost is the game's own generator_loss on these fakes. Every variant asks `fake` for its fakes: here it gets ours.
    """
    x = x.detach().clone().requires_grad_()
    game.fake = lambda n: x  # type: ignore[method-assign]
    try:
        with torch.enable_grad():
            terms = game.generator_loss(real[: len(x)].clone().requires_grad_())
            (gradient,) = torch.autograd.grad(torch.stack(list(terms.values())).sum(), x)
    finally:
        del game.fake
    return -len(x) * gradient
