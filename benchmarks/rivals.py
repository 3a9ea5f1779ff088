"""Is `ganzoo fit` slower than another GAN library, or than a plain loop? The same networks, data and losses by each.

    pip install --no-deps torchgan torch-mimicry vegans voxgan lightning-bolts "pytorch-lightning<2"
    pip install scikit-image lmdb requests h5py bottleneck "setuptools<80"    # what these import
    python benchmarks/rivals.py                # DCGAN
    python benchmarks/rivals.py --penalty      # WGAN-GP
    python benchmarks/rivals.py --ring         # multi-layer perceptrons on points, which only the plain loops train as well

A round is one update of the discriminator and one of the generator, on `batch` images each. Every library trains the same
networks by its own loop at its default logging, from a DataLoader (ganzoo: from its own stream) over images in memory. The
data set notes when it is asked for a batch, so that a round costs all that happens between two of these times. Repeats are
taken in turn, so that a busy machine slows all alike. CPU only: on a GPU, the host's clock would not see the work.

Not here: pytorch-gan-zoo 0.0.6, whose package is named ganzoo, too, and whose validation calls torchvision's `make_grid` with
an argument that it does not have; gan-lab 0.4.2, which trains no networks but its own.
"""

import argparse
import logging
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam
from torch.utils.data import DataLoader, Dataset

import ganzoo
from ganzoo.data.base import normalised, one_line
from ganzoo.data.stream import Samples
from ganzoo.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from ganzoo.networks.mlp import MLPDiscriminator, MLPGenerator

SHAPE = (3, 32, 32)
LATENT = 100
LAMBDA = 10.0  # of the gradient penalty
WARM_UP = 3  # rounds that are not counted


class Clocked(Dataset[Any]):
    """`size` items made of normalised images in memory, over and over; notes in `asked` when it is asked for a batch."""

    def __init__(self, images: Tensor, size: int, item: Callable[[Tensor], Any], asked: list[float]) -> None:
        self.images, self.size, self.item, self.asked = normalised(images), size, item, asked

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Any:
        return self.item(self.images[index % len(self.images)])

    def __getitems__(self, indices: list[int]) -> list[Any]:  # what the DataLoader calls
        self.asked.append(time.perf_counter())
        return [self[index] for index in indices]


class Task:
    """What all train for `rounds` rounds, as a non-saturating GAN or, with `penalty`, as a WGAN-GP.

    Of images uint8 [M, *SHAPE] DCGAN's networks learn, of points float32 [M, 2] multi-layer perceptrons.
    """

    def __init__(self, images: Tensor, batch: int, width: int, rounds: int, penalty: bool = False) -> None:
        torch.manual_seed(0)
        self.images, self.batch, self.width, self.rounds, self.penalty = images, batch, width, rounds, penalty
        self.points = images.is_floating_point()
        self.latent_dim = 2 if self.points else LATENT
        if self.points:
            self.generator: nn.Module = MLPGenerator(self.latent_dim, images.shape[1:], width=width)
            self.discriminator: nn.Module = MLPDiscriminator(images.shape[1:], width=width)
        else:
            self.generator = DCGANGenerator(LATENT, SHAPE, width=width)
            self.discriminator = DCGANDiscriminator(SHAPE, width=width, norm="none" if penalty else "batch")
        self.adam: dict[str, Any] = {"lr": 1e-4, "betas": (0.0, 0.9)} if penalty else {"lr": 2e-4, "betas": (0.5, 0.999)}
        self.asked: list[float] = []

    def loader(self, item: Callable[[Tensor], Any] = lambda image: (image, 0)) -> DataLoader[Any]:
        """One epoch of all the rounds; `item` makes of an image what a library takes: by default, with a label."""
        return DataLoader(Clocked(self.images, self.rounds * self.batch, item, self.asked), self.batch, shuffle=True)


def adopted(
    kind: type[nn.Module],
    network: nn.Module,
    before: Callable[[Any], Tensor] = lambda x: x,
    after: Callable[[Tensor], Any] = lambda y: y,
    **arguments: Any,
) -> Any:
    """A module of a library's own kind that does what `network` does, between what the library gives and expects."""

    class Adopted(kind):  # type: ignore[valid-type, misc]
        def forward(self, x: Any) -> Any:
            return after(self.network(before(x)))

    module = Adopted(**arguments)
    module.network = network
    return module


def plain(task: Task, reuse: bool = False) -> None:
    """The loop that one writes by hand. With `reuse` both turns see the same fakes, which saves one pass of the generator."""
    generator, discriminator = task.generator, task.discriminator
    of_generator, of_discriminator = (Adam(network.parameters(), **task.adam) for network in (generator, discriminator))
    for (real,) in task.loader(lambda image: (image,)):
        with torch.set_grad_enabled(reuse):
            fake = generator(torch.randn(len(real), task.latent_dim))
        of_discriminator.zero_grad()
        on_real, on_fake = discriminator(real), discriminator(fake.detach())
        if task.penalty:
            between = torch.lerp(fake.detach(), real, torch.rand(len(real), *[1] * (real.ndim - 1))).requires_grad_()
            (slope,) = torch.autograd.grad(discriminator(between).sum(), between, create_graph=True)
            loss = on_fake.mean() - on_real.mean() + LAMBDA * (slope.flatten(1).norm(dim=1) - 1).square().mean()
        else:
            loss = F.softplus(-on_real).mean() + F.softplus(on_fake).mean()
        loss.backward()
        of_discriminator.step()

        discriminator.requires_grad_(False)  # the generator's turn needs no gradient of its weights
        of_generator.zero_grad()
        logit = discriminator(fake if reuse else generator(torch.randn(len(real), task.latent_dim)))
        loss = -logit.mean() if task.penalty else F.softplus(-logit).mean()
        loss.backward()
        of_generator.step()
        discriminator.requires_grad_(True)


def ganzoo_fit(task: Task) -> None:
    """`ganzoo fit` with its run folder, logger and callbacks; only the source of the images is replaced."""
    import ganzoo.cli  # late: at once it would set how warnings and Lightning behave for the others, too

    class Source(Samples):
        def __getitems__(self, indices: Any) -> tuple[Tensor, ...]:
            task.asked.append(time.perf_counter())
            return super().__getitems__(indices)

    kind, data = ("MLP", ganzoo.Gaussians) if task.points else ("DCGAN", ganzoo.CIFAR10)
    arguments = [
        *("--model", "WGANGP" if task.penalty else "GAN", f"--model.latent_dim={task.latent_dim}"),
        *("--model.discriminator_steps=1", f"--model.lr={task.adam['lr']}", f"--model.betas={list(task.adam['betas'])}"),
        *(f"--model.generator=ganzoo.{kind}Generator", f"--model.generator.width={task.width}"),
        *(f"--model.discriminator=ganzoo.{kind}Discriminator", f"--model.discriminator.width={task.width}"),
        *(["--model.discriminator.norm=none"] if task.penalty and not task.points else []),
        *(f"--data={data.__name__}", f"--data.batch_size={task.batch}"),
        *(f"--trainer.max_steps={task.rounds}", "--trainer.accelerator=cpu"),
    ]
    with (
        patch.object(data, "prepare_data", lambda self: None),
        patch.object(data, "splits", lambda self: (Source(task.images), None)),
    ):
        ganzoo.cli.run("fit", arguments)


def torchgan(task: Task) -> None:
    """Its WGAN-GP has two losses, and the critic a step on each: that on the penalty goes back through the generator."""
    from torchgan import losses
    from torchgan.models import Discriminator, Generator
    from torchgan.trainer import Trainer

    networks = {
        "generator": adopted(Generator, task.generator, encoding_dims=LATENT),
        "discriminator": adopted(Discriminator, task.discriminator, input_dims=SHAPE[0]),
    }
    optimizer = {"name": Adam, "args": task.adam}
    models = {name: {"name": lambda module=module: module, "optimizer": optimizer} for name, module in networks.items()}
    if task.penalty:
        terms = [losses.WassersteinGeneratorLoss(), losses.WassersteinDiscriminatorLoss(), losses.WassersteinGradientPenalty()]
    else:
        terms = [losses.MinimaxGeneratorLoss(), losses.MinimaxDiscriminatorLoss()]
    trainer = Trainer(models, terms, device=torch.device("cpu"), epochs=1)
    trainer.logger.logger_end_epoch.clear()  # its images of the epoch need an old torchvision's make_grid(range=)
    trainer(task.loader())


def mimicry(task: Task) -> None:
    import torch.utils.tensorboard  # it looks for TensorFlow, so it comes before the pretence

    # Its metrics import TensorFlow, its ImageNet a module of torch 1: training needs neither.
    sys.modules |= {"tensorflow": ModuleType("tensorflow"), "torch._six": SimpleNamespace(PY3=True)}  # type: ignore[operator]
    from torch_mimicry.nets.gan.gan import BaseDiscriminator, BaseGenerator
    from torch_mimicry.nets.wgan_gp.wgan_gp_base import WGANGPBaseDiscriminator, WGANGPBaseGenerator
    from torch_mimicry.training import Trainer

    del sys.modules["tensorflow"], sys.modules["torch._six"]
    bases = (WGANGPBaseGenerator, WGANGPBaseDiscriminator) if task.penalty else (BaseGenerator, BaseDiscriminator)
    loss = "wasserstein" if task.penalty else "gan"  # its "gan" is the non-saturating cost
    generator = adopted(bases[0], task.generator, nz=LATENT, ngf=task.width, bottom_width=4, loss_type=loss)
    discriminator = adopted(bases[1], task.discriminator, after=lambda logit: logit[:, None], ndf=task.width, loss_type=loss)
    optimizers = (Adam(network.parameters(), **task.adam) for network in (discriminator, generator))
    Trainer(discriminator, generator, *optimizers, task.loader(), num_steps=task.rounds, device=torch.device("cpu")).train()


def vegans(task: Task) -> None:
    """One critic step a round is all it can do: its `fit` overwrites the `steps` that it is given."""
    iterator = torch.utils.data.dataloader._BaseDataLoaderIter
    iterator.next = iterator.__next__  # type: ignore[attr-defined] # which torch 1 had
    from vegans.GAN import VanillaGAN, WassersteinGANGP

    kind, last = (WassersteinGANGP, nn.Identity()) if task.penalty else (VanillaGAN, nn.Sigmoid())
    optimizer = {"optim": Adam, "optim_kwargs": {"Generator": task.adam, "Adversary": task.adam}}
    # secure=True would look for the first and the last layer among the networks' attributes.
    gan = kind(task.generator, nn.Sequential(task.discriminator, last), SHAPE, LATENT, **optimizer, folder=None, secure=False)
    gan.fit(task.loader(lambda image: image), epochs=1, batch_size=task.batch)


def voxgan(task: Task) -> None:
    from voxgan.models.base import CustomGAN
    from voxgan.models.loss import WGANGradientPenalty, WGANLoss

    generator = adopted(nn.Module, task.generator, lambda z: z["data"].flatten(1), lambda image: {"data": image})
    generator.nz = LATENT
    last = nn.Identity() if task.penalty else nn.Sigmoid()
    discriminator = adopted(nn.Module, task.discriminator, lambda x: x["data"], lambda logit: {"data": last(logit)})
    loss = WGANLoss() if task.penalty else nn.BCELoss()
    gan = CustomGAN(generator, discriminator, num_gpus=0)
    gan.configure(
        Adam(generator.parameters(), **task.adam),
        Adam(discriminator.parameters(), **task.adam),
        loss_generator=loss,
        loss_discriminator=loss,
        fake_label_discriminator=-1.0 if task.penalty else 0.0,
        penalty_discriminator=WGANGradientPenalty(LAMBDA) if task.penalty else None,
    )
    images = task.loader(lambda image: {"data": image}).dataset  # it makes the same loader of them
    gan.train(images, num_epochs=1, batch_size=task.batch, num_workers=0)


def bolts(task: Task) -> None:
    if task.penalty:
        raise NotImplementedError("it has no WGAN-GP")
    from pl_bolts.models.gans import DCGAN
    from pytorch_lightning import Trainer

    class Ours(DCGAN):
        def _get_generator(self) -> nn.Module:
            return adopted(nn.Module, task.generator, before=lambda z: z.flatten(1))

        def _get_discriminator(self) -> nn.Module:
            return nn.Sequential(task.discriminator, nn.Sigmoid())

    Trainer(accelerator="cpu", max_epochs=1, enable_checkpointing=False).fit(Ours(latent_dim=LATENT), task.loader())


# What is timed: its name on PyPI, and how it trains.
CONTENDERS: dict[str, tuple[str, Callable[[Task], None]]] = {
    "plain loop": ("torch", plain),
    "plain loop, fakes used twice": ("torch", partial(plain, reuse=True)),
    "ganzoo fit": ("ganzoo-lightning", ganzoo_fit),
    "torchgan": ("torchgan", torchgan),
    "torch-mimicry": ("torch-mimicry", mimicry),
    "vegans": ("vegans", vegans),
    "voxgan": ("voxgan", voxgan),
    "lightning-bolts": ("lightning-bolts", bolts),
}


def measure(
    names: Iterable[str], images: Tensor, batch: int, width: int, rounds: int, penalty: bool = False, repeats: int = 1
) -> dict[str, list[float] | str]:
    """Seconds of each round after the warm-up, `rounds` of every repeat, or in one line why a contender did not run."""
    found: dict[str, list[float] | str] = {name: [] for name in names}
    for name in list(found) * repeats:
        package, train = CONTENDERS[name]
        seconds = found[name]
        if isinstance(seconds, str):
            continue
        task = Task(images, batch, width, WARM_UP + rounds + 1, penalty)
        try:
            version(package)
            with TemporaryDirectory() as folder, chdir(folder), quiet():
                train(task)
            seconds += [after - before for before, after in pairwise(task.asked[-rounds - 1 :])]
        except PackageNotFoundError:
            found[name] = f"not installed: pip install --no-deps {package}"
        except Exception as error:  # whatever an old library meets in a new torch
            found[name] = f"{type(error).__name__}: {one_line(error)}"
    return found


@contextmanager
def quiet() -> Iterator[None]:
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        yield
        logging.disable(logging.NOTSET)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, help="64, on the ring 256")
    parser.add_argument("--width", type=int, help="of both networks: 64, on the ring 128")
    parser.add_argument("--rounds", type=int, default=5, help="in each repeat, after the warm-up (5)")
    parser.add_argument("--repeats", type=int, default=6)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--penalty", action="store_true", help="WGAN-GP with one critic step, not the non-saturating GAN")
    parser.add_argument("--ring", action="store_true", help="points on a ring, not images of 32 x 32")
    given = parser.parse_args()
    given.batch = given.batch or (256 if given.ring else 64)
    given.width = given.width or (128 if given.ring else 64)
    torch.set_num_threads(given.threads)
    names = list(CONTENDERS)[:3] if given.ring else list(CONTENDERS)
    images = torch.randint(0, 256, (2048, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    if given.ring:
        images = ganzoo.Gaussians().real_samples(100_000)
    found = measure(names, images, given.batch, given.width, given.rounds, given.penalty, given.repeats)
    name = f"{platform.processor() or platform.machine()} CPU, {given.threads} threads, torch {torch.__version__}"
    print(f"{name}, {'WGAN-GP' if given.penalty else 'GAN'}, {vars(given)}")
    print(f"{'':30}version  ms/round         quartiles  images/s  of ganzoo fit's time")

    def paces(seconds: list[float]) -> list[float]:
        return [median(seconds[i : i + given.rounds]) for i in range(0, len(seconds), given.rounds)]

    for name, seconds in found.items():
        if isinstance(seconds, str):
            print(f"{name:30}{seconds}")
            continue
        low, middle, high = quantiles(seconds, n=4)
        share = median(one / ours for one, ours in zip(paces(seconds), paces(found["ganzoo fit"]), strict=True))
        print(
            f"{name:30}{version(CONTENDERS[name][0]):8} {1000 * middle:8.1f} {1000 * low:8.1f}"
            f"{1000 * high:10.1f} {given.batch / middle:9.1f} {share:8.2f}"
        )


if __name__ == "__main__":
    main()
