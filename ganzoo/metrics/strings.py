"""How like real strings generated ones are: valid, distinct, new, of the same lengths and made of the same n-grams.

Strings are int64 [N, length], numbers of symbols with ends (0) after them (`ganzoo.texts.symbols_of`).
"""

from math import log

import torch
from torch import Tensor

from ganzoo.metrics.score import Score, mean_score
from ganzoo.texts import END, lengths_of


def distinct(strings: Tensor, n: int) -> Score:
    """Different ones among n strings, of which those given, [M, length], count: how many, as a share of n."""
    return Score(len(strings.unique(dim=0)) / n, None)


def novel(strings: Tensor, known: Tensor, valid: Tensor) -> Score:
    """Share of strings [N, length] that are valid, bool [N], and not among the known ones [M, length], of the training data."""
    _, kind = torch.cat([known, strings]).unique(dim=0, return_inverse=True)
    return mean_score(valid & ~torch.isin(kind[len(known) :], kind[: len(known)]))


def length_distance(strings: Tensor, real: Tensor) -> Score:
    """Wasserstein-1 distance between the distributions of lengths, in symbols: by how many symbols strings would have to grow
    or shrink, in the mean, to be as long as real ones. [N, length] and [M, length]."""
    most = strings.shape[1]
    ours, theirs = (torch.bincount(lengths_of(s), minlength=most + 1).double() / len(s) for s in (strings, real))
    return Score((ours - theirs).cumsum(0).abs().sum().item(), None)


def ngram_distance(strings: Tensor, real: Tensor, n: int, vocabulary: int) -> Score:
    """Jensen-Shannon divergence between the distributions of n-grams, in bits: 0 if they are the same, 1 if they have none in
    common. As arXiv:1704.00028's code measures it, but for ends, which are in no n-gram here. [N, length] and [M, length]."""
    grams = [ngrams(s, n, vocabulary) for s in (strings, real)]
    if not all(map(len, grams)):
        return Score(float(any(map(len, grams))), None)
    kinds, kind = torch.cat(grams).unique(return_inverse=True)
    p, q = (torch.bincount(of, minlength=len(kinds)).double() / len(of) for of in kind.split([*map(len, grams)]))
    entropy = torch.special.entr  # of each n-gram, in nats
    return Score((entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2).sum().item() / log(2), None)


def ngrams(strings: Tensor, n: int, vocabulary: int) -> Tensor:
    """All runs of n symbols in strings [N, length], each as one number: int64 [number of runs]."""
    if n > strings.shape[1]:
        return strings.new_zeros(0)
    runs = strings.unfold(1, n, 1)  # [N, length - n + 1, n]
    runs = runs[(runs != END).all(2)]
    return (runs * vocabulary ** torch.arange(n, device=runs.device)).sum(1)
