"""What do images without labels add? Test errors on MNIST of classifiers that know the labels of a few images only.

    python benchmarks/semi_supervised.py --data.root data runs/semi_supervised_gan_mnist/version_0/checkpoints/last.ckpt ...

Prints the share of the 10,000 test images that each checkpoint's classifier gets wrong, and first, for each `--label_seeds`,
that of a baseline: the config's classifier, with its noise and its optimizer, trained on the labelled images alone, all of
them in each round. A minute or two a baseline on one CPU core.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from rich.progress import track
from torch import Tensor

import ganzoo
from ganzoo.data.base import normalised
from ganzoo.data.labelled import PartlyLabelledSamples
from ganzoo.data.stream import Samples
from ganzoo.game import draw_from

WIDTHS = (500, 250, 250)  # as in semi_supervised_gan_mnist.yaml


def known(samples: Samples) -> tuple[Tensor, Tensor]:
    """The images whose labels are used, [labelled, C, H, W], and these."""
    assert isinstance(samples, PartlyLabelledSamples)
    _, images, labels = samples.__getitems__(np.unique(samples.beside, return_index=True)[1])
    return normalised(images), labels


def baseline(images: Tensor, labels: Tensor, classes: int, rounds: int, seed: int) -> ganzoo.SemiSupervisedGAN:
    """A game whose discriminator has learnt from these alone, its rate falling to zero over the second half."""
    draw_from(torch.device("cpu"), seed)
    shape, kind = tuple(images.shape[1:]), partial(ganzoo.NoisyMLPDiscriminator, widths=WIDTHS)
    game = ganzoo.SemiSupervisedGAN(
        shape=shape, classes=classes, discriminator=kind, discriminator_lr=1e-3, decay=(rounds // 2, rounds)
    )
    optimizer = game.optimizer("discriminator", list(game.discriminator.parameters()))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, game.rate)
    for _ in track(range(rounds), f"learning from {len(images)} images", transient=True):
        loss = F.cross_entropy(game.discriminator(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return game.eval()


def error(classify: Callable[[Tensor], Tensor], samples: Samples) -> float:
    """The share of labelled images (held-out ones, say) that are taken for another class."""
    _, labelled, label = samples.__getitems__(range(len(samples)))
    return (classify(normalised(labelled)).argmax(1) != label).float().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="*", type=Path)
    parser.add_argument("--data.root", dest="root", default="data", help="folder of MNIST/raw")
    parser.add_argument("--labelled", type=int, default=100, help="images whose labels the baseline uses")
    parser.add_argument("--label_seeds", type=int, nargs="*", default=[0], help="draws of these, a baseline for each")
    parser.add_argument("--rounds", type=int, default=3000, help="to train the baseline for")
    parser.add_argument("--seed", type=int, default=0, help="of the baseline's weights and noise")
    given = parser.parse_args()

    print("error   of")
    for label_seed in given.label_seeds:
        data = ganzoo.MNIST(root=given.root, size=28, labelled=given.labelled, label_seed=label_seed)
        data.prepare_data()
        data.setup()
        game = baseline(*known(data.train), data.classes, given.rounds, given.seed)
        print(f"{error(game.classify, data.held_out):6.2%}  {given.labelled} labelled images alone, label_seed {label_seed}")
    data = ganzoo.MNIST(root=given.root, size=28, labelled=given.labelled)
    data.prepare_data()
    data.setup()
    for checkpoint in given.checkpoints:
        game = ganzoo.load(checkpoint)
        print(f"{error(game.classify, data.held_out):6.2%}  {checkpoint}")


if __name__ == "__main__":
    main()
