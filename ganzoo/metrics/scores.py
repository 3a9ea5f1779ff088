"""The scores by the names that users ask for, and under the names that they are reported by.

Only Inception's are called `fid`, `kid` and `is`. Those of another extractor carry its name: `fd_effnet_lite0`.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ganzoo.metrics import series
from ganzoo.metrics.extract import Extracted
from ganzoo.metrics.frechet import Reference, frechet_distance, frechet_standard_error
from ganzoo.metrics.inception_score import inception_score
from ganzoo.metrics.kernel import kernel_distance
from ganzoo.metrics.neighbours import memorisation, neighbourhood
from ganzoo.metrics.score import Score, mean_score
from ganzoo.metrics.strings import distinct, length_distance, ngram_distance, novel
from ganzoo.texts import symbols_of

INCEPTIONS = {"fid": "fd", "kid": "kd"}  # names that mean Inception's features, and what they are a case of
VERSION = 1  # raise it when the same features would give other scores
WITHOUT_CLASSES = ("dinov2", "clip", "raw")  # extractors that give no logits
OF_BYTES = ("inception", "dinov2", "clip")  # extractors that take no other images, and so see no small steps
SUBSETS, SUBSET_SIZE = 100, 1000  # arXiv:1801.01401's code
SPLITS = 10  # arXiv:1606.03498
NGRAMS = (1, 2, 3, 4)  # arXiv:1704.00028's code
FACTS = ("kurtosis", "acf_returns", "acf_absolute", "leverage")
NEIGHBOURS, DENSITY_NEIGHBOURS = 3, 5  # arXiv:1904.06991, arXiv:2002.09797


class Real(NamedTuple):
    """Real samples as an extractor sees them."""

    gaussian: Reference
    features: Tensor  # float32 [n, d]
    nearest: Tensor | None = None  # [n, 5], squared distances to the nearest others, if they are at hand
    shape: tuple[int, ...] = ()  # of one sample
    kind: str = ""  # series, strings or rows; of images and points nothing
    valid: Callable[[Tensor], Tensor] | None = None  # which samples [N, *shape] are any of the data's at all, bool [N]
    training: Tensor | None = None  # float32 [m, d], the training samples where `features` are not of them
    natural: Callable[[Tensor], Tensor] | None = None  # samples [N, *shape] in the data's own units


class Result(NamedTuple):
    """A score and the settings that its stamp must show."""

    score: Score
    settings: dict[str, int]


def fd(fake: Extracted, real: Real, held_out: Real | None) -> dict[str, Result]:
    value = frechet_distance(real.gaussian, fake.moments, fake.features)
    return {"fd": Result(Score(value, frechet_standard_error(real.gaussian, fake.moments, fake.features)), {})}


def kd(fake: Extracted, real: Real, held_out: Real | None) -> dict[str, Result]:
    n = min(len(fake.features), len(real.features))
    size = SUBSET_SIZE if n >= SUBSET_SIZE else n // 2  # subsets of all there is would all be the same
    score = kernel_distance(fake.features, real.features, subsets=SUBSETS, subset_size=size)
    return {"kd": Result(score, {"subsets": SUBSETS, "subset_size": size})}


def inception(fake: Extracted, real: Real, held_out: Real | None) -> dict[str, Result]:
    assert fake.logits is not None  # `asked` refuses other extractors
    return {"is": Result(inception_score(fake.logits, splits=SPLITS), {"splits": SPLITS})}


def prdc(fake: Extracted, real: Real, held_out: Real | None) -> dict[str, Result]:
    k = {"k": NEIGHBOURS, "density_k": DENSITY_NEIGHBOURS}
    scores = neighbourhood(fake.features, real.features, **k, real_nearest=real.nearest)
    neighbours = (NEIGHBOURS, NEIGHBOURS, DENSITY_NEIGHBOURS, DENSITY_NEIGHBOURS)
    every = zip(METRICS["prdc"].scores, scores, neighbours, strict=True)
    return {name: Result(score, {"neighbours": k}) for name, score, k in every}


def memory(fake: Extracted, real: Real, held_out: Real | None) -> dict[str, Result]:
    assert held_out is not None  # Evaluator refuses data without them
    # As many of each, or the larger set would have the nearer neighbours.
    n = min(len(real.features), len(held_out.features))
    drawn = [
        of.features[torch.randperm(len(of.features), generator=torch.Generator().manual_seed(0))[:n]] for of in (real, held_out)
    ]
    share, ratio = memorisation(fake.features, *drawn)
    settings = {"neighbours_drawn": n}
    return {"memorised_share": Result(share, settings), "memorised_ratio": Result(ratio, settings)}


def valid(fake: Extracted, real: Real, held_out: Real | None) -> dict[str, Result]:
    assert real.valid is not None  # Evaluator refuses data that do not know
    strings, are = both_strings(fake, real)[0], real.valid(fake.features.unflatten(1, real.shape))
    return {"valid": Result(mean_score(are), {}), "distinct_valid": Result(distinct(strings[are], len(strings)), {})}


def variety(fake: Extracted, real: Real, held_out: Real | None) -> dict[str, Result]:
    strings, known = both_strings(fake, real if real.training is None else real._replace(features=real.training))
    settings = {} if real.training is None else {"training": len(known)}
    are = strings.new_ones(len(strings)) if real.valid is None else real.valid(fake.features.unflatten(1, real.shape))
    new = novel(strings, known, are.bool())
    return {"distinct": Result(distinct(strings, len(strings)), {}), "novel": Result(new, settings)}


def lengths(fake: Extracted, real: Real, held_out: Real | None) -> dict[str, Result]:
    return {"length_distance": Result(length_distance(*both_strings(fake, real)), {})}


def ngrams(fake: Extracted, real: Real, held_out: Real | None) -> dict[str, Result]:
    both, vocabulary = both_strings(fake, real), real.shape[1]
    return {f"ngram_{n}": Result(ngram_distance(*both, n=n, vocabulary=vocabulary), {}) for n in NGRAMS}


def both_strings(fake: Extracted, real: Real) -> tuple[Tensor, Tensor]:
    """Generated and real strings, as symbols int64 [n, length]."""
    ours, theirs = (symbols_of(of.features.unflatten(1, real.shape)) for of in (fake, real))
    return ours, theirs


def of_series(name: str, measure: Callable[..., Score | float], **settings: int) -> "Metric":
    """A metric of series in 0 .. 1, under the name of its only score."""

    def measured(fake: Extracted, real: Real, held_out: Real | None) -> dict[str, Result]:
        score = measure(*(of.features.unflatten(1, real.shape) / 2 + 0.5 for of in (fake, real)), **settings)
        return {name: Result(score if isinstance(score, Score) else Score(score, None), settings)}

    return Metric((name,), 10, measured, "series")


def facts(fake: Extracted, real: Real, held_out: Real | None) -> dict[str, Result]:
    """Of the fakes, and of the real series that they are to be like, in their own units."""
    assert real.natural is not None  # Evaluator takes it from the data
    found: dict[str, Result] = {}
    for before, of in (("", fake), ("real_", real)):
        measured = series.stylised_facts(real.natural(of.features.unflatten(1, real.shape)))
        found |= {f"{before}{name}": Result(Score(value, None), {}) for name, value in measured.items()}
    return found


class Metric(NamedTuple):
    """What can be asked for together, and the scores that it gives.

    One that is `of` one kind of samples is measured on the samples themselves (`--extractor raw`), and its scores go by their
    bare names.
    """

    scores: tuple[str, ...]
    least: int  # samples, of the fakes and of the reals
    measure: Callable[[Extracted, Real, Real | None], dict[str, Result]]
    of: str = ""  # series, strings or rows; all, if nothing
    judged: bool = False  # whether only of data that know which samples are valid


METRICS = {
    "fd": Metric(("fd",), 2, fd),
    "kd": Metric(("kd",), 4, kd),
    "is": Metric(("is",), SPLITS, inception),
    "prdc": Metric(("precision", "recall", "density", "coverage"), DENSITY_NEIGHBOURS + 1, prdc),
    "memorisation": Metric(("memorised_share", "memorised_ratio"), 1, memory),
    "valid": Metric(("valid", "distinct_valid"), 1, valid, of="strings", judged=True),
    "distinct": Metric(("distinct", "novel"), 1, variety, of="strings"),
    "lengths": Metric(("length_distance",), 1, lengths, of="strings"),
    "ngrams": Metric(tuple(f"ngram_{n}" for n in NGRAMS), 1, ngrams, of="strings"),
    "discriminative": of_series("discriminative", series.discriminative_score, iterations=2000, repeats=3),
    "predictive": of_series("predictive", series.predictive_score, iterations=5000, repeats=3),
    "marginal": of_series("marginal_distance", series.marginal_distance),
    "autocorrelation": of_series("autocorrelation_error", series.autocorrelation_error),
    "cross_correlation": of_series("cross_correlation_error", series.cross_correlation_error),
    "stylised_facts": Metric(tuple(f"{before}{fact}" for before in ("", "real_") for fact in FACTS), 10, facts, "series"),
}


CHOICE = ("fid", "kid", "is", "prdc", "memorisation", "fd", "kd", "ppl", *(name for name in METRICS if METRICS[name].of))


def asked(names: Sequence[str], extractor: str) -> list[str]:
    """The keys of METRICS that a user's names mean.

    Raises:
        ValueError: an unknown name, one that belongs to Inception asked of another extractor, or `is` of one without classes.
    """
    for name in names:
        if name == "ppl":
            raise ValueError("ppl is of a generator, not of images: ganzoo evaluate --checkpoint measures it")
        if extractor == "lpips":
            raise ValueError(f"lpips measures ppl alone: for {name} choose another --extractor")
        if name not in METRICS and name not in INCEPTIONS:
            raise ValueError(f"there is no metric {name}: choose from {', '.join(CHOICE)}")
        if name in INCEPTIONS and extractor != "inception":
            raise ValueError(f"{name} is Inception's: ask {extractor} for {INCEPTIONS[name]}, or choose --extractor inception")
        if name == "is" and extractor in WITHOUT_CLASSES:
            raise ValueError(f"{extractor} has no classes: leave out is, or choose --extractor inception or effnet-lite0")
        if name in METRICS and METRICS[name].of and extractor != "raw":
            raise ValueError(f"{name} is of {METRICS[name].of}, measured by --extractor raw alone, not by {extractor}")
    return list(dict.fromkeys(INCEPTIONS.get(name, name) for name in names))


def usual(extractor: str, kind: str = "", judged: bool = True) -> list[str]:
    """What is measured if nothing is asked for, of samples of that kind; `judged`: whether the data knows valid ones."""
    if extractor == "lpips":
        return ["ppl"]
    of_kind = [name for name, metric in METRICS.items() if kind and metric.of == kind and (judged or not metric.judged)]
    return [
        *(name for name in of_kind if name != "stylised_facts"),
        "fd",
        "kd",
        *([] if extractor in WITHOUT_CLASSES else ["is"]),
        "prdc",
    ]


def refuse_too_few(metrics: Sequence[str], n: int, what: str) -> None:
    """Raise ValueError if n samples are too few for one of these keys of METRICS."""
    for name in metrics:
        if n < METRICS[name].least:
            raise ValueError(f"{name} needs at least {METRICS[name].least} samples: there are {n} {what}")


def refuse_other_kinds(metrics: Sequence[str], kind: str, judged: bool) -> None:
    """Raise ValueError if one of these keys of METRICS is not of this kind of samples, or of data that judges them."""
    for name in metrics:
        if METRICS[name].judged and METRICS[name].of == kind and not judged:
            raise ValueError(f"this data does not know which {kind} are valid: leave out {name}")
        if METRICS[name].of not in ("", kind):
            raise ValueError(f"{name} is of {METRICS[name].of}, which this data's samples are not: leave it out")


def reported(names: Sequence[str], extractor: str) -> list[str]:
    """The names of all scores that a user's names give."""
    return [called(score, extractor) for name in asked(names, extractor) for score in METRICS[name].scores]


def called(score: str, extractor: str) -> str:
    """The name that a score is reported by."""
    if any(score in metric.scores for metric in METRICS.values() if metric.of):
        return score
    if extractor == "inception":
        return next((name for name, meant in INCEPTIONS.items() if meant == score), score)
    return f"{score}_{extractor.replace('-', '_')}"


def refuse_coarse(extractor: str, precision: str | None) -> None:
    """Raise ValueError if path lengths cannot be measured so: steps are too small for bytes and for 10-bit mantissas."""
    if extractor in OF_BYTES:
        raise ValueError(
            f"{extractor} takes images of bytes, and ppl's differ by less: ask for ppl alone, or take --extractor effnet-lite0"
        )
    if precision == "tf32":
        raise ValueError("ppl's images differ by too little for tf32: leave out --precision, or choose float32")


def greater_is_better(score: str) -> bool:
    return score.startswith(("is", "precision", "recall", "density", "coverage", "valid", "distinct", "novel"))


def measure(metrics: Sequence[str], extractor: str, fake: Extracted, real: Real, held_out: Real | None) -> dict[str, Result]:
    """Every score that these keys of METRICS give, by the name that it is reported by."""
    found: dict[str, Result] = {}
    for name in metrics:
        found |= {called(score, extractor): result for score, result in METRICS[name].measure(fake, real, held_out).items()}
    return found
