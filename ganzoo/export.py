"""`ganzoo export`: weights alone, in a file that cannot hold code."""

import argparse
import sys
from pathlib import Path

from ganzoo.data.cache import replacing
from ganzoo.loading import exported, game_of, read

DESCRIPTION = """The weights in a checkpoint as safetensors, with the recipe of the game in the metadata: smaller than the
checkpoint, since optimizers stay behind, and readable by anybody. ganzoo.load, sample and evaluate take it as well."""


def export_command(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        ValueError: --out does not end in .safetensors; as `read` does.
        OSError: it cannot be written.
    """
    parser = argparse.ArgumentParser("ganzoo export", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--checkpoint", type=Path, required=True, help="a .ckpt file of a run")
    parser.add_argument("--out", type=Path, default=Path("weights.safetensors"), help="the file (weights.safetensors)")
    given = parser.parse_args(arguments)
    if given.out.suffix != ".safetensors":
        raise ValueError(f"--out {given.out} does not end in .safetensors")
    checkpoint = read(given.checkpoint)
    game_of(checkpoint)  # what is handed on is known to load
    data = exported(checkpoint)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(given.out) as file:
        file.write(data)
    print(f"{len(checkpoint['state_dict'])} tensors, {len(data) / 1e6:.1f} MB: {given.out}", file=sys.stderr)
