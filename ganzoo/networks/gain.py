"""GAIN's networks: perceptrons of a row of a table, and of what is known of it."""

from itertools import pairwise

import torch
from torch import Tensor, nn

Widths = tuple[int, ...]  # of each column of a table: 1 for numbers, or as many as it has categories


class GAINGenerator(nn.Module):
    """A row with noise in its missing cells, [N, sum(widths)], and its mask, [N, columns] -> a whole row, float32
    [N, sum(widths)]: numbers in [0, 1], and a probability for each category.

    Args:
        width: of the hidden layers; None: as wide as a row.
        layers: how many of them.
    """

    def __init__(self, widths: Widths, *, width: int | None = None, layers: int = 2) -> None:
        super().__init__()
        row = sum(widths)
        self.layers = rectified(row + len(widths), row, width or row, layers)
        self.runs = runs(widths)

    def forward(self, row: Tensor, mask: Tensor) -> Tensor:
        out = self.layers(torch.cat([row, mask], 1)).float().split([size for size, _ in self.runs], 1)
        parts = zip(out, self.runs, strict=True)
        return torch.cat([part.softmax(1) if categories else part.sigmoid() for part, (_, categories) in parts], 1)


class GAINDiscriminator(nn.Module):
    """A row without gaps, [N, sum(widths)], and a hint, [N, columns] -> for each cell a logit of being real, float32
    [N, columns].

    Args:
        width: of the hidden layers; None: as wide as a row.
        layers: how many of them.
    """

    def __init__(self, widths: Widths, *, width: int | None = None, layers: int = 2) -> None:
        super().__init__()
        row = sum(widths)
        self.layers = rectified(row + len(widths), len(widths), width or row, layers)

    def forward(self, row: Tensor, hint: Tensor) -> Tensor:
        return self.layers(torch.cat([row, hint], 1)).float()


def rectified(inputs: int, outputs: int, width: int, layers: int) -> nn.Sequential:
    """ReLU layers, whose weights begin with a variance of 2 / inputs, and biases with zero, as in the authors' code."""
    sizes = [inputs] + [width] * layers + [outputs]
    linear = [nn.Linear(a, b) for a, b in pairwise(sizes)]
    for layer in linear:
        nn.init.kaiming_normal_(layer.weight)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(*[part for layer in linear[:-1] for part in (layer, nn.ReLU())], linear[-1])


def runs(widths: Widths) -> list[tuple[int, bool]]:
    """Consecutive numbers as one part, and each column of categories as one: how wide, and whether of categories."""
    made: list[tuple[int, bool]] = []
    for width in widths:
        if width == 1 and made and not made[-1][1]:
            made[-1] = (made[-1][0] + 1, False)
        else:
            made.append((width, width > 1))
    return made
