"""GAIN's networks: perceptrons of a row of a table, and of what is known of it."""

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

Widths = tuple[int, ...]  # of each column of a table: 1 for numbers, or as many as it has categories


class GAINGenerator(nn.Module):
    """A row with noise in its missing cells, [N, sum(widths)], and its mask, [N, columns] -> a whole row, float32
    [N, sum(widths)]: numbers in [0, 1], and a probability for each category.

    Args:
        hidden: how wide each hidden layer is; None: two, as wide as a row.
        activation: after each of them: the authors' code has `relu`, the paper, we believe, `tanh`.
    """

    def __init__(
        self, widths: Widths, *, hidden: tuple[int, ...] | None = None, activation: Literal["relu", "tanh"] = "relu"
    ) -> None:
        super().__init__()
        row = sum(widths)
        self.layers = perceptron([row + len(widths), *(hidden or (row, row)), row], activation)
        self.runs = runs(widths)

    def forward(self, row: Tensor, mask: Tensor) -> Tensor:
        out = self.layers(torch.cat([row, mask], 1)).float().split([size for size, _ in self.runs], 1)
        parts = zip(out, self.runs, strict=True)
        return torch.cat([part.softmax(1) if categories else part.sigmoid() for part, (_, categories) in parts], 1)


class GAINDiscriminator(nn.Module):
    """A row without gaps, [N, sum(widths)], and a hint, [N, columns] -> for each cell a logit of being real, float32
    [N, columns].

    Args:
        hidden: how wide each hidden layer is; None: two, as wide as a row.
        activation: after each of them: the authors' code has `relu`, the paper, we believe, `tanh`.
    """

    def __init__(
        self, widths: Widths, *, hidden: tuple[int, ...] | None = None, activation: Literal["relu", "tanh"] = "relu"
    ) -> None:
        super().__init__()
        row = sum(widths)
        self.layers = perceptron([row + len(widths), *(hidden or (row, row)), len(widths)], activation)

    def forward(self, row: Tensor, hint: Tensor) -> Tensor:
        return self.layers(torch.cat([row, hint], 1)).float()


def perceptron(sizes: list[int], activation: Literal["relu", "tanh"]) -> nn.Sequential:
    """Linear layers with an activation between them. Weights begin as the authors' code has them for ReLU (He et al. 2015), for
    tanh after Glorot and Bengio 2010; biases with zero."""
    linear = [nn.Linear(a, b) for a, b in pairwise(sizes)]
    for layer in linear:
        if activation == "relu":
            nn.init.kaiming_normal_(layer.weight)
        else:
            nn.init.xavier_normal_(layer.weight)
        nn.init.zeros_(layer.bias)
    between = nn.ReLU if activation == "relu" else nn.Tanh
    return nn.Sequential(*[part for layer in linear[:-1] for part in (layer, between())], linear[-1])


def runs(widths: Widths) -> list[tuple[int, bool]]:
    """Consecutive numbers as one part, and each column of categories as one: how wide, and whether of categories."""
    made: list[tuple[int, bool]] = []
    for width in widths:
        if width == 1 and made and not made[-1][1]:
            made[-1] = (made[-1][0] + 1, False)
        else:
            made.append((width, width > 1))
    return made
