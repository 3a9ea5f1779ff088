"""Recurrent networks of time series: [N, length, inputs] -> [N, length, outputs], step by step.

They are written out, because no loss with torch's own (`nn.GRU`, `nn.LSTM`) is compiled as a whole, nor differentiated twice on
CUDA. In float32 always: what a step rounds, all later ones are given.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.one_hot import one_hot


class StackedGRU(nn.Module):
    """`nn.GRU` of several layers (Cho et al. 2014, arXiv:1406.1078): [N, length, inputs] -> [N, length, hidden].

    Layer k is at step t when layer k - 1 is at step t + 1: all layers move at once, in length + layers - 1 waves, not one after
    the other in length * layers steps. Weights begin as TensorFlow's do: Glorot's, gates that are open by a bias of 1.
    """

    def __init__(self, inputs: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.hidden, self.layers = hidden, layers
        self.first = nn.Linear(inputs, 3 * hidden)  # what the first layer is given; gates r and z, and the candidate
        self.past = nn.Parameter(glorot(layers, hidden, 3 * hidden))  # of each layer's own state
        self.past_bias = nn.Parameter(torch.zeros(layers, 1, 3 * hidden))
        self.below = nn.Parameter(glorot(layers - 1, hidden, 3 * hidden)) if layers > 1 else None  # of the layer below
        self.below_bias = nn.Parameter(opened(torch.zeros(layers - 1, 1, 3 * hidden), 2 * hidden)) if layers > 1 else None
        nn.init.xavier_uniform_(self.first.weight)
        opened(nn.init.zeros_(self.first.bias), 2 * hidden)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            given = self.first(x.float()).transpose(0, 1)  # [length, N, 3 hidden]
            given = F.pad(given, (0, 0, 0, 0, 0, self.layers - 1))
            state = given.new_zeros(self.layers, x.shape[0], self.hidden)
            top = []
            for wave, first in enumerate(given.unbind()):
                state = self.moved(state, self.from_below(first[None], state))
                if wave < self.layers - 1:  # the layers above have not begun
                    state = F.pad(state[: wave + 1], (0, 0, 0, 0, 0, self.layers - 1 - wave))
                else:
                    top.append(state[-1])
            return torch.stack(top, dim=1)

    def from_below(self, first: Tensor, state: Tensor) -> Tensor:
        """What all layers are given, [layers, N, 3 hidden]."""
        if self.below is None or self.below_bias is None:
            return first
        return torch.cat([first, torch.baddbmm(self.below_bias, state[:-1], self.below)])

    def moved(self, state: Tensor, given: Tensor) -> Tensor:
        """All layers' next states."""
        given_gates, given_new = given.split([2 * self.hidden, self.hidden], dim=2)
        past_gates, past_new = torch.baddbmm(self.past_bias, state, self.past).split([2 * self.hidden, self.hidden], dim=2)
        reset, update = torch.sigmoid(given_gates + past_gates).chunk(2, dim=2)
        return torch.lerp(torch.tanh(given_new + reset * past_new), state, update)


class LSTMCell(nn.Module):
    """A step of long short-term memory in plain products: compiled or not, it can be differentiated as often as penalties
    need, which cuDNN's cannot.

    i, f, o = sigmoid, g = tanh of W x + U h + b; c <- f c + i g; h <- o tanh(c). The bias of f starts at 1: what is not yet
    known to be useless is remembered (Jozefowicz et al. 2015).
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.enter = nn.Linear(inputs, 4 * width)
        self.stay = nn.Linear(width, 4 * width, bias=False)
        with torch.no_grad():
            self.enter.bias[width : 2 * width] += 1.0

    def forward(self, entering: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """`enter(x)` [N, 4 width] and the state, [N, width] each -> the state."""
        i, f, g, o = (entering + self.stay(h)).chunk(4, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


class LSTM(nn.Module):
    """One layer of `nn.LSTM` (Hochreiter and Schmidhuber 1997): [N, length, inputs] -> [N, length, hidden]. Weights begin as
    TensorFlow's do: Glorot's, no bias but that of f."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.cell = LSTMCell(inputs, hidden)
        nn.init.xavier_uniform_(self.cell.enter.weight)
        nn.init.xavier_uniform_(self.cell.stay.weight)
        with torch.no_grad():
            self.cell.enter.bias.copy_(torch.arange(4 * hidden) // hidden == 1)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            h = c = x.new_zeros(x.shape[0], self.hidden, dtype=torch.float32)
            states = []
            for entering in self.cell.enter(x.float()).unbind(1):
                h, c = self.cell(entering, h, c)
                states.append(h)
            return torch.stack(states, dim=1)


class GRUNetwork(nn.Module):
    """A stacked GRU and, at each step, a linear layer: [N, length, inputs] -> [N, length, outputs], float32.

    Args:
        hidden: units of a layer's state.
        layers: stacked GRU layers.
        bounded: outputs are within 0 .. 1.
    """

    def __init__(self, inputs: int, outputs: int, *, hidden: int = 24, layers: int = 3, bounded: bool = True) -> None:
        super().__init__()
        self.gru = StackedGRU(inputs, hidden, layers)
        self.last = nn.Linear(hidden, outputs)
        self.bound = nn.Sigmoid() if bounded else nn.Identity()
        nn.init.xavier_uniform_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.bound(self.last(self.gru(x)).float())


class GRUEmbedding(nn.Module):
    """TimeGAN's e: series [N, length, features] in [-1, 1] -> states [N, length, hidden] in 0 .. 1; `way_back`, its r, leads
    back to series in 0 .. 1.

    Args:
        hidden: size of a state.
        layers: stacked GRU layers, each way.
    """

    def __init__(self, features: int, *, hidden: int = 24, layers: int = 3) -> None:
        super().__init__()
        self.there = GRUNetwork(features, hidden, hidden=hidden, layers=layers)
        self.way_back = GRUNetwork(hidden, features, hidden=hidden, layers=layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.there(x / 2 + 0.5)


class StateGenerator(nn.Module):
    """TimeGAN's s(g(z)): noise [N, length, latent_dim] -> states [N, length, hidden] in 0 .. 1. `supervisor`, which has a layer
    less, says of each state of a series what the next is.

    Args:
        hidden: size of a state.
        layers: stacked GRU layers of g.
    """

    def __init__(self, latent_dim: int, shape: tuple[int, ...], *, hidden: int = 24, layers: int = 3) -> None:
        super().__init__()
        self.states = GRUNetwork(latent_dim, hidden, hidden=hidden, layers=layers)
        self.supervisor = GRUNetwork(hidden, hidden, hidden=hidden, layers=max(1, layers - 1))

    def forward(self, z: Tensor) -> Tensor:
        return self.supervisor(self.states(z))


class StateDiscriminator(nn.Module):
    """TimeGAN's D: states [N, length, hidden] -> a logit for each step, [N, length].

    Args:
        hidden: size of a state, and units of a layer.
        layers: stacked GRU layers.
    """

    def __init__(self, shape: tuple[int, ...], *, hidden: int = 24, layers: int = 3) -> None:
        super().__init__()
        self.network = GRUNetwork(hidden, 1, hidden=hidden, layers=layers, bounded=False)

    def forward(self, h: Tensor) -> Tensor:
        return self.network(h).squeeze(2)


class LSTMGenerator(nn.Module):
    """RCGAN's: noise [N, length, latent_dim] -> series [N, length, features] in [-1, 1], float32.

    Args:
        hidden: units of the LSTM.
    """

    def __init__(self, latent_dim: int, shape: tuple[int, ...], *, hidden: int = 100) -> None:
        super().__init__()
        self.lstm = LSTM(latent_dim, hidden)
        self.last = nn.Linear(hidden, shape[1])

    def forward(self, z: Tensor) -> Tensor:
        return torch.tanh(self.last(self.lstm(z)).float())


class LSTMDiscriminator(nn.Module):
    """RCGAN's: series [N, length, features] -> a logit for each step, [N, length], float32.

    Args:
        hidden: units of the LSTM.

    Raises:
        ValueError: samples that are no series.
    """

    def __init__(self, shape: tuple[int, ...], *, hidden: int = 100) -> None:
        super().__init__()
        refuse_no_series(shape, "LSTMDiscriminator")
        self.lstm = LSTM(shape[1], hidden)
        self.last = nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.lstm(x)).float().squeeze(2)


class LabelledSteps(nn.Module):
    """A network that is given the one-hot label beside each step: [N, length, inputs], [N] -> as the network does.

    Args:
        make: makes the network, given so many further inputs.
    """

    def __init__(self, make: Callable[[int], nn.Module], classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.network = make(classes)

    def forward(self, x: Tensor, label: Tensor) -> Any:
        beside = one_hot(label, self.classes)[:, None].expand(-1, x.shape[1], -1)
        return self.network(torch.cat([x, beside], dim=2))


def glorot(layers: int, inputs: int, outputs: int) -> Tensor:
    """Uniform in +-sqrt(6 / (inputs + outputs)) (Glorot and Bengio 2010): [layers, inputs, outputs]."""
    return nn.init.uniform_(torch.empty(layers, inputs, outputs), -1, 1) * (6 / (inputs + outputs)) ** 0.5


@torch.no_grad()
def opened(bias: Tensor, gates: int) -> Tensor:
    """The bias [..., outputs], whose first `gates` are 1."""
    bias[..., :gates] = 1.0
    return bias


def refuse_no_series(shape: tuple[int, ...], name: str) -> None:
    """Raise ValueError if samples, which are no series, are given to a variant or network of this name."""
    if len(shape) != 2:
        raise ValueError(f"{name} is of time series, not of samples of shape {tuple(shape)}: choose --data Sines, say")
