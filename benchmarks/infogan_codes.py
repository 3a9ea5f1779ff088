"""Does InfoGAN's categorical code, learned without a label, tell MNIST's digits apart? And what do its continuous codes do?

    python benchmarks/infogan_codes.py --data.root data runs/infogan_mnist/version_0/checkpoints/last.ckpt ...

Q reads the category of each image. Which category stands for which digit is decided on the training images (the assignment
that gets most of them right); the accuracy is that on the test images. With --pictures FOLDER, each continuous code of the
first checkpoint is drawn, from -2 in the top row to 2 in the bottom one (training saw -1 to 1); the columns are the
categories, in the order of their digits.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

import ganzoo
from ganzoo.data.base import normalised
from ganzoo.data.stream import Samples
from ganzoo.game import draw_from
from ganzoo.pictures import picture


def categories(game: ganzoo.InfoGAN, samples: Samples) -> Tensor:
    """Q's reading of the first code, int64 [N]."""
    return game.codes_of(normalised(torch.from_numpy(samples.data)))[0][:, 0]


def counts(category: Tensor, digit: Tensor, kinds: int) -> Tensor:
    """How many images of each category are of each digit: int64 [kinds, 10]."""
    return torch.bincount(category * 10 + digit, minlength=kinds * 10).view(kinds, 10)


def assignment(table: Tensor) -> Tensor:
    """The digit of each category, int64 [kinds]: one to one, so that the most images are right; -1 for categories left over."""
    rows, columns = linear_sum_assignment(table.numpy(), maximize=True)
    digit = torch.full((len(table),), -1)
    digit[torch.from_numpy(rows)] = torch.from_numpy(columns)
    return digit


def sweep(game: ganzoo.InfoGAN, code: int, order: Tensor, seed: int, rows: int = 9) -> Tensor:
    """Samples of the same noise, [rows * categories, *shape]: the continuous code from -2 to 2, the others 0."""
    samples = []
    for value in torch.linspace(-2, 2, rows):
        continuous = torch.zeros(len(order), game.continuous)
        continuous[:, code] = value
        for chosen in zip(order[:, None], continuous[:, None], strict=True):
            draw_from(game.device, seed)
            samples.append(game.sample(1, *chosen))
    return torch.cat(samples)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+", type=Path)
    parser.add_argument("--data.root", dest="root", default="data", help="folder of MNIST/raw")
    parser.add_argument("--seed", type=int, default=0, help="of the pictures' noise")
    parser.add_argument("--pictures", type=Path, help="folder for infogan_code_1.png, ...; none if left out")
    given = parser.parse_args()

    for checkpoint in given.checkpoints:
        game = ganzoo.load(checkpoint)
        if not isinstance(game, ganzoo.InfoGAN):
            raise SystemExit(f"{checkpoint} holds a {type(game).__name__}, not an InfoGAN")
        data = ganzoo.MNIST(root=given.root, size=game.shape[-1])
        data.prepare_data()
        train, test = data.splits()
        digit = assignment(counts(categories(game, train), train.labels, game.kinds))
        table = counts(categories(game, test), test.labels, game.kinds)
        right = np.array([table[kind, of].item() if of >= 0 else 0 for kind, of in enumerate(digit.tolist())])
        print(f"{right.sum() / len(test.labels):7.2%}  digits of the categories {digit.tolist()}  {checkpoint}")
        print(
            "         right in each category:", " ".join(f"{share:.0%}" for share in right / table.sum(1).clamp(min=1).numpy())
        )
        if given.pictures and checkpoint == given.checkpoints[0]:
            given.pictures.mkdir(parents=True, exist_ok=True)
            for code in range(game.continuous):
                path = given.pictures / f"infogan_code_{code + 1}.png"
                picture(sweep(game, code, digit.argsort(), given.seed), columns=game.kinds).save(path)
                print(path)


if __name__ == "__main__":
    main()
