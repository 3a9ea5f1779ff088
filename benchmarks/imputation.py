"""How well are gaps filled? GAIN beside the mean, nearest neighbours and iterative imputation, on the same cells.

    python benchmarks/imputation.py --seeds 0 1 2 --out imputation.csv

A seed hides a share of a table's cells, completely at random, and trains GAIN on what is left: `gain_breast_cancer.yaml`, and
for the table of numbers and categories `gain_table.yaml`. Every method fills the same gaps; the others are scikit-learn's, and
see categories one-hot, as GAIN does. RMSE is of hidden numbers, each column scaled so that all of it, hidden cells too, fills
[0, 1] (as the authors' code has it); PFC is the share of hidden categories that come back as another one.
"""

import argparse
import csv
import logging
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import lightning as L
import numpy as np
import torch
import yaml
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from torch import Tensor

import ganzoo
from ganzoo.data.cells import Cells
from ganzoo.imputation import GIVEN, HIDDEN, Row
from ganzoo.listing import CONFIGS


def mixed(rows: int = 1000, **how: Any) -> ganzoo.Incomplete:
    """Four columns of numbers and three of categories that hang together by two hidden numbers."""
    rng = np.random.default_rng(0)
    a, b, *noise = rng.standard_normal((8, rows))
    numbers = {
        "height": 170 + 8 * a + noise[0],
        "weight": 70 + 10 * a + 3 * b + 2 * noise[1],
        "age": (45 + 15 * b + 2 * noise[2]).round(),
        "income": np.exp(10 + 0.3 * b + 0.1 * noise[3]).round(2),
    }
    categories = {
        "sex": np.where(a + 0.3 * noise[4] > 0, "male", "female"),
        "work": np.select([b < -0.6, b < 0.8], ["school", "job"], "pension"),
        "sport": np.select([a + b < -1, a - b > 0.5], ["none", "rowing"], "walking"),
    }
    cells = {name: [f"{value:.2f}" for value in values] for name, values in numbers.items()}
    return ganzoo.Incomplete(Cells(cells | {name: list(map(str, of)) for name, of in categories.items()}), "the table", **how)


DATA: dict[str, tuple[Callable[..., ganzoo.Incomplete], str]] = {
    "breast_cancer": (ganzoo.BreastCancer, "gain_breast_cancer.yaml"),
    "mixed": (mixed, "gain_table.yaml"),
}


def network(class_path: str, init_args: dict[str, Any]) -> Callable[..., torch.nn.Module]:
    return partial(getattr(ganzoo, class_path), **init_args)


def gain(data: ganzoo.Incomplete, config: dict[str, Any], steps: int | None, seed: int) -> Tensor:
    """The rows as GAIN fills them, once it has learned of them: [M, width]."""
    L.seed_everything(seed, verbose=False)
    networks = {player: network(**said) for player, said in config["model"]["init_args"].items()}
    game = ganzoo.GAIN(shape=data.shape, widths=data.widths, compile=False, **networks)
    trainer = L.Trainer(
        max_steps=steps or config["trainer"]["max_steps"],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        limit_val_batches=0,
    )
    trainer.fit(game, data)
    return game.impute(torch.from_numpy(data.rows), torch.from_numpy(data.mask))


def methods(data: ganzoo.Incomplete, config: dict[str, Any], steps: int | None, seed: int) -> Iterator[tuple[str, Tensor]]:
    """Every method's name and the rows as it fills them."""
    yield "GAIN", gain(data, config, steps, seed)
    given = np.repeat(data.mask == GIVEN, data.widths, axis=1)
    gappy = np.where(given, data.rows, np.nan)
    imputers = {
        "mean": SimpleImputer(),
        "kNN (5)": KNNImputer(n_neighbors=5),
        "iterative": IterativeImputer(random_state=seed),
    }
    for name, imputer in imputers.items():
        yield name, torch.from_numpy(imputer.fit_transform(gappy).astype(np.float32))


def measured(name: str, seed: int, missing: float, steps: int | None) -> Iterator[dict[str, Any]]:
    make, config = DATA[name]
    said = yaml.safe_load((CONFIGS / config).read_text())
    data = make(missing=missing, missing_seed=seed, held_out=0.0, batch_size=said["data"]["init_args"]["batch_size"])
    real, hidden = torch.from_numpy(data.rows), torch.from_numpy(data.mask == HIDDEN)
    whole = real.amax(0) - real.amin(0)  # of each column, hidden cells too
    started = time.perf_counter()
    for method, made in methods(data, said, steps, seed):
        errors = Row(data.widths).errors(made / whole, real / whole, hidden)
        seconds = time.perf_counter() - started
        yield {"data": name, "method": method, "seed": seed, **{key: float(value) for key, value in errors.items()}} | {
            "seconds": round(seconds, 1)
        }
        started = time.perf_counter()


def table(rows: list[dict[str, Any]]) -> str:
    lines = ["| data | method | RMSE | PFC | seeds |", "|---|---|---|---|---|"]
    for data, method in dict.fromkeys((row["data"], row["method"]) for row in rows):
        of = [row for row in rows if (row["data"], row["method"]) == (data, method)]
        cells = [spread([row[key] for row in of if key in row]) for key in ("rmse", "pfc")]
        lines.append(f"| {data} | {method} | {' | '.join(cells)} | {len(of)} |")
    return "\n".join(lines)


def spread(values: list[float]) -> str:
    if not values:
        return ""
    return f"{mean(values):.4f}" + (f" ± {stdev(values):.4f}" if len(values) > 1 else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--missing", type=float, default=0.2)
    parser.add_argument("--steps", type=int, help="rounds of GAIN; the config's if not given")
    parser.add_argument("--out", type=Path, default=Path("imputation.csv"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    rows: list[dict[str, Any]] = []
    for name in given.data:
        for seed in given.seeds:
            for row in measured(name, seed, given.missing, given.steps):
                rows.append(row)
                print(row, flush=True)
                with given.out.open("w", newline="") as file:
                    writer = csv.DictWriter(file, ["data", "method", "seed", "rmse", "pfc", "seconds"])
                    writer.writeheader()
                    writer.writerows(rows)
    print(table(rows))


if __name__ == "__main__":
    main()
