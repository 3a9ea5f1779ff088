"""Codes that go into a generator beside its noise and are read off its samples again (arXiv:1606.03657)."""

import torch
from torch import Tensor, nn

from ganzoo.networks.conditional import DiscriminatorClass, GeneratorClass, beside_last
from ganzoo.one_hot import one_hot


def random_codes(n: int, categories: tuple[int, ...], continuous: int, device: torch.device) -> Tensor:
    """Each categorical code as a one-hot vector, drawn uniformly, then the continuous ones, from U[-1, 1]: [n, codes]."""
    drawn = [one_hot(torch.randint(size, (n,), device=device), size) for size in categories]
    return torch.cat([*drawn, 2 * torch.rand(n, continuous, device=device) - 1], dim=1)


def chosen_codes(n: int, category: Tensor, categories: tuple[int, ...]) -> Tensor:
    """One-hot vectors of the first code's categories, [n], or of the first k codes', [n, k], beside each other: [n, codes].

    Raises:
        ValueError: not n categories, more than there are codes, or one that there is not.
    """
    columns = category.view(len(category), -1).T
    if len(category) != n or len(columns) > len(categories):
        raise ValueError(f"{n} samples need categories [{n}] or [{n}, {len(categories)}], not {list(category.shape)}")
    pairs = list(zip(columns, categories, strict=False))
    for column, size in pairs:
        wrong = column[(column < 0) | (column >= size)]
        if len(wrong):
            raise ValueError(f"there are {size} categories, 0 to {size - 1}: {wrong[0]} is none of them")
    none = torch.zeros(n, 0, device=category.device)
    return torch.cat([none, *[one_hot(column, size) for column, size in pairs]], dim=1)


def coded_generator(
    kind: GeneratorClass, categories: tuple[int, ...], continuous: int, latent_dim: int, shape: tuple[int, ...]
) -> nn.Module:
    """Any generator, of [z, c] instead of z alone: [N, latent_dim + codes] -> [N, *shape]."""
    generator = kind(latent_dim + sum(categories) + continuous, shape)
    reference = getattr(generator, "reference", None)
    if reference is not None:  # virtual batch normalisation's: noise with codes
        reference[:, latent_dim:] = random_codes(len(reference), categories, continuous, reference.device)
    return generator


class CodeReadingDiscriminator(nn.Module):
    """D and, on the same features, Q: [N, *shape] -> logits [N] and what Q says of the codes [N, codes], float32.

    Q has a layer of its own first, as in table 1 of the paper.

    Args:
        width: units of that layer.
    """

    def __init__(self, kind: DiscriminatorClass, codes: int, shape: tuple[int, ...], *, width: int = 128) -> None:
        super().__init__()
        self.network = kind(shape)
        self.read = nn.Sequential(
            beside_last(self.network, width, bias=False), nn.BatchNorm1d(width), nn.LeakyReLU(0.1), nn.Linear(width, codes)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.network.features(x)  # type: ignore[operator]
        logit: Tensor = self.network.last(features)  # type: ignore[operator]
        return logit.float().squeeze(1), self.read(features).float()
