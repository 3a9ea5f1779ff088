"""Two numbers that play f(x, y) = x y: the smallest game in which gradient play turns in circles, and what calms it."""

from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ganzoo.game import Batch, Game, Terms, Turn


class Number(nn.Module):
    """A player of one number."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(float(value)))


class Bilinear(Game):
    """x lowers f(x, y) = x y and y raises it, each by gradient descent; they are in equilibrium at (0, 0).

    It is the Dirac-GAN of arXiv:1801.04406 with f(t) = t: data that is always 0, a generator that always says x,
    and a discriminator D(x) = y x. A round multiplies (x, y) by a matrix (`matrix`) whose largest |eigenvalue| is the factor
    by which the distance from the equilibrium grows: sqrt(1 + lr^2) in simultaneous play, exactly and in every round.

    Args:
        play: `simultaneous`: both answer the other's place at the round's start; `alternating`: y moves first, x answers.
        r1: gamma of R1 on y: its penalty gamma / 2 |dD / dx|^2 is gamma / 2 y^2 (arXiv:1801.04406, eq. 9).
        unrolling_steps: x plays against y after so many more steps, through which its gradient flows (arXiv:1611.02163).
        lr: of both players, and of the unrolled steps.
        start: (x, y) in round 0.
        shape: of `Dirac`'s points.
    """

    before: Tensor  # (x, y) as the player whose turn it is sees them, [2]

    def __init__(
        self,
        *,
        play: Literal["simultaneous", "alternating"] = "simultaneous",
        r1: float = 0.0,
        unrolling_steps: int = 0,
        lr: float = 0.1,
        start: tuple[float, float] = (1.0, 0.0),
        shape: tuple[int, ...] = (2,),
        **game: Any,
    ) -> None:
        super().__init__(shape=shape, **game)
        self.play, self.r1, self.unrolling_steps, self.lr = play, r1, unrolling_steps, lr
        self.x, self.y = Number(start[0]), Number(start[1])
        self.register_buffer("before", torch.tensor(start, dtype=torch.float32))  # of whole numbers too

    def players(self) -> dict[str, nn.Module]:
        return {"y": self.y, "x": self.x}

    def turns(self, step: int, batches: list[Batch]) -> Iterator[Turn]:
        self.before.copy_(self.place)
        yield "y", self.y_loss, batches[0]
        if self.play == "alternating":
            self.before.copy_(self.place)
        yield "x", self.x_loss, batches[0]

    def y_loss(self, real: Tensor) -> Terms:
        """-x y + gamma / 2 y^2."""
        return {"f": -self.before[0] * self.y.value, "penalty": 0.5 * self.r1 * self.y.value.square()}

    def x_loss(self, real: Tensor) -> Terms:
        """x y_K(x), where y_{k + 1} = y_k + lr (x - gamma y_k)."""
        y = self.before[1]
        for _ in range(self.unrolling_steps):
            y = y + self.lr * (self.x.value - self.r1 * y)
        return {"f": self.x.value * y}

    def optimizer(self, player: str, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=self.lr)

    @property
    def place(self) -> Tensor:
        """(x, y), [2]."""
        return torch.stack([self.x.value, self.y.value]).detach()

    def sample(self, n: int) -> Tensor:
        """n times the place of the players: [n, 2]."""
        return self.place.expand(n, 2)

    def matrix(self) -> Tensor:
        """M of (x, y) <- M (x, y), one round, float64 [2, 2].

        With a = 1 - lr gamma, y goes to a y + lr x. Its K unrolled steps end at y_K = a^K y + lr s x with
        s = 1 + a + ... + a^(K - 1), so that d(x y_K) / dx = a^K y + 2 lr s x.
        """
        lr, a = self.lr, 1 - self.lr * self.r1
        power, s = a**self.unrolling_steps, sum(a**k for k in range(self.unrolling_steps))
        y_turn = torch.tensor([[1, 0], [lr, a]], dtype=torch.float64)
        x_turn = torch.tensor([[1 - 2 * lr**2 * s, -lr * power], [0, 1]], dtype=torch.float64)
        if self.play == "alternating":
            return x_turn @ y_turn
        return torch.stack([x_turn[0], y_turn[1]])

    def factor(self) -> float:
        """By which the distance from (0, 0) grows in a round, in the long run: the largest |eigenvalue| of `matrix`.

        While the players circle it is sqrt(det M). Simultaneous play without unrolling: sqrt(1 - lr gamma + lr^2), so that
        R1 calms it if gamma > lr; with K steps and no R1: sqrt(1 - (2 K - 1) lr^2), so that one step is enough;
        alternating play with neither: 1.
        """
        return float(torch.linalg.eigvals(self.matrix()).abs().max())
