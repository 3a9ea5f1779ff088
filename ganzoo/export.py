"""`ganzoo export`: weights alone, in a file that cannot hold code."""

import argparse
import sys
from pathlib import Path

import torch

from ganzoo.data.cache import replacing
from ganzoo.duel import Duel
from ganzoo.game import Game
from ganzoo.loading import exported, game_of, load, read

DESCRIPTION = """The weights in a checkpoint as safetensors, with the recipe of the game in the metadata: smaller than the
checkpoint, since optimizers stay behind, and readable by anybody. ganzoo.load, sample and evaluate take it as well.

With --towards the generator's weights are those on the way to another run's: an SRGAN towards its SRResNet, say, for
fewer artefacts (network interpolation: ESRGAN, arXiv:1809.00219, section 3.4)."""


def export_command(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        ValueError: --out does not end in .safetensors; as `read` and `go_towards` do.
        OSError: it cannot be written.
    """
    parser = argparse.ArgumentParser("ganzoo export", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--checkpoint", type=Path, required=True, help="a .ckpt file of a run")
    parser.add_argument("--out", type=Path, default=Path("weights.safetensors"), help="the file (weights.safetensors)")
    parser.add_argument(
        "--towards", type=Path, help="a checkpoint, or exported weights, of another run with the same generator"
    )
    parser.add_argument("--share", type=float, default=0.5, help="how far towards it, 0 to 1 (0.5)")
    given = parser.parse_args(arguments)
    if given.out.suffix != ".safetensors":
        raise ValueError(f"--out {given.out} does not end in .safetensors")
    checkpoint = read(given.checkpoint)
    game = game_of(checkpoint)  # what is handed on is known to load
    if given.towards is not None:
        go_towards(game, load(given.towards), given.share)
        checkpoint["state_dict"] = game.state_dict()
    data = exported(checkpoint)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(given.out) as file:
        file.write(data)
    print(f"{len(checkpoint['state_dict'])} tensors, {len(data) / 1e6:.1f} MB: {given.out}", file=sys.stderr)


@torch.no_grad()
def go_towards(game: Game, other: Game, share: float) -> None:
    """Make the generator that samples come from (1 - share) theta + share theta', weight by weight and in place
    (arXiv:1809.00219, section 3.4).

    Raises:
        ValueError: a share outside [0, 1], no duels, or generators of other weights.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"--share is a number from 0 to 1, not {share:g}")
    if not (isinstance(game, Duel) and isinstance(other, Duel)):
        raise ValueError("only games of one generator go towards another: leave out --towards")
    ours, theirs = game.sampler.state_dict(), other.sampler.state_dict()
    if {name: weight.shape for name, weight in ours.items()} != {name: weight.shape for name, weight in theirs.items()}:
        raise ValueError("--towards has another generator: give a run whose generator has the same arguments")
    for name, weight in ours.items():
        if weight.is_floating_point():
            weight.lerp_(theirs[name], share)
