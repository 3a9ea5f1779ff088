"""From a checkpoint, or a file of exported weights, back to a game.

Neither can run code: a checkpoint's pickle may hold tensors and plain values only, and a recipe names only classes of networks.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, BinaryIO
from zipfile import ZipFile

import safetensors.torch
import torch
from torch import Tensor, nn

import ganzoo
from ganzoo.game import Game


def load(path: str | Path) -> Game:
    """The game saved in a checkpoint or in exported weights, of whichever variant, on the CPU and in evaluation mode.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file was not written by ganzoo or is damaged, or its variant has not been imported.
    """
    return game_of(read(path))


def read(path: str | Path) -> dict[str, Any]:
    """The content of a checkpoint or of exported weights, which have no optimizers' state; raises as `load` does.

    All of the file is held against its checksums, which torch leaves aside.
    """
    path = Path(path)
    refuse_absent(path)
    try:
        with path.open("rb") as file:  # once: what was checked is what is read, whatever takes its place meanwhile
            content = of_safetensors(file.read()) if is_safetensors(file) else of_zip(file)
    except Refused as error:
        raise ValueError(f"{path} {error}") from error.__cause__
    saved = content.get("hyper_parameters")
    if not isinstance(saved, dict) or "_class_path" not in saved or "game" not in content:
        raise ValueError(f"{path} was not written by ganzoo")
    return content


def refuse_absent(path: Path) -> None:
    """Raise FileNotFoundError if there is no checkpoint, ValueError if it is a folder."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a checkpoint")
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path.absolute()}")


class Refused(Exception):
    """What is wrong with a file, to be said behind its name."""


def of_zip(file: BinaryIO) -> dict[str, Any]:
    """What torch.save wrote.

    Raises:
        Refused: anything else, code, or a byte that has changed.
    """
    start = file.read(512)
    if not start.startswith(b"PK\3\4"):
        raise Refused(f"is not a checkpoint, but {kind(start)}")
    try:
        with ZipFile(file) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
            if damaged := archive.testzip():
                raise Refused(f"is damaged: {damaged} in it does not match its checksum")
        if unpacked > file.seek(0, 2):
            raise Refused("is not a checkpoint: it is compressed")
        file.seek(0)
        content = torch.load(file, map_location="cpu", weights_only=True)  # said aloud, so the environment changes nothing
    except UnpicklingError as error:
        code = re.search(r"GLOBAL ([\w.]+)", str(error))
        raise Refused(f"holds more than tensors and plain values{f' ({code[1]})' if code else ''}: not opened") from error
    except Refused:
        raise
    except Exception as error:  # BadZipFile, RuntimeError, EOFError, struct.error ...: the bytes choose
        raise Refused(f"is cut short or damaged ({type(error).__name__})") from error
    if not isinstance(content, dict) or not are_tensors(content.get("state_dict")):
        raise Refused("was not written by ganzoo")
    return content


def kind(start: bytes) -> str:
    """What a file that begins like this may be."""
    if not start:
        return "empty"
    if start.lstrip().startswith(b"<"):
        return "a web page"
    return "a pickle, which could run code" if start.startswith(b"\x80") else "something else"


def are_tensors(state: Any) -> bool:
    return isinstance(state, Mapping) and all(isinstance(value, Tensor) for value in state.values())


# --- exported weights ---


def is_safetensors(file: BinaryIO) -> bool:
    """Whether it begins so: the length of a header in JSON, and the header. The file is left at its beginning."""
    start = file.read(9)
    file.seek(0)
    return len(start) == 9 and start.endswith(b"{") and int.from_bytes(start[:8], "little") < 100_000_000


def of_safetensors(data: bytes) -> dict[str, Any]:
    """What `exported` made, in the form of a checkpoint.

    Raises:
        Refused: anything else, or a byte that has changed.
    """
    try:
        header, payload = parts(data)
        said = header.get("__metadata__", {})
        state = safetensors.torch.load(data)
    except (ValueError, safetensors.SafetensorError) as error:
        raise Refused(f"is cut short or damaged ({type(error).__name__})") from error
    checksum = said.pop("sha256", None)
    if checksum is None or not {"recipe", "images_seen", "round", "seed"} <= said.keys():
        raise Refused("was not written by ganzoo")
    if checksum != digest(said, payload):
        raise Refused("is damaged: it does not match its checksum")
    number = {name: json.loads(said[name]) for name in ("images_seen", "round", "seed")}
    return {
        "state_dict": state,
        "hyper_parameters": json.loads(said["recipe"]),
        "game": {
            "seed": number["seed"],
            "images_seen": number["images_seen"],
            "units": json.loads(said.get("units", "null")),
        },
        "global_step": number["round"],
    }


def exported(checkpoint: dict[str, Any]) -> bytes:
    """A checkpoint's weights as safetensors, whose metadata have the recipe, the seed, images seen, round and a checksum."""
    # Copies of their own and in order: safetensors takes neither weights that share memory nor channels last.
    state = {name: weight.clone(memory_format=torch.contiguous_format) for name, weight in checkpoint["state_dict"].items()}
    said = {
        "format": "pt",
        "ganzoo": ganzoo.__version__,
        "recipe": json.dumps(checkpoint["hyper_parameters"]),
        "seed": json.dumps(checkpoint["game"]["seed"]),
        "images_seen": json.dumps(checkpoint["game"]["images_seen"]),
        "round": json.dumps(checkpoint["global_step"]),
        "units": json.dumps(checkpoint["game"].get("units")),
    }
    _, payload = parts(safetensors.torch.save(state))
    return safetensors.torch.save(state, said | {"sha256": digest(said, payload)})


def parts(data: bytes) -> tuple[dict[str, Any], memoryview]:
    """A safetensors file's header and the bytes of its tensors; raises ValueError."""
    end = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:end]), memoryview(data)[end:]


def digest(said: dict[str, str], payload: memoryview) -> str:
    """SHA-256 over the metadata and the tensors: 64 hexadecimal digits."""
    found = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    found.update(payload)
    return found.hexdigest()


# --- the game ---


def game_of(checkpoint: dict[str, Any]) -> Game:
    game = cook(checkpoint["hyper_parameters"])
    game.on_load_checkpoint(checkpoint)
    game.load_state_dict(checkpoint["state_dict"])
    return game.eval()


def cook(recipe: dict[str, Any]) -> Game:
    """A new game after a recipe (`ganzoo.recipe`).

    Its classes are looked up among the imported ones, never imported by name, and are games and networks only: a recipe, and
    jsonargparse after it, could name any function and what to call it with.

    Raises:
        ValueError: a class that is not imported, or arguments that it does not take.
    """
    import_all()
    made = known(Game, recipe["_class_path"])
    try:
        return made(**{name: cooked(value) for name, value in recipe.items() if not name.startswith("_")})
    except TypeError as error:
        raise ValueError(f"the checkpoint's recipe is not one of this {made.__name__}: {error}") from error


def cooked(value: Any) -> Any:
    """One argument: the inverse of `ganzoo.recipe.recipe`, but for lists, which were tuples or might as well have been."""
    if isinstance(value, list):
        return tuple(map(cooked, value))
    if not isinstance(value, dict):
        return value
    if "class_path" not in value:
        return {name: cooked(part) for name, part in value.items()}
    made = known(nn.Module, value["class_path"])
    return partial(made, **cooked(value["init_args"])) if "init_args" in value else made


def known(kind: type, path: str) -> Any:
    """The imported class of that name, a `kind`."""
    for found in descendants(kind):
        if f"{found.__module__}.{found.__qualname__}" == path:
            return found
    raise ValueError(f"the checkpoint holds a {path}: import its module before loading, if it is a class of yours")


def descendants(kind: type) -> set[type]:
    return {kind}.union(*map(descendants, kind.__subclasses__()))


def import_all() -> None:
    """Import everything that `ganzoo` exports: until then neither jsonargparse nor `descendants` knows a class by its name."""
    for name in ganzoo.__all__:
        getattr(ganzoo, name)
