"""`ganzoo import`: weights that NVIDIA published for StyleGAN2 (https://github.com/NVlabs/stylegan2-ada-pytorch)."""

import argparse
import re
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from ganzoo.data.cache import replacing
from ganzoo.loading import exported
from ganzoo.models.stylegan2 import StyleGAN2
from ganzoo.networks.stylegan2 import StyleGAN2Discriminator, StyleGAN2Generator

State = Mapping[str, Tensor]

DESCRIPTION = """NVIDIA's StyleGAN2-ADA weights as a file of ganzoo's, which sample, evaluate and --model.init_from take.

Their .pkl files hold code, which is not run here. In a checkout of their repository, make a file of plain weights first:

  python -c "import pickle, torch; nets = pickle.load(open('ffhq.pkl', 'rb')); \\
    torch.save({name: nets[name].state_dict() for name in ('G', 'D', 'G_ema')}, 'ffhq.pt')"
  ganzoo import ffhq.pt --out ffhq.safetensors
"""


def import_command(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        ValueError: --out does not end in .safetensors; as `plain` and `stylegan2_of` do.
        OSError: a file cannot be read or written.
    """
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("ganzoo import", description=DESCRIPTION, formatter_class=as_written, allow_abbrev=False)
    parser.add_argument("weights", type=Path, help="what torch.save made of the state dicts of G_ema and, if there, D and G")
    parser.add_argument("--out", type=Path, default=Path("weights.safetensors"), help="the file (weights.safetensors)")
    given = parser.parse_args(arguments)
    if given.out.suffix != ".safetensors":
        raise ValueError(f"--out {given.out} does not end in .safetensors")
    states = plain(given.weights)
    game = stylegan2_of(states["G_ema"], states.get("D"), states.get("G"))
    checkpoint = {
        "state_dict": game.state_dict(),
        "hyper_parameters": dict(game.hparams),
        "game": {"seed": 0, "images_seen": 0},
        "global_step": 0,
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(given.out) as file:
        file.write(exported(checkpoint))
    alone = "" if "D" in states else "; without a D, whose weights are new"
    print(f"StyleGAN2 for {' x '.join(map(str, game.shape))}{alone}: {given.out}", file=sys.stderr)


def plain(path: Path) -> dict[str, State]:
    """The state dicts in a file, by the networks' names; a file of one has G_ema's.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: anything else than tensors and their names.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file of weights at {path.absolute()}: ganzoo import --help says how to make one")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise ValueError(f"{path} holds code: ganzoo import --help says how to make a file of plain weights") from error
    except OSError:
        raise
    except Exception as error:  # RuntimeError, EOFError, IndexError, struct.error ...: the bytes choose
        raise ValueError(f"{path} is no file of torch.save, or damaged") from error
    states = content if isinstance(content, dict) and "G_ema" in content else {"G_ema": content}
    if not all(isinstance(state, Mapping) and all(isinstance(x, Tensor) for x in state.values()) for state in states.values()):
        raise ValueError(f"{path} holds no state dicts: ganzoo import --help says how to make them")
    return states


def stylegan2_of(average: State, discriminator: State | None = None, generator: State | None = None) -> StyleGAN2:
    """The game with these weights, under the authors' names: of G_ema and, if given, of D and G (else G_ema's).

    Raises:
        ValueError: they are not those of a StyleGAN2 with skips in G, and blocks that are residual, or not, in D.
    """
    try:
        game = empty_game(average, discriminator)
        assert game.average is not None
        game.average.load_state_dict(generators(average))
        game.generator.load_state_dict(generators(generator or average))
        if discriminator is not None:
            game.discriminator.load_state_dict(discriminators(discriminator, game.shape[-1]))
    except (KeyError, IndexError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"these are not the weights of NVIDIA's StyleGAN2 ({type(error).__name__}: {reason})") from error
    return game


def empty_game(average: State, discriminator: State | None) -> StyleGAN2:
    """A game whose networks have as many layers and channels as those of the state dicts."""
    size = max((int(found[1]) for name in average if (found := re.match(r"synthesis\.b(\d+)\.", name))), default=0)
    w_dim, inputs = average["mapping.fc0.weight"].shape
    classes = average["mapping.embed.weight"].shape[1] if "mapping.embed.weight" in average else None
    last = average[f"synthesis.b{size}.torgb.weight"]  # [channels of the image, channels, 1, 1]
    channels: dict[str, Any] = {"channel_base": last.shape[1] * size, "channel_max": average["synthesis.b4.const"].shape[0]}
    of_discriminator: dict[str, Any] = {}
    if discriminator is not None:
        of_discriminator["residual"] = any(".skip." in name for name in discriminator)
        of_discriminator["mapping_layers"] = sum(bool(re.match(r"mapping\.fc\d+\.weight", name)) for name in discriminator)
    return StyleGAN2(
        shape=(last.shape[0], size, size),
        classes=classes,
        latent_dim=inputs - (w_dim if classes else 0),
        generator=partial(
            StyleGAN2Generator,
            w_dim=w_dim,
            mapping_layers=sum(bool(re.match(r"mapping\.fc\d+\.weight", name)) for name in average),
            **channels,
        ),
        discriminator=partial(StyleGAN2Discriminator, **channels, **of_discriminator),
    )


def generators(state: State) -> dict[str, Tensor]:
    """A generator's weights under our names."""
    ours = {}
    for name, value in state.items():
        if name.endswith("resample_filter"):  # always [1, 3, 3, 1]
            continue
        if name == "synthesis.b4.const":
            name, value = "constant", value[None]
        if found := re.fullmatch(r"synthesis\.b(\d+)\.(conv0|conv1|torgb)\.(.+)", name):
            i = int(found[1]).bit_length() - 3
            layer = {"conv0": f"layers.{2 * i - 1}", "conv1": f"layers.{2 * i}", "torgb": f"images.{i}"}[found[2]]
            name = f"{layer}.{found[3].replace('noise_const', 'noise').replace('noise_strength', 'strength')}"
        ours["mean_w" if name == "mapping.w_avg" else mapped(name)] = value
    return ours


def discriminators(state: State, size: int) -> dict[str, Tensor]:
    """A discriminator's weights of images of this side, under our names."""
    last = {"b4.conv.": "convolution.", "b4.fc.": "dense.", "b4.out.": "last.", f"b{size}.fromrgb.": "first."}
    ours = {}
    for name, value in state.items():
        if name.endswith("resample_filter"):
            continue
        for theirs, own in last.items():
            name = name.replace(theirs, own)
        if found := re.fullmatch(r"b(\d+)\.(conv0|conv1|skip)\.(.+)", name):
            i = size.bit_length() - int(found[1]).bit_length()
            name = f"blocks.{i}.{ {'conv0': 'one', 'conv1': 'two', 'skip': 'shortcut.1'}[found[2]] }.{found[3]}"
        ours[mapped(name)] = value
    return ours


def mapped(name: str) -> str:
    """A mapping network's layer under our name."""
    return re.sub(r"^mapping\.fc(\d+)\.", r"mapping.layers.\1.", name)
