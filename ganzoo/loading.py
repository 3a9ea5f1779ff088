"""From a checkpoint back to a game."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import jsonargparse
import torch

import ganzoo
from ganzoo.game import Game


def load(path: str | Path) -> Game:
    """The game saved in a checkpoint, of whichever variant, on the CPU and in evaluation mode.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no checkpoint of a ganzoo run, or its variant has not been imported.
    """
    return game_of(read(path))


def read(path: str | Path) -> dict[str, Any]:
    """A checkpoint's content; raises as `load` does."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"no checkpoint at {Path(path).absolute()}")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, UnpicklingError, EOFError, ValueError, KeyError) as error:
        raise ValueError(f"{path} is not a checkpoint, or is damaged ({type(error).__name__})") from error
    saved = checkpoint.get("hyper_parameters") if isinstance(checkpoint, dict) else None
    if not saved or "_class_path" not in saved:
        raise ValueError(f"{path} was not written by ganzoo")
    return checkpoint


def game_of(checkpoint: dict[str, Any]) -> Game:
    game = cook(checkpoint["hyper_parameters"])
    game.on_load_checkpoint(checkpoint)
    game.load_state_dict(checkpoint["state_dict"])
    return game.eval()


def cook(recipe: dict[str, Any]) -> Game:
    """A new game after a recipe (`ganzoo.recipe`). Its class is looked up among the imported ones, never imported by name."""
    import_all()
    kinds = {f"{kind.__module__}.{kind.__qualname__}": kind for kind in descendants(Game)}
    if recipe["_class_path"] not in kinds:
        raise ValueError(f"the checkpoint holds a {recipe['_class_path']}: import its module before loading")
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kinds[recipe["_class_path"]], "game")
    arguments = {name: value for name, value in recipe.items() if not name.startswith("_")}
    return parser.instantiate(parser.parse_object({"game": arguments})).game


def descendants(kind: type[Game]) -> set[type[Game]]:
    return {kind}.union(*map(descendants, kind.__subclasses__()))


def import_all() -> None:
    """Import everything that `ganzoo` exports: until then neither jsonargparse nor `descendants` knows a class by its name."""
    for name in ganzoo.__all__:
        getattr(ganzoo, name)
