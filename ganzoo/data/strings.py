"""Strings of discrete symbols, one-hot: arithmetic expressions whose grammar is known, and the lines of any text file."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal
from zlib import crc32

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from ganzoo.data.base import DataModule, at_least
from ganzoo.data.stream import Samples, uploaded
from ganzoo.one_hot import one_hot
from ganzoo.texts import END, symbols_of

OPERATORS = "+-*/"
UNKNOWN = "\N{REPLACEMENT CHARACTER}"
MOST_SYMBOLS = 2**15  # that a vocabulary may have


class StringSamples(Samples):
    """Strings as the numbers of their symbols [M, length], which become one-hot where they are read.

    Raises:
        ValueError: no strings.
    """

    def __init__(self, symbols: np.ndarray, vocabulary: int) -> None:
        super().__init__(symbols.astype(np.uint8 if vocabulary <= 256 else np.int16))
        self.vocabulary = vocabulary

    def __reduce__(self) -> tuple[Any, ...]:
        return StringSamples, (self.data, self.vocabulary)

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> tuple[Tensor, ...]:
        return (one_hot(torch.from_numpy(self.data[np.asarray(indices)]), self.vocabulary),)

    def on(self, device: torch.device) -> Callable[[Tensor], tuple[Tensor, ...]]:
        symbols = uploaded(self.data, device)
        return lambda rows: (one_hot(symbols[rows], self.vocabulary),)


class Strings(DataModule):
    """Base of strings of discrete symbols, float32 one-hot [N, length, vocabulary].

    A subclass sets `shape` and `vocabulary`, the symbols' texts, of which the first is the end and empty. Which strings are
    held out depends on the strings alone: none is in both splits.
    """

    kind = "strings"
    vocabulary: tuple[str, ...]

    def units(self) -> dict[str, Any]:
        return {"kind": self.kind, "vocabulary": [*self.vocabulary]}

    def samples_of(self, strings: Sequence[Sequence[int]]) -> StringSamples:
        """Of strings of symbols, ends appended."""
        length, vocabulary = self.shape
        symbols = np.full((len(strings), length), END)
        for row, string in zip(symbols, strings, strict=True):
            row[: len(string)] = string
        return StringSamples(symbols, vocabulary)


class Expressions(Strings):
    """Strings of the grammar S -> x | S + S | S - S | S * S | S / S (arXiv:1611.04051, section 4), all of at most `length`
    symbols equally often: 1,365 for 12. One in five is held out.

    Args:
        length: symbols at most.
        samples: that train, with repetitions; a fifth as many are held out.
        draw_seed: of the draw of both.

    Raises:
        ValueError: length below 5 or above 1,000, samples below 5, or draw_seed below 0.
    """

    vocabulary = ("", "x", *OPERATORS)

    def __init__(self, *, length: int = 12, samples: int = 5_000, draw_seed: int = 0, **loading: Any) -> None:
        super().__init__(**loading)
        at_least(5, length=length, samples=samples)
        at_least(0, draw_seed=draw_seed)
        if length > 1000:
            raise ValueError(f"length must be at most 1000, not {length}")
        self.shape = (length, len(self.vocabulary))
        self.samples, self.draw_seed = samples, draw_seed

    def splits(self) -> tuple[Samples, Samples]:
        rng = np.random.default_rng(self.draw_seed)
        train = self.drawn(rng, self.samples, held_out=False)
        return self.samples_of(train), self.samples_of(self.drawn(rng, self.samples // 5, held_out=True))

    def drawn(self, rng: np.random.Generator, n: int, held_out: bool) -> list[list[int]]:
        """n strings of one of the splits."""
        sizes = np.arange((self.shape[0] + 1) // 2)  # how many operators a string may have
        weights = 4.0 ** (sizes - sizes[-1])  # as there are strings of so many
        strings: list[list[int]] = []
        while len(strings) < n:
            for size in rng.choice(sizes, size=n, p=weights / weights.sum()):
                string = [1] * (2 * size + 1)
                string[1::2] = (2 + rng.integers(len(OPERATORS), size=size)).tolist()
                if is_held_out(bytes(string), 0.2) == held_out:
                    strings.append(string)
        return strings[:n]

    def valid(self, samples: Tensor) -> Tensor:
        """Which of samples [N, length, vocabulary] are of the grammar: x (operator x)*, bool [N].

        The grammar has no brackets, so that whatever it derives is told by which symbols follow which.
        """
        symbols = symbols_of(samples)
        kind = symbols.clamp(max=2)  # 0 the end, 1 x, 2 an operator
        follows = torch.tensor([[True, False, False], [True, False, True], [False, True, False]], device=samples.device)
        return (kind[:, 0] == 1) & (kind[:, -1] != 2) & follows[kind[:, :-1], kind[:, 1:]].all(1)


class TextLines(Strings):
    """The lines of a text file in UTF-8, one string a line, without the white space around them.

    Lines that are empty or longer than `length` are left out, and a line on the console counts them.

    Args:
        path: of the file.
        symbols: `characters`, or `words` between white space.
        length: symbols in a string at most.
        vocabulary: so many symbols at most, those for the end and for unknown ones among them: the commonest of the training
            lines. Rarer ones are read as unknown.
        held_out: share of the lines that is held out.

    Raises:
        OSError: there is no such file, or it cannot be read.
        ValueError: it is no text, or has too few lines; sizes out of range.
    """

    def __init__(
        self,
        *,
        path: str,
        symbols: Literal["characters", "words"] = "characters",
        length: int = 32,
        vocabulary: int = 256,
        held_out: float = 0.1,
        **loading: Any,
    ) -> None:
        super().__init__(**loading)
        at_least(1, length=length)
        if not 3 <= vocabulary <= MOST_SYMBOLS:
            raise ValueError(f"a vocabulary has 3 to {MOST_SYMBOLS:,} symbols, not {vocabulary:,}")
        if not 0 <= held_out < 1:
            raise ValueError(f"held_out is a share of the lines, from 0 to below 1, not {held_out}")
        lines = [line.strip() for line in read(path).splitlines()]
        strings = [[*line] if symbols == "characters" else [f" {word}" for word in line.split()] for line in lines]
        fitting = [string for string in strings if 0 < len(string) <= length]
        out = [is_held_out("".join(string).encode(), held_out) for string in fitting]
        self.parts = [[string for string, o in zip(fitting, out, strict=True) if o == part] for part in (False, True)]
        if not self.parts[0]:
            raise ValueError(
                f"{path} has no line of 1 to {length} {symbols} to train on: give another --data.length, a smaller "
                "--data.held_out or another file"
            )
        counts = Counter(symbol for string in self.parts[0] for symbol in string)
        self.vocabulary = ("", UNKNOWN, *(symbol for symbol, _ in counts.most_common(vocabulary - 2)))
        self.shape = (length, len(self.vocabulary))
        rare = sum(counts.values()) - sum(counts[symbol] for symbol in self.vocabulary)
        rank_zero_info(
            f"{path}: {len(self.parts[0]):,} lines train and {len(self.parts[1]):,} are held out; left out: "
            f"{sum(len(string) > length for string in strings):,} of more than {length} {symbols}, "
            f"{sum(not string for string in strings):,} empty; {rare / counts.total():.1%} of the {symbols} are unknown"
        )

    def splits(self) -> tuple[Samples, Samples | None]:
        number = {symbol: i for i, symbol in enumerate(self.vocabulary)}
        train, held_out = ([[number.get(s, 1) for s in string] for string in part] for part in self.parts)
        return self.samples_of(train), self.samples_of(held_out) if held_out else None


def read(path: str) -> str:
    """A file's text; raises as `TextLines` does."""
    file = Path(path).expanduser()
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is no text in UTF-8 (byte {error.start:,}): convert it, or give another --data.path"
        ) from error
    except OSError as error:
        raise type(error)(f"{path} cannot be read ({error.strerror or error}): give --data.path a text file") from error
    if not text.strip():
        raise ValueError(f"{path} is empty: give --data.path a file with one string a line")
    return text


def is_held_out(string: bytes, share: float) -> bool:
    """By its content alone, so that no string is in both splits."""
    return crc32(string) < share * 2**32
