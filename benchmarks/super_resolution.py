"""How well do checkpoints enlarge the papers' test sets? PSNR and SSIM of luma, and perceptual distances, next to bicubic.

    python benchmarks/super_resolution.py SETS [CHECKPOINT ...] --sets Set5 Set14 --scale 4 --out table.md

SETS holds a folder for each set, in it HR and, if they are ready-made, LRx4; else small images are made by MATLAB's bicubic. It
trains nothing. As the papers do, images are rounded to 8 bits, and a border as wide as the scale is left out. Set14's grey
image counts as a colour one. Every number is the mean over a set's images.

`detail` is the energy of the image's Laplacian over that of the true image's: below 1 it is blurred. `effnet` is the mean
squared distance of EfficientNet-Lite0's maps (`ganzoo.metrics.content`), and says little of a game that learned by it;
`lpips` (arXiv:1801.03924, VGG16) is there where its weights are, see `--lpips`. Lower is better in both.

--picture draws the middle of each set's first images: enlarged by each method, in the table's order, then the true one.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from rich.progress import track
from torch import Tensor

import ganzoo
from ganzoo.data.base import normalised
from ganzoo.data.bicubic import enlarged
from ganzoo.data.super_resolution import SuperResolution
from ganzoo.metrics.content import EffNetLite0Maps
from ganzoo.metrics.features import extractor
from ganzoo.metrics.fidelity import cropped, luma, psnr, ssim
from ganzoo.pictures import picture, to_bytes

SHOWN, SIDE = 3, 128  # images of each set in the picture, and pixels a side of what is shown of one
LAPLACIAN = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype=torch.float64)
Method = Callable[[Tensor], Tensor]  # small images [1, C, h, w] in [-1, 1] -> large ones


def pairs(folder: Path, scale: int, cache: str | None = None) -> Iterator[tuple[Tensor, Tensor]]:
    """(source, target) of each image of a set, in [-1, 1]."""
    ready = folder / f"LRx{scale}"
    low = str(ready) if ready.is_dir() else None
    high = str(folder / "HR")
    data = SuperResolution(root=high, scale=scale, crop=scale, val_root=high, val_low=low, cache=cache)
    data.prepare_data()
    data.setup()
    for index in range(len(data.held_out or [])):
        assert data.held_out is not None
        yield tuple(normalised(part) for part in data.held_out.__getitems__([index]))  # type: ignore[misc]


def measured(made: Tensor, target: Tensor, scale: int, perceptual: dict[str, Method]) -> list[float]:
    """PSNR [dB], SSIM, detail, and each perceptual distance, of one image."""
    found = [psnr(made, target, scale).item(), ssim(made, target, scale).item(), energy(made, scale) / energy(target, scale)]
    with torch.no_grad():
        return found + [float((maps(made) - maps(target)).square().mean()) for maps in perceptual.values()]


def energy(image: Tensor, border: int) -> float:
    """Mean square of the Laplacian of luma."""
    return float(F.conv2d(cropped(luma(image), border).double(), LAPLACIAN[None, None]).square().mean())


def middle(image: Tensor) -> Tensor:
    """[1, C, H, W] -> [1, 3, SIDE, SIDE] at most."""
    top, left = (max(0, side - SIDE) // 2 for side in image.shape[-2:])
    return image[..., top : top + SIDE, left : left + SIDE].expand(-1, 3, -1, -1)


def lpips(weights: Path | None) -> Method:
    """Features whose mean squared difference is LPIPS. Raises ValueError if its weights cannot be had."""
    network = extractor("lpips", weights)

    def features(images: Tensor) -> Tensor:
        found = network(to_bytes(images))[0]
        return found * found.shape[1] ** 0.5  # its squared distance is a sum

    return features


def row(name: str, numbers: np.ndarray) -> str:
    """Of one method: [sets, 3 + perceptual]."""
    cells = [f"{x:.2f} | {s:.4f} | {d:.2f}" + "".join(f" | {p:.4f}" for p in rest) for x, s, d, *rest in numbers]
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="SETS")
    parser.add_argument("checkpoints", type=Path, nargs="*", metavar="CHECKPOINT")
    parser.add_argument("--sets", nargs="+", default=["Set5", "Set14"])
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--lpips", type=Path, help="torchvision's vgg16-397923af.pth, if torch.hub does not have it")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, help="the table goes there too")
    parser.add_argument("--picture", type=Path, help="a PNG")
    parser.add_argument("--cache", help="for decoded images")
    given = parser.parse_args()
    perceptual: dict[str, Method] = {"effnet": EffNetLite0Maps()}
    try:
        perceptual["lpips"] = lpips(given.lpips)
    except ValueError as error:
        print(f"no LPIPS: {error}")
    methods: dict[str, Method] = {"bicubic": lambda source: enlarged(source, given.scale)}
    for path in given.checkpoints:
        methods[method_name(path)] = method_of(path, given.scale, given.device)
    numbers: dict[str, list[list[float]]] = {name: [] for name in methods}
    tiles: list[Tensor] = []
    for each in given.sets:
        rows: dict[str, list[list[float]]] = {name: [] for name in methods}
        of = list(pairs(given.folder / each, given.scale, given.cache))
        for index, (source, target) in enumerate(track(of, each, transient=True)):
            made = {name: to_bytes(method(source)).float() / 127.5 - 1 for name, method in methods.items()}
            for name, image in made.items():
                rows[name].append(measured(image, target, given.scale, perceptual))
            if index < SHOWN:
                tiles += [middle(image) for image in (*made.values(), target)]
        for name in methods:
            numbers[name].append(np.mean(rows[name], axis=0).tolist())
    columns = [f"{each} {what}" for each in given.sets for what in ("PSNR", "SSIM", "detail", *perceptual)]
    lines = [f"| x{given.scale} | {' | '.join(columns)} |", "|---" * (1 + len(columns)) + "|"]
    table = "\n".join([*lines, *(row(name, np.array(found)) for name, found in numbers.items())])
    print(table)
    if given.out:
        given.out.write_text(table + "\n")
    if given.picture:
        picture(torch.cat(tiles), columns=len(methods) + 1).save(given.picture)


def method_name(path: Path) -> str:
    """A checkpoint's, by its run where it lies in one: runs/NAME/version_0/checkpoints/last.ckpt."""
    return "/".join(path.resolve().parts[-4:-2]) if path.parent.name == "checkpoints" else path.stem


def method_of(path: Path, scale: int, device: str) -> Method:
    """Raises ValueError for a game that does not enlarge, or by another scale."""
    game = ganzoo.load(path)
    if not isinstance(game, ganzoo.Upscaler) or game.scale != scale:
        raise ValueError(f"{path} does not enlarge {scale} times: give --scale its own")
    game.to(device)
    return lambda source: game.translate(source.to(device)).cpu()


if __name__ == "__main__":
    main()
