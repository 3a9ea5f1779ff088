"""Strings of symbols as people read them.

A string's symbols are numbers into a vocabulary, a list of texts that are joined as they are. Symbol 0 is the end: its text is
empty, and what follows it is not read.
"""

from collections.abc import Sequence

from torch import Tensor

END = 0


def symbols_of(samples: Tensor) -> Tensor:
    """The likeliest symbols of samples [N, length, vocabulary], nothing but ends from the first end on: int64 [N, length]."""
    symbols = samples.argmax(-1)
    return symbols.masked_fill((symbols == END).cumsum(1) > 0, END)


def texts_of(samples: Tensor, vocabulary: Sequence[str]) -> list[str]:
    """What samples [N, length, vocabulary] say."""
    return ["".join(vocabulary[symbol] for symbol in string).strip() for string in symbols_of(samples).tolist()]


def lengths_of(symbols: Tensor) -> Tensor:
    """How many symbols come before the end: [N, length] -> int64 [N]."""
    return (symbols != END).sum(1)
