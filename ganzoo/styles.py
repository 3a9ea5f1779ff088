"""Games whose generator has two parts: f maps noise z to w, and g makes images of one w for each of its layers (StyleGAN)."""

from typing import Protocol

import torch
from torch import Tensor

from ganzoo.duel import Duel, evaluating


class StyledGenerator(Protocol):
    """A generator g(f(z)).

    Its own call is of new noise: in training mode it also moves `mean_w` and mixes styles.
    """

    styles: int  # layers of g that are given a w each
    mean_w: Tensor  # moving average of f(z), [w_dim]

    def mapping(self, z: Tensor, *label: Tensor) -> Tensor:
        """f: [N, latent_dim] and, of a class-conditional one, [N] -> w [N, w_dim]."""

    def synthesis(self, w: Tensor) -> Tensor:
        """g: [N, styles, w_dim] -> [N, *shape]."""


class Styled(Duel):
    """Parent, beside another duel, of games whose generator is a `StyledGenerator`.

    `truncated` draws w, not z, towards its mean: mean_w + psi (w - mean_w) (arXiv:1812.04948, appendix B). psi = 1 changes
    nothing, and towards 0 all samples become one, of a class too.
    """

    def latent(self, n: int) -> Tensor:
        """z ~ N(0, I), [n, latent_dim]: never truncated itself."""
        return torch.randn(n, self.latent_dim, device=self.device)

    def samples_of(self, *inputs: Tensor) -> Tensor:
        return self.images_of(self.styles_of(*inputs))

    def styles_of(self, z: Tensor, *label: Tensor) -> Tensor:
        """w of noise [n, latent_dim], truncated if the game is `truncated`, the same for all layers: [n, styles, w_dim]."""
        generator: StyledGenerator = self.sampler  # type: ignore[assignment]
        with evaluating(self.sampler):
            w = generator.mapping(z, *label)
        if self.truncation is not None:
            w = generator.mean_w + self.truncation * (w - generator.mean_w)
        return w[:, None].expand(-1, generator.styles, -1)

    def images_of(self, w: Tensor) -> Tensor:
        """[n, styles, w_dim] -> float32 [n, *shape], in evaluation mode, of the averaged generator if there is one."""
        generator: StyledGenerator = self.sampler  # type: ignore[assignment]
        with evaluating(self.sampler):
            return torch.cat([generator.synthesis(part) for part in w.split(256)])
