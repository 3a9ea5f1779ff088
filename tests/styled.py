"""A game of a mapping and a synthesis as small as can be, with noise in its layers, for what is done with all such games."""

from math import prod

import torch
from torch import nn

import ganzoo
from ganzoo.conditional import ConditionalDuel
from ganzoo.styles import Styled


class TinySynthesis(nn.Module):
    """Each style moves all pixels: the image is the tanh of a linear function of all w, and of noise."""

    def __init__(self, latent_dim: int, shape: tuple[int, ...], *, classes: int = 0) -> None:
        super().__init__()
        self.styles, self.shape = 6, shape
        self.f = nn.Sequential(nn.Linear(latent_dim + classes, 8), nn.Tanh())
        self.g = nn.Linear(6 * 8, prod(shape))
        self.classes = classes
        self.register_buffer("mean_w", torch.linspace(-0.5, 0.5, 8))

    def mapping(self, z, *label):
        return self.f(torch.cat([z, *(nn.functional.one_hot(y, self.classes) for y in label)], dim=1))

    def synthesis(self, w):
        noise = torch.randn(len(w), *self.shape, device=w.device)
        return torch.tanh(self.g(w.flatten(1)).unflatten(1, self.shape) + 0.1 * noise)

    def forward(self, z, *label):
        return self.synthesis(self.mapping(z, *label)[:, None].expand(-1, self.styles, -1))


class TinyStyled(Styled, ganzoo.GAN):
    """A GAN whose generator has styles."""

    default_generator = TinySynthesis


class TinyConditionalStyled(Styled, ConditionalDuel):
    """The same with classes."""

    default_generator = TinySynthesis

    @staticmethod
    def conditional_generator(kind, classes, latent_dim, shape):
        return kind(latent_dim, shape, classes=classes)


def styled(**arguments) -> TinyStyled:
    torch.manual_seed(0)
    return TinyStyled(shape=(1, 16, 16), latent_dim=8, **arguments).eval()


def conditional_styled() -> TinyConditionalStyled:
    torch.manual_seed(0)
    return TinyConditionalStyled(shape=(1, 16, 16), latent_dim=8, classes=3).eval()
