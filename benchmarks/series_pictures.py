"""Pictures and numbers of what a run of time series has learned, for the docs.

  python benchmarks/series_pictures.py runs/timegan_macro/version_0 --out benchmarks/pictures/timegan_macro.png

Draws real and generated paths, correlations, quantiles, autocorrelations, PCA and t-SNE (scikit-learn's), in the data's own
units, and prints each column's range, real and generated, and how far correlations are apart.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.manifold import TSNE
from torch import Tensor

import ganzoo
from ganzoo.benchmark.suite import built
from ganzoo.data.base import DataModule
from ganzoo.game import draw_from
from ganzoo.metrics import series
from ganzoo.pictures import drawn
from ganzoo.pictures_of_series import overlay, panels
from ganzoo.scoring import data_of
from ganzoo.tables import natural

EMBEDDED = 500  # series of each kind that t-SNE places


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the folder of a run")
    parser.add_argument("--out", type=Path, default=Path("series.png"))
    parser.add_argument("--n", type=int, default=5000, help="generated series")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    game = ganzoo.load(given.run / "checkpoints" / "last.ckpt")
    _, data = built({"model": {"class_path": "GAN"}, "data": data_of(given.run / "config.yaml")}, "cpu")
    draw_from(game.device, given.seed)
    fake, real = (natural(x, game.units) for x in (game.sample(given.n), real_series(data)))
    assert game.units is not None
    given.out.parent.mkdir(parents=True, exist_ok=True)
    drawn(panels(fake, real, game.units["columns"])).save(given.out)
    drawn(embedded(fake, real)).save(given.out.with_stem(given.out.stem + "_tsne"))
    print(table(fake, real, game.units["columns"]))


def real_series(data: DataModule) -> Tensor:
    data.prepare_data()
    data.setup()
    return data.real_samples(len(data.train))


def embedded(fake: Tensor, real: Tensor) -> Figure:
    """t-SNE of whole series, both together."""
    rng = torch.Generator().manual_seed(0)
    rows = [of[torch.randperm(len(of), generator=rng)[:EMBEDDED]].flatten(1) for of in (fake, real)]
    both = torch.cat(rows).numpy()
    both = (both - both.mean(0)) / np.maximum(both.std(0), 1e-12)
    placed = TSNE(perplexity=min(30.0, (len(both) - 1) / 3), random_state=0).fit_transform(both)
    figure = Figure(figsize=(4, 4), dpi=110, layout="constrained")
    overlay(figure.subplots(), placed[: len(rows[0])], placed[len(rows[0]) :], "t-SNE of whole series")
    return figure


def table(fake: Tensor, real: Tensor, columns: list[str]) -> str:
    """Ranges and facts in Markdown, and the distance of correlations."""
    lines = ["| column | real range | generated range | real mean | generated mean |", "|---|---|---|---|---|"]
    for i, name in enumerate(columns):
        ends = [f"{of[:, :, i].min():.3g} to {of[:, :, i].max():.3g} | " for of in (real, fake)]
        means = [f"{of[:, :, i].mean():.3g}" for of in (real, fake)]
        lines.append(f"| {name} | {ends[0]}{ends[1]}{means[0]} | {means[1]} |")
    lines.append(f"\ncross-correlation error {series.cross_correlation_error(fake, real):.3f}")
    for name, of in (("real", real), ("generated", fake)):
        lines.append(f"{name}: " + ", ".join(f"{fact} {value:.3f}" for fact, value in series.stylised_facts(of).items()))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
