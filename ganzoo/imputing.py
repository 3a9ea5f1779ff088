"""The command `ganzoo impute`: gaps in a table filled by a game that has learned of it."""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from ganzoo.data.cells import Cells, read_cells, refuse_absent
from ganzoo.data.columns import Column, decoded, encoded, is_missing
from ganzoo.devices import device_called
from ganzoo.game import Game, draw_from
from ganzoo.imputation import Imputer
from ganzoo.loading import load

IMPUTE = """Missing cells of a table filled by a game that was trained on rows like these (GAIN).

  ganzoo impute --checkpoint last.ckpt table.csv whole.csv
  ganzoo impute --checkpoint last.ckpt table.csv whole.csv --draws 5     several imputations: whole-1.csv to whole-5.csv

A cell is missing if it is empty or one of NA, N/A, NaN, null, None and ?. Given cells stay as they are written, and so do all
columns that the game does not know; filled ones are in the table's own units. Tables are CSV with a header, or Parquet. Draws
differ by the noise in gaps alone, which in GAIN is small: they say little of how sure an imputation is."""
ENDINGS = (".csv", ".tsv", ".txt", ".parquet", ".pq")


def impute_command(arguments: list[str]) -> None:
    given = parser().parse_args(arguments)
    source, out = given.source.expanduser(), given.out.expanduser()
    refuse_misfits(given, source, out)
    game = load(given.checkpoint)
    if not isinstance(game, Imputer):
        raise ValueError(f"{type(game).__name__} fills no gaps: ganzoo impute takes a checkpoint of GAIN")
    assert isinstance(game, Game)
    if game.units is None:
        raise ValueError(f"{given.checkpoint} does not say what its columns are: train with --data Table")
    columns = [Column.read(column) for column in game.units["columns"]]
    game.to(device_called(given.device))
    cells = read_cells(source)
    for draw in range(given.draws):
        draw_from(game.device, given.seed, draw)
        filled, count = imputed(game, columns, cells, source)
        filled.write(named(out, draw, given.draws))
    several = f" {given.draws} times" if given.draws > 1 else ""
    names = out if given.draws == 1 else f"{named(out, 0, given.draws)} to {named(out, given.draws - 1, given.draws)}"
    print(f"{count:,} of {len(columns) * len(cells):,} cells filled{several}: {names}", file=sys.stderr)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        "ganzoo impute", description=IMPUTE, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--checkpoint", type=Path, required=True, help="a .ckpt file of a run, or exported weights")
    made.add_argument("source", metavar="IN", type=Path, help="a table with gaps")
    made.add_argument("out", metavar="OUT", type=Path, help="the same table without them")
    made.add_argument("--draws", type=int, default=1, help="so many imputations, each of other noise, in OUT-1, OUT-2, ... (1)")
    made.add_argument("--device", default="auto", help="cpu, cuda, cuda:1; auto takes a GPU if there is one")
    made.add_argument("--seed", type=int, default=0, help="of the noise (0)")
    return made


def refuse_misfits(given: argparse.Namespace, source: Path, out: Path) -> None:
    """Raise ValueError for arguments that cannot be, before anything is loaded."""
    if given.draws < 1 or given.seed < 0:
        raise ValueError("--draws must be at least 1 and --seed at least 0")
    for path in (source, out):
        if path.suffix.lower() not in ENDINGS:
            raise ValueError(f"{path} is neither .csv nor .parquet")
    for path in {named(out, draw, given.draws) for draw in range(given.draws)}:
        if path.exists() and source.exists() and path.samefile(source):
            raise ValueError(f"{path} would be written over what it is made of: choose another OUT")


def named(out: Path, draw: int, draws: int) -> Path:
    return out if draws == 1 else out.with_stem(f"{out.stem}-{draw + 1}")


def imputed(game: Imputer, columns: list[Column], cells: Cells, where: Path) -> tuple[Cells, int]:
    """The table with the gaps of these columns filled, and how many they were.

    Raises:
        ValueError: a column is not there, or has text among numbers or a category that is unknown; there are no gaps.
    """
    refuse_absent([column.name for column in columns], cells, where)
    gaps = {column.name: [is_missing(cell) for cell in cells.columns[column.name]] for column in columns}
    count = sum(map(sum, gaps.values()))
    if not count:
        raise ValueError(
            f"no cell of {where} is missing in the {len(columns)} columns that the game knows: there is nothing to fill"
        )
    # What is given beyond the range of the training rows is shown to the networks as the range's end.
    rows = torch.from_numpy(np.clip(np.nan_to_num(encoded(columns, cells.columns)), 0, 1))
    mask = 1 - torch.tensor(list(gaps.values())).float().T
    made = decoded(columns, game.impute(rows.to(game.device), mask.to(game.device)).cpu().numpy())
    filled = {
        name: [new if gap else old for gap, old, new in zip(gaps[name], cells.columns[name], texts, strict=True)]
        for name, texts in made.items()
    }
    return cells.but(filled), count
