"""The command `ganzoo sample`."""

import argparse
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from rich.console import Console
from torch import Tensor

from ganzoo.data.cache import replacing
from ganzoo.duel import truncated
from ganzoo.game import Game, draw_from
from ganzoo.grids import asked_for, mixing, truncations
from ganzoo.loading import load
from ganzoo.pictures import picture, save_each
from ganzoo.progress import progress
from ganzoo.starts import beginning, start_of
from ganzoo.tables import Units, lines, natural, write
from ganzoo.walks import Walk, film

SAMPLE = """Pictures from a checkpoint, or a table.

  ganzoo sample --checkpoint last.ckpt --n 100                      a grid (a folder as --out: single PNGs)
  ganzoo sample --checkpoint last.ckpt --truncation 0.3 0.6 1       a row for each value, of the same noise
  ganzoo sample --checkpoint last.ckpt --interpolate --out walk.gif a walk from sample to sample, and back
  ganzoo sample --checkpoint last.ckpt --mix coarse                 styles of each column in each row (StyleGAN)
  ganzoo sample --checkpoint last.ckpt --n 1000 --out series.csv    a table: of series, strings and rows of tables
  ganzoo sample --checkpoint last.ckpt --n 1000 --out strings.txt   lines of text
  ganzoo sample --checkpoint last.ckpt --n 1000 --start past.csv --out series.csv    series that begin nearly so"""
FILMS = (".gif", ".webp")


def sample_command(arguments: list[str]) -> None:
    """`ganzoo sample`: from a checkpoint to one PNG, a folder of PNGs, or an animation."""
    given = sample_parser().parse_args(arguments)
    refuse_misfits(given)
    game = load(given.checkpoint)
    several = len(given.truncation) > 1
    out = given.out or Path("samples.png" if given.interpolate is None else "walk.gif")
    with truncated(game, None if several or not given.truncation else given.truncation[0]):
        if given.interpolate is not None:
            told = walk(game, given, out)
        elif given.mix:
            n = given.n or 8
            save(mixing(game, given.mix, n=n, seed=given.seed, label=given.label), out, n + 1)
            told = f"{n} sources, their {given.mix} styles mixed"
        elif several:
            n = given.n or 8
            save(truncations(game, given.truncation, n=n, seed=given.seed, label=given.label), out, n)
            told = f"{n} samples, each truncated {len(given.truncation)} times"
        else:
            told = samples(game, given, out)
    print(f"{told}: {out}", file=sys.stderr)


def sample_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "ganzoo sample", description=SAMPLE, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", type=Path, required=True, help="a .ckpt file of a run, or exported weights")
    parser.add_argument(
        "--out",
        type=Path,
        help="a .png for one grid (samples.png), a folder for single PNGs, or a .csv for series, strings and rows in the data's"
        " own units, or a .txt for strings; of --interpolate a .gif or .webp (walk.gif)",
    )
    parser.add_argument("--n", type=int, help="how many (64); columns, sources, or samples that a walk passes (8)")
    parser.add_argument("--seed", type=int, default=0, help="of the noise (0)")
    parser.add_argument(
        "--class",
        dest="label",
        type=int,
        help="only this class of a class-conditional variant, or this category of InfoGAN's first code",
    )
    parser.add_argument(
        "--start",
        type=Path,
        help="a .csv or Parquet table with the first steps of a time series, in columns and units as --out has them: of many "
        "samples those are kept that begin most like it",
    )
    parser.add_argument("--draws", type=int, help="of --start: samples drawn for each that is kept (100)")
    parser.add_argument(
        "--truncation",
        type=float,
        nargs="+",
        default=[],
        help="the largest value of the Gaussian noise, such as 0.5, or the share of its distance from the mean that w keeps "
        "(StyleGAN): better samples, less varied; several values: a row for each",
    )
    parser.add_argument(
        "--interpolate",
        nargs="?",
        const="",
        metavar="z|w",
        help="an animation from sample to sample, through the noise z, or through w (the default where there is one: StyleGAN)",
    )
    parser.add_argument("--frames", type=int, help="of --interpolate: from one sample to the next (30)")
    parser.add_argument("--walks", type=int, help="of --interpolate: so many side by side (1)")
    parser.add_argument(
        "--mix", metavar="STYLES", help="coarse, middle or fine styles (layers 0-3, 4-7, 8 on), or layers such as 0-5"
    )
    return parser


def refuse_misfits(given: argparse.Namespace) -> None:
    """Raise ValueError for arguments that do not go together, before anything is loaded."""
    walking, several = given.interpolate is not None, len(given.truncation) > 1
    if walking + bool(given.mix) + several > 1:
        raise ValueError("choose one of --interpolate, --mix and several values of --truncation")
    if walking and given.interpolate not in ("", "z", "w"):
        raise ValueError(f"--interpolate goes through z or w, not {given.interpolate}")
    suffix = None if given.out is None else given.out.suffix
    if walking and suffix not in (None, *FILMS):
        raise ValueError(f"--out {given.out} is no {' or '.join(FILMS)}, which --interpolate writes")
    if (given.mix or several) and suffix not in (None, ".png"):
        raise ValueError(f"--out {given.out} is no .png, for one grid")
    if not walking and suffix not in (None, "", ".png", ".csv", ".txt"):
        raise ValueError(
            f"--out {given.out} is neither a .png, for one grid, nor a folder, for single PNGs, nor a .csv or .txt, of a table"
        )
    if not walking and (given.frames is not None or given.walks is not None):
        raise ValueError("--frames and --walks are of --interpolate: give it too")
    if given.start is not None and (walking or given.mix or several):
        raise ValueError("--start goes with none of --interpolate, --mix and several values of --truncation")
    if given.start is None and given.draws is not None:
        raise ValueError("--draws is of --start: give it too")
    if (given.n is not None and given.n < 1) or given.seed < 0:
        raise ValueError("--n must be at least 1 and --seed at least 0")


def samples(game: Game, given: argparse.Namespace, out: Path) -> str:
    draw_from(game.device, given.seed)
    n = 64 if given.n is None else given.n
    told = f"{n} samples"
    if given.start is None:
        images = asked_for(game, n, given.label)
    else:
        draws = 100 if given.draws is None else given.draws
        images, away = beginning(game, start_of(given.start, game), n, draws=draws, label=given.label)
        near, far = (50 * float(distance) for distance in (away[0], away[-1]))  # of ranges, which are 2 wide
        told += f" of {draws * n:,}, whose starts are {near:.1f} to {far:.1f} % of the columns' ranges from {given.start}"
    if out.suffix == ".txt":
        lines(images, game.units, out)
    elif out.suffix == ".csv":
        write(images, game.units, out)
    elif out.suffix == ".png":
        save(images, out, units=game.units)
    else:
        save_each(images, out)
    return told


def save(images: Tensor, out: Path, columns: int | None = None, units: Units | None = None) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as file:
        picture(natural(images, units), columns=columns, units=units).save(file, "png")


def walk(game: Game, given: argparse.Namespace, out: Path) -> str:
    frames, walks = (30 if given.frames is None else given.frames), (1 if given.walks is None else given.walks)
    space = given.interpolate or None
    way = Walk(game, keys=given.n or 8, frames=frames, walks=walks, space=space, label=given.label, seed=given.seed)
    track = partial(bar, f"{len(way):,} frames")
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as file:
        film(way, file, kind=out.suffix.removeprefix("."), track=track)
    return f"{len(way):,} frames through {way.space.name}"


def bar(what: str, numbers: range) -> Iterable[int]:
    return progress(Console(stderr=True), what, numbers)
