"""ADA: augmentation as strong as the discriminator's overfitting asks for (Karras et al. 2020, https://arxiv.org/abs/2006.06676)."""

from collections.abc import Callable
from math import pi
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ganzoo.augment import Augmentation
from ganzoo.networks.front import Front, Listener, Terms
from ganzoo.networks.wavelets import LEAD, band_filters, downsampling, folded, sampled, upsampling

Group = Literal["blit", "geom", "color", "filter", "noise", "cutout"]
POWER = [10 / 13, 1 / 13, 1 / 13, 1 / 13]  # of natural images, in the filter's four bands
AXES = ("rows", "columns")
UNIT = 2**-40  # of the matrices


class AdaptiveAugment(Augmentation, Listener):
    """Each of eighteen transforms is done to each image with probability p, real and fake alike, in training mode; p rises
    while D is surer of real samples than the target, and falls while it is less so (section 3).

    What D is sure of is r_t = E sign D(x) over the real samples of so many rounds (eq. 1). Logged as `augment_r`, and p as
    `augment_p`. Where D's zero is not the point between real and fake (WGAN, WGANGP, RaGAN, FGAN, LSGAN with codes 0 and 1),
    r_t says little: set target to null, and p.

    Args:
        policy: what is done, in this order: `blit` (flip, quarter turns, whole-pixel shift), `geom` (scale, rotation,
            stretch, shift), `color` (brightness, contrast, inverted lightness, hue, saturation), `filter` (four octaves
            louder or softer), `noise`, `cutout`. The default is the paper's choice (section 2.3, figure 4).
        target: of r_t; None: p stays.
        p: at first.
        interval_steps: rounds after which p moves.
        kimg: thousands of real images in which p rises from 0 to 1, or falls; 100 in the authors' runs that begin with the
            weights of another.
        translation: farthest whole-pixel shift, as a share of the side.
        scale, stretch: standard deviations of their binary logarithms.
        rotation: largest angle, as a share of half a turn.
        shift: standard deviation, as a share of the side.
        brightness: standard deviation, in images' units.
        contrast, saturation: standard deviations of their binary logarithms.
        hue: largest angle, as a share of half a turn.
        gain: standard deviation of the binary logarithm of each octave's.
        noise: standard deviation of the noise's own standard deviation.
        cutout: side of the hole as a share of the image's side; it may lie partly outside.

    Strengths are the authors' code's (appendix B); 0 is off.

    Differences from the authors' code: p is at most 1. Flips, quarter turns and whole-pixel shifts copy pixels, apart from the
    resampling of the rest, and an image that is not resampled is not touched: at p = 0 all are, bit for bit, what they were.
    Beyond its edges an image goes on as its reflection without end; there at most once and then black, as far as the farthest
    image of the batch needs, which the host would have to read. Filters reach 21 pixels, also in images that are smaller.

    Raises:
        ValueError: samples that are no images; colours of other images than grey and RGB; p or target outside 0 .. 1, an
            interval or kimg below 1; a target where the discriminator has no logit for each sample.
    """

    remedy = "set --model.augment.target null, and --model.augment.p to 0.2, say"
    p: Tensor
    r: Tensor
    signs: Tensor
    logits: Tensor
    images: Tensor

    def __init__(
        self,
        discriminator: nn.Module,
        shape: tuple[int, ...],
        *,
        policy: tuple[Group, ...] = ("blit", "geom", "color"),
        target: float | None = 0.6,
        p: float = 0.0,
        interval_steps: int = 4,
        kimg: int = 500,
        translation: float = 0.125,
        scale: float = 0.2,
        rotation: float = 1.0,
        stretch: float = 0.2,
        shift: float = 0.125,
        brightness: float = 0.2,
        contrast: float = 0.5,
        hue: float = 1.0,
        saturation: float = 1.0,
        gain: float = 1.0,
        noise: float = 0.1,
        cutout: float = 0.5,
    ) -> None:
        super().__init__(discriminator, shape)
        if not (0 <= p <= 1 and (target is None or 0 <= target <= 1)):
            raise ValueError(f"p and target of AdaptiveAugment are 0 to 1, not {p} and {target}")
        if interval_steps < 1 or kimg < 1:
            raise ValueError(f"interval_steps and kimg of AdaptiveAugment are 1 or more, not {interval_steps} and {kimg}")
        if "color" in policy and shape[0] not in (1, 3):
            raise ValueError(
                f"AdaptiveAugment changes colours of 1 or 3 channels, not {shape[0]}: leave color out of --model.augment.policy"
            )
        self.policy, self.target, self.interval_steps, self.kimg = tuple(policy), target, interval_steps, kimg
        self.translation, self.scale, self.rotation, self.stretch, self.shift = translation, scale, rotation, stretch, shift
        self.brightness, self.contrast, self.hue, self.saturation = brightness, contrast, hue, saturation
        self.gain, self.noise, self.cutout = gain, noise, cutout
        self.register_buffer("p", torch.tensor(float(p)))
        for name in ("r", "signs", "logits", "images"):
            self.register_buffer(name, torch.zeros(()))
        geom = {"upsampled": upsampling, "downsampled": downsampling} if "geom" in policy else {}
        for kind, of in (geom | ({"bands": band_filters} if "filter" in policy else {})).items():
            for axis, side in zip(AXES, shape[1:], strict=True):
                # Whole numbers, because floating buffers are averaged over devices, and constants would not stay constant.
                self.register_buffer(f"{kind}_{axis}", (of(side) / UNIT).round().long(), persistent=False)

    # --- what D sees ---

    def augmented(self, images: Tensor) -> Tensor:
        operations: dict[Group, Callable[[Tensor], Tensor]] = {
            "blit": self.moved,
            "geom": self.bent,
            "color": self.coloured,
            "filter": self.filtered,
            "noise": self.noisy,
            "cutout": self.with_hole,
        }
        with torch.autocast(images.device.type, enabled=False):
            for name in self.policy:
                images = operations[name](images)
            return images

    def maybe(self, amount: Tensor, p: Tensor | None = None) -> Tensor:
        """Each image's amount [N, ...] with probability p, and otherwise zero, which does nothing."""
        chance = torch.rand(len(amount), device=amount.device) < (self.p if p is None else p)
        return torch.where(chance.view(-1, *[1] * (amount.ndim - 1)), amount, 0)

    def moved(self, x: Tensor) -> Tensor:
        flip, quarters = (self.maybe(torch.randint(many, (len(x),), device=x.device)) for many in (2, 4))
        by = self.maybe((2 * torch.rand(len(x), 2, device=x.device) - 1) * self.translation)
        down, right = ((share * side).round().long() for share, side in zip(by.unbind(1), x.shape[2:], strict=True))
        return blitted(x, flip, quarters, down, right)

    def bent(self, x: Tensor) -> Tensor:
        scale, stretch = (self.maybe(std * normal(x)) for std in (self.scale, self.stretch))
        either = 1 - (1 - self.p).sqrt()  # of two rotations, so that one or both are done with probability p
        before, after = (self.maybe(self.rotation * angle(x), either) for _ in range(2))
        shift = self.maybe(self.shift * normal(x, 2))
        inverse = product(turn(before) * torch.stack([-stretch, stretch], 1).exp2()[:, None], turn(after))
        touched = torch.stack([scale, stretch, before, after, *shift.unbind(1)]).any(0)
        bent = self.resampled(x, inverse * (-scale).exp2()[:, None, None], shift)
        return torch.where(touched.view(-1, 1, 1, 1), bent, x)

    def resampled(self, x: Tensor, inverse: Tensor, shift: Tensor) -> Tensor:
        """Images that show at a place, (x, y) from the middle, what they had at inverse [N, 2, 2] (place - shift).

        The shift [N, 2] is a share of (width, height). Twice as many samples, bilinear between them, half as many again: sharp
        but without aliasing. In TF32, the default inside a round on CUDA, an error of up to a thousandth.
        """
        sides = x.shape[:1:-1]  # width, height
        finer = self.matrix("upsampled_rows", x) @ x @ self.matrix("upsampled_columns", x).T  # [N, C, 2 H + 10, 2 W + 10]
        across, down = (  # of each sample of the result, before shift, in samples from the middle: [N, 2 side + 10]
            torch.arange(-LEAD, 2 * side + LEAD, device=x.device) - (side - 1) - 2 * side * share[:, None]
            for side, share in zip(sides, shift.unbind(1), strict=True)
        )
        places = [
            on_grid(row[:, :1, None] * across[:, None] + row[:, 1:, None] * down[:, :, None] + side - 1, side)
            for row, side in zip(inverse.unbind(1), sides, strict=True)
        ]
        bent = sampled(finer, torch.stack(places, 3))
        return self.matrix("downsampled_rows", x) @ bent @ self.matrix("downsampled_columns", x).T

    def coloured(self, x: Tensor) -> Tensor:
        brightness, contrast = (self.maybe(std * normal(x)) for std in (self.brightness, self.contrast))
        inverted = self.maybe(torch.randint(2, (len(x),), device=x.device))
        hue = self.maybe(self.hue * angle(x))
        return recoloured(x, brightness, contrast, inverted, hue, self.maybe(self.saturation * normal(x)))

    def filtered(self, x: Tensor) -> Tensor:
        gains = torch.stack([self.maybe(self.gain * normal(x)) for _ in POWER], 1)  # binary logarithms [N, 4]
        rows, columns = (torch.einsum("nb,bij->nij", evened(gains), self.matrix(f"bands_{axis}", x)) for axis in AXES)
        return torch.where(gains.any(1).view(-1, 1, 1, 1), rows[:, None] @ x @ columns[:, None].mT, x)

    def noisy(self, x: Tensor) -> Tensor:
        return x + self.maybe(self.noise * normal(x).abs()).view(-1, 1, 1, 1) * torch.randn_like(x)

    def with_hole(self, x: Tensor) -> Tensor:
        share = self.maybe(torch.full((len(x),), self.cutout, dtype=x.dtype, device=x.device))
        return holed(x, share, torch.rand(len(x), 2, dtype=x.dtype, device=x.device))

    def matrix(self, name: str, like: Tensor) -> Tensor:
        return self.get_buffer(name).to(like.dtype) * UNIT

    # --- what p follows ---

    def overheard(self, loss: Callable[..., Terms]) -> Callable[..., Terms]:
        return Front.overheard(self, loss) if self.target is None else super().overheard(loss)

    def refuse_no_logit(self, variant: str) -> None:
        return Front.refuse_no_logit(self, variant) if self.target is None else super().refuse_no_logit(variant)

    @torch.no_grad()
    def told(self, real: Tensor, fake: Tensor, images: int) -> Terms:
        self.signs.add_(real.sign().sum())
        self.logits.add_(real.numel())
        self.images.add_(images)
        return {}

    def anneal(self, step: int) -> None:
        super().anneal(step)
        if self.target is None or step % self.interval_steps:
            return
        devices = dist.get_world_size() if dist.is_initialized() else 1  # over which sums are averaged
        self.r.copy_(self.signs / self.logits.clamp(min=1))
        self.p.add_((self.r - self.target).sign() * self.images * (devices / (1000 * self.kimg))).clamp_(0, 1)
        for total in (self.signs, self.logits, self.images):
            total.zero_()

    def logged(self) -> Terms:
        names = ("p",) if self.target is None else ("p", "r")
        return super().logged() | {f"augment_{name}": self.get_buffer(name).clone() for name in names}


def normal(x: Tensor, *more: int) -> Tensor:
    """A standard normal number for each image, or so many: [N, *more]."""
    return torch.randn(len(x), *more, dtype=x.dtype, device=x.device)


def angle(x: Tensor) -> Tensor:
    """U[-pi, pi) for each image: [N]."""
    return pi * (2 * torch.rand(len(x), dtype=x.dtype, device=x.device) - 1)


def turn(angle: Tensor) -> Tensor:
    """Rotation matrices [N, 2, 2]."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([cos, -sin, sin, cos], 1).view(-1, 2, 2)


def product(one: Tensor, other: Tensor) -> Tensor:
    """Of matrices [N, 2, 2], in full precision: TF32's would be off by a pixel in a thousand."""
    return (one[:, :, :, None] * other[:, None]).sum(2)


def on_grid(sample: Tensor, side: int) -> Tensor:
    """Numbers of upsampling's samples, -5 .. 2 side + 4, as places from -1 to 1; of others, those of their reflections."""
    known = (sample > -LEAD - 0.5) & (sample < 2 * side + LEAD - 0.5)
    return 2 * (torch.where(known, sample, folded(sample, 2 * side - 1)) + LEAD) / (2 * side + 2 * LEAD - 1) - 1


# Each takes images x [N, C, H, W] and numbers of each image [N], of which zero does nothing.


def blitted(x: Tensor, flip: Tensor, quarters: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Mirrored (1) or not, turned by so many quarters against the clock about the middle, moved by whole pixels; int64."""
    height, width = x.shape[2:]
    flip, quarters, down, right = (number[:, None, None] for number in (flip, quarters, down, right))
    # The pixel that comes to each place, from last step to first, in halves of a pixel from the middle: [N, H, W].
    below = 2 * (torch.arange(height, device=x.device)[:, None] - down) - (height - 1)
    beside = 2 * (torch.arange(width, device=x.device) - right) - (width - 1)
    cos, sin = ((quarters == k).long() - (quarters == k + 2).long() for k in (0, 1))
    below, beside = sin * beside + cos * below, (cos * beside - sin * below) * (1 - 2 * flip)
    row, column = (folded((at + side - 1) // 2, side) for at, side in ((below, height), (beside, width)))
    pixel = (row * width + column).flatten(1)[:, None]
    return x.flatten(2).gather(2, pixel.expand(-1, x.shape[1], -1)).view_as(x)


def recoloured(x: Tensor, brightness: Tensor, contrast: Tensor, inverted: Tensor, hue: Tensor, saturation: Tensor) -> Tensor:
    """The product of appendix B's five 4x4 matrices. Each leaves the axis of greys, v = (1, 1, 1) / sqrt(3), and the plane of
    colours across it to themselves: hue turns in the plane, saturation scales in it, inversion turns the axis round.

    Grey images have no plane. contrast and saturation are binary logarithms, hue is in radians, inverted is 0 or 1.
    """
    brightness, contrast, inverted, hue, saturation = (
        number.view(-1, 1, 1, 1) for number in (brightness, contrast, inverted, hue, saturation)
    )
    grey = x.mean(1, keepdim=True)
    colour = x - grey
    across = (colour.roll(1, 1) - colour.roll(-1, 1)) / 3**0.5  # v x colour: a quarter further round the plane
    lightness, strength = contrast.exp2() * (1 - 2 * inverted), (contrast + saturation).exp2()
    change = (lightness - 1) * grey + lightness * brightness  # a change of x: exactly none where there is nothing to do
    return x + change + (strength * hue.cos() - 1) * colour + strength * hue.sin() * across


def evened(gains: Tensor) -> Tensor:
    """Amplifications of the four bands, of binary logarithms [N, 4]: each is followed by a change of all that keeps the power
    of a natural image."""
    factors = gains.exp2()
    power = 1 + torch.stack([share * (factors[:, i].square() - 1) for i, share in enumerate(POWER)], 1)
    return factors / power.prod(1, keepdim=True).sqrt()


def holed(x: Tensor, share: Tensor, middle: Tensor) -> Tensor:
    """A grey rectangle, of so large a share of each side, about a middle [N, 2], which is a share of (height, width)."""
    rows, columns = (
        ((torch.arange(side, device=x.device) + 0.5) / side - middle[:, i : i + 1]).abs() < share[:, None] / 2
        for i, side in enumerate(x.shape[2:])
    )
    return x * ~(rows[:, None, :, None] & columns[:, None, None])
