"""Networks of strings of discrete symbols: LSTMs as in arXiv:1611.04051, convolutions as in arXiv:1704.00028, a perceptron.

A string is [N, length, vocabulary], one-hot in `vocabulary` or, in training, relaxed.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ganzoo.networks.gumbel import GumbelSoftmax
from ganzoo.networks.mlp import perceptron
from ganzoo.networks.recurrent import LSTMCell

ChoiceClass = Callable[[], GumbelSoftmax]  # of symbols by their scores: [..., V] -> [..., V]


class StringGenerator(nn.Module):
    """Parent of generators that choose symbols: [N, latent_dim] -> [N, length, vocabulary], in evaluation mode one-hot.

    Args:
        shape: (length, vocabulary).
        choice: class of the choice (`GumbelSoftmax`, `StraightThrough`), called without arguments; None for `GumbelSoftmax`.

    Raises:
        ValueError: shape is not that of a string.
    """

    def __init__(self, shape: tuple[int, ...], choice: ChoiceClass | None) -> None:
        super().__init__()
        self.length, self.vocabulary = sizes(shape)
        self.choice = (choice or GumbelSoftmax)()

    def anneal(self, step: int) -> None:
        """Set, in place, what follows a schedule, for round `step`."""
        self.choice.anneal(step)


class LSTMStringGenerator(StringGenerator):
    """z becomes the state of an LSTM that chooses a symbol, takes it in, chooses the next, and so on (arXiv:1611.04051,
    figure 1): [N, latent_dim] -> [N, length, vocabulary].

    Args:
        width: size of h and of c.
    """

    def __init__(self, latent_dim: int, shape: tuple[int, ...], *, width: int = 128, choice: ChoiceClass | None = None) -> None:
        super().__init__(shape, choice)
        self.state = nn.Linear(latent_dim, 2 * width)
        self.lstm = LSTMCell(self.vocabulary, width)
        self.scores = nn.Linear(width, self.vocabulary)

    def forward(self, z: Tensor) -> Tensor:
        h, c = self.state(z).tanh().chunk(2, dim=1)
        symbol = z.new_zeros(len(z), self.vocabulary)  # before the first
        string = []
        for _ in range(self.length):
            h, c = self.lstm(self.lstm.enter(symbol), h, c)
            symbol = self.choice(self.scores(h))
            string.append(symbol)
        return torch.stack(string, dim=1)


class LSTMStringDiscriminator(nn.Module):
    """An LSTM reads the string, and its last state says how real it was: [N, length, vocabulary] -> logits [N], float32.

    Args:
        width: size of h and of c.
    """

    def __init__(self, shape: tuple[int, ...], *, width: int = 128) -> None:
        super().__init__()
        _, vocabulary = sizes(shape)
        self.width = width
        self.lstm = LSTMCell(vocabulary, width)
        self.last = nn.Linear(width, 1)

    def features(self, x: Tensor) -> Tensor:
        """The last state h: [N, width]."""
        entering = self.lstm.enter(x)  # of all symbols at once: [N, length, 4 width]
        h = c = entering.new_zeros(len(x), self.width)
        for step in entering.unbind(1):
            h, c = self.lstm(step, h, c)
        return h

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.features(x)).float().squeeze(1)


class StringBlock(nn.Module):
    """x + 0.3 f(x) of two convolutions over 5 neighbours, after ReLUs (arXiv:1704.00028's code): [N, C, L] -> the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(layer for _ in range(2) for layer in (nn.ReLU(), nn.Conv1d(width, width, 5, padding=2))))

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.3 * self.layers(x)


class ResNetStringGenerator(StringGenerator):
    """All symbols at once, by convolutions over their places: [N, latent_dim] -> [N, length, vocabulary].

    Args:
        width: channels; 512 in arXiv:1704.00028's code, for text of 32 characters.
        blocks: residual blocks.
    """

    def __init__(
        self,
        latent_dim: int,
        shape: tuple[int, ...],
        *,
        width: int = 512,
        blocks: int = 5,
        choice: ChoiceClass | None = None,
    ) -> None:
        super().__init__(shape, choice)
        self.first = nn.Linear(latent_dim, width * self.length)
        self.blocks = nn.Sequential(*(StringBlock(width) for _ in range(blocks)))
        self.scores = nn.Conv1d(width, self.vocabulary, 1)

    def forward(self, z: Tensor) -> Tensor:
        places = self.blocks(self.first(z).unflatten(1, (-1, self.length)))  # [N, width, length]
        return self.choice(self.scores(places).transpose(1, 2))


class ResNetStringDiscriminator(nn.Module):
    """The same the other way round: [N, length, vocabulary] -> logits [N], float32.

    Args:
        width: channels.
        blocks: residual blocks.
    """

    def __init__(self, shape: tuple[int, ...], *, width: int = 512, blocks: int = 5) -> None:
        super().__init__()
        length, vocabulary = sizes(shape)
        self.first = nn.Conv1d(vocabulary, width, 1)
        self.blocks = nn.Sequential(*(StringBlock(width) for _ in range(blocks)))
        self.last = nn.Linear(width * length, 1)

    def features(self, x: Tensor) -> Tensor:
        """What the last layer sees: [N, width * length]."""
        return self.blocks(self.first(x.transpose(1, 2))).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.features(x)).float().squeeze(1)


class MLPStringGenerator(StringGenerator):
    """All symbols at once, by a perceptron: [N, latent_dim] -> [N, length, vocabulary]. Beside it any discriminator of points,
    such as `MLPDiscriminator`, will do.

    Args:
        width: units of a hidden layer.
        layers: hidden layers.
    """

    def __init__(
        self,
        latent_dim: int,
        shape: tuple[int, ...],
        *,
        width: int = 512,
        layers: int = 3,
        choice: ChoiceClass | None = None,
    ) -> None:
        super().__init__(shape, choice)
        self.layers = perceptron(latent_dim, self.length * self.vocabulary, width, layers)

    def forward(self, z: Tensor) -> Tensor:
        return self.choice(self.layers(z).unflatten(1, (self.length, self.vocabulary)))


def sizes(shape: tuple[int, ...]) -> tuple[int, int]:
    """(length, vocabulary); raises ValueError for anything else."""
    if len(shape) != 2:
        raise ValueError(f"samples of shape {tuple(shape)} are no strings: choose data such as Expressions or TextLines")
    return shape[0], shape[1]
