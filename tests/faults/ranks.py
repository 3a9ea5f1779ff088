"""Run by test_devices: python ranks.py FUNCTION FOLDER WORLD calls a function of this file in so many processes."""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

import ganzoo
from ganzoo.networks.layers import synchronise


def normed(rank: int, world: int, folder: Path) -> None:
    """What batch normalisation makes of a rank's part of a batch."""
    for kind in CASES:
        torch.save(twice_differentiated(*case(kind, rank, world)), folder / f"{kind}-{world}-{rank}.pt")


CASES = {"maps": (8, 3, 4, 4), "vectors": (8, 3), "conditional": (8, 3, 4, 4)}


def case(kind: str, rank: int, world: int) -> tuple[nn.Module, Tensor, Tensor]:
    """A layer, synchronised if there are several ranks, and a rank's part of a batch of 8 with labels."""
    torch.manual_seed(0)
    layer: nn.Module = nn.BatchNorm1d(3) if kind == "vectors" else nn.BatchNorm2d(3)
    for weight in layer.parameters():
        nn.init.normal_(weight)
    if kind == "conditional":
        layer = ganzoo.ConditionalBatchNorm(layer, 2)
        nn.init.normal_(layer.weight)
    x = 2 * torch.randn(CASES[kind], dtype=torch.float64) + 100
    label = torch.arange(8) % 2
    return synchronise(layer.double()) if world > 1 else layer.double(), x.chunk(world)[rank], label.chunk(world)[rank]


def twice_differentiated(layer: nn.Module, x: Tensor, label: Tensor) -> dict[str, Tensor]:
    """Two passes; values, the gradient by x of a sum over all, and that of its penalty by x and the weights."""
    x.requires_grad_()
    labels = [label] if isinstance(layer, ganzoo.ConditionalBatchNorm) else []
    layer(x.detach() + 1, *labels)
    y = layer(x, *labels)
    mixed = torch.linspace(-1, 2, 3, dtype=x.dtype).view(1, 3, *[1] * (x.ndim - 2))  # by which samples count unalike
    [slope] = torch.autograd.grad((mixed * y.sin() * x.detach().mean(1, keepdim=True)).sum(), x, create_graph=True)
    penalty = slope.square().sum() + y.square().sum()
    by_x, *by_weights = torch.autograd.grad(penalty, [x, *layer.parameters()])
    found = {"y": y.detach(), "slope": slope.detach(), "by_x": by_x}
    found |= {f"weight{i}": weight for i, weight in enumerate(by_weights)}
    layer.eval()
    return found | {"still": layer(x.detach(), *labels).detach()} | dict(layer.named_buffers())


def call(rank: int, function: str, folder: str, world: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world)
    globals()[function](rank, world, Path(folder))
    dist.destroy_process_group()


if __name__ == "__main__":
    mp.spawn(call, (sys.argv[1], sys.argv[2], int(sys.argv[3])), int(sys.argv[3]))
