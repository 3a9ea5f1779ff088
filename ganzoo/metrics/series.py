"""Scores of time series [N, length, features]: can a network tell them from real ones, what does it learn of them, and how far
are their distributions and correlations from those of real ones?

The first two are the TimeGAN paper's (Yoon et al. 2019) as its authors' code defines them, of series in 0 .. 1. Both judges are
a GRU of features / 2 units (2 or more).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.metrics.score import Score

BATCH = 128
LAGS = 20  # of autocorrelations, at most


class Judge(nn.Module):
    """A GRU and a linear layer at each step: [N, length, inputs] -> [N, length]; weights begin as Keras' do."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.gru = nn.GRU(inputs, hidden, batch_first=True)
        self.last = nn.Linear(hidden, 1)
        for name, weight in self.named_parameters():
            if "bias" in name:
                nn.init.zeros_(weight)
            elif "hh" in name:
                nn.init.orthogonal_(weight)
            else:
                nn.init.xavier_uniform_(weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.gru(x)[0]).squeeze(2)


def discriminative_score(fake: Tensor, real: Tensor, *, iterations: int = 2000, repeats: int = 3) -> Score:
    """|accuracy - 1/2| of a judge that has learned to tell four fifths of both from each other, of the other fifth.

    0 is best, 0.5 is worst. As many of each, drawn at random. The error is over the judges' seeds.
    """
    n = min(len(fake), len(real))
    found = []
    for seed in range(repeats):
        with learning(seed):
            kinds = [drawn(x, n) for x in (real, fake)]
            cut = int(0.8 * n)
            judge = trained_judge([x[:cut] for x in kinds], iterations)
            said = [judge(x[cut:])[:, -1] > 0 for x in kinds]
            accuracy = (said[0].float().mean() + (~said[1]).float().mean()) / 2
            found.append(abs(accuracy.item() - 0.5))
    return over_seeds(found)


def trained_judge(kinds: list[Tensor], iterations: int) -> Judge:
    """One that says, at the last step, whether a series is of the first kind."""
    features = kinds[0].shape[2]
    judge = Judge(features, max(2, features // 2)).to(kinds[0].device)
    optimizer = torch.optim.Adam(judge.parameters(), lr=1e-3)
    for _ in range(iterations):
        real, fake = (drawn(x, BATCH) for x in kinds)
        logit_real, logit_fake = judge(torch.cat([real, fake]))[:, -1].split([len(real), len(fake)])
        loss = F.softplus(-logit_real).mean() + F.softplus(logit_fake).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return judge


def predictive_score(fake: Tensor, real: Tensor, *, iterations: int = 5000, repeats: int = 3) -> Score:
    """Mean absolute error, on real series, of a judge that has learned of fakes what the last feature is at the next step.

    It sees the other features of this and earlier steps; of a single feature, that one. The error is over the judges' seeds.
    """
    found = []
    inputs = max(1, fake.shape[2] - 1)
    for seed in range(repeats):
        with learning(seed):
            judge = Judge(inputs, max(2, fake.shape[2] // 2)).to(fake.device)
            optimizer = torch.optim.Adam(judge.parameters(), lr=1e-3)
            for _ in range(iterations):
                loss = prediction_error(judge, drawn(fake, BATCH), inputs)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            found.append(prediction_error(judge, real, inputs).item())
    return over_seeds(found)


def prediction_error(judge: Judge, x: Tensor, inputs: int) -> Tensor:
    return F.l1_loss(torch.sigmoid(judge(x[:, :-1, :inputs])), x[:, 1:, -1])


@contextmanager
def learning(seed: int) -> Iterator[None]:
    """Gradients, and random numbers that are the seed's alone and leave the others as they are."""
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
        torch.default_generator.manual_seed(seed)
        yield


def drawn(x: Tensor, n: int) -> Tensor:
    """n of x [N, ...] at random, or all; each once."""
    return x[torch.randperm(len(x))[:n].to(x.device)]


def over_seeds(found: list[float]) -> Score:
    values = torch.tensor(found, dtype=torch.float64)
    return Score(values.mean().item(), (values.std() / len(values) ** 0.5).item() if len(values) > 1 else None)


def marginal_distance(fake: Tensor, real: Tensor) -> float:
    """Wasserstein-1 distance between the values of a feature at all steps, its mean over features."""
    pairs = zip(fake.flatten(0, 1).T, real.flatten(0, 1).T, strict=True)
    return torch.stack([wasserstein(a, b) for a, b in pairs]).mean().item()


def wasserstein(a: Tensor, b: Tensor) -> Tensor:
    """The distance between the empirical distributions of a [N] and b [M]: the area between their distribution functions."""
    a, b = a.double().sort().values, b.double().sort().values
    values = torch.cat([a, b]).sort().values
    below = [torch.searchsorted(x, values[:-1].contiguous(), right=True) / len(x) for x in (a, b)]
    return ((below[0] - below[1]).abs() * values.diff()).sum()


def autocorrelation(x: Tensor, lags: int) -> Tensor:
    """Of each feature, at lags 1 .. `lags`, over all series and steps: [lags, features]."""
    centred = x.double() - x.double().mean((0, 1))
    products = [(centred[:, lag:] * centred[:, :-lag]).mean((0, 1)) for lag in range(1, lags + 1)]
    return torch.stack(products) / centred.square().mean((0, 1)).clamp(min=1e-12)


def autocorrelation_error(fake: Tensor, real: Tensor) -> float:
    """How far autocorrelations are apart: the mean over features and the first 20 lags."""
    lags = min(LAGS, real.shape[1] - 1)
    return (autocorrelation(fake, lags) - autocorrelation(real, lags)).abs().mean().item() if lags else 0.0


def cross_correlation(x: Tensor) -> Tensor:
    """Of the features at the same step, over all series and steps: [features, features]; a constant one has none."""
    return torch.corrcoef(x.double().flatten(0, 1).T).nan_to_num(0.0).reshape(x.shape[2], x.shape[2])


def cross_correlation_error(fake: Tensor, real: Tensor) -> float:
    """How far correlations of two features are apart: the mean over all pairs; 0 of a single feature."""
    features = real.shape[2]
    apart = (cross_correlation(fake) - cross_correlation(real)).abs().sum().item()
    return apart / (features * (features - 1)) if features > 1 else 0.0


def stylised_facts(returns: Tensor) -> dict[str, float]:
    """What returns [N, length, features] are known by (Cont 2001), means over features.

    `kurtosis` is 3 of a normal distribution, more of heavy tails; `acf_returns`, the autocorrelation at lag 1, is near 0;
    `acf_absolute`, that of |r|, is above 0 where volatility comes in clusters; `leverage`, the correlation of r with r^2 one to
    five steps later, is below 0 where losses make the future rougher.
    """
    r = returns.double()
    centred = r - r.mean((0, 1))
    kurtosis = centred.pow(4).mean((0, 1)) / centred.square().mean((0, 1)).square().clamp(min=1e-24)
    lags = range(1, min(5, r.shape[1] - 1) + 1)
    leverage = torch.stack([correlation(r[:, :-lag], r[:, lag:].square()) for lag in lags]).mean(0)
    found = {"kurtosis": kurtosis, "acf_returns": autocorrelation(r, 1)[0]}
    found |= {"acf_absolute": autocorrelation(r.abs(), 1)[0], "leverage": leverage}
    return {name: value.mean().item() for name, value in found.items()}


def correlation(a: Tensor, b: Tensor) -> Tensor:
    """Of [N, length, features] each, over all series and steps: [features]."""
    a, b = a - a.mean((0, 1)), b - b.mean((0, 1))
    return (a * b).mean((0, 1)) / (a.square().mean((0, 1)) * b.square().mean((0, 1))).sqrt().clamp(min=1e-24)
