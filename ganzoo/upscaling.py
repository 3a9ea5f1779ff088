"""What games of super-resolution have in common: batches of small and of large images, and a generator without noise."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ganzoo.duel import Duel, evaluating
from ganzoo.game import Batch, Terms
from ganzoo.metrics.content import Content
from ganzoo.metrics.fidelity import WINDOW, psnr, ssim
from ganzoo.translation import SourceMemory

UpscalerClass = Callable[[tuple[int, ...], int], nn.Module]  # (shape, scale): [N, C, h, w] -> [N, C, scale h, scale w]


class Upscaler(SourceMemory, Duel):
    """Parent of games whose losses take (source, target): [N, C, H / scale, W / scale] and [N, C, H, W] in [-1, 1].

    `sample(n)` enlarges small images of the latest rounds, which the game remembers, in its checkpoint too: grids, the watch
    and evaluation need no data to draw from. The noise chooses among them.

    Args:
        scale: how many times larger the target is than the source.

    Raises:
        ValueError: images whose sides are no multiples of the scale; data of another scale.
    """

    gaussian = False  # there is no z
    content: Content

    def __init__(self, *, shape: tuple[int, ...], scale: int, generator: UpscalerClass | None, **duel: Any) -> None:
        if len(shape) != 3 or any(side % scale for side in shape[1:]):
            raise ValueError(f"{type(self).__name__} makes images whose sides are multiples of its scale {scale}, not {shape}")
        network: Any = generator or self.default_generator
        kind = partial(upscaler, network, scale)
        super().__init__(shape=shape, latent_dim=0, generator=kind, **duel)
        self.scale = scale
        self.begin_memory((shape[0], *(side // scale for side in shape[1:])))

    def on_fit_start(self) -> None:
        super().on_fit_start()
        if self.content_matters(self.global_step):
            self.content.on(self.device)

    def before_round(self, batches: list[Batch], optimizers: dict[str, torch.optim.Optimizer]) -> None:
        source, target = batches[0]
        self.refuse_other_scale(source, target)
        if self.content_matters(self.global_step):
            self.content.on(self.device)  # before anything is compiled
        self.remember(source, self.global_step)

    def content_matters(self, step: int) -> bool:
        """Whether the round asks for the content loss."""
        return True

    def refuse_other_scale(self, source: Tensor, target: Tensor) -> None:
        if tuple(side * self.scale for side in source.shape[-2:]) != target.shape[-2:]:
            said = f"{tuple(source.shape[-2:])} beside {tuple(target.shape[-2:])}"
            raise ValueError(f"the data gives images of {said}: set --model.scale and --data.scale to the same")

    def opinions(self, real: Tensor, *target: Tensor) -> tuple[Tensor, Tensor]:
        """D's of the large images of a batch, and of its small ones enlarged."""
        return self.realness(*target), self.realness(self.generator(real))

    def translate(self, source: Tensor) -> Tensor:
        """Images of any size, enlarged and clipped: [N, C, h, w] in [-1, 1] -> float32 [N, C, scale h, scale w]."""
        with evaluating(self.sampler):
            return torch.cat([self.sampler(part) for part in source.split(16)]).clamp(-1, 1)

    def sample(self, n: int) -> Tensor:
        """n remembered images enlarged, each of which comes again only when all have: float32 [n, *shape]."""
        return self.translate(self.recalled(n))

    def held_out_terms(self, source: Tensor, target: Tensor) -> Terms:  # type: ignore[override]
        """PSNR and SSIM of luma, without a border as wide as the scale."""
        self.refuse_other_scale(source, target)
        made = self.translate(source)
        found = {"psnr": psnr(made, target, self.scale).mean().float()}
        if min(target.shape[-2:]) - 2 * self.scale >= WINDOW:
            found["ssim"] = ssim(made, target, self.scale).mean().float()
        return found

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["game"]["content"] = self.content.name

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self.content.name = checkpoint["game"].get("content")


def upscaler(network: UpscalerClass, scale: int, latent_dim: int, shape: tuple[int, ...]) -> nn.Module:
    """The generator, made as `Duel` makes one; it knows no noise."""
    return network(shape, scale)
