"""Images changed at random in front of a discriminator, real and fake alike, so that it cannot learn a few of them by heart."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from ganzoo.networks.front import Front

Operation = Literal["color", "translation", "cutout"]


class Augmentation(Front):
    """D(T(x)) with a T drawn for each image in each pass, in training mode, in both players' turns.

    Were only real images changed, G would learn to make changed ones. T is differentiable, any number of times, so that G
    learns through it and gradient penalties see it.

    Args:
        discriminator: [N, *shape] and whatever else it takes -> what it returns.
        shape: of one image, (channels, height, width). More channels are a pack of such images, each changed for itself.

    Raises:
        ValueError: samples that are no images.
    """

    def __init__(self, discriminator: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__(discriminator)
        if len(shape) != 3:
            raise ValueError(f"{type(self).__name__} changes images, not samples of shape {shape}: leave out --model.augment")
        self.shape = tuple(shape)

    def seen(self, x: Tensor) -> Tensor:
        return self.augmented(x.reshape(-1, *self.shape)).reshape(x.shape) if self.training else x

    def augmented(self, images: Tensor) -> Tensor:
        """[N, *shape] -> the same."""
        raise NotImplementedError(f"{type(self).__name__} must say how images change")


class DiffAugment(Augmentation):
    """Colour, place and holes (Zhao et al. 2020, https://arxiv.org/abs/2006.10738).

    Args:
        policy: what is done, in this order: `color` (brightness, saturation, contrast), `translation`, `cutout`. On CIFAR-10
            the authors' BigGAN has the latter two.
        translation: farthest shift down or right, as a share of the side; what comes in is 0, grey.
        cutout: side of the hole as a share of the image's side; it may lie partly outside.

    Raises:
        ValueError: samples that are no images, or a share outside 0 .. 1.
    """

    def __init__(
        self,
        discriminator: nn.Module,
        shape: tuple[int, ...],
        *,
        policy: tuple[Operation, ...] = ("color", "translation", "cutout"),
        translation: float = 0.125,
        cutout: float = 0.5,
    ) -> None:
        super().__init__(discriminator, shape)
        if not (0 <= translation <= 1 and 0 <= cutout <= 1):
            raise ValueError(f"translation and cutout are shares of the image, 0 to 1, not {translation} and {cutout}")
        self.policy, self.translation, self.cutout = tuple(policy), translation, cutout

    def augmented(self, images: Tensor) -> Tensor:
        operations: dict[str, Callable[[Tensor], Tensor]] = {
            "color": self.recoloured,
            "translation": self.translated,
            "cutout": self.with_hole,
        }
        for name in self.policy:
            images = operations[name](images)
        return images

    def recoloured(self, images: Tensor) -> Tensor:
        brightness, saturation, contrast = torch.rand(3, len(images), device=images.device).unbind()
        return contrasted(saturated(brightened(images, brightness - 0.5), 2 * saturation), contrast + 0.5)

    def translated(self, images: Tensor) -> Tensor:
        farthest = [int(side * self.translation) for side in images.shape[2:]]
        down, right = (torch.randint(-most, most + 1, (len(images),), device=images.device) for most in farthest)
        return shifted(images, down, right)

    def with_hole(self, images: Tensor) -> Tensor:
        sides = [int(side * self.cutout) for side in images.shape[2:]]
        # The hole's middle: of an even side it lies between two pixels, and one more place is possible.
        top, left = (
            torch.randint(0, side + 1 - hole % 2, (len(images),), device=images.device) - hole // 2
            for side, hole in zip(images.shape[2:], sides, strict=True)
        )
        return images * ~(
            inside(top, sides[0], images.shape[2])[:, None, :, None] & inside(left, sides[1], images.shape[3])[:, None, None]
        )


# Each takes images x [N, C, H, W] and numbers of each image [N].


def brightened(x: Tensor, by: Tensor) -> Tensor:
    return x + by.view(-1, 1, 1, 1)


def saturated(x: Tensor, factor: Tensor) -> Tensor:
    """Each pixel's channels about their mean; grey images stay as they are."""
    return about(x.mean(1, keepdim=True), x, factor)


def contrasted(x: Tensor, factor: Tensor) -> Tensor:
    """All values of an image about their mean."""
    return about(x.mean((1, 2, 3), keepdim=True), x, factor)


def about(mean: Tensor, x: Tensor, factor: Tensor) -> Tensor:
    return (x - mean) * factor.view(-1, 1, 1, 1) + mean


def shifted(x: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """By whole pixels, int64; zeros come in."""
    for dim, by in ((2, down), (3, right)):
        side = x.shape[dim]
        source = torch.arange(side, device=x.device) - by[:, None]  # the pixel that comes to each place: [N, side]
        along = [len(x), 1, 1, 1]
        along[dim] = side
        there = ((source >= 0) & (source < side)).view(along)
        x = x.gather(dim, source.clamp(0, side - 1).view(along).expand_as(x)) * there
    return x


def inside(start: Tensor, length: int, side: int) -> Tensor:
    """Which of the places 0 .. side - 1 lie in start .. start + length - 1: bool [N, side]."""
    place = torch.arange(side, device=start.device) - start[:, None]
    return (place >= 0) & (place < length)
