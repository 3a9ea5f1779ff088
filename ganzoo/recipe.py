"""How a game is written into its checkpoint, as plain JSON types, and told from another game there.

Checkpoints are loaded with `weights_only=True`: no classes, partials or functions, and nothing that could run code.
"""

from functools import partial
from typing import Any, Self

from torch import nn

INSTANTIATOR = "lightning.pytorch.cli.instantiate_module"  # how Lightning's load_from_checkpoint cooks the recipe


class Remembering:
    """Mixin that remembers the arguments its class was called with.

    Lightning's save_hyperparameters() mixes up what subclasses were given and what they passed on: the former is wanted.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        object.__setattr__(self, "_given", kwargs)  # not a module yet: nn.Module.__setattr__ would be early
        return self

    def given(self) -> dict[str, Any]:
        """The keyword arguments, to be asked for once."""
        return self.__dict__.pop("_given")


def recipe_of(kind: type[nn.Module], arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments that a class was called with, and the class itself, under the names that Lightning gives them.

    Raises:
        ValueError: an argument is neither of JSON's types nor a class or a partial of one.
    """
    return {name: recipe(value) for name, value in arguments.items()} | {
        "_class_path": f"{kind.__module__}.{kind.__qualname__}",
        "_instantiator": INSTANTIATOR,
    }


def recipe(value: Any) -> Any:
    """One argument; a class, or a partial of one, becomes its import path and arguments."""
    if isinstance(value, partial):
        # Plain partials call the class itself; jsonargparse's call an instantiator, which is given the class last.
        positional = [value.func, *value.args]
        kind = positional.pop()
        if isinstance(kind, type) and not any(isinstance(part, type) for part in positional):
            return recipe(kind) | {"init_args": {name: recipe(part) for name, part in value.keywords.items()}}
    if isinstance(value, type):
        return {"class_path": f"{value.__module__}.{value.__qualname__}"}
    if isinstance(value, list | tuple):
        return [recipe(part) for part in value]
    if isinstance(value, dict):
        return {name: recipe(part) for name, part in value.items()}
    if value is None:
        return None
    for plain in (bool, int, float, str):
        if isinstance(value, plain):
            return plain(value)  # np.float64 is a float too, but its pickle is not one of plain values
    raise ValueError(
        f"{value!r} cannot be written into a checkpoint: give a number, a string, a class, or functools.partial of a class and"
        " its keyword arguments"
    )


def refuse_misfit(checkpoint: dict[str, Any], game: nn.Module, given: dict[str, Any]) -> None:
    """Raise ValueError, in one line, if the checkpoint's weights are not those of this game, made after the recipe `given`."""
    saved = checkpoint.get("hyper_parameters", {})
    if "game" not in checkpoint or "_class_path" not in saved:
        raise ValueError("the checkpoint was not written by ganzoo")
    ours, theirs = type(game).__name__, saved["_class_path"].rpartition(".")[2]
    if ours != theirs:
        raise ValueError(f"the checkpoint holds a {theirs}, not a {ours}: choose --model {theirs} or another checkpoint")
    here = {name: list(weight.shape) for name, weight in game.state_dict().items()}
    there = {name: list(weight.shape) for name, weight in checkpoint["state_dict"].items()}
    for name in sorted(here.keys() | there.keys()):
        if here.get(name) != there.get(name):
            differ = [key for key in sorted(saved.keys() | given.keys()) if saved.get(key) != given.get(key)]
            raise ValueError(
                f"the checkpoint's weights do not fit this {ours}: {name} is {there.get(name, 'absent')} there and "
                f"{here.get(name, 'absent')} here; arguments that differ: {', '.join(differ) or 'none recorded'}"
            )
