"""BigGAN's networks (Brock, Donahue, Simonyan 2018, https://arxiv.org/abs/1809.11096, appendix B), for 16 to 256."""

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganzoo.networks.attention import SelfAttention
from ganzoo.networks.conditional import DiscriminatorClass, GeneratorClass, ProjectionDiscriminator
from ganzoo.networks.filters import enlarged
from ganzoo.networks.layers import Layers, Network, spectrally_normalised, square_size
from ganzoo.networks.resnet import Block, convolution, linear


class Architecture(NamedTuple):
    """Of one size of images."""

    generator: list[int]  # widths of the maps from 4x4 up to the image, in units of `width`
    discriminator: list[int]  # from the first block's to the last one's
    halvings: int  # blocks of D that halve the map, the others leave it
    attention: int | None  # side of the maps with self-attention


# 128 and 256 as in the paper's tables 4 and 5; 64 and 32 as in the authors' PyTorch code, 16 as if it went on.
ARCHITECTURES = {
    16: Architecture([4, 4, 4], [4, 4, 4], 2, None),
    32: Architecture([4, 4, 4, 4], [4, 4, 4, 4], 2, None),
    64: Architecture([16, 16, 8, 4, 2], [1, 2, 4, 8, 16], 4, 32),
    128: Architecture([16, 16, 8, 4, 2, 1], [1, 2, 4, 8, 16, 16], 5, 64),
    256: Architecture([16, 16, 8, 8, 4, 2, 1], [1, 2, 4, 8, 8, 16, 16], 6, 64),
}


def orthogonal(network: Network) -> Network:
    """The network, all of whose weights W [out, ...] begin as orthogonal matrices (section 3); biases stay zero."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.Embedding):
            nn.init.orthogonal_(layer.weight)
    return network


class CodedBatchNorm(nn.Module):
    """Batch normalisation whose gain, 1 + A c, and bias, B c, are linear in a code: [N, C, H, W], [N, code] -> [N, C, H, W].

    The code is the class's shared embedding beside a chunk of z (section 3 and figure 15). A and B have no bias.
    """

    takes_label = True

    def __init__(self, channels: int, code: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain = nn.Linear(code, channels, bias=False)  # A
        self.bias = nn.Linear(code, channels, bias=False)  # B

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        gain, bias = (layer(code)[:, :, None, None] for layer in (self.gain, self.bias))
        h = self.norm(x)
        return (h + h * gain + bias).to(x.dtype)


class UpBlock(Block):
    """The residual block of figure 15 (b): [N, inputs, H, W], [N, code] -> [N, outputs, 2H, 2W]."""

    def __init__(self, inputs: int, outputs: int, code: int) -> None:
        super().__init__(inputs, outputs, resample="up", norm="none")
        self.before = Layers(CodedBatchNorm(inputs, code), nn.ReLU())
        self.between = Layers(CodedBatchNorm(outputs, code), nn.ReLU())

    def forward(self, x: Tensor, *code: Tensor) -> Tensor:
        h = self.one(F.interpolate(self.before(x, *code), scale_factor=2.0))
        # Of the shortcut's bias the gradient is next to nothing, since batch normalisation follows: summed in another order, as
        # that of `F.interpolate` is when it is compiled, it would lead elsewhere than in an eager run.
        return self.two(self.between(h, *code)) + enlarged(self.shortcut(x))


class BigGANGenerator(nn.Module):
    """z [N, latent_dim] and an embedding of the class [N, embedding] -> [N, *shape].

    z enters in equal chunks (section 3, "skip-z"): the first makes the map of 4x4, each block is given another one, beside
    the embedding. All weights are orthogonal at first, and spectrally normalised.

    Args:
        width: `ch`, of which all widths are multiples: 96 in the paper, 64 in the authors' code for CIFAR-10.
        embedding: size of the embedding, 0 for none: then blocks see z alone.

    Raises:
        ValueError: a size that is not among `ARCHITECTURES`, or a latent_dim that cannot be split.
    """

    def __init__(self, latent_dim: int, shape: tuple[int, ...], *, width: int = 96, embedding: int = 128) -> None:
        super().__init__()
        size = square_size("BigGANGenerator", shape, list(ARCHITECTURES))
        of = ARCHITECTURES[size]
        channels = [width * multiple for multiple in of.generator]
        self.embedding, self.chunk = embedding, chunk_size(latent_dim, len(channels))
        self.project = linear(self.chunk, channels[0] * 16)
        self.blocks = nn.ModuleList()
        for i, (a, b) in enumerate(pairwise(channels)):
            attention = [SelfAttention(b)] if 8 << i == of.attention else []
            self.blocks.append(Layers(UpBlock(a, b, embedding + self.chunk), *attention))
        self.out = nn.Sequential(nn.BatchNorm2d(channels[-1]), nn.ReLU(), convolution(channels[-1], shape[0], 3, 1.0))
        spectrally_normalised(orthogonal(self))

    def forward(self, z: Tensor, *embedded: Tensor) -> Tensor:
        first, *chunks = z.split(self.chunk, dim=1)
        h = self.project(first).unflatten(1, (-1, 4, 4))
        for block, chunk in zip(self.blocks, chunks, strict=True):
            h = block(h, torch.cat([*embedded, chunk], dim=1))
        return torch.tanh(self.out(h).float())


def chunk_size(latent_dim: int, chunks: int) -> int:
    """Of each of z's chunks.

    Raises:
        ValueError: they would not be equal.
    """
    if latent_dim < chunks or latent_dim % chunks:
        raise ValueError(
            f"BigGAN splits z into {chunks} equal chunks at this size: set --model.latent_dim to {20 * chunks}, say, "
            f"not {latent_dim}"
        )
    return latent_dim // chunks


class SharedEmbedding(nn.Module):
    """G(z, y) of a generator that is given z and one embedding of y, shared by all its layers (section 3).

    The embedding is orthogonal at first and, unlike all else, not spectrally normalised, as in the authors' code.

    Raises:
        ValueError: the generator takes no embedding.
    """

    def __init__(self, kind: GeneratorClass, classes: int, latent_dim: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.network = kind(latent_dim, shape)
        size = getattr(self.network, "embedding", 0)
        if not isinstance(size, int) or size < 1:
            raise ValueError("BigGAN's generator is given an embedding of the class: choose BigGANGenerator, embedding 128")
        self.embed = orthogonal(nn.Embedding(classes, size))

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        return self.network(z, self.embed(label))


class BigGANDiscriminator(nn.Module):
    """[N, *shape] -> logits [N]: residual blocks, ReLU, sum over the last map, linear; all spectrally normalised.

    Args:
        width: `ch`, as the generator's.

    Raises:
        ValueError: a size that is not among `ARCHITECTURES`.
    """

    def __init__(self, shape: tuple[int, ...], *, width: int = 96) -> None:
        super().__init__()
        size = square_size("BigGANDiscriminator", shape, list(ARCHITECTURES))
        of = ARCHITECTURES[size]
        channels = [shape[0]] + [width * multiple for multiple in of.discriminator]
        self.blocks = nn.Sequential()
        for i, (a, b) in enumerate(pairwise(channels)):
            halved = i < of.halvings
            self.blocks.append(Block(a, b, resample="down" if halved else None, norm="none", first=i == 0))
            if halved and size >> (i + 1) == of.attention:
                self.blocks.append(SelfAttention(b))
        self.last = linear(channels[-1], 1)
        spectrally_normalised(orthogonal(self))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.features(x)).float().squeeze(1)

    def features(self, x: Tensor) -> Tensor:
        """What the last layer sees: [N, *shape] -> [N, features]."""
        return F.relu(self.blocks(x).float()).sum((2, 3))

    @property
    def stages(self) -> list[list[nn.Module]]:
        """Each block, from the image on, and self-attention by itself: what can be frozen."""
        return [[block] for block in self.blocks]


def projecting(kind: DiscriminatorClass, classes: int, shape: tuple[int, ...]) -> ProjectionDiscriminator:
    """The projection discriminator, V orthogonal at first too.

    Raises:
        ValueError: the discriminator has no `features(x)` or no linear `last`.
    """
    discriminator = ProjectionDiscriminator(kind, classes, shape)
    with torch.no_grad():
        for v in discriminator.project.parameters():  # before spectral normalisation
            nn.init.orthogonal_(v)
    return discriminator
