"""What a game is worth: its samples against real ones, every score with its stamp."""

import subprocess
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Literal

import torch
from lightning.pytorch.utilities import rank_zero_warn
from rich.console import Console
from rich.table import Table
from torch import Tensor

import ganzoo
from ganzoo.data.base import DataModule
from ganzoo.data.native import SplitSamples
from ganzoo.game import Diverged, Game, draw_from
from ganzoo.image_to_image import ImageToImage
from ganzoo.metrics import scores
from ganzoo.metrics.extract import Blocks, extract, rank
from ganzoo.metrics.features import Extractor, are_images
from ganzoo.metrics.neighbours import nearest_others
from ganzoo.metrics.scores import Real
from ganzoo.metrics.stamp import Origin, Protocol, Stamped
from ganzoo.pictures import to_bytes
from ganzoo.progress import progress
from ganzoo.references import RealSamples, prepare, shared
from ganzoo.tables import natural


class Generated:
    """A game's samples, images as bytes: block b is a function of the seed and b alone.

    Raises:
        Diverged: samples that are not finite.
    """

    def __init__(self, game: Game, n: int, seed: int) -> None:
        self.game, self.n, self.seed = game, n, seed
        self.as_data_are = to_bytes if are_images(game.shape) else torch.Tensor.cpu

    def __len__(self) -> int:
        return self.n

    def batches(self, size: int, indices: Iterable[int]) -> Iterator[Tensor]:
        """Batch i: uint8 images [size or fewer, C, H, W], or float32 [size or fewer, *shape]."""
        for i in indices:
            draw_from(self.game.device, self.seed, i)
            samples = self.made(i * size, min(size, self.n - i * size))
            if not samples.isfinite().all():
                raise Diverged(
                    f"the generator makes NaN or infinity (samples {i * size} on): an earlier checkpoint may be sound"
                )
            yield self.as_data_are(samples)

    def made(self, first: int, n: int) -> Tensor:
        """Samples `first` and the n - 1 next: float32 [n, *shape]."""
        return self.game.sample(n)


class Translated(Generated):
    """What an image-to-image game makes of a split's first n sources, fewer if there are fewer; raises as `Generated` does."""

    def __init__(self, game: ImageToImage, data: DataModule, split: str, n: int, seed: int) -> None:
        samples = data.train if split == "train" else data.held_out
        assert samples is not None  # or there would be no real images either
        super().__init__(game, min(n, len(samples)), seed)
        self.translate, self.samples, self.data = game.translate, samples, data

    def made(self, first: int, n: int) -> Tensor:
        parts = [part.to(self.game.device) for part in self.samples.__getitems__(range(first, first + n))]
        with self.data.at_rest():
            return torch.cat([self.translate(batch[0]) for batch in self.data.on_after_batch_transfer(parts)])


class Evaluator:
    """Measures fakes against one set of real samples, by one extractor; the reference is prepared once.

    Args:
        images, held_out: the real samples, and those never trained on where memorisation is asked for.
        split: which part of the data `images` are.
        data: whose samples they are, and whose sources, of that part, are what image-to-image games are measured on; None:
            what they remember.
        console: where bars are shown; standard error if None.

    Raises:
        ValueError: a metric that there is not, or that is not of such samples; samples that the extractor does not take.
    """

    def __init__(
        self,
        metrics: Sequence[str],
        extractor: Extractor,
        images: RealSamples,
        *,
        split: str,
        held_out: RealSamples | None = None,
        data: DataModule | None = None,
        console: Console | None = None,
    ) -> None:
        self.data = data
        self.console = console or Console(stderr=True)
        self.metrics = scores.asked(metrics, extractor.name)
        scores.refuse_too_few(self.metrics, len(images), "real ones")
        extractor.fitted(images.shape[1:])
        if data is not None:
            scores.refuse_other_kinds(self.metrics, data.kind, data.valid is not None)
        self.extractor, self.split, self.reference = extractor, split, images.content()
        self.real = prepare(extractor, images, self.reference, self.console)._replace(shape=images.shape[1:])
        if data is not None:
            self.real = self.real._replace(kind=data.kind, valid=data.valid, natural=partial(natural, units=data.units()))
        if "prdc" in self.metrics and rank() == 0:
            self.real = self.real._replace(nearest=nearest_others(self.real.features, scores.DENSITY_NEIGHBOURS))
        if data is not None and split == "held_out" and "distinct" in self.metrics:  # novel: not among the training strings
            train, _ = split_of(data, "train")
            self.real = self.real._replace(training=prepare(extractor, train, train.content(), self.console).features)
        self.held_out: Real | None = None
        if "memorisation" in self.metrics:
            if held_out is None:
                raise ValueError(
                    "memorisation compares training data with held-out data: choose data that has both, split train"
                )
            self.held_out = prepare(extractor, held_out, held_out.content(), self.console)

    def __call__(
        self,
        fakes: Blocks,
        origin: Origin,
        *,
        average: bool | None = None,
        truncation: float | None = None,
        seed: int | None = None,
    ) -> list[Stamped]:
        """Every score of the fakes. With several ranks, all call this, and all get the same."""
        scores.refuse_too_few(self.metrics, len(fakes), "fakes")
        fake = extract(
            self.extractor, fakes, len(fakes), partial(progress, self.console, f"features of {len(fakes):,} samples")
        )
        if len(fakes) < self.extractor.dim and "fd" in self.metrics:
            rank_zero_warn(f"{len(fakes):,} samples of {self.extractor.dim:,} features: too few for the Frechet distance")
        found = scores.measure(self.metrics, self.extractor.name, fake, self.real, self.held_out) if rank() == 0 else None
        return [
            Stamped(
                result.score.value,
                result.score.error,
                self.protocol(name, result.settings, len(fakes), average, truncation, seed),
                origin,
            )
            for name, result in shared(found).items()
        ]

    def protocol(
        self,
        name: str,
        settings: dict[str, int],
        n: int,
        average: bool | None,
        truncation: float | None,
        seed: int | None,
    ) -> Protocol:
        return Protocol(
            metric=name,
            version=scores.VERSION,
            settings=settings,
            extractor=self.extractor.name,
            weights=self.extractor.weights,
            resize=self.extractor.resize,
            precision=self.extractor.precision,
            n_fake=n,
            n_real=len(self.real.features),
            split=self.split,
            reference=self.reference,
            average=average,
            truncation=truncation,
            seed=seed,
        )


def split_of(data: DataModule, split: Literal["train", "held_out"]) -> tuple[SplitSamples, SplitSamples | None]:
    """The real samples to measure against; and with those for training, the held-out ones if there are any.

    Raises:
        ValueError: there is no such split.
    """
    held_out = None if data.held_out is None else SplitSamples(data.targets_of(data.held_out), data.measured)
    if split == "train":
        return SplitSamples(data.targets_of(data.train), data.measured), held_out
    if held_out is None:
        raise ValueError(f"{type(data).__name__} has no held-out split here: {data.held_out_hint}")
    return held_out, None


def evaluate(
    evaluator: Evaluator, game: Game, n: int, seed: int, source: str, step: int, seconds: float | None = None
) -> list[Stamped]:
    """Scores of n samples of a game; of an image-to-image game, of its translations of the data's first n sources.

    Args:
        source: hash of the checkpoint that the game comes from, or "training".
        step: the round that it has reached.
        seconds: of training until then.

    Raises:
        ValueError: samples that the extractor does not take, or of another shape than the real ones where that matters.
        Diverged: samples that are not finite.
    """
    of = origin(type(game).__name__, source, evaluator.extractor.device, step, game.images_seen, seconds)
    evaluator.extractor.fitted(game.shape)
    if not are_images(game.shape) and game.shape != evaluator.real.shape:
        raise ValueError(f"samples of shape {game.shape} cannot be measured against data of shape {evaluator.real.shape}")
    fakes = Generated(game, n, seed)
    if isinstance(game, ImageToImage) and evaluator.data is not None:
        fakes = Translated(game, evaluator.data, evaluator.split, n, seed)
    return evaluator(fakes, of, average=game.averaged, truncation=game.truncation, seed=seed)


def origin(
    name: str,
    source: str,
    device: torch.device,
    step: int | None = None,
    images_seen: int | None = None,
    seconds: float | None = None,
) -> Origin:
    return Origin(name, source, step, images_seen, named(device), ganzoo.__version__, commit(), torch.__version__, seconds)


def named(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


@cache
def commit() -> str | None:
    """ganzoo's own commit, where it runs from a checkout."""
    folder = Path(ganzoo.__file__).parent.parent
    if not (folder / ".git").exists():
        return None
    told = subprocess.run(
        ["git", "-C", str(folder), "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False
    )
    return told.stdout.strip() or None


def table(measured: Sequence[Stamped]) -> str:
    """Scores with their standard errors, and under them the protocol that they share."""
    columns = Table("score", "value", "standard error", box=None, pad_edge=False)
    for score in measured:
        columns.add_row(score.protocol.metric, f"{score.value:.5g}", "" if score.error is None else f"{score.error:.2g}")
    console = Console(width=100)
    with console.capture() as captured:
        console.print(columns)
    p = measured[0].protocol
    noise = "" if p.truncation is None else f" of noise truncated to {p.truncation:g}"
    real = (
        f", {p.n_real:,} real {'samples' if p.extractor == 'raw' else 'images'} ({p.split}, {p.reference})" if p.n_real else ""
    )
    images = f"{p.n_fake:,} samples{noise}{real}"
    return f"{captured.get()}{images}; {p.extractor} {p.weights}, {p.resize}, {p.precision}"
