"""A duel over labelled data: G(z, y) makes a sample of class y, and D(x, y) or a classifier beside D asks for it."""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ganzoo.duel import DiscriminatorClass, Duel, GeneratorClass
from ganzoo.networks.conditional import LabelledDiscriminator, LabelledGenerator


@runtime_checkable
class OfKinds(Protocol):
    """A game that can be asked for samples of one of several kinds: of a class, or of a category of a code it has learned."""

    @property
    def device(self) -> torch.device: ...

    @property
    def kinds(self) -> int:
        """How many, or 0 if there are none after all."""

    def sample(self, n: int, kind: Tensor | None = None, /) -> Tensor:
        """n samples of the kinds, int64 [n]."""


class ConditionalDuel(Duel):
    """Parent of every class-conditional variant: any generator and discriminator, made conditional in the variant's way.

    Args:
        classes: number of classes; None where the data has none, if the variant can do without (`needs_classes`): its networks
            are then plain ones, which are given no labels.
        generator: class of the generator, as in `Duel`: it needs to know of no label.
        discriminator: class of the discriminator, likewise.

    Raises:
        ValueError: the data has no classes, and the variant needs some.
    """

    needs_classes = True
    conditional_generator: Callable[[GeneratorClass, int, int, tuple[int, ...]], nn.Module] = LabelledGenerator
    conditional_discriminator: Callable[[DiscriminatorClass, int, tuple[int, ...]], nn.Module] = LabelledDiscriminator

    def __init__(
        self,
        *,
        classes: int | None = None,
        generator: GeneratorClass | None = None,
        discriminator: DiscriminatorClass | None = None,
        **duel: Any,
    ) -> None:
        if classes:
            generator = partial(self.conditional_generator, generator or self.default_generator, classes)
            discriminator = partial(self.conditional_discriminator, discriminator or self.default_discriminator, classes)
        elif self.needs_classes:
            raise ValueError(f"{type(self).__name__} needs data with classes: choose MNIST, CIFAR10 or a folder for each class")
        super().__init__(classes=classes, generator=generator, discriminator=discriminator, **duel)

    @property
    def kinds(self) -> int:
        """Samples can be asked for by their class, if there are classes."""
        return self.classes or 0

    def labels(self, n: int) -> Tensor:
        """y drawn uniformly, int64 [n]."""
        assert self.classes is not None
        return torch.randint(self.classes, (n,), device=self.device)

    def drawn(self, n: int) -> tuple[Tensor, ...]:
        """What the networks are given beside n samples: drawn labels, or nothing without classes."""
        return (self.labels(n),) if self.classes else ()

    def known(self, *label: Tensor | None) -> tuple[Tensor, ...]:
        """What they are given beside real samples of these labels: the same, or nothing without classes."""
        return tuple(y for y in label if y is not None) if self.classes else ()

    def fake(self, n: int, label: Tensor | None = None) -> Tensor:
        """What the generator in training makes of new noise and the labels [n], or of drawn ones: [n, *shape]."""
        z = self.latent(n)
        return self.generator(z, *(self.known(label) or self.drawn(n)))

    def realness(self, x: Tensor, *label: Tensor) -> Tensor:
        return self.discriminator(x, *self.known(*label))

    def opinions(self, real: Tensor, *label: Tensor) -> tuple[Tensor, Tensor]:
        """As `Duel`'s, of fakes of the same classes."""
        return self.realness(real, *label), self.realness(self.fake(len(real), *label), *label)

    def sample(self, n: int, label: Tensor | None = None) -> Tensor:
        """n samples as `Duel`'s, of the labels, int64 [n], or of drawn ones. The noise is the same, whatever the labels.

        Raises:
            ValueError: not n labels, or one that is no class; any, where there are no classes.
        """
        z = self.latent(n)
        if label is None:
            return self.samples_of(z, *self.drawn(n))
        if not self.classes:
            raise ValueError(f"this {type(self).__name__} was made for data without classes: ask for no labels")
        if label.shape != (n,):
            raise ValueError(f"{n} samples need {n} labels, not labels of shape {tuple(label.shape)}")
        wrong = label[(label < 0) | (label >= self.kinds)]
        if len(wrong):
            raise ValueError(f"there are {self.kinds} classes, 0 to {self.kinds - 1}: {wrong[0]} is none of them")
        return self.samples_of(z, label.to(self.device))
