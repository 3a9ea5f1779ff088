"""What to try when a run has gone wrong: options that the game at hand really has, and not as they are already."""

import inspect
from collections.abc import Iterator
from itertools import islice
from typing import Any

from ganzoo.conditional import ConditionalDuel
from ganzoo.duel import Duel
from ganzoo.game import Game

WON, GONE, STILL, NOT_FINITE = "won", "gone", "still", "not finite"


def remedies(game: Game, trouble: str, rounds: int) -> list[str]:
    """Up to three options of the command line, the likeliest to help first.

    Args:
        trouble: WON, GONE, STILL or NOT_FINITE.
        rounds: of the whole run, to which schedules are fitted.
    """
    advice = {WON: against_a_winner, GONE: for_variety, STILL: for_movement, NOT_FINITE: for_finite_numbers}[trouble]
    return list(islice(advice(game, settings(game), rounds), 3))


def settings(game: Game) -> dict[str, Any]:
    """Every option of the game with its value, given or default."""
    defaults = {
        name: parameter.default
        for kind in reversed(type(game).__mro__)
        for name, parameter in inspect.signature(kind).parameters.items()
    }
    return defaults | dict(game.hparams)


def against_a_winner(game: Game, has: dict[str, Any], rounds: int) -> Iterator[str]:
    """A slower discriminator, one that is less sure, or one whose gradient does not vanish where it is sure."""
    if has.get("generator_cost") == "minimax":
        yield "--model.generator_cost non_saturating"
    if isinstance(game, Duel) and game.lr["discriminator"]:
        yield f"--model.discriminator_lr {game.lr['discriminator'] / 4:g}"
    yield from noise(has, rounds)
    if has.get("penalty"):
        yield f"--model.penalty {10 * has['penalty']:g}"
    yield from variants(game, "WGANGP")


def for_variety(game: Game, has: dict[str, Any], rounds: int) -> Iterator[str]:
    """A discriminator that keeps up, one that sees variety, and samples that do not follow each turn of the chase."""
    if isinstance(game, Duel) and 0 < game.lr["discriminator"] < game.lr["generator"]:
        yield f"--model.discriminator_lr {game.lr['generator']:g}"
    for option in ("pack", "unrolling_steps"):
        if has.get(option):
            yield f"--model.{option} {2 * has[option]}"
    if has.get("diversity_ratio", 1.0) < 0.7:
        yield "--model.diversity_ratio 0.7"
    yield from variants(game, "PacGAN", "WGANGP")
    yield from noise(has, rounds)
    if has.get("average_decay", 0.0) is None:
        yield "--model.average_decay 0.999"


def for_movement(game: Game, has: dict[str, Any], rounds: int) -> Iterator[str]:
    """Learning rates above zero, then larger ones, and a cost whose gradient does not vanish."""
    if not isinstance(game, Duel):
        return
    if game.lr["discriminator"] == 0 and has["discriminator_lr"] is not None:
        yield "--model.discriminator_lr 2e-4"
    if game.lr["generator"] == 0:
        yield "--model.lr 2e-4"
    if all(game.lr.values()):
        yield f"--model.lr {10 * game.lr['generator']:g}"
        if has.get("generator_cost") == "minimax":
            yield "--model.generator_cost non_saturating"


def for_finite_numbers(game: Game, has: dict[str, Any], rounds: int) -> Iterator[str]:
    """Smaller steps, more digits, and something to go back to: what is not finite now will not be again."""
    if isinstance(game, Duel) and game.lr["generator"]:
        yield f"--model.lr {game.lr['generator'] / 4:g}"
    if game.trainer.precision != "32-true":
        yield "--trainer.precision 32-true"
    yield "--checkpoints.keep_every_steps 1000 to go back by --ckpt_path"


def noise(has: dict[str, Any], rounds: int) -> Iterator[str]:
    if has.get("instance_noise", ()) is None:
        yield f"--model.instance_noise '[0.1, {rounds}]'"


def variants(game: Game, *names: str) -> Iterator[str]:
    """Others that the same data suits: images or points, with or without labels, and nothing else in a batch."""
    if not isinstance(game, Duel) or len(game.shape) == 2 or (isinstance(game, ConditionalDuel) and game.kinds):
        return
    if {"real", "label"}.issuperset(inspect.signature(game.discriminator_loss).parameters):
        yield from (f"--model {name}" for name in names if name != type(game).__name__)
