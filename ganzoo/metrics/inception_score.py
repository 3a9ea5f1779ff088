"""Inception score: Salimans et al. 2016, arXiv:1606.03498, section 4."""

import math

import numpy as np
import torch
from torch import Tensor

from ganzoo.metrics.score import Score, check_features


@torch.no_grad()
def inception_score(logits: Tensor, *, splits: int = 10) -> Score:
    """exp E KL(p(y|x) || p(y)) of logits [N, K], mean over parts of N / splits samples.

    The parts are those of torch-fidelity 0.4.0, and so is the value; it grows with N / splits. The error is the standard error
    of the mean over the parts, which share no sample; the figure that papers give after +- is the parts' standard deviation.

    Raises:
        ValueError: splits below 2 or above N; logits that are not finite.
    """
    check_features(logits=logits)
    n = len(logits)
    if not 2 <= splits <= n:
        raise ValueError(f"{n} samples cannot be scored in {splits} splits: choose from 2 to {n} splits")
    order = torch.from_numpy(np.random.RandomState(2020).permutation(n)).to(logits.device)
    shuffled = logits[order].double()
    scores = torch.stack([score(shuffled[i * n // splits : (i + 1) * n // splits]) for i in range(splits)])
    return Score(scores.mean().item(), scores.std().item() / math.sqrt(splits))


def score(logits: Tensor) -> Tensor:
    """exp of the mutual information, as H(E p) - E H(p): classes whose probability underflows to 0 then do no harm."""
    p = logits.softmax(dim=1)
    return (torch.special.entr(p.mean(0)).sum() - torch.special.entr(p).sum(1).mean()).exp()
